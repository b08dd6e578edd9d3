//! ClusterTrustBundle: trust anchors, of a signer or of nobody.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::dns1123_subdomain;
use apiserver::{Context, NameRule, Strategy, Version};
use jiff::Timestamp;

use crate::names::signer;

const MOST_BYTES: usize = 1 << 20;

/// ClusterTrustBundle.
pub struct ClusterTrustBundle;

impl Strategy for ClusterTrustBundle {
    /// The name depends on the signer: see [`wrong_name`].
    fn name_rule(&self) -> NameRule {
        |_| Vec::new()
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn validate_create(&self, context: &Context<'_>, object: &Value) -> Errors {
        validate(context.name, object, None)
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = validate(context.name, object, Some(old));
        let path = Path::Root.child("spec");
        let (new, before) = (object["spec"]["signerName"].text(), old["spec"]["signerName"].text());
        if new != before {
            errors.invalid(&path.child("signerName"), new, "field is immutable");
        }
        errors
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::access::trust_bundle(object, now)
    }
}

/// Bundles of a signer are called `example.com:signer:NAME`.
fn wrong_name(name: &str, signer: &str) -> Vec<String> {
    if signer.is_empty() {
        if name.contains(':') {
            return vec!["ClusterTrustBundle without signer name must not have \":\" in its name".into()];
        }
        return dns1123_subdomain(name);
    }
    let prefix = format!("{}:", signer.replace('/', ":"));
    match name.strip_prefix(&prefix) {
        Some(rest) => dns1123_subdomain(rest),
        None => {
            vec![format!("ClusterTrustBundle for signerName {signer} must be named with prefix {prefix}")]
        }
    }
}

fn validate(name: &str, object: &Value, old: Option<&Value>) -> Errors {
    let mut errors = Errors::new();
    let (spec, path) = (&object["spec"], Path::Root.child("spec"));
    let of = spec["signerName"].text();
    if !name.is_empty() {
        errors.check(&Path::Root.child("metadata").child("name"), name, wrong_name(name, of));
    }
    if !of.is_empty() {
        signer(&path.child("signerName"), of, &mut errors);
    }
    let bundle = &spec["trustBundle"];
    if old.is_none_or(|old| old["spec"]["trustBundle"] != *bundle) {
        let place = path.child("trustBundle");
        if bundle.text().len() > MOST_BYTES {
            errors.too_long(&place, MOST_BYTES);
        } else {
            errors.check(&place, "<value omitted>", pki::wrong_anchors(bundle.text().as_bytes()));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_start_with_the_signer() {
        for (name, signer, expected) in [
            ("a", "", ""),
            ("a:b", "", "ClusterTrustBundle without signer name must not have \":\" in its name"),
            ("ex.com:s:a", "ex.com/s", ""),
            (
                "a",
                "ex.com/s",
                "ClusterTrustBundle for signerName ex.com/s must be named with prefix ex.com:s:",
            ),
        ] {
            assert_eq!(wrong_name(name, signer).join(""), expected);
        }
    }
}
