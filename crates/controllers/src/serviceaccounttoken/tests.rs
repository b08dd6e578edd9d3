//! Table tests of what Secrets lack.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use serde::Deserialize;

use super::plan::{Key, fill, is_of, missing, without};
use crate::cases::{Written, check};

const CASES: &str = include_str!("cases.yaml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lacking {
    secret: Written<Secret>,
    authority: Option<String>,
}

#[test]
fn secrets_get_what_they_lack() {
    check(CASES, "secrets get what they lack", |case: Lacking| {
        let mut secret = case.secret.stored();
        let missing = missing(&secret, case.authority.as_deref());
        if missing.is_nothing() {
            return None;
        }
        let token = missing.token.then(|| "signed".to_owned());
        fill(&mut secret, ("a", "u"), missing, case.authority.as_deref(), token);
        let annotations = secret.metadata.annotations.unwrap();
        assert_eq!(annotations["kubernetes.io/service-account.name"], "a");
        assert_eq!(annotations["kubernetes.io/service-account.uid"], "u");
        let data = secret.data.unwrap().into_iter();
        let data = data.map(|(name, bytes)| (name, String::from_utf8(bytes.0).unwrap()));
        Some(data.collect::<BTreeMap<_, _>>())
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Owned {
    secret: Written<Secret>,
}

#[test]
fn a_secret_is_of_the_account_that_it_names() {
    check(CASES, "a secret is of the account that it names", |case: Owned| {
        Key::of_secret(&case.secret).map(|_| is_of(&case.secret, "a", "u"))
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listing {
    account: Written<ServiceAccount>,
}

#[test]
fn a_deleted_secret_leaves_its_account() {
    check(CASES, "a deleted secret leaves its account", |case: Listing| {
        let left = without(case.account.0, "s")?;
        Some(left.secrets.unwrap_or_default().into_iter().filter_map(|one| one.name).collect::<Vec<_>>())
    });
}
