//! Names of certificate signers: `example.com/signer`.

use apimachinery::field::{Errors, Path, quote};
use apimachinery::validation::{dns1123_label, dns1123_subdomain};

/// The longest subdomain, and the longest label.
const SUBDOMAIN: usize = 253;
const LABEL: usize = 63;

/// A domain and a path below it. The first label that is wrong is told.
pub fn name(name: &str, path: &Path<'_>, errors: &mut Errors) {
    if name.is_empty() {
        errors.required(path, "");
        return;
    }
    let segments: Vec<&str> = name.split('/').collect();
    let [domain, own] = segments[..] else {
        let why = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.invalid(path, name, why);
        return;
    };
    if domain.len() > SUBDOMAIN {
        errors.too_long(path, SUBDOMAIN);
    }
    labels(domain, dns1123_label, path, errors);
    if !domain.contains('.') {
        errors.invalid(path, domain, "should be a domain with at least two segments");
    }
    labels(own, dns1123_subdomain, path, errors);
    let most = SUBDOMAIN + 1 + SUBDOMAIN + LABEL + 1;
    if name.len() > most {
        errors.too_long(path, most);
    }
}

fn labels(segment: &str, rule: fn(&str) -> Vec<String>, path: &Path<'_>, errors: &mut Errors) {
    for label in segment.split('.') {
        let wrong = rule(label);
        for why in &wrong {
            errors.invalid(path, segment, &format!("validating label {}: {why}", quote(label)));
        }
        if !wrong.is_empty() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signers_have_a_domain_and_a_path() {
        for (text, told) in [
            ("example.com/a", vec![]),
            ("", vec!["s: Required value"]),
            (
                "example.com",
                vec![
                    "s: Invalid value: \"example.com\": must be a fully qualified domain and path of the form \
                 'example.com/signer-name'",
                ],
            ),
            (
                "example/a",
                vec!["s: Invalid value: \"example\": should be a domain with at least two segments"],
            ),
        ] {
            let mut errors = Errors::new();
            name(text, &Path::Root.child("s"), &mut errors);
            assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), told, "{text}");
        }
    }
}
