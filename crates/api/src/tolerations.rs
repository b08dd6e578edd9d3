//! Taints and tolerations (core/v1).

use k8s_openapi::api::core::v1::{Taint, Toleration};

/// Whether `toleration` tolerates `taint`.
///
/// An empty effect matches every effect, an empty key with `Exists` every key.
/// `Lt` and `Gt` compare whole numbers: the taint's value with the toleration's.
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().unwrap_or("");
    if !effect.is_empty() && effect != taint.effect {
        return false;
    }
    let key = toleration.key.as_deref().unwrap_or("");
    if !key.is_empty() && key != taint.key {
        return false;
    }
    let wanted = toleration.value.as_deref().unwrap_or("");
    let value = taint.value.as_deref().unwrap_or("");
    let compare =
        |wanted: &str, value: &str| Some(value.parse::<i64>().ok()?.cmp(&wanted.parse::<i64>().ok()?));
    match toleration.operator.as_deref().unwrap_or("") {
        "Exists" => true,
        "" | "Equal" => wanted == value,
        "Lt" => compare(wanted, value) == Some(std::cmp::Ordering::Less),
        "Gt" => compare(wanted, value) == Some(std::cmp::Ordering::Greater),
        _ => false,
    }
}

/// Whether any of `tolerations` tolerates `taint`.
pub fn any_tolerates(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|toleration| tolerates(toleration, taint))
}

/// The first taint with one of `effects` that nothing tolerates.
pub fn first_untolerated<'a>(
    taints: &'a [Taint],
    tolerations: &[Toleration],
    effects: &[&str],
) -> Option<&'a Taint> {
    taints
        .iter()
        .filter(|taint| effects.contains(&taint.effect.as_str()))
        .find(|taint| !any_tolerates(tolerations, taint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toleration(key: &str, operator: &str, value: &str, effect: &str) -> Toleration {
        let set = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Toleration {
            key: set(key),
            operator: set(operator),
            value: set(value),
            effect: set(effect),
            ..Toleration::default()
        }
    }

    #[test]
    fn tolerations_match_as_documented() {
        let taint = Taint {
            key: "k".into(),
            value: Some("5".into()),
            effect: "NoSchedule".into(),
            ..Taint::default()
        };
        for (key, operator, value, effect, expected) in [
            ("k", "Equal", "5", "NoSchedule", true),
            ("k", "", "5", "", true),
            ("k", "Exists", "", "", true),
            ("", "Exists", "", "", true),
            ("k", "Equal", "6", "", false),
            ("other", "Exists", "", "", false),
            ("k", "Exists", "", "NoExecute", false),
            ("k", "Lt", "6", "", true),
            ("k", "Gt", "6", "", false),
            ("k", "Gt", "x", "", false),
            ("k", "Strange", "5", "", false),
        ] {
            let toleration = toleration(key, operator, value, effect);
            assert_eq!(tolerates(&toleration, &taint), expected, "{toleration:?}");
        }
        let taints = [taint];
        assert!(first_untolerated(&taints, &[], &["NoSchedule"]).is_some());
        assert!(first_untolerated(&taints, &[], &["NoExecute"]).is_none());
    }
}
