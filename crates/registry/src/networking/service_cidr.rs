//! ServiceCIDR: the ranges that Services' addresses are taken from.

use apimachinery::field::{Errors, Path};
use apimachinery::validation::parse_cidr_sloppy;
use apimachinery::{Value, value};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use crate::rules::addresses::canonical_cidr;

/// ServiceCIDR.
pub struct ServiceCidr;

impl Strategy for ServiceCidr {
    fn reset_fields(&self, subresource: &str) -> &'static [&'static [&'static str]] {
        crate::changes::metadata_of_status(subresource)
    }

    fn prepare_status(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        crate::changes::keep_metadata(object, old);
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        let mut errors = Errors::new();
        let spec = Path::Root.child("spec");
        ranges(&object["spec"], &spec.child("cidrs"), &mut errors);
        errors
    }

    /// A second family may join the first; nothing else changes.
    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        validate_update(object, old)
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::network::service_cidr(object, now)
    }
}

fn ranges(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let list = spec["cidrs"].items();
    if list.is_empty() {
        errors.required(path, "at least one CIDR required");
        return;
    }
    if list.len() > 2 {
        let told = value!({"CIDRs": spec["cidrs"].clone()});
        errors.invalid(path, told, "may only hold up to 2 values");
        return;
    }
    for (at, range) in list.iter().enumerate() {
        errors.check(&path.index(at), range.text(), canonical_cidr(range.text()));
    }
    let families: Vec<bool> =
        list.iter().filter_map(|range| Some(parse_cidr_sloppy(range.text())?.0.is_ipv4())).collect();
    if families.len() == 2 && families[0] == families[1] {
        let why = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        errors.invalid(path, spec["cidrs"].clone(), why);
    }
}

fn validate_update(object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    let spec = Path::Root.child("spec");
    let path = spec.child("cidrs");
    let (new, before) = (object["spec"]["cidrs"].items(), old["spec"]["cidrs"].items());
    let immutable = "field is immutable";
    match (before.len(), new.len()) {
        (a, b) if a == b => {
            for (at, range) in new.iter().enumerate().filter(|(at, range)| before[*at] != **range) {
                errors.invalid(&path.index(at), range.text(), immutable);
            }
        }
        (1, 2) => {
            if new[0] != before[0] {
                errors.invalid(&path.index(0), new[0].text(), immutable);
            }
            ranges(&object["spec"], &path, &mut errors);
        }
        _ => errors.invalid(&path, object["spec"]["cidrs"].clone(), immutable),
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_for_ever_but_for_a_second_family() {
        let object = |ranges: &[&str]| value!({"spec": {"cidrs": ranges.iter().map(|range| Value::from(*range)).collect::<Vec<_>>()}});
        let (four, six) = ("10.0.0.0/16", "2001:db8::/64");
        for (new, old, wrong) in [
            (&[four][..], &[four][..], 0),
            (&[six], &[four], 1),
            (&[four, six], &[four], 0),
            (&[four, "10.1.0.0/16"], &[four], 1),
            (&[four], &[four, six], 1),
        ] {
            assert_eq!(validate_update(&object(new), &object(old)).len(), wrong, "{new:?} {old:?}");
        }
    }
}
