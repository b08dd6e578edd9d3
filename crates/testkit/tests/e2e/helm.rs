//! Helm 4 with a chart that uses what charts use.

use std::process::Command;

use testkit::Cluster;

use crate::{cluster, in_checkout};

/// A copy of the charts, in which Helm may put dependencies.
fn charts(cluster: &Cluster) -> String {
    let source = in_checkout("crates/testkit/charts");
    let copy = cluster.data_dir().join("charts");
    let copied = Command::new("cp").arg("-r").arg(&source).arg(&copy).status();
    assert!(copied.is_ok_and(|status| status.success()), "{}", source.display());
    copy.join("site").display().to_string()
}

#[test]
fn a_release_lives_its_life() {
    let cluster = cluster();
    let (helm, kubectl) = (cluster.helm(), cluster.kubectl());
    let chart = charts(&cluster);
    let timely = "--wait --timeout 60s";
    helm.run(&format!("dependency update {chart}"));
    assert!(helm.run(&format!("lint {chart}")).contains("0 chart(s) failed"));

    let installed = helm.run(&format!("install site {chart} {timely}"));
    assert!(installed.contains("STATUS: deployed") && installed.contains("on Kubernetes v1.37.2."));
    assert_eq!(kubectl.run("logs job/site-announce"), "revision 1: <h1>First</h1>\n");
    assert!(!kubectl.try_run("get job site-prepare").succeeded(), "the hook's policy removes it");
    assert_eq!(kubectl.field("book/site", ".spec.title"), "First");
    let listed = helm.run("list");
    assert!(listed.contains("site") && listed.contains("deployed") && listed.contains("site-0.1.0"));
    assert!(helm.run("status site").contains("==> v1/Book"));
    let tested = helm.run("test site --logs");
    assert!(tested.contains("Phase:          Succeeded") && tested.contains("<h1>First</h1>"), "{tested}");
    let shown = helm.run(&format!("template site {chart} --dry-run=server"));
    let key = kubectl.field("secret/site-key", ".data.key");
    assert!(!key.is_empty() && shown.contains(&key), "lookup finds what is there: {shown}");

    helm.run(&format!("upgrade site {chart} --set page.title=Second --set replicas=2 {timely}"));
    assert_eq!(kubectl.run("logs job/site-announce"), "revision 2: <h1>Second</h1>\n");
    assert_eq!(kubectl.field("deployment/site", ".status.readyReplicas"), "2");
    assert_eq!(kubectl.field("secret/site-key", ".data.key"), key);

    let failed = helm.try_run(&format!(
        "upgrade site {chart} --set page.title=Third --set health=/none --rollback-on-failure --timeout 6s"
    ));
    assert!(failed.refused().contains("has been rolled back"));
    assert_eq!(kubectl.field("book/site", ".spec.title"), "Second");
    let refused = helm.try_run(&format!("upgrade site {chart} --set page.title= {timely}")).refused();
    assert!(refused.contains("spec.title in body should be at least 1 chars long"), "{refused}");

    helm.run(&format!("rollback site 1 {timely}"));
    assert_eq!(kubectl.field("book/site", ".spec.title"), "First");
    assert_eq!(kubectl.field("deployment/site", ".spec.replicas"), "1");
    let history = helm.run("history site");
    for told in ["Install complete", "Upgrade complete", "Rollback to 2", "Rollback to 1", "failed"] {
        assert!(history.contains(told), "{told} in {history}");
    }
    for (part, told) in [
        ("manifest", "kind: Book"),
        ("values --all", "replicas: 1"),
        ("notes", "site runs 1 of nginx:1"),
        ("hooks", "site-farewell"),
        ("metadata", "DEPENDENCIES: page"),
    ] {
        let said = helm.run(&format!("get {part} site"));
        assert!(said.contains(told), "{told} in {said}");
    }

    helm.run(&format!("uninstall site {timely}"));
    assert_eq!(kubectl.run("get books,deployments,secrets -o name"), "");
    assert_eq!(kubectl.field("configmap/site-farewell", ".data.revision"), "1");
    assert!(kubectl.run("get crd -o name").contains("books.example.com"), "a CRD outlives its release");
    assert!(!helm.run("list").contains("site"));
}
