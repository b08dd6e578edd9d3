//! Which Secrets are to be marked or deleted. Pure.

use std::collections::BTreeSet;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};

/// The label that tells the day on which a token was last used.
const LAST_USED: &str = "kubernetes.io/legacy-token-last-used";
/// The label of a token that is not accepted any more.
pub const INVALID_SINCE: &str = "kubernetes.io/legacy-token-invalid-since";
const ACCOUNT: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

/// How long a token must have been out of use
/// (`--legacy-service-account-token-clean-up-period`).
const PATIENCE: SignedDuration = SignedDuration::from_hours(365 * 24);

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Say that the token is invalid since this day.
    Mark(String),
    Delete,
}

/// Whether uses have been tracked for long enough since `since`, the day in
/// the API server's ConfigMap.
pub fn is_time(since: &str, now: Timestamp) -> bool {
    // The day itself was tracked only in part.
    let Some(first) = since.parse::<Date>().ok().and_then(|day| day.checked_add(1.day()).ok()) else {
        return false;
    };
    let Ok(first) = first.to_zoned(TimeZone::UTC) else { return false };
    now.duration_since(first.timestamp()) >= PATIENCE
}

/// Whether a Secret is old and out of use by itself, without a look at its
/// account and at pods.
pub fn is_stale(secret: &Secret, now: Timestamp) -> bool {
    let metadata = &secret.metadata;
    let young = metadata.creation_timestamp.as_ref().is_none_or(|at| at.0 >= now - PATIENCE);
    if young || metadata.deletion_timestamp.is_some() {
        return false;
    }
    match label(secret, LAST_USED) {
        // Not since uses are tracked.
        None => true,
        Some(day) => day.parse::<Date>().is_ok_and(|day| day < oldest(now)),
    }
}

/// What becomes of a stale Secret. `account` is the one that it names, and
/// `mounted` the Secrets that pods of the namespace name.
pub fn plan(
    secret: &Secret,
    account: Option<&ServiceAccount>,
    mounted: &BTreeSet<String>,
    now: Timestamp,
) -> Option<Action> {
    let name = secret.metadata.name.as_deref().unwrap_or_default();
    let account = account.filter(|account| {
        let wanted = annotation(secret, ACCOUNT_UID);
        wanted.is_empty() || account.metadata.uid.as_deref() == Some(wanted)
    })?;
    // Only those that were made by themselves are in their account's list.
    let is_listed = account.secrets.iter().flatten().any(|reference| reference.name.as_deref() == Some(name));
    if !is_listed || mounted.contains(name) {
        return None;
    }
    match label(secret, INVALID_SINCE).and_then(|day| day.parse::<Date>().ok()) {
        None => Some(Action::Mark(today(now).to_string())),
        Some(day) => (day < oldest(now)).then_some(Action::Delete),
    }
}

/// The name of the account that a Secret is of; "" where it names none.
pub fn account_of(secret: &Secret) -> &str {
    annotation(secret, ACCOUNT)
}

/// Every Secret that a pod names.
pub fn named_by(pod: &Pod) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let Some(spec) = &pod.spec else { return names };
    names.extend(spec.image_pull_secrets.iter().flatten().map(|reference| reference.name.clone()));
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    for container in containers {
        names.extend(environment(container.env_from.as_deref(), container.env.as_deref()));
    }
    for container in spec.ephemeral_containers.iter().flatten() {
        names.extend(environment(container.env_from.as_deref(), container.env.as_deref()));
    }
    for volume in spec.volumes.iter().flatten() {
        let own = [
            volume.azure_file.as_ref().map(|source| source.secret_name.clone()),
            volume.secret.as_ref().and_then(|source| source.secret_name.clone()),
        ];
        let references = [
            volume.cephfs.as_ref().and_then(|source| source.secret_ref.as_ref()),
            volume.cinder.as_ref().and_then(|source| source.secret_ref.as_ref()),
            volume.flex_volume.as_ref().and_then(|source| source.secret_ref.as_ref()),
            volume.rbd.as_ref().and_then(|source| source.secret_ref.as_ref()),
            volume.scale_io.as_ref().map(|source| &source.secret_ref),
            volume.iscsi.as_ref().and_then(|source| source.secret_ref.as_ref()),
            volume.storageos.as_ref().and_then(|source| source.secret_ref.as_ref()),
            volume.csi.as_ref().and_then(|source| source.node_publish_secret_ref.as_ref()),
        ];
        names.extend(own.into_iter().flatten());
        names.extend(references.into_iter().flatten().map(|reference| reference.name.clone()));
        let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
        names.extend(sources.filter_map(|source| Some(source.secret.as_ref()?.name.clone())));
    }
    names
}

fn environment<'a>(
    from: Option<&'a [k8s_openapi::api::core::v1::EnvFromSource]>,
    one_by_one: Option<&'a [k8s_openapi::api::core::v1::EnvVar]>,
) -> impl Iterator<Item = String> + 'a {
    let whole =
        from.unwrap_or_default().iter().filter_map(|source| Some(source.secret_ref.as_ref()?.name.clone()));
    let keys = one_by_one
        .unwrap_or_default()
        .iter()
        .filter_map(|variable| Some(variable.value_from.as_ref()?.secret_key_ref.as_ref()?.name.clone()));
    whole.chain(keys)
}

fn today(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

/// The first day that is not long enough ago.
fn oldest(now: Timestamp) -> Date {
    today(now - PATIENCE)
}

fn label<'a>(secret: &'a Secret, name: &str) -> Option<&'a str> {
    secret.metadata.labels.as_ref()?.get(name).map(String::as_str)
}

fn annotation<'a>(secret: &'a Secret, name: &str) -> &'a str {
    let annotations = secret.metadata.annotations.as_ref();
    annotations.and_then(|annotations| annotations.get(name)).map_or("", String::as_str)
}
