//! Paths in file systems, and modes of files.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};

const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";

/// No `..` among the parts.
pub fn no_backtracking(path: &Path<'_>, text: &str, errors: &mut Errors) {
    if text.split('/').any(|part| part == "..") {
        errors.invalid(path, text, "must not contain '..'");
    }
}

/// A relative path that stays below where it starts.
pub fn descending(path: &Path<'_>, text: &str, errors: &mut Errors) {
    if text.starts_with('/') {
        errors.invalid(path, text, "must be a relative path");
    }
    no_backtracking(path, text, errors);
}

/// As [`descending`], and not a name that projected volumes use themselves.
pub fn not_reserved(path: &Path<'_>, text: &str, errors: &mut Errors) {
    descending(path, text, errors);
    if text.starts_with("..") && !text.starts_with("../") && text != ".." {
        errors.invalid(path, text, "must not start with '..'");
    }
}

pub fn mode(path: &Path<'_>, value: &Value, errors: &mut Errors) {
    if let Some(mode) = value.as_i64().filter(|mode| !(0..=0o777).contains(mode)) {
        errors.invalid(path, mode, MODE);
    }
}
