//! Admission by those outside: a webhook behind TLS that changes and refuses,
//! and policies in CEL.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::{Value, json, value};
use base64::Engine;
use client::Resource;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use testapi::Client;

use crate::cluster::Cluster;

const CONFIG_MAPS: Resource = Resource::new("", "v1", "configmaps");
const MUTATING: Resource =
    Resource::new("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations");
const VALIDATING: Resource =
    Resource::new("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations");
const DEPLOYMENTS: Resource = Resource::new("apps", "v1", "deployments");
const DEFINITIONS: Resource = Resource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");
const THINGS: Resource = Resource::new("ex.com", "v1", "things");
const POLICIES: Resource = Resource::new("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies");
const POLICY_BINDINGS: Resource =
    Resource::new("admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings");

/// A webhook on loopback.
struct Webhook {
    port: u16,
    /// Base64 of its certificate, which is its own authority.
    bundle: String,
}

impl Webhook {
    /// Answers each review with what `answer` makes of its request.
    async fn start(answer: fn(&Value) -> Value) -> Self {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
        let certificate = params.self_signed(&key).expect("a certificate");
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let private = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .expect("a configuration");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        edge::Edge::system().tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let body = read_body(&mut stream).await;
                let review = json::parse(&body).expect("a review");
                let mut response = answer(&review["request"]);
                response.set("uid", review["request"]["uid"].clone());
                let answer = json::to_string(&value!({
                    "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response
                }));
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len());
                let _ = stream.write_all(format!("{head}{answer}").as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        let bundle = base64::engine::general_purpose::STANDARD.encode(certificate.pem());
        Self { port, bundle }
    }

    /// A configuration that calls it for config maps.
    fn configuration(&self, name: &str, more: Value) -> Value {
        let mut hook = value!({
            "name": format!("{name}.ex.com"),
            "clientConfig": {"url": format!("https://127.0.0.1:{}/hook", self.port), "caBundle": &self.bundle},
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]
        });
        for (member, value) in more.members() {
            hook.set(member.to_owned(), value.clone());
        }
        value!({"metadata": {"name": name}, "webhooks": [hook]})
    }
}

/// The body of one HTTP/1.1 request.
async fn read_body(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&all).to_ascii_lowercase();
        if let Some(end) = text.find("\r\n\r\n") {
            let length = text[..end].lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
            if all.len() >= end + 4 + length {
                return all.split_off(end + 4);
            }
        }
        let read = stream.read(&mut buffer).await.expect("a request");
        all.extend_from_slice(&buffer[..read]);
    }
}

fn config_map(name: &str) -> Value {
    value!({"metadata": {"name": name}, "data": {"k": "v"}})
}

async fn refused(client: &Client, name: &str) -> String {
    let made = client.create(&CONFIG_MAPS, "default", config_map(name)).await;
    made.expect_err("refused").to_string()
}

#[tokio::test]
async fn a_mutating_webhook_changes_what_is_stored() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let webhook = Webhook::start(|request| {
        assert_eq!(request["operation"].text(), "CREATE");
        assert_eq!(request["userInfo"]["username"].text(), "admin");
        let patch = json::to_string(&value!([{"op": "add", "path": "/data/by", "value": "hook"}]));
        let patch = base64::engine::general_purpose::STANDARD.encode(patch);
        value!({"allowed": true, "patchType": "JSONPatch", "patch": patch})
    })
    .await;
    let conditions = value!({"matchConditions": [
        {"name": "not-left-alone", "expression": "object.metadata.name != 'left-alone'"}]});
    admin.create(&MUTATING, "", webhook.configuration("m", conditions)).await.expect("a configuration");
    let made = admin.create(&CONFIG_MAPS, "default", config_map("a")).await.expect("made");
    assert_eq!(made["data"], value!({"by": "hook", "k": "v"}));
    let stored = admin.get(&CONFIG_MAPS, "default", "a").await.expect("stored");
    assert_eq!(stored["data"], made["data"]);
    let other = admin.create(&CONFIG_MAPS, "default", config_map("left-alone")).await.expect("made");
    assert_eq!(other["data"], value!({"k": "v"}));
}

#[tokio::test]
async fn what_a_schema_lacks_is_pruned_after_all_webhooks() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    // The second says what it saw: the first one's field, which is in no schema.
    let webhook = Webhook::start(|request| {
        let seen = request["object"]["data"]["unknown"].text();
        let patch = json::to_string(&value!([
            {"op": "add", "path": "/data/unknown", "value": "added"},
            {"op": "add", "path": "/data/known", "value": format!("saw {seen}")}
        ]));
        let patch = base64::engine::general_purpose::STANDARD.encode(patch);
        value!({"allowed": true, "patchType": "JSONPatch", "patch": patch})
    })
    .await;
    let data = value!({"type": "object", "properties": {"known": {"type": "string"}}});
    let schema = value!({"type": "object", "properties": {"data": data}});
    let definition = value!({"metadata": {"name": "things.ex.com"}, "spec": {
        "group": "ex.com", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}});
    admin.create(&DEFINITIONS, "", definition).await.expect("a definition");
    let rules = value!({"rules": [{"operations": ["CREATE"], "apiGroups": ["ex.com"], "apiVersions": ["v1"],
        "resources": ["things"]}]});
    for name in ["first", "second"] {
        let configuration = webhook.configuration(name, rules.clone());
        admin.create(&MUTATING, "", configuration).await.expect("a configuration");
    }
    let thing = value!({"apiVersion": "ex.com/v1", "kind": "Thing", "metadata": {"name": "a"}, "data": {}});
    let made = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            match admin.create(&THINGS, "default", thing.clone()).await {
                Err(error) if error.is_not_found() => tokio::time::sleep(Duration::from_millis(20)).await,
                made => return made.expect("made"),
            }
        }
    });
    let made = made.await.expect("things are served");
    assert_eq!(made["data"], value!({"known": "saw added"}));
}

#[tokio::test]
async fn a_validating_webhook_refuses() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let webhook = Webhook::start(|request| match request["object"]["metadata"]["name"].text() {
        "bad" => value!({"allowed": false, "status": {"message": "no such names here", "code": 403}}),
        _ => value!({"allowed": true}),
    })
    .await;
    let configuration = webhook.configuration("v", Value::object());
    admin.create(&VALIDATING, "", configuration).await.expect("a configuration");
    let why = refused(&admin, "bad").await;
    assert!(why.contains("admission webhook \"v.ex.com\" denied the request: no such names here"), "{why}");
    admin.create(&CONFIG_MAPS, "default", config_map("good")).await.expect("made");
}

#[tokio::test]
async fn a_webhook_that_is_not_trusted_is_not_believed() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let webhook = Webhook::start(|_| value!({"allowed": true})).await;
    let other = Webhook::start(|_| value!({"allowed": true})).await;
    let lying = Webhook { port: webhook.port, bundle: other.bundle.clone() };
    let configuration = lying.configuration("v", Value::object());
    admin.create(&VALIDATING, "", configuration).await.expect("a configuration");
    let why = refused(&admin, "a").await;
    assert!(why.contains("failed calling webhook \"v.ex.com\": failed to call webhook: Post"), "{why}");
    assert!(why.contains("tls: failed to verify certificate: x509: "), "{why}");
}

#[tokio::test]
async fn a_policy_refuses_by_its_expressions() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let spec = value!({
        "matchConstraints": {"resourceRules": [
            {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]},
        "variables": [{"name": "short", "expression": "object.metadata.name.size() < 3"}],
        "validations": [
            {"expression": "variables.short", "messageExpression": "'too long: ' + object.metadata.name"},
            {"expression": "object.data.k != 'w'"}
        ]
    });
    admin.create(&POLICIES, "", value!({"metadata": {"name": "p"}, "spec": spec})).await.expect("a policy");
    let spec = value!({"policyName": "p", "validationActions": ["Deny"]});
    let binding = value!({"metadata": {"name": "b"}, "spec": spec});
    admin.create(&POLICY_BINDINGS, "", binding).await.expect("a binding");
    let why = refused(&admin, "long").await;
    let told = "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: too long: long";
    assert!(why.contains(told), "{why}");
    admin.create(&CONFIG_MAPS, "default", config_map("ok")).await.expect("made");
}

#[tokio::test]
async fn messages_do_not_ask_the_authorizer() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let spec = value!({
        "matchConstraints": {"resourceRules": [
            {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]},
        "variables": [
            {"name": "may", "expression": "authorizer.group('').resource('pods').check('get').allowed()"},
            {"name": "phase", "expression": "namespaceObject.status.phase"}
        ],
        "validations": [
            {"expression": "!variables.may", "messageExpression": "'may: ' + string(variables.may)"},
            {"expression": "variables.phase == 'Gone'", "messageExpression": "'phase: ' + variables.phase"}
        ]
    });
    admin.create(&POLICIES, "", value!({"metadata": {"name": "p"}, "spec": spec})).await.expect("a policy");
    let spec = value!({"policyName": "p", "validationActions": ["Deny", "Audit"]});
    let binding = value!({"metadata": {"name": "b"}, "spec": spec});
    admin.create(&POLICY_BINDINGS, "", binding).await.expect("a binding");
    let why = refused(&admin, "a").await;
    assert!(why.contains("denied request: failed expression: !variables.may"), "{why}");
}

/// What a policy with these members says of a ConfigMap, its binding's action
/// being `action`.
async fn judged(members: Value, action: &str) -> Result<Value, String> {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let mut spec = value!({
        "matchConstraints": {"resourceRules": [
            {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]},
        "validations": [{"expression": "true"}]
    });
    for (name, member) in members.members() {
        spec.set(name.to_owned(), member.clone());
    }
    admin.create(&POLICIES, "", value!({"metadata": {"name": "p"}, "spec": spec})).await.expect("a policy");
    let spec = value!({"policyName": "p", "validationActions": [action]});
    let binding = value!({"metadata": {"name": "b"}, "spec": spec});
    admin.create(&POLICY_BINDINGS, "", binding).await.expect("a binding");
    admin.create(&CONFIG_MAPS, "default", config_map("a")).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn an_annotation_that_fails_refuses_whatever_the_action_is() {
    let annotated =
        |expression: &str| value!({"auditAnnotations": [{"key": "k", "valueExpression": expression}]});
    let asking = "authorizer.group('').resource('pods').check('get').allowed() ? 'a' : 'b'";
    for (expression, told) in [
        ("string(1 / size(oldObject == null ? [] : [1]))", "resulted in error: division by zero"),
        (asking, "resulted in error: no such attribute(s): authorizer"),
    ] {
        let why = judged(annotated(expression), "Warn").await.expect_err(expression);
        assert!(why.contains(told), "{why}");
        let mut ignored = annotated(expression);
        ignored.set("failurePolicy", "Ignore");
        judged(ignored, "Deny").await.expect(expression);
    }
    judged(annotated("'note'"), "Deny").await.expect("noted");
}

#[tokio::test]
async fn conditions_have_a_budget_of_their_own() {
    let ten = "[0,1,2,3,4,5,6,7,8,9]";
    // Less than one expression may cost, and some two thirds of that.
    let dear = format!(
        "{ten}.all(a, {ten}.all(b, {ten}.all(c, {ten}.all(d, [0,1,2,3].all(e, a + b + c + d + e >= 0)))))"
    );
    let condition = |name: &str, expression: &str| value!({"name": name, "expression": expression});
    let mut conditions = vec![condition("false", "false")];
    conditions.extend(["a", "b", "c", "d", "e"].map(|name| condition(name, &dear)));
    let dear_ones = value!({"matchConditions": conditions, "validations": [{"expression": "false"}]});
    let why = judged(dear_ones, "Deny").await.expect_err("too dear");
    assert!(why.contains("denied request: validation failed due to running out of cost budget"), "{why}");
    let few = value!({
        "matchConditions": vec![condition("false", "false"), condition("a", &dear)],
        "validations": [{"expression": "false"}]
    });
    judged(few, "Deny").await.expect("not looked at");
}

#[tokio::test]
async fn policies_see_addresses_and_a_refusal_takes_none() {
    const SERVICES: Resource = Resource::new("", "v1", "services");
    const ADDRESSES: Resource = Resource::new("networking.k8s.io", "v1", "ipaddresses");
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let spec = value!({
        "matchConstraints": {"resourceRules": [
            {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["services"]}]},
        "validations": [{
            "expression": "object.spec.ports[0].nodePort == 0",
            "messageExpression": "'given ' + object.spec.clusterIP + ' and ' + string(object.spec.ports[0].nodePort)"
        }]
    });
    admin.create(&POLICIES, "", value!({"metadata": {"name": "p"}, "spec": spec})).await.expect("a policy");
    let spec = value!({"policyName": "p", "validationActions": ["Deny"]});
    let binding = value!({"metadata": {"name": "b"}, "spec": spec});
    admin.create(&POLICY_BINDINGS, "", binding).await.expect("a binding");
    let before = admin.list(&ADDRESSES, "").await.len();
    let service = value!({"metadata": {"name": "s"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}});
    let why = admin.create(&SERVICES, "default", service).await.expect_err("refused").to_string();
    assert!(why.contains("denied request: given 10.96.") && why.contains(" and 3"), "{why}");
    let after = admin.list(&ADDRESSES, "").await.len();
    assert_eq!(after, before);
}

/// A webhook that refuses everything, with what of the request tests look at.
fn telling(request: &Value) -> Value {
    let told = Value::Array(vec![
        request["kind"]["kind"].clone(),
        request["object"]["spec"].clone(),
        request["oldObject"]["kind"].clone(),
        request["options"].clone(),
        request["name"].clone(),
    ]);
    value!({"allowed": false, "status": {"message": json::to_string(&told)}})
}

#[tokio::test]
async fn a_webhook_is_told_of_scales_and_options() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let template =
        value!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let deployment = value!({"metadata": {"name": "d"}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template}});
    admin.create(&DEPLOYMENTS, "default", deployment).await.expect("a deployment");
    let webhook = Webhook::start(telling).await;
    let rules = value!({"rules": [{"operations": ["*"], "apiGroups": ["apps"], "apiVersions": ["v1"],
        "resources": ["deployments/*"]}]});
    admin.create(&VALIDATING, "", webhook.configuration("v", rules)).await.expect("a configuration");
    let scale = value!({"apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": {"name": "d", "namespace": "default"}, "spec": {"replicas": 4}});
    let scaled = admin.update_in(&DEPLOYMENTS, ("default", "d"), "scale", scale).await;
    let why = scaled.expect_err("refused").to_string();
    let told = value!([
        "Scale", {"replicas": 4}, "Scale", {"apiVersion": "meta.k8s.io/v1", "kind": "UpdateOptions"}, "d"
    ]);
    assert!(why.contains(&json::to_string(&told)), "{why}");
}
