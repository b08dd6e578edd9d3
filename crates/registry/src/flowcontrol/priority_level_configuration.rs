//! PriorityLevelConfiguration.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use super::mandatory;
use crate::changes::default_struct;
use crate::conditions;
use crate::rules::internal;

const MOST_QUEUES: i64 = 10_000_000;
/// Bits of a flow's hash that shuffle sharding may use up.
const HASH_BITS: i64 = 60;

/// PriorityLevelConfiguration.
pub struct PriorityLevelConfiguration;

/// What told v1beta3 that zero shares were meant; v1 tells it by the field.
const PRESERVED: &str = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares";

impl Strategy for PriorityLevelConfiguration {
    fn reset_fields(&self, subresource: &str) -> &'static [&'static [&'static str]] {
        crate::changes::metadata_of_status(subresource)
    }

    /// A level that is exempt, and a response that queues, have parameters.
    fn default(&self, _: &str, object: &mut Value) {
        let spec = object.entry("spec");
        if spec["type"].text() == "Exempt" {
            default_struct(spec, "exempt");
        }
        if !spec["limited"]["limitResponse"]["queuing"].is_null() {
            let queuing = spec.entry("limited").entry("limitResponse").entry("queuing");
            // Numbers without a pointer: zero is as if it were not there.
            for field in ["queues", "handSize", "queueLengthLimit"] {
                if queuing[field].as_i64() == Some(0) {
                    queuing.remove(field);
                }
            }
        }
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn prepare_status(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        crate::changes::keep_metadata(object, old);
    }

    fn validate_create(&self, context: &Context<'_>, object: &Value) -> Errors {
        let mut errors = Errors::new();
        if !object["metadata"]["annotations"][PRESERVED].is_null() {
            let metadata = Path::Root.child("metadata");
            let why = format!("annotation '{PRESERVED}' is forbidden");
            errors.forbidden(&metadata.child("annotations"), &why);
        }
        errors.append(validate(context.name, &object["spec"]));
        let status = Path::Root.child("status");
        conditions::types(&status.child("conditions"), &object["status"]["conditions"], &mut errors);
        errors
    }

    fn validate_status(&self, _: &Context<'_>, object: &Value, _: &Value) -> Errors {
        let mut errors = Errors::new();
        let status = Path::Root.child("status");
        conditions::types(&status.child("conditions"), &object["status"]["conditions"], &mut errors);
        errors
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::cluster::priority_level(object, now)
    }
}

fn validate(name: &str, spec: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::Root.child("spec");
    let (kind, place) = (spec["type"].text(), path.child("type"));
    if (name == "exempt") != (kind == "Exempt") {
        errors.invalid(&place, kind, "must be 'Exempt' if and only if `name` is 'exempt'");
    }
    let (own, limited) = (&spec["exempt"], &spec["limited"]);
    match kind {
        "Exempt" => {
            shares(own, &path.child("exempt"), &mut errors);
            lendable(own, &path.child("exempt"), &mut errors);
        }
        "Limited" if !limited.is_null() => limits(limited, &path.child("limited"), &mut errors),
        "" | "Limited" => {}
        other => errors.not_supported(&place, other, &["Exempt", "Limited"]),
    }
    if let Some(fixed) = mandatory::spec("prioritylevelconfigurations", name) {
        // The parameters of the exempt level are the administrator's.
        let exempt = name == "exempt";
        let fields = ["type", "limited", "exempt"];
        let compared = if exempt { &fields[..2] } else { &fields[..] };
        if compared.iter().any(|field| fixed[*field] != spec[*field]) {
            let but = if exempt { " except the 'spec.exempt' field" } else { "" };
            let told = internal::of("PriorityLevelConfigurationSpec", spec);
            errors.invalid(&path, told, &format!("spec of '{name}'{but} must equal the fixed value"));
        }
    }
    declared(spec, &path, &mut errors);
    errors
}

/// What the declarations of the types say, which comes last: a member of a
/// union is there where its type is said, and only there.
fn declared(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let union = |parent: &Value, path: &Path<'_>, members: &[(&str, &str)], errors: &mut Errors| {
        for (field, kind) in members {
            match (parent["type"].text() == *kind, parent[*field].is_null()) {
                (true, true) => errors.required(&path.child(field), ""),
                (false, false) => errors.forbidden(&path.child(field), ""),
                _ => {}
            }
        }
        if parent["type"].text().is_empty() {
            errors.required(&path.child("type"), "");
        }
    };
    union(spec, path, &[("exempt", "Exempt"), ("limited", "Limited")], errors);
    if !spec["limited"].is_null() {
        let limited = path.child("limited");
        let response = limited.child("limitResponse");
        union(&spec["limited"]["limitResponse"], &response, &[("queuing", "Queue")], errors);
    }
}

fn shares(level: &Value, path: &Path<'_>, errors: &mut Errors) {
    let field = "nominalConcurrencyShares";
    if let Some(number) = level[field].as_i64().filter(|number| *number < 0) {
        errors.invalid(&path.child(field), number, "must be a non-negative integer");
    }
}

fn lendable(level: &Value, path: &Path<'_>, errors: &mut Errors) {
    let field = "lendablePercent";
    if let Some(number) = level[field].as_i64().filter(|number| !(0..=100).contains(number)) {
        errors.invalid(&path.child(field), number, "must be between 0 and 100, inclusive");
    }
}

fn limits(limited: &Value, path: &Path<'_>, errors: &mut Errors) {
    shares(limited, path, errors);
    response(&limited["limitResponse"], &path.child("limitResponse"), errors);
    lendable(limited, path, errors);
    let field = "borrowingLimitPercent";
    if let Some(number) = limited[field].as_i64().filter(|number| *number < 0) {
        errors.invalid(&path.child(field), number, "if specified, must be a non-negative integer");
    }
}

fn response(response: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (queuing, place) = (&response["queuing"], path.child("queuing"));
    match response["type"].text() {
        "" | "Reject" => {}
        "Queue" if queuing.is_null() => {}
        "Queue" => queues(queuing, &place, errors),
        other => errors.not_supported(&path.child("type"), other, &["Queue", "Reject"]),
    }
}

fn queues(queuing: &Value, path: &Path<'_>, errors: &mut Errors) {
    let number = |field: &str| queuing[field].as_i64().unwrap_or(0);
    let (length, queues, hand) = (number("queueLengthLimit"), number("queues"), number("handSize"));
    let positive = "must be positive";
    if length <= 0 {
        errors.invalid(&path.child("queueLengthLimit"), length, positive);
    }
    if queues <= 0 {
        errors.invalid(&path.child("queues"), queues, positive);
    } else if queues > MOST_QUEUES {
        errors.invalid(&path.child("queues"), queues, &format!("must not be greater than {MOST_QUEUES}"));
    }
    let place = path.child("handSize");
    if hand <= 0 {
        errors.invalid(&place, hand, positive);
    } else if hand > queues {
        errors.invalid(&place, hand, &format!("should not be greater than queues ({queues})"));
    } else if entropy_bits(queues, hand) > HASH_BITS {
        let why = format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {HASH_BITS}"
        );
        errors.invalid(&place, hand, &why);
    }
}

/// Bits of a hash that dealing `hand` of `deck` cards takes.
fn entropy_bits(deck: i64, hand: i64) -> i64 {
    (0..hand).map(|dealt| ((deck - dealt) as f64).log2()).sum::<f64>().ceil() as i64
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn hands_fit_the_hash() {
        for (deck, hand, bits) in [(64, 8, 48), (128, 6, 42), (512, 4, 36), (1, 1, 0)] {
            assert_eq!(entropy_bits(deck, hand), bits, "{deck} {hand}");
        }
    }

    #[test]
    fn levels_are_limited_or_exempt() {
        for (name, spec, expected) in [
            ("a", value!({"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}}), ""),
            ("a", value!({"type": "Limited"}), "spec.limited: Required value"),
            (
                "a",
                value!({"type": "Exempt", "exempt": {}}),
                "spec.type: Invalid value: \"Exempt\": must be 'Exempt' if and only if `name` is 'exempt'",
            ),
            (
                "a",
                value!({"type": "Limited", "limited": {
                    "limitResponse": {"type": "Queue", "queuing": {"queues": 8, "handSize": 9, "queueLengthLimit": 1}}
                }}),
                "spec.limited.limitResponse.queuing.handSize: Invalid value: 9: should not be greater than queues (8)",
            ),
            ("exempt", value!({"type": "Exempt", "exempt": {"lendablePercent": 5}}), ""),
            ("a", value!({}), "spec.type: Required value"),
            (
                "a",
                value!({"type": "Limited", "exempt": {}, "limited": {"limitResponse": {"type": "Queue"}}}),
                "spec.exempt: Forbiddenspec.limited.limitResponse.queuing: Required value",
            ),
        ] {
            assert_eq!(validate(name, &spec).iter().map(ToString::to_string).collect::<String>(), expected);
        }
    }
}
