//! list and deletecollection.

use std::time::Duration;

use crate::server::{Tested, names};

const MAPS: &str = "/api/v1/namespaces/n/configmaps";

#[tokio::test]
async fn selectors_choose() {
    let server = Tested::new();
    server.config_map("a", r#""app":"x""#).await;
    server.config_map("b", r#""app":"y""#).await;
    server.config_map("c", "").await;
    let cases = [
        ("", vec!["a", "b", "c"]),
        ("?labelSelector=app%3Dx", vec!["a"]),
        ("?labelSelector=%21app", vec!["c"]),
        ("?labelSelector=app+in+(x,y)", vec!["a", "b"]),
        ("?fieldSelector=metadata.name%3Db", vec!["b"]),
        ("?fieldSelector=metadata.name%21%3Db", vec!["a", "c"]),
    ];
    for (query, expected) in cases {
        let list = server.ask("GET", &format!("{MAPS}{query}"), "").await;
        assert_eq!(names(&list.body), expected, "{query}: {}", list.text);
    }
    let list = server.ask("GET", MAPS, "").await;
    assert_eq!((list.body["kind"].text(), list.body["apiVersion"].text()), ("ConfigMapList", "v1"));
    assert!(list.body["items"][0]["kind"].is_null());
    assert_eq!(server.ask("GET", &format!("{MAPS}?fieldSelector=data.k%3D1"), "").await.code, 400);
    assert_eq!(server.ask("GET", &format!("{MAPS}?labelSelector=a+b"), "").await.code, 400);
}

#[tokio::test]
async fn pages_are_of_one_revision_while_writes_go_on() {
    let server = Tested::new();
    for at in 0..7 {
        server.config_map(&format!("m{at}"), "").await;
    }
    let mut seen = Vec::new();
    let mut token = String::new();
    let mut revision = String::new();
    loop {
        let list = server.ask("GET", &format!("{MAPS}?limit=3&continue={token}"), "").await;
        assert_eq!(list.code, 200, "{}", list.text);
        seen.extend(names(&list.body).into_iter().map(str::to_owned));
        let metadata = &list.body["metadata"];
        if revision.is_empty() {
            revision = metadata["resourceVersion"].text().to_owned();
            assert_eq!(metadata["remainingItemCount"].as_i64(), Some(4));
        }
        assert_eq!(metadata["resourceVersion"].text(), revision);
        server.ask("DELETE", &format!("{MAPS}/m5"), "").await;
        server.ask("POST", MAPS, r#"{"metadata":{"name":"m9"}}"#).await;
        token = metadata["continue"].text().to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["m0", "m1", "m2", "m3", "m4", "m5", "m6"]);
    assert_eq!(server.ask("GET", &format!("{MAPS}?limit=3&continue=nonsense!"), "").await.code, 400);
}

#[tokio::test(start_paused = true)]
async fn a_page_is_too_late_after_ten_minutes() {
    let server = Tested::new();
    for at in 0..4 {
        server.config_map(&format!("m{at}"), "").await;
    }
    let list = server.ask("GET", &format!("{MAPS}?limit=2"), "").await;
    let token = list.body["metadata"]["continue"].text().to_owned();
    let next = async |token: &str| server.ask("GET", &format!("{MAPS}?limit=2&continue={token}"), "").await;
    server.ask("DELETE", &format!("{MAPS}/m3"), "").await;
    tokio::time::sleep(Duration::from_secs(290)).await;
    assert_eq!(names(&next(&token).await.body), ["m2", "m3"]);
    tokio::time::sleep(Duration::from_secs(320)).await;
    let late = next(&token).await;
    assert_eq!((late.code, late.body["reason"].text()), (410, "Expired"));
    // What comes with it goes on with what is there now.
    let rest = next(late.body["metadata"]["continue"].text()).await;
    assert_eq!((rest.code, names(&rest.body)), (200, vec!["m2"]));
}

#[tokio::test(start_paused = true)]
async fn a_future_revision_times_out() {
    let server = Tested::new();
    let list = server.ask("GET", &format!("{MAPS}?resourceVersion=999999"), "").await;
    assert_eq!((list.code, list.body["reason"].text()), (504, "Timeout"));
}

#[tokio::test]
async fn a_large_list_is_compressed_for_those_who_read_gzip() {
    let server = Tested::new();
    for at in 0..300 {
        server.config_map(&format!("m{at:03}"), &format!(r#""l":"{}""#, "x".repeat(60))).await;
    }
    let plain = server.ask("GET", MAPS, "").await;
    assert_eq!(plain.body["items"].items().len(), 300);
    let zipped = server.send("GET", MAPS, &[("accept-encoding", "gzip")], "").await;
    assert_eq!(zipped.headers()["content-encoding"], "gzip");
    use http_body_util::BodyExt;
    let bytes = zipped.into_body().collect().await.unwrap().to_bytes();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut text).unwrap();
    assert_eq!(text, plain.text);
}

#[tokio::test]
async fn tables_and_metadata_are_made_on_demand() {
    let server = Tested::new();
    server.config_map("a", "").await;
    let table = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let list = server.ask_as("GET", MAPS, &table, "").await;
    assert_eq!(list.body["kind"].text(), "Table");
    assert_eq!(list.body["rows"][0]["cells"][0].text(), "a");
    let metadata = [("accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")];
    let list = server.ask_as("GET", MAPS, &metadata, "").await;
    assert_eq!(list.body["kind"].text(), "PartialObjectMetadataList");
    assert_eq!(list.body["items"][0]["kind"].text(), "PartialObjectMetadata");
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() {
    let server = Tested::new();
    server.config_map("a", r#""app":"x""#).await;
    server.config_map("b", "").await;
    let deleted = server.ask("DELETE", &format!("{MAPS}?labelSelector=app%3Dx"), "").await;
    assert_eq!(names(&deleted.body), ["a"], "{}", deleted.text);
    assert_eq!(names(&server.ask("GET", MAPS, "").await.body), ["b"]);
}
