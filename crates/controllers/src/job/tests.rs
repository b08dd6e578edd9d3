//! Table tests of the plan and of what the metrics tell; tests of templates.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::{Value, value};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};
use serde::Deserialize;

use super::plan::{Observed, Plan, plan};
use super::template;
use super::{TRACKING, metrics};
use crate::cases::{Written, check, now};
use crate::pods::{Phase, PodView};

const CASES: &str = include_str!("cases.yaml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    job: Written<Job>,
    pods: Vec<String>,
    /// What was done before does not show yet.
    #[serde(default)]
    stale: bool,
}

impl Case {
    fn plan(&self) -> Plan {
        let pods = self.pods.iter().enumerate().map(|(at, told)| Arc::new(pod(at, told)));
        plan(&Observed { job: &self.job, pods: pods.collect(), expectations_met: !self.stale, now: now() })
    }
}

/// `run`, `ok@1 released`, `bad@1/2`, ….
fn pod(at: usize, told: &str) -> PodView {
    let (told, mark) = told.split_once(' ').unwrap_or((told, ""));
    assert!(["", "released", "leaving"].contains(&mark), "{mark}");
    let (kind, index) = told.split_once('@').map_or((told, None), |(kind, index)| (kind, Some(index)));
    let failures =
        index.and_then(|index| index.split_once('/')).map_or(0, |(_, count)| count.parse().unwrap());
    let index = index.map(|index| index.split('/').next().unwrap().parse().unwrap());
    let ago = if kind == "fresh" { 2 } else { 3600 };
    PodView {
        name: format!("{kind}{at}"),
        uid: format!("{kind}{at}"),
        phase: match kind {
            "run" => Phase::Running,
            "ok" => Phase::Succeeded,
            "bad" | "fresh" => Phase::Failed,
            other => panic!("{other}"),
        },
        completion_index: index,
        index_failures: failures,
        terminating: mark == "leaving",
        finalizers: if mark == "released" { vec![] } else { vec![TRACKING.into()] },
        finished: Some(now() - SignedDuration::from_secs(ago)),
        exit_codes: if kind == "bad" { vec![("main".into(), 42)] } else { vec![] },
        created: Timestamp::from_second(at as i64).unwrap(),
        ..PodView::default()
    }
}

fn conditions(plan: &Plan) -> Vec<String> {
    let told = plan.status.conditions.iter().flatten().map(|one| {
        let sign = if one.status == "True" { "" } else { "not " };
        format!("{sign}{} {}", one.type_, one.reason.as_deref().unwrap_or_default())
    });
    told.collect()
}

fn shown(plan: &Plan) -> Vec<String> {
    let mut lines = conditions(plan);
    let slots = plan.create.iter().filter_map(|slot| {
        let index = slot.index?;
        let failures = slot.failures.map(|failures| format!("/{}", failures.counted)).unwrap_or_default();
        Some(format!("create {index}{failures}"))
    });
    lines.extend(slots);
    let others = plan.create.iter().filter(|slot| slot.index.is_none()).count();
    lines.extend((others > 0).then(|| format!("create {others}")));
    lines.extend(plan.delete.iter().map(|pod| format!("delete {}", pod.name)));
    lines.extend(plan.release.iter().map(|pod| format!("release {}", pod.name)));
    lines.extend(plan.again.map(|after| format!("look again after {after:?}")));
    lines
}

#[test]
fn so_many_at_once() {
    check(CASES, "so many at once", |case: Case| shown(&case.plan()));
}

#[test]
fn every_pod_is_counted_once() {
    check(CASES, "every pod is counted once", |case: Case| {
        let plan = case.plan();
        let release: Vec<Value> = plan.release.iter().map(|pod| pod.name.as_str().into()).collect();
        let status = JobStatus {
            succeeded: plan.status.succeeded,
            uncounted_terminated_pods: plan.status.uncounted_terminated_pods,
            ..JobStatus::default()
        };
        value!({"status": (Value::from_serialize(&status).unwrap()), "release": release})
    });
}

#[test]
fn a_job_ends_in_two_steps() {
    check(CASES, "a job ends in two steps", |case: Case| shown(&case.plan()));
}

#[test]
fn indexes_each_once() {
    check(CASES, "indexes each once", |case: Case| {
        let plan = case.plan();
        let mut lines = shown(&plan);
        lines.extend(plan.status.completed_indexes.map(|indexes| format!("completed {indexes}")));
        lines.extend(plan.status.failed_indexes.map(|indexes| format!("failed {indexes}")));
        lines
    });
}

#[test]
fn each_index_has_its_own_failures_and_pauses() {
    check(CASES, "each index has its own failures and pauses", |case: Case| shown(&case.plan()));
}

#[test]
fn suspending_and_resuming() {
    check(CASES, "suspending and resuming", |case: Case| {
        let plan = case.plan();
        let mut lines = shown(&plan);
        lines.extend(plan.status.start_time.map(|time| format!("started {}", time.0)));
        lines
    });
}

#[test]
fn too_many_successes_are_told() {
    check(CASES, "too many successes are told", |case: Case| {
        case.plan().news.iter().map(|(kind, ..)| *kind).collect::<Vec<_>>()
    });
}

#[test]
fn what_a_sync_amounts_to() {
    check(CASES, "what a sync amounts to", |case: Case| metrics::action(&case.plan()));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Made {
    job: Written<Job>,
}

#[test]
fn why_pods_are_made() {
    check(CASES, "why pods are made", |case: Made| {
        metrics::creation_reason(case.job.spec.as_ref().unwrap(), case.job.status.as_ref().unwrap())
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Counted {
    spec: Written<JobSpec>,
    before: Written<JobStatus>,
    now: Written<JobStatus>,
}

#[test]
fn what_a_status_counts_beyond_the_one_before() {
    check(CASES, "what a status counts beyond the one before", |case: Counted| {
        let new = metrics::newly_finished(&case.spec, &case.before, &case.now);
        [new.succeeded, new.failed, new.failed_indexes]
    });
}

fn job(spec: Value) -> Job {
    let mut tree = value!({"metadata": {"name": "work", "namespace": "default", "uid": "j"}, "spec": (spec)});
    let template = value!({"spec": {"restartPolicy": "Never", "containers": [{"name": "main"}]}});
    tree.set_at(&["spec", "template"], template);
    tree.decode().unwrap()
}

fn run(job: &Job, pods: Vec<PodView>) -> Plan {
    let pods = pods.into_iter().map(Arc::new).collect();
    plan(&Observed { job, pods, expectations_met: true, now: now() })
}

#[test]
fn ignored_failures_are_told_apart_and_pause_too() {
    let policy = value!({"rules": [{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [42]}}]});
    let spec = value!({
        "completions": 1, "completionMode": "Indexed", "backoffLimitPerIndex": 0, "podFailurePolicy": (policy.clone())
    });
    let first = run(&job(spec), vec![pod(0, "bad@0")]);
    let failures = first.create[0].failures.unwrap();
    assert_eq!((failures.counted, failures.ignored), (0, 1));
    let next = template::pod(&job(value!({})), first.create[0]).unwrap();
    let annotations = next.metadata.annotations.unwrap();
    assert_eq!(annotations["batch.kubernetes.io/job-index-ignored-failure-count"], "1");

    let job = job(value!({"completions": 1, "podFailurePolicy": (policy)}));
    let just_now = PodView { finished: Some(now() - SignedDuration::from_secs(2)), ..pod(0, "bad") };
    let next = run(&job, vec![just_now]);
    assert_eq!((next.create.len(), next.again), (0, Some(Duration::from_secs(8))));
}

#[test]
fn restarts_of_all_containers_count() {
    let mut job = job(value!({"completions": 1, "backoffLimit": 3}));
    job.spec.as_mut().unwrap().template.spec.as_mut().unwrap().restart_policy = Some("OnFailure".into());
    for (all_restarts, expected) in [(2, vec![]), (3, vec!["FailureTarget BackoffLimitExceeded"])] {
        let pod = PodView { restarts: 1, all_restarts, ..pod(0, "run") };
        assert_eq!(conditions(&run(&job, vec![pod])), expected, "{all_restarts}");
    }
}

#[test]
fn an_indexed_pod_knows_its_index() {
    let job = job(value!({"completions": 2, "completionMode": "Indexed"}));
    let pod = template::pod(&job, template::Slot { index: Some(1), failures: None }).unwrap();
    assert_eq!(pod.metadata.generate_name.as_deref(), Some("work-1-"));
    assert_eq!(pod.metadata.finalizers.as_deref(), Some(&[TRACKING.to_owned()][..]));
    let spec = pod.spec.unwrap();
    assert_eq!(spec.hostname.as_deref(), Some("work-1"));
    assert_eq!(spec.containers[0].env.as_ref().unwrap()[0].name, "JOB_COMPLETION_INDEX");
}
