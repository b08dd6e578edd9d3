//! PodCertificateRequest: a node asks for a certificate of one of its pods.

use apimachinery::field::{Errors, Path};
use apimachinery::structural::has_format;
use apimachinery::validation::{dns1123_subdomain, meta};
use apimachinery::{Value, time};
use apiserver::{Context, Strategy, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pki::{Leaf, PublicKey};

use crate::changes::keep;
use crate::conditions;
use crate::names::{is_kubernetes_signer, signer};
use crate::rules::{invalid_unquoted, same};

const UID_MAX: usize = 128;
const REQUEST_MAX: usize = 10 << 10;
const CHAIN_MAX: usize = 100 << 10;
const LEAST_SECONDS: i64 = 3600;
const MOST_SECONDS: i64 = 91 * 86_400;
const MOST_KUBERNETES_SECONDS: i64 = 86_400;
/// Conditions that end a request.
const ENDS: [&str; 3] = ["Issued", "Denied", "Failed"];

/// PodCertificateRequest.
pub struct PodCertificateRequest;

impl Strategy for PodCertificateRequest {
    fn reset_fields(&self, subresource: &str) -> &'static [&'static [&'static str]] {
        crate::changes::metadata_of_status(subresource)
    }

    fn selects_namespace(&self) -> bool {
        false
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn prepare_status(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        keep(object, old, "spec");
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        validate(&object["spec"])
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        if object["spec"] != old["spec"] {
            errors.invalid(&Path::Root.child("spec"), told(&object["spec"]), "field is immutable");
        }
        errors
    }

    fn validate_status(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        validate_status(object, old, context.now)
    }

    fn cells(&self, _: &Version, object: &Value, now: jiff::Timestamp) -> Vec<Value> {
        crate::printers::access::pod_certificate_request(object, now)
    }
}

/// A spec as upstream's internal type writes it.
fn told(spec: &Value) -> Value {
    let text = |field: &str| Value::from(spec[field].text());
    apimachinery::value!({
        "SignerName": text("signerName"),
        "PodName": text("podName"),
        "PodUID": text("podUID"),
        "ServiceAccountName": text("serviceAccountName"),
        "ServiceAccountUID": text("serviceAccountUID"),
        "NodeName": text("nodeName"),
        "NodeUID": text("nodeUID"),
        "MaxExpirationSeconds": spec["maxExpirationSeconds"].clone(),
        "PKIXPublicKey": Value::Null,
        "ProofOfPossession": Value::Null,
        "StubPKCS10Request": spec["stubPKCS10Request"].clone(),
        "UnverifiedUserAnnotations": spec["unverifiedUserAnnotations"].clone()
    })
}

fn validate(spec: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::Root.child("spec");
    let of = spec["signerName"].text();
    signer(&path.child("signerName"), of, &mut errors);
    let annotations = &spec["unverifiedUserAnnotations"];
    meta::annotations(annotations, &path.child("unverifiedUserAnnotations"), &mut errors);
    for (name, uid) in
        [("podName", "podUID"), ("serviceAccountName", "serviceAccountUID"), ("nodeName", "nodeUID")]
    {
        let text = spec[name].text();
        errors.check(&path.child(name), text, dns1123_subdomain(text));
        let text = spec[uid].text();
        if text.is_empty() {
            errors.invalid(&path.child(uid), text, "must not be empty");
        }
        if text.len() > UID_MAX {
            errors.too_long(&path.child(uid), UID_MAX);
        }
    }
    let life = path.child("maxExpirationSeconds");
    let Some(seconds) = spec["maxExpirationSeconds"].as_i64() else {
        errors.required(&life, "must be set");
        return errors;
    };
    let most = if is_kubernetes_signer(of) { MOST_KUBERNETES_SECONDS } else { MOST_SECONDS };
    if !(LEAST_SECONDS..=most).contains(&seconds) {
        errors.invalid(&life, seconds, &format!("must be in the range [{LEAST_SECONDS}, {most}]"));
    }
    let sent = ["stubPKCS10Request", "pkixPublicKey", "proofOfPossession"];
    // The other way, by a bare key and a proof, is for nodes of older versions.
    if !matches!(sent.map(|part| !spec[part].text().is_empty()), [true, false, false] | [false, true, true]) {
        let why = "exactly one of (stubPKCS10Request) or (pkixPublicKey, proofOfPossession) must be set";
        invalid_unquoted(&path, why, &mut errors);
        return errors;
    }
    let place = path.child("stubPKCS10Request");
    let request = STANDARD.decode(spec["stubPKCS10Request"].text()).unwrap_or_default();
    if request.len() > REQUEST_MAX {
        errors.too_long(&place, REQUEST_MAX);
    } else if let Err(why) = pki::check_request_der(&request) {
        let is_read = !why.starts_with("asn1:");
        let why = if is_read { "invalid signature" } else { "must be a valid PKCS#10 CSR" };
        invalid_unquoted(&place, why, &mut errors);
    }
    errors
}

fn has(object: &Value, kind: &str) -> bool {
    object["status"]["conditions"]
        .items()
        .iter()
        .any(|condition| condition["type"].text() == kind && condition["status"].text() == "True")
}

fn validate_status(object: &Value, old: &Value, now: jiff::Timestamp) -> Errors {
    let mut errors = Errors::new();
    let (status, path) = (&object["status"], Path::Root.child("status"));
    let list = path.child("conditions");
    let mut known = 0;
    for (at, condition) in status["conditions"].items().iter().enumerate() {
        // Upstream writes the index as a field.
        let index = format!("[{at}]");
        let here = list.child(&index);
        let kind = condition["type"].text();
        if !ENDS.contains(&kind) {
            errors.text_not_supported(&here.child("type"), kind, &ENDS);
            continue;
        }
        known += 1;
        if known > 1 {
            let why = "There may be at most one condition with type \"Issued\", \"Denied\", or \"Failed\"";
            errors.invalid(&here.child("type"), kind, why);
        }
        errors.one_of(&here.child("status"), condition["status"].text(), &["True"]);
    }
    conditions::validate(&list, &status["conditions"], &mut errors);
    if !errors.is_empty() {
        return errors;
    }
    let rest = ["certificateChain", "notBefore", "notAfter", "beginRefreshAt"];
    let unchanged =
        rest.iter().chain(&["conditions"]).all(|field| same(&status[*field], &old["status"][*field]));
    if ENDS.iter().any(|kind| has(old, kind)) {
        if !unchanged {
            let why = "immutable after PodCertificateRequest is issued, denied, or failed";
            invalid_unquoted(&path, why, &mut errors);
        }
    } else if has(object, "Denied") || has(object, "Failed") {
        if rest.iter().any(|field| !same(&status[*field], &Value::Null)) {
            let why =
                "non-condition status fields must be empty when denying or failing the PodCertificateRequest";
            invalid_unquoted(&path, why, &mut errors);
        }
    } else if has(object, "Issued") {
        issued(object, &path, now, &mut errors);
    } else if !unchanged {
        let why = "status is immutable unless transitioning to \"Issued\", \"Denied\", or \"Failed\"";
        invalid_unquoted(&path, why, &mut errors);
    }
    errors
}

/// The names that the chain's first certificate is for.
fn well_named(leaf: &Leaf, place: &Path<'_>, errors: &mut Errors) {
    for host in &leaf.hosts {
        for (is_wrong, why) in [
            (host.is_empty(), "leaf certificate should not contain empty DNSName"),
            (host.contains(".."), "leaf certificate's DNSName should not contain '..'"),
            (
                host.starts_with('.') || host.ends_with('.'),
                "leaf certificate's DNSName should not start or end with '.'",
            ),
        ] {
            if is_wrong {
                errors.invalid(place, host.as_str(), why);
            }
        }
    }
    for mail in leaf.mails.iter().filter(|mail| !has_format("email", mail)) {
        errors.invalid(place, mail.as_str(), "leaf certificate should not contain invalid EmailAddress");
    }
}

/// Whether the chain's first certificate is for the key that was asked for. An error
/// names the field of the spec at fault, if one is.
fn issued_to(leaf: &Leaf, spec: &Value) -> Result<(), (&'static str, &'static str)> {
    let der = |field: &str| STANDARD.decode(spec[field].text()).unwrap_or_default();
    let wanted = if spec["stubPKCS10Request"].text().is_empty() {
        let why = "must be a valid PKIX-serialized public key";
        PublicKey::of_pkix(&der("pkixPublicKey")).ok_or(("pkixPublicKey", why))?
    } else {
        let why = "must be a valid PKCS#10 CSR";
        PublicKey::of_request(&der("stubPKCS10Request")).ok_or(("stubPKCS10Request", why))?
    };
    if leaf.key == wanted {
        return Ok(());
    }
    Err(("", "leaf certificate was not issued to the requested public key"))
}

/// The chain and its times.
fn issued(object: &Value, path: &Path<'_>, now: jiff::Timestamp, errors: &mut Errors) {
    let status = &object["status"];
    let (chain, place) = (status["certificateChain"].text(), path.child("certificateChain"));
    if chain.len() > CHAIN_MAX {
        errors.too_long(&place, CHAIN_MAX);
        return;
    }
    if let Err(why) = pki::check_chain(chain.as_bytes()) {
        errors.invalid(&place, chain, why);
        return;
    }
    let Some(leaf) = Leaf::of(chain.as_bytes()) else { return };
    well_named(&leaf, &place, errors);
    if let Err((field, why)) = issued_to(&leaf, &object["spec"]) {
        match field {
            "" => errors.invalid(&place, chain, why),
            field => invalid_unquoted(&Path::Root.child("spec").child(field), why, errors),
        }
        return;
    }
    if !errors.is_empty() {
        return;
    }
    let consistent = "must be present and consistent with the issued certificate";
    let refresh = "must be present and in the range [notbefore+10min, notafter-10min]";
    for (field, why) in [("notBefore", consistent), ("notAfter", consistent), ("beginRefreshAt", refresh)] {
        if status[field].is_null() {
            errors.required(&path.child(field), why);
        }
    }
    let moment = |field: &str| time::parse(status[field].text());
    let (Some(from), Some(to), Some(again)) =
        (moment("notBefore"), moment("notAfter"), moment("beginRefreshAt"))
    else {
        return;
    };
    let (starts, ends) = (leaf.starts, leaf.ends);
    let told = |field: &str| status[field].text().to_owned();
    let margin = jiff::SignedDuration::from_mins(10);
    let life = ends.duration_since(starts);
    let most = object["spec"]["maxExpirationSeconds"].as_i64().unwrap_or(0);
    if from != starts {
        let why = "must be set to the NotBefore time encoded in the leaf certificate";
        errors.invalid(&path.child("notBefore"), told("notBefore"), why);
    } else if from.duration_since(now).abs() >= jiff::SignedDuration::from_mins(5) {
        let why = "must be set to within 5 minutes of kube-apiserver's current time";
        errors.invalid(&path.child("notBefore"), told("notBefore"), why);
    } else if to != ends {
        let why = "must be set to the NotAfter time encoded in the leaf certificate";
        errors.invalid(&path.child("notAfter"), told("notAfter"), why);
    } else if life.as_secs() < LEAST_SECONDS {
        errors.invalid(&place, life.as_nanos() as i64, "leaf certificate lifetime must be >= 1 hour");
    } else if life.as_secs() > most {
        let why = format!("leaf certificate lifetime must be <= spec.maxExpirationSeconds ({most})");
        errors.invalid(&place, life.as_nanos() as i64, &why);
    } else if again.duration_since(from) < margin {
        let why = "must be at least 10 minutes after status.notBefore";
        errors.invalid(&path.child("beginRefreshAt"), told("beginRefreshAt"), why);
    } else if to.duration_since(again) < margin {
        let why = "must be at least 10 minutes before status.notAfter";
        errors.invalid(&path.child("beginRefreshAt"), told("beginRefreshAt"), why);
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn a_certificate_is_for_the_key_that_was_asked_for() {
        let now = jiff::Timestamp::from_second(1_800_000_000).unwrap();
        let at = |seconds: i64| time::format(now + jiff::SignedDuration::from_secs(seconds));
        let (own, other) = (rcgen::KeyPair::generate().unwrap(), rcgen::KeyPair::generate().unwrap());
        let asked = rcgen::CertificateParams::default().serialize_request(&own).unwrap();
        let told = |key: &rcgen::KeyPair, host: Option<&str>| {
            let mut leaf = rcgen::CertificateParams::default();
            let moment = |seconds: i64| {
                let since = std::time::Duration::from_secs((now.as_second() + seconds) as u64);
                (std::time::UNIX_EPOCH + since).into()
            };
            (leaf.not_before, leaf.not_after) = (moment(0), moment(7200));
            let names = host.map(|host| rcgen::SanType::DnsName(host.to_owned().try_into().unwrap()));
            leaf.subject_alt_names = names.into_iter().collect();
            let object = value!({
                "spec": {"stubPKCS10Request": STANDARD.encode(asked.der()), "maxExpirationSeconds": 86_400},
                "status": {
                    "certificateChain": leaf.self_signed(key).unwrap().pem(),
                    "notBefore": at(0), "notAfter": at(7200), "beginRefreshAt": at(3600)
                }
            });
            let mut errors = Errors::new();
            issued(&object, &Path::Root.child("status"), now, &mut errors);
            errors.to_string()
        };
        assert_eq!(told(&own, Some("a.example")), "[]");
        assert!(told(&other, None).ends_with("leaf certificate was not issued to the requested public key"));
        let dots = "leaf certificate's DNSName should not contain '..'";
        assert!(told(&own, Some("a..example")).ends_with(dots));
    }

    #[test]
    fn a_request_ends_once() {
        let now = jiff::Timestamp::from_second(1_800_000_000).unwrap();
        let with = |kinds: &[&str]| {
            let condition = |kind: &&str| {
                value!({
                    "type": *kind, "status": "True", "reason": "R", "lastTransitionTime": "2026-01-01T00:00:00Z"
                })
            };
            value!({"status": {"conditions": kinds.iter().map(condition).collect::<Vec<_>>()}})
        };
        for (new, old, wrong) in [
            (&["Denied"][..], &[][..], 0),
            (&["Denied", "Failed"], &[], 1),
            (&["Odd"], &[], 1),
            (&[], &["Denied"], 1),
            (&["Issued"], &[], 1),
        ] {
            assert_eq!(validate_status(&with(new), &with(old), now).len(), wrong, "{new:?} {old:?}");
        }
    }

    #[test]
    fn lives_are_bounded_by_the_signer() {
        let told = |signer: &str, seconds: i64| {
            let errors = validate(&value!({"signerName": signer, "maxExpirationSeconds": seconds}));
            errors.iter().any(|error| error.field == "spec.maxExpirationSeconds")
        };
        assert!(told("ex.com/s", 60));
        assert!(!told("ex.com/s", 7 * 86_400));
        assert!(told("kubernetes.io/s", 7 * 86_400));
    }
}
