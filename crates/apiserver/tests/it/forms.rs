//! In which form answers come: media types, tables, bare metadata, gzip.

use apimachinery::yaml;

use crate::server::Tested;

const MAPS: &str = "/api/v1/namespaces/n/configmaps";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

#[tokio::test]
async fn tables_and_metadata_come_in_the_version_that_was_asked_for() {
    let server = Tested::new();
    server.config_map("a", "").await;
    for version in ["v1", "v1beta1"] {
        let accept = format!("application/json;as=Table;v={version};g=meta.k8s.io");
        let table = server.ask_as("GET", MAPS, &[("accept", &accept)], "").await.body;
        let full = format!("meta.k8s.io/{version}");
        assert_eq!((table["kind"].text(), table["apiVersion"].text()), ("Table", full.as_str()));
        assert_eq!(table["rows"][0]["object"]["apiVersion"].text(), full);
        let accept = format!("application/json;as=PartialObjectMetadataList;v={version};g=meta.k8s.io");
        let list = server.ask_as("GET", MAPS, &[("accept", &accept)], "").await.body;
        assert_eq!(list["items"][0]["apiVersion"].text(), full);
    }
    let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let odd = server.ask_as("GET", &format!("{MAPS}?includeObject=Odd"), &accept, "").await;
    assert_eq!(odd.code, 400, "{}", odd.text);
    let whole = server.ask_as("GET", &format!("{MAPS}?includeObject=Object"), &accept, "").await;
    assert_eq!(whole.body["rows"][0]["object"]["kind"].text(), "ConfigMap");
}

#[tokio::test]
async fn metadata_in_protobuf_is_protobuf() {
    let server = Tested::new();
    server.config_map("a", "").await;
    for kind in ["PartialObjectMetadataList", "PartialObjectMetadata"] {
        let path = if kind.ends_with("List") { MAPS.to_owned() } else { format!("{MAPS}/a") };
        let accept = format!("{PROTOBUF};as={kind};g=meta.k8s.io;v=v1");
        let answer = server.ask_as("GET", &path, &[("accept", &accept)], "").await;
        assert_eq!(answer.headers["content-type"], PROTOBUF);
        assert!(answer.text.starts_with("k8s\0") && answer.text.contains(kind), "{:?}", answer.text);
    }
}

#[tokio::test]
async fn what_nobody_serves_is_not_acceptable() {
    let server = Tested::new();
    server.config_map("a", "").await;
    let one = format!("{MAPS}/a");
    let watch = format!("{MAPS}?watch=1&timeoutSeconds=1");
    for (path, accept, told) in [
        (
            one.as_str(),
            "text/html",
            "406: Not Acceptable\n\nAvailable representations: application/json, \
            application/yaml, application/vnd.kubernetes.protobuf",
        ),
        (
            MAPS,
            "text/html",
            "406: Not Acceptable\n\nAvailable representations: application/json, \
            application/yaml, application/vnd.kubernetes.protobuf, application/json;stream=watch, \
            application/vnd.kubernetes.protobuf;stream=watch",
        ),
        (
            &watch,
            "application/yaml",
            "only the following media types are accepted: \
            application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch",
        ),
        (
            MAPS,
            "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
            "you requested PartialObjectMetadata, but the requested object is a list (*core.ConfigMapList)",
        ),
    ] {
        let refused = server.ask_as("GET", path, &[("accept", accept)], "").await;
        // Who asks for YAML is refused in YAML, which JSON is too.
        let status = yaml::parse(refused.text.as_bytes()).expect("a Status");
        assert_eq!((refused.code, status["message"].text()), (406, told), "{path} {accept}");
    }
}

#[tokio::test]
async fn long_answers_are_compressed_for_those_who_read_it() {
    let server = Tested::new();
    let data = "x".repeat(200_000);
    let body = format!(r#"{{"metadata":{{"name":"big"}},"data":{{"k":"{data}"}}}}"#);
    server.ask("POST", MAPS, &body).await;
    server.config_map("small", "").await;
    for (path, coding, compressed) in [
        (format!("{MAPS}/big"), "gzip", true),
        (MAPS.to_owned(), "deflate, gzip", true),
        (format!("{MAPS}/big"), "identity", false),
        (format!("{MAPS}/small"), "gzip", false),
    ] {
        let answer = server.ask_as("GET", &path, &[("accept-encoding", coding)], "").await;
        assert_eq!(answer.headers.contains_key("content-encoding"), compressed, "{path} {coding}");
    }
}

#[tokio::test]
async fn openapi_has_a_protobuf_form() {
    let server = Tested::new();
    for (accept, media_type) in [
        ("*/*", "application/json"),
        (
            "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
            "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
        ),
        (
            "application/com.github.proto-openapi.spec.v2.v1.0+protobuf,application/json",
            "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
        ),
    ] {
        let document = server.ask_as("GET", "/openapi/v2", &[("accept", accept)], "").await;
        assert_eq!(document.headers["content-type"], media_type, "{accept}");
        // Field 1, the version, as a text of three bytes.
        assert_eq!(document.text.starts_with("\n\u{3}2.0"), media_type.ends_with("protobuf"), "{accept}");
    }
    assert_eq!(server.ask_as("GET", "/openapi/v2", &[("accept", "text/html")], "").await.code, 406);
}

#[tokio::test]
async fn each_problem_of_a_yaml_body_is_a_warning() {
    let server = Tested::new();
    let body = "metadata: {name: a}\nbogus: 1\ndata: {k: a, k: b}\n";
    let made = server.ask_as("POST", MAPS, &[("content-type", "application/yaml")], body).await;
    assert_eq!(made.code, 201, "{}", made.text);
    assert_eq!(
        made.warnings,
        ["299 - \"line 3: key \\\"k\\\" already set in map\"", "299 - \"unknown field \\\"bogus\\\"\""]
    );
}

#[tokio::test]
async fn a_time_limit_must_be_a_duration() {
    let server = Tested::new();
    assert_eq!(server.ask("GET", &format!("{MAPS}?timeout=32s"), "").await.code, 200);
    let odd = server.ask("GET", &format!("{MAPS}?timeout=soon"), "").await;
    assert_eq!(
        (odd.code, odd.body["message"].text()),
        (400, "invalid timeout specified in the request URL - time: invalid duration \"soon\"")
    );
}

#[tokio::test]
async fn what_has_no_columns_of_its_own_is_a_table_all_the_same() {
    let tested = Tested::new();
    let body = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},"spec":{"replicas":3,
        "selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[]}}}}"#;
    let path = "/apis/apps/v1/namespaces/n/deployments";
    assert_eq!(tested.ask("POST", path, body).await.code, 201);
    let table = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let scale = tested.ask_as("GET", &format!("{path}/d/scale"), &table, "").await.body;
    let names: Vec<&str> =
        scale["columnDefinitions"].items().iter().map(|column| column["name"].text()).collect();
    assert_eq!(names, ["Name", "Desired", "Available", "Age"]);
    let cells = apimachinery::value!(["d", 3, 0, "0s"]);
    assert_eq!(scale["rows"][0]["cells"], cells);
    // A Status stays one.
    let missing = tested.ask_as("GET", &format!("{path}/none/scale"), &table, "").await.body;
    assert_eq!(missing["kind"].text(), "Status");
}
