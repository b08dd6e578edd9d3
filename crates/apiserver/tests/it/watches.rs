//! watch.

use apimachinery::Value;

use crate::server::Tested;

const MAPS: &str = "/api/v1/namespaces/n/configmaps";
const MERGE: &str = "application/merge-patch+json";

/// The events of a watch that times out, as (type, name).
async fn events(server: &Tested, query: &str) -> Vec<(String, String)> {
    let answer = server.ask("GET", &format!("{MAPS}?watch=1&timeoutSeconds=1{query}"), "").await;
    assert_eq!(answer.code, 200, "{}", answer.text);
    answer
        .text
        .lines()
        .map(|line| {
            let event: Value = apimachinery::json::parse_ordered(line.as_bytes()).expect("an event a line");
            (event["type"].text().to_owned(), event["object"]["metadata"]["name"].text().to_owned())
        })
        .collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(kind, name)| ((*kind).to_owned(), (*name).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_what_happened_since_its_revision() {
    let server = Tested::new();
    let first = server.config_map("a", "").await.body;
    let revision = apimachinery::meta::resource_version(&first).to_owned();
    server.patch(MERGE, &format!("{MAPS}/a"), r#"{"data":{"k":"1"}}"#).await;
    server.config_map("b", "").await;
    server.ask("DELETE", &format!("{MAPS}/a"), "").await;
    let since = format!("&resourceVersion={revision}");
    assert_eq!(events(&server, &since).await, pairs(&[("MODIFIED", "a"), ("ADDED", "b"), ("DELETED", "a")]));
    assert_eq!(events(&server, "").await, pairs(&[("ADDED", "b")]));
    assert_eq!(
        events(&server, &format!("{since}&fieldSelector=metadata.name%3Db")).await,
        pairs(&[("ADDED", "b")])
    );
}

#[tokio::test(start_paused = true)]
async fn a_selector_turns_changes_into_arrivals_and_departures() {
    let server = Tested::new();
    let first = server.config_map("a", r#""l":"x""#).await.body;
    let revision = apimachinery::meta::resource_version(&first).to_owned();
    for value in ["y", "x"] {
        server
            .patch(MERGE, &format!("{MAPS}/a"), &format!(r#"{{"metadata":{{"labels":{{"l":"{value}"}}}}}}"#))
            .await;
    }
    let query = format!("&resourceVersion={revision}&labelSelector=l%3Dx");
    assert_eq!(events(&server, &query).await, pairs(&[("DELETED", "a"), ("ADDED", "a")]));
}

#[tokio::test(start_paused = true)]
async fn initial_events_end_with_a_bookmark() {
    let server = Tested::new();
    server.config_map("a", "").await;
    let query = "&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";
    let answer = server.ask("GET", &format!("{MAPS}?watch=1&timeoutSeconds=1{query}"), "").await;
    let last = answer.text.lines().last().unwrap_or_default().to_owned();
    assert!(last.contains("\"BOOKMARK\"") && last.contains("k8s.io/initial-events-end"), "{last}");
    assert_eq!(answer.text.lines().count(), 2);
    let refused = server.ask("GET", &format!("{MAPS}?watch=1&sendInitialEvents=true"), "").await;
    assert_eq!(refused.code, 422);
}

#[tokio::test(start_paused = true)]
async fn quiet_watches_get_bookmarks_each_minute_and_before_their_end() {
    let server = Tested::new();
    let first = server.config_map("a", "").await.body;
    let revision = apimachinery::meta::resource_version(&first).to_owned();
    let path = format!(
        "{MAPS}?watch=1&timeoutSeconds=100&allowWatchBookmarks=true&resourceVersion={revision}&labelSelector=none"
    );
    let watching = server.ask("GET", &path, "");
    let writing = async {
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        server.config_map("b", "").await
    };
    let (answer, _) = tokio::join!(watching, writing);
    assert_eq!(answer.text.lines().count(), 2, "{}", answer.text);
    assert!(answer.text.lines().all(|line| line.contains("BOOKMARK")));
}

#[tokio::test(start_paused = true)]
async fn the_old_path_watches_one_object() {
    let server = Tested::new();
    server.config_map("a", "").await;
    server.config_map("ab", "").await;
    let path = "/api/v1/watch/namespaces/n/configmaps/a?timeoutSeconds=1";
    let answer = server.ask("GET", path, "").await;
    assert_eq!(answer.text.lines().count(), 1, "{}", answer.text);
    let other = server.ask("GET", &format!("{path}&fieldSelector=metadata.name%3Dab"), "").await;
    assert_eq!(
        (other.code, other.body["message"].text()),
        (400, "fieldSelector metadata.name doesn't match requested name")
    );
}

#[tokio::test(start_paused = true)]
async fn a_change_reaches_each_watcher_in_its_own_form() {
    let server = Tested::new();
    let first = server.config_map("a", r#""l":"x""#).await.body;
    let since = format!("resourceVersion={}", apimachinery::meta::resource_version(&first));
    let partial = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let table = "application/json;as=Table;g=meta.k8s.io;v=v1";
    let json = "application/json";
    let watchers = [
        (json, "", "MODIFIED", "ConfigMap", true),
        (json, "", "MODIFIED", "ConfigMap", true),
        (json, "&labelSelector=l%3Dx", "DELETED", "ConfigMap", false),
        (json, "&labelSelector=l%3Dy", "ADDED", "ConfigMap", true),
        (json, "&labelSelector=l%3Dx", "DELETED", "ConfigMap", false),
        (partial, "", "MODIFIED", "PartialObjectMetadata", false),
        (table, "", "MODIFIED", "Table", false),
        (partial, "", "MODIFIED", "PartialObjectMetadata", false),
    ];
    let watching = watchers.map(|(accept, query, ..)| {
        let (server, path) = (&server, format!("{MAPS}?watch=1&timeoutSeconds=1&{since}{query}"));
        async move { server.ask_as("GET", &path, &[("Accept", accept)], "").await.text }
    });
    let path = format!("{MAPS}/a");
    let patch = server.patch(MERGE, &path, r#"{"metadata":{"labels":{"l":"y"}},"data":{"k":"new"}}"#);
    let (seen, patched) = tokio::join!(futures::future::join_all(watching), patch);
    let revision = apimachinery::meta::resource_version(&patched.body).to_owned();
    for (text, (accept, query, event, kind, has_data)) in seen.iter().zip(watchers) {
        let told: Value = apimachinery::json::parse_ordered(text.trim_end().as_bytes()).expect("one event");
        let object = &told["object"];
        assert_eq!((told["type"].text(), object["kind"].text()), (event, kind), "{accept} {query}");
        assert_eq!(object["data"]["k"].text() == "new", has_data, "{accept} {query}");
        if kind != "Table" {
            assert_eq!(apimachinery::meta::resource_version(object), revision, "{accept} {query}");
        }
    }
}
