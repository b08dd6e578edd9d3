//! What a Job needs next. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobSpec, JobStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::failures::{self, waits_for_end};
use super::indexes;
use super::template::Slot;
use super::tracking::{Counts, count, is_indexed};
use crate::pods::{Phase, PodView, deletion_order};

/// Creations and deletions of one reconcile at most.
const BURST: usize = 500;

/// What was seen of a Job.
pub struct Observed<'a> {
    pub job: &'a Job,
    /// The pods it owns.
    pub pods: Vec<Arc<PodView>>,
    pub expectations_met: bool,
    pub now: Timestamp,
}

#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    pub delete: Vec<Arc<PodView>>,
    pub create: Vec<Slot>,
    /// Written before any finalizer goes.
    pub status: JobStatus,
    /// Pods that lose their finalizer after that.
    pub release: Vec<Arc<PodView>>,
    /// Type, reason and message of conditions that became true, for events.
    pub news: Vec<(&'static str, String, String)>,
    pub again: Option<Duration>,
    /// The number of pods was looked at: nothing stood against it.
    pub managed: bool,
}

impl Plan {
    fn look_again(&mut self, after: Duration) {
        self.again = Some(self.again.map_or(after, |again| again.min(after)));
    }
}

/// Whether the Job has ended for good.
pub fn is_finished(job: &Job) -> bool {
    holds(job.status.as_ref(), "Complete") || holds(job.status.as_ref(), "Failed")
}

fn condition<'a>(status: Option<&'a JobStatus>, kind: &str) -> Option<&'a JobCondition> {
    status?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

fn holds(status: Option<&JobStatus>, kind: &str) -> bool {
    condition(status, kind).is_some_and(|condition| condition.status == "True")
}

pub fn plan(observed: &Observed<'_>) -> Plan {
    let job = observed.job;
    let mut plan = Plan { status: job.status.clone().unwrap_or_default(), ..Plan::default() };
    let Some(spec) = &job.spec else { return plan };
    let counts = count(job, &observed.pods);
    plan.release = counts.release.clone();
    if is_finished(job) {
        return plan;
    }
    let suspended = spec.suspend == Some(true);
    if plan.status.start_time.is_none() && !suspended {
        plan.status.start_time = Some(Time(observed.now));
    }
    let active: Vec<_> = observed.pods.iter().filter(|pod| pod.is_active()).cloned().collect();
    let terminating = observed.pods.iter().filter(|pod| pod.terminating && !pod.has_ended()).count();

    let ending = ending(observed, spec, &counts, &active, &mut plan);
    if ending.is_none() && job.metadata.deletion_timestamp.is_none() {
        let kept = awaiting_replacement(job, spec, &observed.pods, &active, &counts);
        plan.release.retain(|pod| !kept.contains(pod.uid.as_str()));
    }
    let mut left = active.len();
    // A Job that goes is only counted.
    if job.metadata.deletion_timestamp.is_none() {
        if observed.expectations_met {
            match &ending {
                Some(_) => plan.delete = active.clone(),
                None => {
                    plan.managed = true;
                    manage(observed, spec, &counts, active.clone(), terminating, &mut plan);
                }
            }
            left = active.len() - plan.delete.len();
        }
        if ending.is_none() {
            suspension(suspended, observed.now, &mut plan);
        }
    }
    fill_status(observed, spec, &counts, &active, terminating, &mut plan);
    if let Some(ending) = ending {
        end(observed, ending, &counts, left + terminating + plan.delete.len(), &mut plan);
    }
    plan
}

/// Where failures are limited per index, the last failed pod of an index is
/// kept until another tells its count.
fn awaiting_replacement<'a>(
    job: &Job,
    spec: &JobSpec,
    pods: &'a [Arc<PodView>],
    active: &[Arc<PodView>],
    counts: &Counts,
) -> BTreeSet<&'a str> {
    if !is_indexed(job) || spec.backoff_limit_per_index.is_none() {
        return BTreeSet::new();
    }
    let replaced: BTreeSet<_> = active.iter().filter_map(|pod| pod.completion_index).collect();
    let indexes: BTreeSet<i32> = pods.iter().filter_map(|pod| pod.completion_index).collect();
    let open = indexes.into_iter().filter(|index| {
        (0..spec.completions.unwrap_or(0)).contains(index)
            && !replaced.contains(index)
            && !counts.completed.contains(index)
            && !counts.failed_indexes.contains(index)
    });
    open.filter_map(|index| failures::last_of_index(spec, pods, index)).map(|pod| pod.uid.as_str()).collect()
}

/// How a Job ends.
struct Ending {
    failed: bool,
    reason: String,
    message: String,
}

/// Whether the Job has succeeded or failed, as its conditions or its pods say.
fn ending(
    observed: &Observed<'_>,
    spec: &JobSpec,
    counts: &Counts,
    active: &[Arc<PodView>],
    plan: &mut Plan,
) -> Option<Ending> {
    let status = observed.job.status.as_ref();
    for (kind, failed) in [("FailureTarget", true), ("SuccessCriteriaMet", false)] {
        if let Some(known) = condition(status, kind).filter(|known| known.status == "True") {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            return Some(Ending { failed, reason: text(&known.reason), message: text(&known.message) });
        }
    }
    let fail = |reason: &str, message: &str| {
        Some(Ending { failed: true, reason: reason.into(), message: message.into() })
    };
    if let Some(why) = &counts.fail_job {
        return fail("PodFailurePolicy", why);
    }
    let limit = spec.backoff_limit.unwrap_or(6);
    if counts.all_failed() > limit || restarted_beyond(spec, limit, observed) {
        return fail("BackoffLimitExceeded", "Job has reached the specified backoff limit");
    }
    if let (Some(seconds), Some(start), false) =
        (spec.active_deadline_seconds, &plan.status.start_time, spec.suspend == Some(true))
    {
        let due = start.0.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
        match Duration::try_from(due.duration_since(observed.now)) {
            Ok(left) if !left.is_zero() => plan.look_again(left),
            _ => return fail("DeadlineExceeded", "Job was active longer than specified deadline"),
        }
    }
    if is_indexed(observed.job) && spec.backoff_limit_per_index.is_some() {
        let failed = counts.failed_indexes.len() as i32;
        if spec.max_failed_indexes.is_some_and(|most| failed > most) {
            let message = "Job has exceeded the specified maximal number of failed indexes";
            return fail("MaxFailedIndexesExceeded", message);
        }
        if failed > 0 && failed + counts.completed.len() as i32 >= spec.completions.unwrap_or(0) {
            return fail("FailedIndexes", "Job has failed indexes");
        }
    }
    if let Some(at) = success_rule(spec, counts) {
        return Some(Ending {
            failed: false,
            reason: "SuccessPolicy".into(),
            message: format!("Matched rules at index {at}"),
        });
    }
    let complete = match spec.completions {
        None => counts.all_succeeded() > 0 && active.is_empty(),
        Some(completions) => counts.all_succeeded() >= completions && active.is_empty(),
    };
    complete.then(|| Ending {
        failed: false,
        reason: "CompletionsReached".into(),
        message: "Reached expected number of succeeded pods".into(),
    })
}

/// Containers that restart in place count against the limit too.
fn restarted_beyond(spec: &JobSpec, limit: i32, observed: &Observed<'_>) -> bool {
    let policy = spec.template.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
    if policy != Some("OnFailure") {
        return false;
    }
    let living = observed.pods.iter().filter(|pod| matches!(pod.phase, Phase::Running | Phase::Pending));
    let restarts: i32 = living.map(|pod| pod.all_restarts).sum();
    if limit == 0 { restarts > 0 } else { restarts >= limit }
}

fn success_rule(spec: &JobSpec, counts: &Counts) -> Option<usize> {
    let policy = spec.success_policy.as_ref()?;
    let completions = spec.completions.unwrap_or(0);
    policy.rules.iter().position(|rule| {
        let of: BTreeSet<i32> = match &rule.succeeded_indexes {
            Some(text) => indexes::parse(text, completions),
            None => (0..completions).collect(),
        };
        let met = of.intersection(&counts.completed).count() as i32;
        met >= rule.succeeded_count.unwrap_or(of.len() as i32)
    })
}

/// Brings the number of active pods to what is wanted.
fn manage(
    observed: &Observed<'_>,
    spec: &JobSpec,
    counts: &Counts,
    mut active: Vec<Arc<PodView>>,
    terminating: usize,
    plan: &mut Plan,
) {
    if spec.suspend == Some(true) {
        plan.delete = active;
        return;
    }
    let parallelism = spec.parallelism.unwrap_or(1).max(0) as usize;
    let count = |count: i32| usize::try_from(count).unwrap_or(0);
    let wanted = match spec.completions {
        // A work queue: after the first success no new pods, and what runs goes on.
        None if counts.all_succeeded() > 0 => active.len(),
        None => parallelism,
        Some(completions) => {
            let left = completions - counts.all_succeeded() - counts.failed_indexes.len() as i32;
            count(left).min(parallelism)
        }
    };
    let mut doomed = Vec::new();
    if is_indexed(observed.job) {
        let of = |pod: &Arc<PodView>| pod.completion_index.unwrap_or(-1);
        active.sort_by(|a, b| (of(a), a.created, &a.name).cmp(&(of(b), b.created, &b.name)));
        let mut seen = BTreeSet::new();
        let over = |index: i32| {
            !(0..spec.completions.unwrap_or(0)).contains(&index)
                || counts.completed.contains(&index)
                || counts.failed_indexes.contains(&index)
        };
        let (keep, drop): (Vec<_>, Vec<_>) =
            active.into_iter().partition(|pod| !over(of(pod)) && seen.insert(of(pod)));
        active = keep;
        doomed = drop;
    }
    if active.len() > wanted {
        let surplus = active.len() - wanted;
        deletion_order(&mut active, &BTreeMap::new(), observed.now);
        doomed.extend(active.drain(..surplus));
    }
    doomed.truncate(BURST);
    plan.delete = doomed;
    if !plan.delete.is_empty() {
        return;
    }
    let waiting = if waits_for_end(spec) { terminating } else { 0 };
    let missing = wanted.saturating_sub(active.len() + waiting).min(BURST);
    if missing == 0 {
        return;
    }
    if is_indexed(observed.job) {
        indexed_slots(observed, spec, counts, &active, missing, plan);
        return;
    }
    match failures::pause(observed.job, &observed.pods, observed.now) {
        Some(left) => plan.look_again(left),
        None => plan.create = vec![Slot { index: None, failures: None }; missing],
    }
}

/// The first indexes that have neither ended nor a pod.
fn indexed_slots(
    observed: &Observed<'_>,
    spec: &JobSpec,
    counts: &Counts,
    active: &[Arc<PodView>],
    missing: usize,
    plan: &mut Plan,
) {
    let per_index = spec.backoff_limit_per_index.is_some();
    if !per_index && let Some(left) = failures::pause(observed.job, &observed.pods, observed.now) {
        plan.look_again(left);
        return;
    }
    let mut taken: BTreeSet<i32> = active.iter().filter_map(|pod| pod.completion_index).collect();
    if waits_for_end(spec) {
        let going = observed.pods.iter().filter(|pod| pod.terminating && !pod.has_ended());
        taken.extend(going.filter_map(|pod| pod.completion_index));
    }
    let open = (0..spec.completions.unwrap_or(0)).filter(|index| {
        !taken.contains(index) && !counts.completed.contains(index) && !counts.failed_indexes.contains(index)
    });
    // One that pauses keeps its place.
    for index in open.take(missing) {
        let last = failures::last_of_index(spec, &observed.pods, index).filter(|_| per_index);
        if let Some(left) = last.and_then(|last| failures::pause_of_index(last, observed.now)) {
            plan.look_again(left);
            continue;
        }
        let failures = last.map(|last| failures::of_index(spec, last)).unwrap_or_default();
        plan.create.push(Slot { index: Some(index), failures: per_index.then_some(failures) });
    }
}

fn suspension(suspended: bool, now: Timestamp, plan: &mut Plan) {
    let was = holds(Some(&plan.status), "Suspended");
    let known = condition(Some(&plan.status), "Suspended").is_some();
    if suspended && !was {
        let (reason, message) = ("JobSuspended".to_owned(), "Job suspended".to_owned());
        set_condition(plan, "Suspended", "True", &reason, &message, now);
        // Until it is resumed its template may change.
        plan.status.start_time = None;
        plan.news.push(("Suspended", reason, message));
    } else if !suspended && known && was {
        let (reason, message) = ("JobResumed".to_owned(), "Job resumed".to_owned());
        set_condition(plan, "Suspended", "False", &reason, &message, now);
        plan.news.push(("Resumed", reason, message));
        // The deadline counts from here.
        plan.status.start_time = Some(Time(now));
    }
}

fn fill_status(
    observed: &Observed<'_>,
    spec: &JobSpec,
    counts: &Counts,
    active: &[Arc<PodView>],
    terminating: usize,
    plan: &mut Plan,
) {
    let some = |count: i32| Some(count).filter(|count| *count > 0);
    let status = &mut plan.status;
    let left = active.len() - plan.delete.len().min(active.len());
    status.active = some(left as i32);
    status.ready = Some(active.iter().filter(|pod| pod.ready).count() as i32);
    status.terminating = Some((terminating + plan.delete.len()) as i32);
    status.succeeded = some(counts.succeeded);
    status.failed = some(counts.failed);
    status.uncounted_terminated_pods = Some(counts.uncounted.clone());
    if is_indexed(observed.job) {
        status.completed_indexes = Some(indexes::format(&counts.completed)).filter(|text| !text.is_empty());
        if spec.backoff_limit_per_index.is_some() {
            status.failed_indexes = Some(indexes::format(&counts.failed_indexes));
        }
    }
}

/// First the condition that tells the outcome, then, when no pod runs and all
/// are counted, the one that ends the Job.
fn end(observed: &Observed<'_>, ending: Ending, counts: &Counts, alive: usize, plan: &mut Plan) {
    let Ending { failed, reason, message } = ending;
    let (target, last) = match failed {
        true => ("FailureTarget", "Failed"),
        false => ("SuccessCriteriaMet", "Complete"),
    };
    if !holds(Some(&plan.status), target) {
        set_condition(plan, target, "True", &reason, &message, observed.now);
    }
    let uncounted = counts.uncounted.failed.is_some() || counts.uncounted.succeeded.is_some();
    if alive > 0 || uncounted {
        return;
    }
    set_condition(plan, last, "True", &reason, &message, observed.now);
    if !failed {
        plan.status.completion_time = Some(Time(observed.now));
    }
    plan.status.ready = Some(0);
    let completions = observed.job.spec.as_ref().and_then(|spec| spec.completions);
    if !failed && completions.is_some_and(|completions| counts.succeeded > completions) {
        let told = "Too many succeeded pods running after completion count reached".to_owned();
        plan.news.push(("TooManySucceededPods", String::new(), told));
    }
    plan.news.push((last, reason, message));
}

fn set_condition(plan: &mut Plan, kind: &str, status: &str, reason: &str, message: &str, now: Timestamp) {
    let conditions = plan.status.conditions.get_or_insert_default();
    let condition = JobCondition {
        type_: kind.into(),
        status: status.into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_probe_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    };
    match conditions.iter_mut().find(|condition| condition.type_ == kind) {
        Some(known) => *known = condition,
        None => conditions.push(condition),
    }
}
