//! Table tests of the plan.

use apimachinery::value;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};

use super::plan::{Action, Observed, plan};

#[test]
fn the_data_is_always_the_authority() {
    let namespace: Namespace = value!({"metadata": {"name": "a"}}).decode().unwrap();
    let map = |pem: &str| -> ConfigMap {
        value!({"metadata": {"name": "kube-root-ca.crt", "resourceVersion": "7"}, "data": {"ca.crt": pem}})
            .decode()
            .unwrap()
    };
    let plan =
        |current: Option<&ConfigMap>| plan(&Observed { namespace: &namespace, current, authority: "PEM" });
    let Some(Action::Create(created)) = plan(None) else { panic!("nothing was created") };
    assert_eq!(created.data.unwrap()["ca.crt"], "PEM");
    assert_eq!(plan(Some(&map("PEM"))), None);
    let Some(Action::Update(updated)) = plan(Some(&map("old"))) else { panic!("nothing was updated") };
    assert_eq!(updated.data.unwrap()["ca.crt"], "PEM");
    assert_eq!(updated.metadata.resource_version.as_deref(), Some("7"));

    let dying: Namespace =
        value!({"metadata": {"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z"}}).decode().unwrap();
    let nothing = super::plan::plan(&Observed { namespace: &dying, current: None, authority: "PEM" });
    assert_eq!(nothing, None);
}
