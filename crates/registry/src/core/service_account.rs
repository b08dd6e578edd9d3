//! ServiceAccount and its subresource `token`.

use std::sync::Arc;

use api::facts;
use apimachinery::field::{Errors, Path};
use apimachinery::schema::{self, Strictness};
use apimachinery::status::{GroupKind, GroupResource};
use apimachinery::{Status, Value, meta, time, value};
use apiserver::{Answer, Call, Context, Handler, Stored, Strategy, View};
use async_trait::async_trait;
use edge::Random;
use jiff::{SignedDuration, Timestamp};
use pki::{BoundObject, Claims, KubernetesClaims, ServiceAccountKeys};

/// The life that ServiceAccount admission asks for, by which its tokens are known.
const POD_TOKEN_SECONDS: i64 = 3607;
/// Tokens of pods outlive what they say, so that clients which read the file
/// once go on (`--service-account-extend-token-expiration`).
const EXTENDED_SECONDS: i64 = 365 * 24 * 3600;
const LEAST_SECONDS: i64 = 10 * 60;
const MOST_SECONDS: i64 = 1 << 32;

/// ServiceAccount.
pub struct ServiceAccount;

/// Once kept pods to the secrets that their account names.
const ENFORCE_MOUNTABLE_SECRETS: &str = "kubernetes.io/enforce-mountable-secrets";

impl Strategy for ServiceAccount {
    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        only_names(object);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, _: &Value) {
        only_names(object);
    }

    fn warnings(&self, _: &Context<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        let has = |object: &Value| !object["metadata"]["annotations"][ENFORCE_MOUNTABLE_SECRETS].is_null();
        if !has(object) || old.is_some_and(has) {
            return Vec::new();
        }
        vec![format!(
            "metadata.annotations[{ENFORCE_MOUNTABLE_SECRETS}]: deprecated in v1.32+; prefer separate namespaces to \
             isolate access to mounted secrets"
        )]
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}

/// Secrets of an account are of its namespace: nothing but their names counts.
fn only_names(object: &mut Value) {
    for secret in crate::changes::items(object, "secrets") {
        *secret = match secret["name"].as_str() {
            Some(name) => value!({"name": name}),
            None => Value::object(),
        };
    }
}

/// TokenRequest: makes a token for the service account.
pub struct TokenRequest {
    pub keys: Arc<ServiceAccountKeys>,
}

#[async_trait]
impl Handler for TokenRequest {
    fn returns_body(&self) -> bool {
        true
    }

    async fn call(&self, mut call: Call<'_>) -> Result<Answer, Status> {
        let now = call.edge.clock.now();
        check_names(&call)?;
        let account = call
            .view
            .get("", "serviceaccounts", call.namespace, call.name)
            .ok_or_else(|| Status::not_stored(resource("serviceaccounts"), call.name))?
            .tree();
        check_account(&call, &account)?;
        let audiences = self.audiences(&call.body["spec"]);
        let seconds = call.body["spec"]["expirationSeconds"].as_i64().unwrap_or(3600);
        check_seconds(seconds)?;
        let mut kubernetes = KubernetesClaims {
            namespace: call.namespace.to_owned(),
            serviceaccount: bound(call.name, meta::uid(&account)),
            ..KubernetesClaims::default()
        };
        bind(&call, &mut kubernetes)?;
        let extended = seconds == POD_TOKEN_SECONDS
            && kubernetes.pod.is_some()
            && audiences.iter().any(|name| name == self.keys.issuer());
        let at = now.as_second();
        if extended {
            kubernetes.warnafter = Some(at + seconds);
        }
        let claims = Claims {
            aud: audiences.clone(),
            exp: at + if extended { EXTENDED_SECONDS } else { seconds },
            iat: at,
            iss: self.keys.issuer().to_owned(),
            jti: uuid(&*call.edge.random),
            sub: format!("{}{}:{}", auth::SERVICE_ACCOUNT_PREFIX, call.namespace, call.name),
            nbf: at,
            kubernetes,
        };
        let token = self.keys.sign(&claims).map_err(Status::internal)?;
        let spec = call.body.entry("spec");
        spec.set("audiences", audiences.iter().map(Value::from).collect::<Vec<_>>());
        spec.set("expirationSeconds", seconds);
        let reference = spec["boundObjectRef"].clone();
        spec.set("boundObjectRef", reference);
        let metadata = call.body.entry("metadata");
        metadata.set("name", call.name);
        metadata.set("namespace", call.namespace);
        metadata.set("uid", meta::uid(&account));
        metadata.set("creationTimestamp", time::format(now));
        call.body.set(
            "status",
            value!({"token": token, "expirationTimestamp": time::format(after(now, seconds))}),
        );
        // What was sent stands before what was set: the members in their order.
        let types = facts::types();
        if let Some(kind) = types.kind("authentication.k8s.io", "v1", "TokenRequest") {
            schema::normalize(types, kind, &mut call.body, Strictness::Ignore)
                .map_err(|error| Status::internal(error.to_string()))?;
        }
        Ok(Answer::created(call.body))
    }
}

impl TokenRequest {
    fn audiences(&self, spec: &Value) -> Vec<String> {
        match spec["audiences"].items() {
            [] => vec![self.keys.issuer().to_owned()],
            asked => asked.iter().map(|name| name.text().to_owned()).collect(),
        }
    }
}

fn after(now: Timestamp, seconds: i64) -> Timestamp {
    now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(now)
}

fn resource(name: &str) -> GroupResource<'_> {
    GroupResource { group: "", resource: name }
}

fn bound(name: &str, uid: &str) -> BoundObject {
    BoundObject { name: name.to_owned(), uid: uid.to_owned() }
}

/// A version 4 UUID (RFC 9562) of the injected randomness.
pub(crate) fn uuid(random: &dyn Random) -> String {
    let (high, low) = (random.next_u64(), random.next_u64());
    let high = (high & !0xf000) | 0x4000;
    let low = (low & !(0b11 << 62)) | (0b10 << 62);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

fn invalid(name: &str, errors: &Errors) -> Status {
    Status::invalid(GroupKind { group: "authentication.k8s.io", kind: "TokenRequest" }, name, errors)
}

/// The request may repeat the account's name and namespace, and no others.
fn check_names(call: &Call<'_>) -> Result<(), Status> {
    let metadata = Path::Root.child("metadata");
    for (field, given, own) in [
        ("name", meta::name(&call.body), call.name),
        ("namespace", meta::namespace(&call.body), call.namespace),
    ] {
        if !given.is_empty() && given != own {
            let mut errors = Errors::new();
            let why = format!("must match the service account {field} if specified");
            errors.invalid(&metadata.child(field), given, &why);
            return Err(invalid(call.name, &errors));
        }
    }
    Ok(())
}

/// A token for an account that is there no more is not for the one that is.
fn check_account(call: &Call<'_>, account: &Value) -> Result<(), Status> {
    let (sent, own) = (meta::uid(&call.body), meta::uid(account));
    if sent.is_empty() || sent == own {
        return Ok(());
    }
    let kind = GroupResource { group: "authentication.k8s.io", resource: "TokenRequest" };
    let why = format!(
        "the UID in the token request ({sent}) does not match the UID of the service account ({own})"
    );
    Err(Status::conflict(kind, call.name, &why))
}

fn check_seconds(seconds: i64) -> Result<(), Status> {
    let mut errors = Errors::new();
    let spec = Path::Root.child("spec");
    let path = spec.child("expirationSeconds");
    if seconds < LEAST_SECONDS {
        errors.invalid(&path, seconds, "may not specify a duration less than 10 minutes");
    }
    if seconds > MOST_SECONDS {
        errors.invalid(&path, seconds, "may not specify a duration larger than 2^32 seconds");
    }
    if errors.is_empty() { Ok(()) } else { Err(invalid("", &errors)) }
}

/// Fills in what the token is bound to.
fn bind(call: &Call<'_>, claims: &mut KubernetesClaims) -> Result<(), Status> {
    let reference = &call.body["spec"]["boundObjectRef"];
    if reference.is_null() {
        return Ok(());
    }
    let (version, kind, name) =
        (reference["apiVersion"].text(), reference["kind"].text(), reference["name"].text());
    let uid = reference["uid"].text();
    // Of the core's kinds no version counts.
    let group = version.split_once('/').map_or("", |(group, _)| group);
    match (group, kind) {
        ("", "Pod") => {
            let pod = find(&call.view, "pods", call.namespace, name)?.tree();
            if pod["spec"]["serviceAccountName"].text() != call.name {
                return Err(Status::bad_request(format!(
                    "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                    call.name
                )));
            }
            claims.pod = Some(check_uid(&pod, "Pod", uid)?);
            let node = pod["spec"]["nodeName"].text();
            if !node.is_empty() {
                let stored = call.view.get("", "nodes", "", node);
                let uid = stored.map(|stored| meta::uid(&stored.tree()).to_owned()).unwrap_or_default();
                claims.node = Some(bound(node, &uid));
            }
        }
        ("", "Secret") => {
            let secret = find(&call.view, "secrets", call.namespace, name)?.tree();
            claims.secret = Some(check_uid(&secret, "Secret", uid)?);
        }
        ("", "Node") => {
            let node = find(&call.view, "nodes", "", name)?.tree();
            claims.node = Some(check_uid(&node, "Node", uid)?);
        }
        _ => {
            let (group, version) = version.split_once('/').unwrap_or(("", version));
            return Err(Status::bad_request(format!(
                "cannot bind token to object of type {group}/{version}, Kind={kind}"
            )));
        }
    }
    Ok(())
}

fn find(view: &View, plural: &str, namespace: &str, name: &str) -> Result<Stored, Status> {
    view.get("", plural, namespace, name).ok_or_else(|| Status::not_stored(resource(plural), name))
}

fn check_uid(object: &Value, kind: &str, wanted: &str) -> Result<BoundObject, Status> {
    let (name, uid) = (meta::name(object), meta::uid(object));
    if !wanted.is_empty() && wanted != uid {
        return Err(Status::conflict(
            resource(kind),
            name,
            &format!(
                "the UID in the bound object reference ({wanted}) does not match the UID in record. The object \
                 might have been deleted and then recreated"
            ),
        ));
    }
    Ok(bound(name, uid))
}

#[cfg(test)]
mod tests {
    use edge::SeededRandom;

    use super::*;

    #[test]
    fn uuids_are_of_version_4() {
        let random = SeededRandom::new(3);
        for _ in 0..100 {
            let id = uuid(&random);
            let parts: Vec<&str> = id.split('-').collect();
            assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
            assert!(parts[2].starts_with('4') && parts[3].starts_with(['8', '9', 'a', 'b']), "{id}");
        }
    }

    #[test]
    fn lives_are_bounded() {
        for (seconds, told) in [
            (600, None),
            (1 << 32, None),
            (599, Some("may not specify a duration less than 10 minutes")),
            ((1 << 32) + 1, Some("may not specify a duration larger than 2^32 seconds")),
        ] {
            let refused = check_seconds(seconds).err().map(|status| status.message);
            assert_eq!(refused.is_some(), told.is_some(), "{seconds}");
            assert!(refused.unwrap_or_default().ends_with(told.unwrap_or_default()));
        }
    }

    #[test]
    fn another_uid_is_a_conflict() {
        let pod = value!({"metadata": {"name": "p", "uid": "new"}});
        assert!(check_uid(&pod, "Pod", "").is_ok());
        assert_eq!(check_uid(&pod, "Pod", "old").err().map(|status| status.code), Some(409));
    }
}
