//! Bodies that are too much: refused in bounded time, with nothing changed.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use crate::server::Tested;

const MAPS: &str = "/api/v1/namespaces/n/configmaps";
const MAP: &str = "/api/v1/namespaces/n/configmaps/a";

#[tokio::test]
async fn bodies_beyond_three_mebibytes_are_refused() {
    let tested = Tested::new();
    let body = |bytes: usize| {
        let data = "x".repeat(bytes);
        format!(
            r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"a"}},"data":{{"k":"{data}"}}}}"#
        )
    };
    for bytes in [(3 << 20) + 1, 4 << 20, 20 << 20] {
        let answer = tested.ask("POST", MAPS, &body(bytes)).await;
        assert_eq!((answer.code, answer.body["reason"].text()), (413, "RequestEntityTooLarge"), "{bytes}");
    }
    assert_eq!(tested.ask("GET", MAP, "").await.code, 404);
    assert_eq!(tested.ask("POST", MAPS, &body(2 << 20)).await.code, 201);
    for kind in
        ["application/merge-patch+json", "application/json-patch+json", "application/apply-patch+yaml"]
    {
        let answer = tested.patch(kind, MAP, &body(3 << 20)).await;
        assert_eq!(answer.code, 413, "{kind}");
    }
}

#[tokio::test]
async fn bodies_nested_deeply_are_refused() {
    let tested = Tested::new();
    tested.config_map("a", "").await;
    let before = tested.ask("GET", MAP, "").await.text;
    const DEPTH: usize = 200_000;
    let nested = |open: &str, close: &str| format!("{}1{}", open.repeat(DEPTH), close.repeat(DEPTH));
    let values = [nested("[", "]"), nested(r#"{"a":"#, "}"), "[".repeat(DEPTH), r#"{"a":["#.repeat(DEPTH)];
    for value in &values {
        let object = format!(
            r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"b"}},"data":{{"k":{value}}}}}"#
        );
        for media in ["application/json", "application/yaml"] {
            let headers = [("content-type", media)];
            let answer = tested.ask_as("POST", MAPS, &headers, &object).await;
            assert!((400..500).contains(&answer.code), "{media}: {} {}", answer.code, answer.text);
        }
        for (media, patch) in [
            ("application/merge-patch+json", format!(r#"{{"data":{{"k":{value}}}}}"#)),
            ("application/strategic-merge-patch+json", format!(r#"{{"data":{{"k":{value}}}}}"#)),
            ("application/json-patch+json", format!(r#"[{{"op":"add","path":"/data","value":{value}}}]"#)),
            ("application/apply-patch+yaml", object.clone()),
        ] {
            let path = format!("{MAP}?fieldManager=m");
            let answer = tested.ask_as("PATCH", &path, &[("content-type", media)], &patch).await;
            assert!((400..=500).contains(&answer.code), "{media}: {} {}", answer.code, answer.text);
        }
    }
    assert_eq!(tested.ask("GET", MAP, "").await.text, before, "nothing changed");
}

#[tokio::test]
async fn what_is_a_bomb_in_yaml_stays_small() {
    let tested = Tested::new();
    let mut text =
        String::from("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb}\na0: &a0 [x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let before = level - 1;
        let uses = vec![format!("*a{before}"); 8].join(",");
        text.push_str(&format!("a{level}: &a{level} [{uses}]\n"));
    }
    let answer = tested.ask_as("POST", MAPS, &[("content-type", "application/yaml")], &text).await;
    assert_eq!(answer.code, 400, "{}", answer.text);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_end_is_given_up() {
    let tested = Tested::new();
    let begun = futures::stream::iter([Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"{")))]);
    let body = StreamBody::new(begun.chain(futures::stream::pending()));
    let started = tokio::time::Instant::now();
    let answer = tested.send_body("POST", MAPS, body.boxed_unsync()).await;
    assert_eq!(answer.status().as_u16(), 504);
    assert!(started.elapsed() <= Duration::from_secs(61), "{:?}", started.elapsed());
}
