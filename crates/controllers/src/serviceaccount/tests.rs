//! Table tests of the plan.

use apimachinery::value;
use k8s_openapi::api::core::v1::Namespace;

use super::plan::{Observed, plan};

#[test]
fn every_living_namespace_has_one() {
    let living = value!({"metadata": {"name": "a"}, "status": {"phase": "Active"}});
    let new = value!({"metadata": {"name": "a"}});
    let dying = value!({
        "metadata": {"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z"},
        "status": {"phase": "Terminating"}
    });
    for (namespace, has_account, expected) in
        [(&living, false, true), (&new, false, true), (&living, true, false), (&dying, false, false)]
    {
        let namespace: Namespace = namespace.decode().unwrap();
        let account = plan(&Observed { namespace: &namespace, has_account });
        assert_eq!(account.is_some(), expected, "{namespace:?} {has_account}");
        if let Some(account) = account {
            assert_eq!(account.metadata.namespace.as_deref(), Some("a"));
        }
    }
}
