//! Deployment.

use apimachinery::Value;
use apiserver::{Context, Strategy};

use crate::changes::{default_rolling_update, default_template, keep_in};

/// Deployment.
pub struct Deployment;

impl Strategy for Deployment {
    fn default(&self, _: &str, object: &mut Value) {
        default_rolling_update(object, "strategy");
        default_template(object);
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn prepare_status(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        keep_in(object, old, "metadata", "labels");
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn only_rolling_strategies_have_parameters() {
        for (strategy, expected) in [
            (value!({}), value!({"type": "RollingUpdate", "rollingUpdate": {}})),
            (value!({"type": "Recreate"}), value!({"type": "Recreate"})),
            (
                value!({"rollingUpdate": {"maxSurge": 1}}),
                value!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}),
            ),
        ] {
            let mut object = value!({"spec": {"strategy": strategy}});
            Deployment.default("v1", &mut object);
            assert_eq!(object["spec"]["strategy"], expected);
        }
    }
}
