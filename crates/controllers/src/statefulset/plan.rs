//! What a StatefulSet needs next (`statefulset/stateful_set_control`). Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::claims::{self, Retention};
use super::members::{self, Revision, ordinal, ordinals, revision_of};
use super::status::{complete, is_ready, status};
use crate::percent::scaled;
use crate::pods::{Phase, PodView};
use crate::volume_claims::ClaimView;

/// What was seen of a set.
pub struct Observed<'a> {
    pub set: &'a StatefulSet,
    /// The pods it owns.
    pub pods: Vec<Arc<PodView>>,
    /// Claims of its namespace, by name.
    pub claims: BTreeMap<String, Arc<ClaimView>>,
    pub current: Revision,
    pub update: Revision,
    pub expectations_met: bool,
    pub now: Timestamp,
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    CreateClaim {
        claim: Box<PersistentVolumeClaim>,
        pod: String,
    },
    /// Replaces the owners of a claim.
    OwnClaim {
        claim: String,
        pod: String,
        owners: Vec<OwnerReference>,
    },
    CreatePod(Box<Pod>),
    DeletePod(Arc<PodView>),
    /// Gives a pod the labels and volumes of its ordinal.
    MendPod {
        pod: Arc<PodView>,
        ordinal: i32,
    },
    /// Nothing can be written yet, for this reason.
    Wait {
        pod: String,
        why: String,
    },
}

#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// Steps that belong together, one list a pod: one after the other, and
    /// the lists too unless `parallel`.
    pub tasks: Vec<Vec<Step>>,
    pub parallel: bool,
    pub status: StatefulSetStatus,
    pub again: Option<Duration>,
    pub max_unavailable: i32,
    /// How many of the wanted pods are not available, where a rolling update
    /// could go on.
    pub unavailable: Option<i32>,
}

impl Observed<'_> {
    /// `updateStrategy` is RollingUpdate.
    pub fn rolls(&self) -> bool {
        let strategy = self.set.spec.update_strategy.as_ref();
        strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("OnDelete")
    }

    fn is_parallel(&self) -> bool {
        self.set.spec.pod_management_policy.as_deref() == Some("Parallel")
    }

    fn is_available(&self, pod: &PodView) -> bool {
        is_ready(pod) && pod.is_available(self.set.spec.min_ready_seconds.unwrap_or(0), self.now)
    }

    /// Not there for its users, or not for long.
    fn is_unavailable(&self, pod: &PodView) -> bool {
        !self.is_available(pod) || pod.terminating
    }

    fn partition(&self) -> Option<i32> {
        let rolling = self.set.spec.update_strategy.as_ref()?.rolling_update.as_ref()?;
        Some(rolling.partition.unwrap_or(0))
    }

    /// The revision by which a missing pod is made.
    fn revision_for(&self, ordinal: i32) -> &Revision {
        let start = ordinals(self.set).start;
        let kept = match self.partition() {
            Some(partition) => partition,
            None if self.rolls() => {
                self.set.status.as_ref().and_then(|status| status.current_replicas).unwrap_or(0)
            }
            None => return &self.update,
        };
        if ordinal < start.saturating_add(kept) { &self.current } else { &self.update }
    }
}

pub fn plan(observed: &Observed<'_>) -> Plan {
    let mut plan = Plan {
        parallel: observed.is_parallel(),
        status: status(observed),
        again: next_available(observed),
        max_unavailable: max_unavailable(observed),
        ..Plan::default()
    };
    if observed.expectations_met && observed.set.metadata.deletion_timestamp.is_none() {
        tasks(observed, &mut plan);
    }
    complete(observed, &mut plan.status);
    plan
}

fn next_available(observed: &Observed<'_>) -> Option<Duration> {
    let min_ready = observed.set.spec.min_ready_seconds.unwrap_or(0);
    let times = observed.pods.iter().filter_map(|pod| pod.available_at(min_ready));
    let next = times.filter(|at| *at > observed.now).min()?;
    Duration::try_from(next.duration_since(observed.now)).ok()
}

/// `maxUnavailable` as a number.
fn max_unavailable(observed: &Observed<'_>) -> i32 {
    let rolling = observed.set.spec.update_strategy.as_ref().and_then(|one| one.rolling_update.as_ref());
    let most = rolling.and_then(|rolling| rolling.max_unavailable.as_ref());
    let replicas = i32::try_from(ordinals(observed.set).len()).unwrap_or(i32::MAX);
    most.map_or(1, |most| scaled(Some(most), replicas, false)).max(1)
}

/// Whether the pods behind this one in the order may be looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Wait,
    GoOn,
}

fn tasks(observed: &Observed<'_>, plan: &mut Plan) {
    let wanted = ordinals(observed.set);
    let mut replicas: Vec<(i32, Option<Arc<PodView>>)> = wanted.clone().map(|at| (at, None)).collect();
    let mut condemned = Vec::new();
    for pod in &observed.pods {
        let Some(ordinal) = ordinal(observed.set, &pod.name) else { continue };
        match replicas
            .get_mut((i64::from(ordinal) - i64::from(wanted.start)).try_into().unwrap_or(usize::MAX))
        {
            Some((_, place)) => *place = Some(pod.clone()),
            None => condemned.push((ordinal, pod.clone())),
        }
    }
    condemned.sort_by_key(|(ordinal, _)| std::cmp::Reverse(*ordinal));

    for (ordinal, pod) in &replicas {
        let (order, steps) = match pod {
            None => bring_up(observed, *ordinal),
            Some(pod) => look_after(observed, *ordinal, pod),
        };
        plan.tasks.extend(Some(steps).filter(|steps| !steps.is_empty()));
        if order == Order::Wait && !plan.parallel {
            return;
        }
    }
    // The first that is unavailable does not keep the others from going: the
    // wanted ones by their order, then the lowest of the rest.
    let first_unavailable = replicas
        .iter()
        .filter_map(|(_, pod)| pod.as_ref())
        .chain(condemned.iter().rev().map(|(_, pod)| pod))
        .find(|pod| observed.is_unavailable(pod))
        .map(|pod| pod.uid.as_str());
    for (at, (ordinal, pod)) in condemned.iter().enumerate() {
        let mut steps = own_claims(observed, *ordinal, pod);
        let may_go = observed.is_available(pod) || first_unavailable == Some(pod.uid.as_str());
        if !pod.terminating && (plan.parallel || at == 0 && may_go) {
            steps.push(Step::DeletePod(pod.clone()));
        }
        plan.tasks.extend(Some(steps).filter(|steps| !steps.is_empty()));
    }
    if !condemned.is_empty() && !plan.parallel {
        return;
    }
    if observed.rolls() {
        update(observed, &replicas, plan);
    }
}

/// Makes a pod that is missing, and its claims before it.
fn bring_up(observed: &Observed<'_>, ordinal: i32) -> (Order, Vec<Step>) {
    let set = observed.set;
    let name = members::pod_name(set, ordinal);
    let own: Vec<_> = members::templates(set)
        .iter()
        .filter_map(|template| observed.claims.get(&members::claim_name(set, template, ordinal)))
        .collect();
    if Retention::of(set).delete_when_scaled && own.iter().any(|claim| claims::is_stale(claim, &name)) {
        return (Order::Wait, Vec::new());
    }
    let mut steps = missing_claims(observed, ordinal, &name);
    if !steps.iter().any(|step| matches!(step, Step::Wait { .. })) {
        let pod = members::pod(set, observed.revision_for(ordinal), ordinal);
        steps.push(Step::CreatePod(Box::new(pod)));
    }
    (Order::Wait, steps)
}

fn look_after(observed: &Observed<'_>, ordinal: i32, pod: &Arc<PodView>) -> (Order, Vec<Step>) {
    // However it ended, another takes its place once it is gone.
    if pod.has_ended() {
        let delete = (!pod.terminating).then(|| Step::DeletePod(pod.clone()));
        return (Order::Wait, delete.into_iter().collect());
    }
    let mut steps = Vec::new();
    if pod.phase == Phase::Pending {
        steps = missing_claims(observed, ordinal, &pod.name);
        steps.extend(own_claims(observed, ordinal, pod));
    }
    if !observed.is_parallel() && observed.is_unavailable(pod) {
        return (Order::Wait, steps);
    }
    if pod.phase != Phase::Pending {
        steps.extend(own_claims(observed, ordinal, pod));
    }
    let stores = members::storage_matches(observed.set, pod, ordinal);
    if !stores && pod.phase != Phase::Pending {
        steps.extend(missing_claims(observed, ordinal, &pod.name));
    }
    if !stores || !members::identity_matches(pod) {
        steps.push(Step::MendPod { pod: pod.clone(), ordinal });
    }
    (Order::GoOn, steps)
}

fn missing_claims(observed: &Observed<'_>, ordinal: i32, pod: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for claim in members::claims(observed.set, ordinal) {
        let name = claim.metadata.name.clone().unwrap_or_default();
        match observed.claims.get(&name) {
            None => steps.push(Step::CreateClaim { claim: Box::new(claim), pod: pod.to_owned() }),
            Some(known) if known.terminating => {
                let why = format!("pvc {name} is being deleted");
                steps.push(Step::Wait { pod: pod.to_owned(), why });
            }
            Some(_) => {}
        }
    }
    steps
}

/// Sets the owners of a pod's claims as the retention policy wants them.
fn own_claims(observed: &Observed<'_>, ordinal: i32, pod: &PodView) -> Vec<Step> {
    let names =
        members::templates(observed.set).iter().map(|one| members::claim_name(observed.set, one, ordinal));
    let wrong = names.filter_map(|name| {
        let claim = observed.claims.get(&name)?;
        let owners = claims::owners(observed.set, claim, pod)?;
        Some(Step::OwnClaim { claim: name, pod: pod.name.clone(), owners })
    });
    wrong.collect()
}

/// Replaces pods of other revisions, the highest ordinals first, so that no
/// more than `maxUnavailable` are missing at a time.
fn update(observed: &Observed<'_>, replicas: &[(i32, Option<Arc<PodView>>)], plan: &mut Plan) {
    let unavailable = replicas
        .iter()
        .filter(|(_, pod)| pod.as_ref().is_none_or(|pod| observed.is_unavailable(pod)))
        .count();
    let unavailable = i32::try_from(unavailable).unwrap_or(i32::MAX);
    plan.unavailable = Some(unavailable);
    let mut left = plan.max_unavailable - unavailable;
    let kept = usize::try_from(observed.partition().unwrap_or(0)).unwrap_or(0);
    let pods = replicas.iter().skip(kept).rev().filter_map(|(_, pod)| pod.as_ref());
    let (down, up): (Vec<_>, Vec<_>) = pods
        .filter(|pod| revision_of(pod) != observed.update.name && !pod.terminating)
        .partition(|pod| plan.parallel && !observed.is_available(pod));
    // One that serves nobody costs nothing to replace.
    let mut doomed = down;
    for pod in up {
        if left <= 0 {
            break;
        }
        left -= 1;
        doomed.push(pod);
    }
    let ending = |steps: &Vec<Step>, pod: &PodView| {
        steps.iter().any(|step| matches!(step, Step::DeletePod(other) if other.uid == pod.uid))
    };
    for pod in doomed {
        if plan.tasks.iter().any(|steps| ending(steps, pod)) {
            continue;
        }
        plan.tasks.push(vec![Step::DeletePod(pod.clone())]);
        let current = plan.status.current_replicas.unwrap_or(0) - 1;
        plan.status.current_replicas = Some(current).filter(|current| *current > 0);
    }
}
