//! What StorageClass and VolumeAttributesClass share: a driver's name and its
//! parameters.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::qualified_name;

const MOST_PARAMETERS: usize = 512;
const MOST_BYTES: usize = 256 << 10;

/// A driver's name, where there is one: a qualified name in any case.
pub(super) fn driver(path: &Path<'_>, name: &str, errors: &mut Errors) {
    if !name.is_empty() {
        let lower = name.to_lowercase();
        errors.check(path, &lower, qualified_name(&lower));
    }
}

pub(super) fn parameters(path: &Path<'_>, parameters: &Value, errors: &mut Errors) {
    let mut size = 0;
    if parameters.members().count() > MOST_PARAMETERS {
        errors.too_long(path, MOST_PARAMETERS);
        return;
    }
    for (key, value) in parameters.members() {
        if key.is_empty() {
            errors.invalid(path, key, "field can not be empty.");
        }
        size += key.len() + value.text().len();
    }
    if size > MOST_BYTES {
        errors.too_long(path, MOST_BYTES);
    }
}
