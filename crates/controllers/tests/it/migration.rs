//! Migrations of what is stored.

use apimachinery::{Value, value};
use client::Resource;

use crate::cluster::{CONFIG_MAPS, Cluster};

const MIGRATIONS: Resource = Resource::new("storagemigration.k8s.io", "v1", "storageversionmigrations");
const DEFINITIONS: Resource = Resource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");
const WIDGETS: Resource = Resource::new("example.com", "v2", "widgets");
const OLD_WIDGETS: Resource = Resource::new("example.com", "v1", "widgets");

fn migration(name: &str, group: &str, resource: &str) -> Value {
    value!({
        "apiVersion": "storagemigration.k8s.io/v1", "kind": "StorageVersionMigration",
        "metadata": {"name": name}, "spec": {"resource": {"group": group, "resource": resource}}
    })
}

/// Status, reason and message of a condition.
fn condition(object: &Value, kind: &str) -> String {
    let mut conditions = object["status"]["conditions"].items().iter();
    let found = conditions.find(|condition| condition["type"].text() == kind);
    found.map_or(String::new(), |one| {
        format!("{} {} {}", one["status"].text(), one["reason"].text(), one["message"].text())
    })
}

#[tokio::test(start_paused = true)]
async fn a_migration_writes_all_objects_and_lets_the_next_run() {
    let cluster = Cluster::start(81, &["n1"]).await;
    let admin = &cluster.admin;
    for name in ["first", "second"] {
        admin.create(&MIGRATIONS, "", migration(name, "", "configmaps")).await.unwrap();
    }
    for name in ["first", "second"] {
        admin
            .eventually("it has succeeded and let go", || async {
                let migration = admin.get(&MIGRATIONS, "", name).await.unwrap();
                condition(&migration, "Succeeded")
                    == "True StorageVersionMigrationSucceeded Migration completed"
                    && condition(&migration, "Running") == "False MigrationCompleted Migration completed"
            })
            .await;
    }
    assert!(!admin.list(&CONFIG_MAPS, "default").await.is_empty());
    admin.create(&MIGRATIONS, "", migration("odd", "example.com", "nothings")).await.unwrap();
    admin
        .eventually("nobody knows the resource", || async {
            let migration = admin.get(&MIGRATIONS, "", "odd").await.unwrap();
            condition(&migration, "Failed")
                == "True StorageVersionMigrationFailed resource does not exist in discovery"
        })
        .await;
    let (adds, _) = cluster.queues.adds_and_retries("storage-version-migrator-controller");
    assert!(adds < 60, "{adds}");
    cluster.stop();
}

fn definition(stored: &str) -> Value {
    let version = |name: &str| {
        value!({
            "name": name, "served": true, "storage": (name == stored),
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}
        })
    };
    value!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [(version("v1")), (version("v2"))]
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_definition_forgets_the_version_that_nothing_is_stored_in() {
    let cluster = Cluster::start(82, &["n1"]).await;
    let admin = &cluster.admin;
    admin.create(&DEFINITIONS, "", definition("v1")).await.unwrap();
    let widget = value!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"a": 1}});
    admin
        .eventually("it is served", || async {
            admin.create(&OLD_WIDGETS, "default", widget.clone()).await.is_ok()
        })
        .await;
    let versions = value!({"spec": {"versions": (definition("v2")["spec"]["versions"].clone())}});
    admin.patch(&DEFINITIONS, "", "widgets.example.com", None, versions).await.unwrap();
    let stored = || async {
        let definition = admin.get(&DEFINITIONS, "", "widgets.example.com").await.unwrap();
        let versions = definition["status"]["storedVersions"].items();
        versions.iter().map(|version| version.text().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(stored().await, ["v1", "v2"]);
    admin.create(&MIGRATIONS, "", migration("widgets", "example.com", "widgets")).await.unwrap();
    admin.eventually("only v2 is stored", || async { stored().await == ["v2"] }).await;
    let told = admin.get(&DEFINITIONS, "", "widgets.example.com").await.unwrap();
    assert_eq!(
        condition(&told, "StorageMigrating"),
        "False MigrationSucceeded The migration has succeeded and the stored versions have been updated"
    );
    assert_eq!(admin.get(&WIDGETS, "default", "w").await.unwrap()["spec"], value!({"a": 1}));
    cluster.stop();
}
