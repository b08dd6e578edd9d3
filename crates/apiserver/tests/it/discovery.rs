//! Paths of no resource, and paths that nobody serves.

use crate::server::Tested;

#[tokio::test]
async fn discovery_lists_what_is_served() {
    let server = Tested::new();
    let core = server.ask("GET", "/api/v1", "").await;
    let names: Vec<&str> = core.body["resources"].items().iter().map(|entry| entry["name"].text()).collect();
    assert_eq!(names, ["configmaps", "pods", "pods/exec", "pods/status", "secrets"]);
    let accept = [("accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")];
    let all = server.ask_as("GET", "/apis", &accept, "").await;
    assert_eq!(all.body["items"][0]["metadata"]["name"].text(), "apps");
    let tag = all.headers["etag"].to_str().unwrap().to_owned();
    let again = server.ask_as("GET", "/apis", &[accept[0], ("if-none-match", &tag)], "").await;
    assert_eq!((again.code, again.text.as_str()), (304, ""));
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told_apart() {
    let server = Tested::new();
    let cases = [
        ("GET", "/api/v1/namespaces/n/bogus", 404),
        ("GET", "/apis/none.example.com/v1/things", 404),
        ("GET", "/nothing", 404),
        ("PUT", "/api/v1/namespaces/n/pods", 405),
        ("POST", "/api/v1/namespaces/n/pods/p", 405),
        ("POST", "/api/v1/pods", 405),
        ("GET", "/api/v1/namespaces/n/pods/p/bogus", 404),
        ("GET", "/api/v1/namespaces/n/secrets", 403),
        ("GET", "/healthz", 200),
        ("GET", "/readyz?verbose", 200),
        ("GET", "/livez/none", 404),
        ("GET", "/version", 200),
        ("GET", "/metrics", 200),
        ("GET", "/openapi/v3", 200),
        ("GET", "/openapi/v3/apis/apps/v1", 200),
    ];
    for (method, path, code) in cases {
        let answer = server.ask(method, path, "").await;
        assert_eq!(answer.code, code, "{method} {path}: {}", answer.text);
    }
    let counted = server.ask("GET", "/metrics", "").await.text;
    assert!(counted.contains("apiserver_request_total{code=\"405\""), "{counted}");
}
