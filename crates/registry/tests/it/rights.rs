//! Rights of users and service accounts, and what the namespaces' life allows.

use apimachinery::value;
use client::Resource;

use crate::cluster::{Cluster, PODS};

const ROLES: Resource = Resource::new("rbac.authorization.k8s.io", "v1", "roles");
const BINDINGS: Resource = Resource::new("rbac.authorization.k8s.io", "v1", "rolebindings");

#[tokio::test]
async fn a_role_grants_in_its_namespace_and_no_more_than_one_holds() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let ann = cluster.client("ann", &[]);
    let refused = ann.get(&PODS, "default", "p").await.expect_err("no rights");
    assert!(
        refused.to_string().contains(
            "pods \"p\" is forbidden: User \"ann\" cannot get resource \"pods\" in API group \"\" in the namespace \
             \"default\""
        ),
        "{refused}"
    );
    let rules = value!([
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["create"]}
    ]);
    admin
        .create(&ROLES, "default", value!({"metadata": {"name": "r"}, "rules": rules}))
        .await
        .expect("a role");
    let binding = value!({"metadata": {"name": "b"}, "subjects": [{"kind": "User", "name": "ann"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}});
    admin.create(&BINDINGS, "default", binding).await.expect("a binding");
    let missing = ann.get(&PODS, "default", "p").await.expect_err("no such pod");
    assert!(missing.to_string().contains("not found"), "{missing}");
    assert!(
        ann.get(&PODS, "kube-system", "p").await.expect_err("elsewhere").to_string().contains("forbidden")
    );

    let more = value!({"metadata": {"name": "more"},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]});
    let refused = ann.create(&ROLES, "default", more).await.expect_err("an escalation");
    assert!(
        refused.to_string().contains("is attempting to grant RBAC permissions not currently held"),
        "{refused}"
    );
}

#[tokio::test]
async fn namespaces_must_exist_and_some_never_end() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let maps = Resource::new("", "v1", "configmaps");
    let missing = admin.create(&maps, "nowhere", value!({"metadata": {"name": "m"}})).await;
    assert!(missing.expect_err("no namespace").to_string().contains("namespaces \"nowhere\" not found"));
    let namespaces = Resource::new("", "v1", "namespaces");
    let immortal = admin.delete(&namespaces, "", "default").await.expect_err("stays");
    assert!(immortal.to_string().contains("this namespace may not be deleted"), "{immortal}");
}
