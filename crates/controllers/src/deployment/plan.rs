//! What a Deployment needs next. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::rolling::{self, replicas, wanted};
use crate::owners::controlled_by;
use crate::template_hash::template_hash;

pub const REVISION: &str = "deployment.kubernetes.io/revision";
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub const MAX: &str = "deployment.kubernetes.io/max-replicas";
pub const HASH: &str = "pod-template-hash";
/// Bytes of a set's revision history (`maxRevHistoryLengthInChars`).
const MOST_HISTORY: usize = 2000;
/// Annotations that stay with the Deployment (`annotationsToSkip`).
const OWN_ANNOTATIONS: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
];

/// What was seen of a Deployment.
pub struct Observed<'a> {
    pub deployment: &'a Deployment,
    /// The sets that it owns.
    pub sets: Vec<&'a ReplicaSet>,
    /// Names of sets with a pod that has not ended, for Recreate.
    pub sets_with_pods: Vec<&'a str>,
    pub now: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Creates the set of the current template.
    CreateSet(Box<ReplicaSet>),
    /// Sets a set's size.
    Scale { set: String, from: i32, to: i32, annotations: BTreeMap<String, String> },
    /// Brings a set's annotations and minReadySeconds up to date.
    Refresh { set: String, annotations: BTreeMap<String, String>, min_ready_seconds: i32 },
    /// Sets the Deployment's own revision.
    Revision(String),
    /// Removes a set beyond the history's limit.
    DeleteSet { set: String, uid: String },
}

/// The next actions. Where there are none, the Deployment is as near to what
/// is wanted as its pods allow now.
pub fn plan(observed: &Observed<'_>) -> Vec<Action> {
    let deployment = observed.deployment;
    if deployment.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let spec = deployment.spec.clone();
    let (new, old) = split(observed);
    if spec.paused == Some(true) || is_scaling(observed) {
        let mut actions = new.map(|new| refresh(observed, new, &old)).unwrap_or_default();
        actions.extend(scale(observed, new, &old));
        if spec.paused == Some(true) {
            actions.extend(cleanup(observed, &old));
        }
        return actions;
    }
    let recreate = is_recreate(deployment);
    let Some(new) = new else {
        return if recreate {
            recreate_without_new(observed, &old)
        } else {
            vec![create(observed, &old, false)]
        };
    };
    let mut actions = refresh(observed, new, &old);
    if recreate {
        actions.extend(down(observed, &old));
        let gone = old.iter().all(|set| replicas(set) == 0) && !old_pods_remain(observed, &old);
        if gone {
            actions.extend(resize(observed, new, wanted(deployment)));
        }
    } else {
        actions.extend(roll(observed, new, &old));
    }
    if is_complete(observed, new) {
        actions.extend(cleanup(observed, &old));
    }
    actions
}

fn is_recreate(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.strategy.as_ref();
    strategy.is_some_and(|strategy| strategy.type_.as_deref() == Some("Recreate"))
}

/// The set of the current template (the oldest of several), and the others.
pub fn split<'a>(observed: &Observed<'a>) -> (Option<&'a ReplicaSet>, Vec<&'a ReplicaSet>) {
    let template = without_hash(&observed.deployment.spec.template);
    let mut sets = observed.sets.clone();
    sets.sort_by_key(|set| rolling::age_key(set));
    let of_template =
        |set: &&ReplicaSet| set.spec.template.as_ref().is_some_and(|theirs| without_hash(theirs) == template);
    let new = sets.iter().copied().find(|set| of_template(set));
    let is_new = |set: &ReplicaSet| new.is_some_and(|new| new.metadata.uid == set.metadata.uid);
    (new, sets.into_iter().filter(|set| !is_new(set)).collect())
}

fn without_hash(template: &PodTemplateSpec) -> PodTemplateSpec {
    let mut template = template.clone();
    let metadata = template.metadata.get_or_insert_default();
    if let Some(labels) = &mut metadata.labels {
        labels.remove(HASH);
    }
    metadata.labels.take_if(|labels| labels.is_empty());
    template
}

fn annotation(metadata: &ObjectMeta, key: &str) -> Option<i64> {
    metadata.annotations.as_ref()?.get(key)?.parse().ok()
}

fn revision(set: &ReplicaSet) -> i64 {
    annotation(&set.metadata, REVISION).unwrap_or(0)
}

/// One above the old sets' greatest.
fn next_revision(old: &[&ReplicaSet]) -> i64 {
    old.iter().map(|set| revision(set)).max().unwrap_or(0) + 1
}

fn size_annotations(deployment: &Deployment) -> [(String, String); 2] {
    let wanted = wanted(deployment);
    let most = wanted + rolling::fence(deployment).max_surge;
    [(DESIRED.into(), wanted.to_string()), (MAX.into(), most.to_string())]
}

fn inherited(deployment: &Deployment) -> BTreeMap<String, String> {
    let annotations = deployment.metadata.annotations.clone().unwrap_or_default();
    annotations.into_iter().filter(|(key, _)| !OWN_ANNOTATIONS.contains(&key.as_str())).collect()
}

fn create(observed: &Observed<'_>, old: &[&ReplicaSet], recreate: bool) -> Action {
    let deployment = observed.deployment;
    let spec = deployment.spec.clone();
    let collisions = deployment.status.as_ref().and_then(|status| status.collision_count);
    let hash = template_hash(&spec.template, collisions);
    let mut template = spec.template;
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(HASH.into(), hash.clone());
    let labels = labels.clone();
    let mut selector = spec.selector;
    selector.match_labels.get_or_insert_default().insert(HASH.into(), hash.clone());
    let name = deployment.metadata.name.clone().unwrap_or_default();
    let mut annotations = inherited(deployment);
    annotations.insert(REVISION.into(), next_revision(old).to_string());
    annotations.extend(size_annotations(deployment));
    let total = old.iter().map(|set| replicas(set)).sum();
    Action::CreateSet(Box::new(ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{name}-{hash}")),
            namespace: deployment.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: Some(vec![controlled_by(deployment)]),
            ..ObjectMeta::default()
        },
        spec: ReplicaSetSpec {
            replicas: Some(rolling::new_set_replicas(deployment, recreate, 0, total)),
            min_ready_seconds: spec.min_ready_seconds,
            selector,
            template: Some(template),
        },
        status: None,
    }))
}

/// The new set's annotations and the Deployment's revision, where they are stale.
fn refresh(observed: &Observed<'_>, new: &ReplicaSet, old: &[&ReplicaSet]) -> Vec<Action> {
    let deployment = observed.deployment;
    let current = new.metadata.annotations.clone().unwrap_or_default();
    let mut annotations = current.clone();
    // What it was last sized for stays until it is sized again: a change of
    // the Deployment's size is spread by it.
    annotations.extend(inherited(deployment));
    let (before, after) = (revision(new), next_revision(old));
    if before < after {
        annotations.insert(REVISION.into(), after.to_string());
        if before > 0 {
            let history = annotations.entry(REVISION_HISTORY.into()).or_default();
            *history = lengthened(history, &before.to_string());
        }
    }
    let min_ready = |seconds: Option<i32>| seconds.unwrap_or(0);
    let wanted_min_ready = min_ready(deployment.spec.min_ready_seconds);
    let min_ready_differs = wanted_min_ready != min_ready(new.spec.min_ready_seconds);
    let mut actions = Vec::new();
    let shown = annotations.get(REVISION).cloned().unwrap_or_default();
    if annotations != current || min_ready_differs {
        actions.push(Action::Refresh { set: name(new), annotations, min_ready_seconds: wanted_min_ready });
    }
    let own = deployment.metadata.annotations.as_ref().and_then(|annotations| annotations.get(REVISION));
    if own != Some(&shown) && !shown.is_empty() {
        actions.push(Action::Revision(shown));
    }
    actions
}

/// A revision history with one more; the oldest go where it becomes too long.
fn lengthened(history: &str, revision: &str) -> String {
    let mut revisions: Vec<&str> = history.split(',').filter(|one| !one.is_empty()).collect();
    revisions.push(revision);
    let mut text = revisions.join(",");
    while text.len() > MOST_HISTORY && revisions.len() > 1 {
        revisions.remove(0);
        text = revisions.join(",");
    }
    text
}

fn name(set: &ReplicaSet) -> String {
    set.metadata.name.clone().unwrap_or_default()
}

fn resize(observed: &Observed<'_>, set: &ReplicaSet, to: i32) -> Option<Action> {
    let from = replicas(set);
    let annotations = set.metadata.annotations.as_ref();
    let current = |key: &str| annotations.and_then(|annotations| annotations.get(key));
    let sizes = size_annotations(observed.deployment);
    let stale = sizes.iter().any(|(key, value)| current(key) != Some(value));
    (from != to || (stale && to > 0)).then(|| Action::Scale {
        set: name(set),
        from,
        to,
        annotations: sizes.into(),
    })
}

fn roll(observed: &Observed<'_>, new: &ReplicaSet, old: &[&ReplicaSet]) -> Vec<Action> {
    let deployment = observed.deployment;
    let wanted = wanted(deployment);
    let current = replicas(new);
    let total = current + rolling::sum(old.iter().copied(), replicas);
    let target =
        if current > wanted { wanted } else { rolling::new_set_replicas(deployment, false, current, total) };
    if target != current {
        return resize(observed, new, target).into_iter().collect();
    }
    let counts = rolling::old_set_replicas(deployment, new, old);
    let downs = old.iter().zip(counts).filter(|(set, count)| replicas(set) != *count);
    downs.filter_map(|(set, count)| resize(observed, set, count)).collect()
}

fn down(observed: &Observed<'_>, old: &[&ReplicaSet]) -> Vec<Action> {
    let sized = old.iter().filter(|set| replicas(set) > 0);
    sized.filter_map(|set| resize(observed, set, 0)).collect()
}

fn old_pods_remain(observed: &Observed<'_>, old: &[&ReplicaSet]) -> bool {
    old.iter().any(|set| set.status.as_ref().is_some_and(|status| status.replicas > 0))
        || old.iter().any(|set| {
            set.metadata.name.as_deref().is_some_and(|name| observed.sets_with_pods.contains(&name))
        })
}

fn recreate_without_new(observed: &Observed<'_>, old: &[&ReplicaSet]) -> Vec<Action> {
    let actions = down(observed, old);
    if actions.is_empty() && !old_pods_remain(observed, old) {
        return vec![create(observed, old, true)];
    }
    actions
}

/// The Deployment's size differs from the one its active sets were scaled for.
fn is_scaling(observed: &Observed<'_>) -> bool {
    let wanted = i64::from(wanted(observed.deployment));
    let active = observed.sets.iter().filter(|set| replicas(set) > 0);
    active.filter_map(|set| annotation(&set.metadata, DESIRED)).any(|desired| desired != wanted)
}

/// Scales without rolling (`sync.scale`).
fn scale(observed: &Observed<'_>, new: Option<&ReplicaSet>, old: &[&ReplicaSet]) -> Vec<Action> {
    let deployment = observed.deployment;
    let wanted = wanted(deployment);
    let mut all: Vec<&ReplicaSet> = old.to_vec();
    all.extend(new);
    let active: Vec<_> = all.iter().copied().filter(|set| replicas(set) > 0).collect();
    // One set alone takes it all; with none active it is the newest.
    let only = match active.as_slice() {
        [] => new.or_else(|| old.last().copied()),
        [one] => Some(*one),
        _ => None,
    };
    if let Some(only) = only {
        return resize(observed, only, wanted).into_iter().collect();
    }
    if let Some(new) = new.filter(|new| is_saturated(deployment, new)) {
        let mut actions = down(observed, old);
        actions.extend(resize(observed, new, wanted));
        return actions;
    }
    if is_recreate(deployment) {
        return Vec::new();
    }
    let known = deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or(0);
    let counts = rolling::proportional(deployment, &all, |set| {
        let most = annotation(&set.metadata, MAX).filter(|most| *most > 0);
        most.map_or(known, |most| i32::try_from(most).unwrap_or(i32::MAX))
    });
    all.iter().zip(counts).filter_map(|(set, count)| resize(observed, set, count)).collect()
}

fn is_saturated(deployment: &Deployment, set: &ReplicaSet) -> bool {
    let wanted = wanted(deployment);
    annotation(&set.metadata, DESIRED) == Some(wanted.into())
        && replicas(set) == wanted
        && rolling::available(set) == wanted
}

/// The rollout is over (`DeploymentComplete`).
pub fn is_complete(observed: &Observed<'_>, new: &ReplicaSet) -> bool {
    let wanted = wanted(observed.deployment);
    let total: i32 =
        observed.sets.iter().map(|set| set.status.as_ref().map_or(0, |status| status.replicas)).sum();
    new.status.as_ref().is_some_and(|status| status.replicas == wanted)
        && total == wanted
        && observed.sets.iter().map(|set| rolling::available(set)).sum::<i32>() == wanted
}

/// Of the old sets beyond `revisionHistoryLimit`, lowest revision first, those
/// that are empty.
fn cleanup(observed: &Observed<'_>, old: &[&ReplicaSet]) -> Vec<Action> {
    let limit = observed.deployment.spec.revision_history_limit.unwrap_or(10);
    let mut alive: Vec<_> =
        old.iter().filter(|set| set.metadata.deletion_timestamp.is_none()).copied().collect();
    alive.sort_by_key(|set| revision(set));
    let surplus = alive.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    let empty = |set: &&ReplicaSet| {
        let status = set.status.clone().unwrap_or_default();
        replicas(set) == 0 && status.replicas == 0 && status.observed_generation >= set.metadata.generation
    };
    let doomed = alive.into_iter().take(surplus).filter(empty);
    doomed
        .map(|set| Action::DeleteSet { set: name(set), uid: set.metadata.uid.clone().unwrap_or_default() })
        .collect()
}
