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
async fn a_node_reads_what_its_pods_name() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let accounts = Resource::new("", "v1", "serviceaccounts");
    admin.create(&accounts, "default", value!({"metadata": {"name": "default"}})).await.expect("an account");
    let secrets = Resource::new("", "v1", "secrets");
    for name in ["mine", "stored", "other"] {
        admin.create(&secrets, "default", value!({"metadata": {"name": name}})).await.expect("a secret");
    }
    let volume = value!({"metadata": {"name": "v"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
        "claimRef": {"namespace": "default", "name": "data"},
        "csi": {"driver": "d", "volumeHandle": "h",
            "nodeStageSecretRef": {"namespace": "default", "name": "stored"}}
    }});
    let volumes = Resource::new("", "v1", "persistentvolumes");
    admin.create(&volumes, "", volume).await.expect("a volume");
    let pod = value!({"metadata": {"name": "p"}, "spec": {
        "nodeName": "n1", "containers": [{"name": "c", "image": "i"}],
        "volumes": [{"name": "a", "secret": {"secretName": "mine"}},
            {"name": "b", "persistentVolumeClaim": {"claimName": "data"}}]
    }});
    admin.create(&PODS, "default", pod).await.expect("a pod");

    let node = |name: &str| cluster.client(&format!("system:node:{name}"), &["system:nodes"]);
    for (name, object, readable) in [
        ("n1", "mine", true),
        ("n1", "stored", true),
        ("n1", "other", false),
        ("n2", "mine", false),
        ("n2", "stored", false),
    ] {
        let read = node(name).get(&secrets, "default", object).await;
        assert_eq!(read.is_ok(), readable, "{name} {object}");
    }
    assert!(node("n1").get(&volumes, "", "v").await.is_ok());
    assert!(node("n2").get(&volumes, "", "v").await.is_err());
    assert!(node("n1").get(&PODS, "default", "p").await.is_ok());
    assert!(node("n2").get(&PODS, "default", "p").await.is_err());
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
