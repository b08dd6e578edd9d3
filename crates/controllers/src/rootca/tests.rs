//! Table tests of the plan.

use apimachinery::{Value, value};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use serde::Deserialize;

use super::plan::{Action, Observed, plan};
use crate::cases::{Written, check};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    namespace: Written<Namespace>,
    current: Option<Written<ConfigMap>>,
}

#[test]
fn the_data_is_always_the_authority() {
    check(include_str!("cases.yaml"), "the ConfigMap of the authority PEM", |case: Case| {
        let action = plan(&Observed {
            namespace: &case.namespace,
            current: case.current.as_deref(),
            authority: "PEM",
        });
        let written = |map: &ConfigMap| {
            let metadata = Value::from_serialize(&map.metadata).unwrap();
            let data = Value::from_serialize(&map.data).unwrap();
            value!({"metadata": (metadata), "data": (data)})
        };
        match action {
            None => Value::object(),
            Some(Action::Create(map)) => value!({"create": (written(&map))}),
            Some(Action::Update(map)) => value!({"update": (written(&map))}),
        }
    });
}
