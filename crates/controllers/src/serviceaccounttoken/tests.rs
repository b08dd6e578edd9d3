//! Table tests of what Secrets lack.

use apimachinery::{Value, value, yaml};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};

use super::plan::{Key, fill, is_of, missing, without};

fn read(text: &str) -> Value {
    serde_json::from_slice(&yaml::to_json(text.as_bytes()).unwrap().json).unwrap()
}

/// `data` as text.
fn secret(told: &Value) -> Secret {
    let mut secret: Secret = value!({
        "metadata": {"name": "s", "namespace": "ns", "uid": "1", "annotations": (told["annotations"].clone())}
    })
    .decode()
    .unwrap();
    for (name, text) in told["data"].members() {
        let bytes = k8s_openapi::ByteString(text.text().as_bytes().to_vec());
        secret.data.get_or_insert_default().insert(name.to_owned(), bytes);
    }
    secret
}

/// What is filled in of a Secret of the account `a` (uid `u`) in `ns`, where the authority is PEM.
const CASES: &str = r#"
- what: an empty one gets everything
  data: {}
  filled: {ca.crt: PEM, namespace: ns, token: signed}
- what: one without data, too
  filled: {ca.crt: PEM, namespace: ns, token: signed}
- what: a token that is there stays
  data: {token: own}
  filled: {ca.crt: PEM, namespace: ns, token: own}
- what: an empty token is none
  data: {token: "", ca.crt: PEM, namespace: ns}
  filled: {ca.crt: PEM, namespace: ns, token: signed}
- what: another namespace is left as it says
  data: {token: own, namespace: other}
  filled: {ca.crt: PEM, namespace: other, token: own}
- what: another authority is mended
  data: {token: own, ca.crt: OLD, namespace: ns}
  filled: {ca.crt: PEM, namespace: ns, token: own}
- what: what nobody asked for is kept
  data: {extra: x}
  filled: {ca.crt: PEM, namespace: ns, token: signed, extra: x}
- what: where no authority is known, none is written
  authority: none
  data: {}
  filled: {namespace: ns, token: signed}
- what: a full one is left alone
  data: {token: own, ca.crt: PEM, namespace: ns}
"#;

#[test]
fn secrets_get_what_they_lack() {
    for case in read(CASES).items() {
        let authority = (case["authority"].text() != "none").then_some("PEM");
        let mut secret = secret(case);
        let missing = missing(&secret, authority);
        assert_eq!(missing.is_nothing(), case["filled"].is_null(), "{}", case["what"].text());
        if missing.is_nothing() {
            continue;
        }
        let token = missing.token.then(|| "signed".to_owned());
        fill(&mut secret, ("a", "u"), missing, authority, token);
        let mut filled = Value::object();
        for (name, bytes) in secret.data.unwrap() {
            filled.set(name, String::from_utf8(bytes.0).unwrap());
        }
        assert_eq!(filled, case["filled"], "{}", case["what"].text());
        let annotations = secret.metadata.annotations.unwrap();
        assert_eq!(annotations["kubernetes.io/service-account.name"], "a");
        assert_eq!(annotations["kubernetes.io/service-account.uid"], "u");
    }
}

/// Whether a Secret with these annotations is of the account `a` with the uid `u`.
const OWNERS: &str = r#"
- {name: a, uid: u, is_of: true}
- {name: a, is_of: true}
- {name: a, uid: v, is_of: false}
- {name: b, uid: u, is_of: false}
"#;

#[test]
fn a_secret_is_of_the_account_that_it_names() {
    for case in read(OWNERS).items() {
        let mut annotations = value!({"kubernetes.io/service-account.name": (case["name"].clone())});
        if !case["uid"].is_null() {
            annotations.set("kubernetes.io/service-account.uid", case["uid"].clone());
        }
        let secret = secret(&value!({"annotations": annotations}));
        assert_eq!(is_of(&secret, "a", "u"), case["is_of"].is_true(), "{case:?}");
        assert!(Key::of_secret(&secret).is_some());
    }
    assert_eq!(Key::of_secret(&secret(&value!({}))), None);
}

#[test]
fn a_deleted_secret_leaves_its_account() {
    let account = |names: &[&str]| -> ServiceAccount {
        let secrets: Vec<Value> = names.iter().map(|name| value!({"name": (*name)})).collect();
        value!({"metadata": {"name": "a"}, "secrets": secrets}).decode().unwrap()
    };
    assert_eq!(without(account(&["s", "t"]), "s"), Some(account(&["t"])));
    assert_eq!(without(account(&["t"]), "s"), None);
    assert_eq!(without(ServiceAccount::default(), "s"), None);
}
