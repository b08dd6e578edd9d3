//! Table tests of the plan.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::{Value, value, yaml};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;

use super::plan::{Observed, Plan, plan};
use super::template;
use super::{TRACKING, metrics};
use crate::pods::{Phase, PodView};

fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

fn read(text: &str) -> Value {
    serde_json::from_slice(&yaml::to_json(text.as_bytes()).unwrap().json).unwrap()
}

fn job(spec: Value, status: Value) -> Job {
    let mut tree = value!({
        "metadata": {"name": "work", "namespace": "default", "uid": "j"},
        "spec": (spec), "status": (status)
    });
    let template = value!({"spec": {"restartPolicy": "Never", "containers": [{"name": "main"}]}});
    tree.set_at(&["spec", "template"], template);
    tree.decode().unwrap()
}

/// Pods as words: `run`, `ok`, `bad` (an hour ago), `fresh` (failed just now),
/// with `@INDEX`, or `@INDEX/FAILURES` of those before; `!` is one that is
/// released already, `x` one that is terminating.
fn pods(words: &str) -> Vec<Arc<PodView>> {
    let pod = |(at, word): (usize, &str)| {
        let (kind, index) = word.trim_end_matches(['!', 'x']).split_once('@').map_or_else(
            || (word.trim_end_matches(['!', 'x']), None),
            |(kind, index)| (kind, index.split('/').next().and_then(|index| index.parse().ok())),
        );
        let failures =
            word.trim_end_matches(['!', 'x']).split_once('/').and_then(|(_, text)| text.parse().ok());
        let ago = if kind == "fresh" { 2 } else { 3600 };
        Arc::new(PodView {
            name: format!("{kind}{at}"),
            uid: format!("{kind}{at}"),
            phase: match kind {
                "ok" => Phase::Succeeded,
                "bad" | "fresh" => Phase::Failed,
                _ => Phase::Running,
            },
            completion_index: index,
            index_failures: failures.unwrap_or(0),
            terminating: word.ends_with('x'),
            finalizers: if word.ends_with('!') { vec![] } else { vec![TRACKING.into()] },
            finished: Some(now() - SignedDuration::from_secs(ago)),
            exit_codes: if kind == "bad" { vec![("main".into(), 42)] } else { vec![] },
            created: Timestamp::from_second(at as i64).unwrap(),
            ..PodView::default()
        })
    };
    words.split_whitespace().enumerate().map(pod).collect()
}

fn run(job: &Job, words: &str) -> Plan {
    plan(&Observed { job, pods: pods(words), expectations_met: true, now: now() })
}

fn truths(plan: &Plan) -> String {
    let conditions = plan.status.conditions.iter().flatten();
    let shown = conditions.map(|condition| {
        let sign = if condition.status == "True" { "" } else { "!" };
        format!("{sign}{}:{}", condition.type_, condition.reason.as_deref().unwrap_or(""))
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[test]
fn so_many_at_once() {
    let started = || value!({"startTime": "2026-01-01T00:00:00Z"});
    for (spec, words, create, delete) in [
        (value!({"completions": 5, "parallelism": 2}), "", 2, 0),
        (value!({"completions": 5, "parallelism": 2}), "run", 1, 0),
        (value!({"completions": 5, "parallelism": 2}), "run run", 0, 0),
        (value!({"completions": 2, "parallelism": 2}), "ok", 1, 0),
        (value!({"completions": 5, "parallelism": 1}), "run run", 0, 1),
        (value!({"parallelism": 3}), "run", 2, 0),
        (value!({"parallelism": 3}), "run ok", 0, 0),
        (value!({"parallelism": 1}), "run run ok", 0, 0),
        (value!({"completions": 3, "suspend": true}), "run run", 0, 2),
        (value!({"completions": 1, "parallelism": 1}), "bad", 1, 0),
        (value!({"completions": 1, "parallelism": 1}), "fresh", 0, 0),
        (value!({"completions": 1, "parallelism": 1, "podReplacementPolicy": "Failed"}), "runx", 0, 0),
        (value!({"completions": 1, "parallelism": 1}), "runx", 1, 0),
    ] {
        let plan = run(&job(spec.clone(), started()), words);
        assert_eq!((plan.create.len(), plan.delete.len()), (create, delete), "{spec:?} {words}");
    }
    let fresh = run(&job(value!({"completions": 1, "parallelism": 1}), started()), "fresh");
    assert_eq!(fresh.again, Some(Duration::from_secs(8)));
}

#[test]
fn every_pod_is_counted_once() {
    let spec = || value!({"completions": 3, "parallelism": 1});
    // Seen first: its uid goes into the status, then its finalizer.
    let first = run(&job(spec(), value!({})), "ok");
    let uncounted = first.status.uncounted_terminated_pods.clone().unwrap();
    assert_eq!(uncounted.succeeded.as_deref(), Some(&["ok0".to_owned()][..]));
    assert_eq!(first.status.succeeded, None);
    assert_eq!(first.release.len(), 1);
    // The finalizer is still there: nothing new.
    let listed = || value!({"uncountedTerminatedPods": {"succeeded": ["ok0"]}});
    let second = run(&job(spec(), listed()), "ok");
    assert_eq!(second.status.succeeded, None);
    assert_eq!(second.release.len(), 1);
    // It is gone: counted.
    let third = run(&job(spec(), listed()), "ok!");
    assert_eq!(third.status.succeeded, Some(1));
    assert_eq!(third.status.uncounted_terminated_pods.clone().unwrap().succeeded, None);
    // Even where the pod itself is gone.
    assert_eq!(run(&job(spec(), listed()), "").status.succeeded, Some(1));
    // And never again.
    assert_eq!(run(&job(spec(), value!({"succeeded": 1})), "ok!").status.succeeded, Some(1));
}

#[test]
fn a_job_ends_in_two_steps() {
    let spec = || value!({"completions": 1, "backoffLimit": 1, "activeDeadlineSeconds": 60});
    let status = |more: Value| {
        let mut status = value!({"startTime": "2026-01-01T00:59:30Z"});
        more.members().for_each(|(key, value)| status.set(key.to_owned(), value.clone()));
        status
    };
    for (what, status, words, expected) in [
        ("success", status(value!({})), "ok", "SuccessCriteriaMet:CompletionsReached"),
        (
            "counted",
            status(value!({"succeeded": 1})),
            "ok!",
            "SuccessCriteriaMet:CompletionsReached Complete:CompletionsReached",
        ),
        ("limit", status(value!({"failed": 2})), "run", "FailureTarget:BackoffLimitExceeded"),
        (
            "limit, none left",
            status(value!({"failed": 2})),
            "",
            "FailureTarget:BackoffLimitExceeded Failed:BackoffLimitExceeded",
        ),
        ("deadline", value!({"startTime": "2026-01-01T00:58:00Z"}), "run", "FailureTarget:DeadlineExceeded"),
        ("running", status(value!({})), "run", ""),
    ] {
        assert_eq!(truths(&run(&job(spec(), status), words)), expected, "{what}");
    }
    let running = run(&job(spec(), status(value!({}))), "run");
    assert_eq!(running.again, Some(Duration::from_secs(30)));
    let failing = run(&job(spec(), status(value!({"failed": 2}))), "run");
    assert_eq!(failing.delete.len(), 1);
}

#[test]
fn indexes_each_once() {
    let spec = |more: Value| {
        let mut spec = value!({"completions": 4, "parallelism": 4, "completionMode": "Indexed"});
        more.members().for_each(|(key, value)| spec.set(key.to_owned(), value.clone()));
        spec
    };
    let plan = run(&job(spec(value!({})), value!({"completedIndexes": "0"})), "run@1 ok@2 run@1 run@9");
    assert_eq!(plan.status.completed_indexes.as_deref(), Some("0,2"));
    assert_eq!(plan.delete.len(), 2, "one too many, and one beyond");
    let plan = run(&job(spec(value!({})), value!({"completedIndexes": "0,2"})), "run@1");
    let indexes: Vec<_> = plan.create.iter().filter_map(|slot| slot.index).collect();
    assert_eq!(indexes, [3]);

    let limited = spec(value!({"backoffLimitPerIndex": 0, "backoffLimit": 100}));
    let plan = run(&job(limited.clone(), value!({})), "bad@1");
    assert_eq!(plan.status.failed_indexes.as_deref(), Some("1"));
    let status = value!({"completedIndexes": "0,2-3", "failedIndexes": "1"});
    assert!(truths(&run(&job(limited, status), "")).contains("FailedIndexes"));

    let policy = value!({"successPolicy": {"rules": [{"succeededIndexes": "1-2", "succeededCount": 1}]}});
    let plan = run(&job(spec(policy), value!({})), "ok@2 run@0");
    assert_eq!(truths(&plan), "SuccessCriteriaMet:SuccessPolicy");
    assert_eq!(plan.delete.len(), 1);
}

#[test]
fn the_failure_policy_decides() {
    let spec = |action: &str, values: Value| {
        value!({
            "completions": 1, "backoffLimit": 0,
            "podFailurePolicy": {"rules": [
                {"action": action, "onExitCodes": {"operator": "In", "values": (values)}}
            ]}
        })
    };
    for (action, values, expected) in [
        ("FailJob", value!([42]), "FailureTarget:PodFailurePolicy"),
        ("FailJob", value!([1]), "FailureTarget:BackoffLimitExceeded"),
        ("Ignore", value!([42]), ""),
        ("Count", value!([42]), "FailureTarget:BackoffLimitExceeded"),
    ] {
        let plan = run(&job(spec(action, values.clone()), value!({})), "bad");
        assert_eq!(truths(&plan), expected, "{action} {values:?}");
        assert_eq!(plan.release.len(), 1);
    }
}

/// What follows on failures of an indexed Job with a limit per index: the
/// indexes (and failures) of new pods, what is released, and the next look.
const PER_INDEX: &str = r#"
- what: an index that failed long ago is tried again, and its pod kept until then
  pods: bad@0 run@1
  create: [0/1]
  release: []
- what: one that failed just now waits
  pods: fresh@0 run@1
  create: []
  release: []
  again: 8
- what: each failure doubles the pause
  pods: fresh@0/1 run@1
  create: []
  release: []
  again: 18
- what: one that waits keeps its place
  parallelism: 1
  pods: fresh@0
  create: []
  release: []
  again: 8
- what: others need not wait for it
  pods: fresh@0
  create: [1/0]
  release: []
  again: 8
- what: once another pod tells the count, the failed one goes
  pods: bad@0 run@0/1 run@1
  create: []
  release: [bad0]
- what: of several the last one is kept
  pods: bad@0 bad@0/1 run@1
  create: [0/2]
  release: [bad0]
- what: an index beyond its limit needs none
  pods: bad@0/3 run@1
  create: []
  release: [bad0]
"#;

#[test]
fn each_index_has_its_own_failures_and_pauses() {
    for case in read(PER_INDEX).items() {
        let what = case["what"].text();
        let spec = value!({
            "completions": 2, "completionMode": "Indexed", "backoffLimitPerIndex": 3, "backoffLimit": 100,
            "parallelism": (case["parallelism"].as_i64().unwrap_or(2))
        });
        let plan = run(&job(spec, value!({"startTime": "2026-01-01T00:00:00Z"})), case["pods"].text());
        let texts = |of: &str| case[of].items().iter().map(|text| text.text().to_owned()).collect::<Vec<_>>();
        let slot =
            |slot: &template::Slot| format!("{}/{}", slot.index.unwrap(), slot.failures.unwrap().counted);
        assert_eq!(plan.create.iter().map(slot).collect::<Vec<_>>(), texts("create"), "{what}");
        assert_eq!(
            plan.release.iter().map(|pod| pod.name.clone()).collect::<Vec<_>>(),
            texts("release"),
            "{what}"
        );
        assert_eq!(plan.again.map(|again| again.as_secs() as i64), case["again"].as_i64(), "{what}");
    }
}

#[test]
fn ignored_failures_are_told_apart_and_pause_too() {
    let policy = value!({"rules": [{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [42]}}]});
    let spec = value!({
        "completions": 1, "completionMode": "Indexed", "backoffLimitPerIndex": 0, "podFailurePolicy": (policy.clone())
    });
    let first = run(&job(spec, value!({})), "bad@0");
    let failures = first.create[0].failures.unwrap();
    assert_eq!((failures.counted, failures.ignored), (0, 1));
    let pod = template::pod(&job(value!({}), value!({})), first.create[0]).unwrap();
    let annotations = pod.metadata.annotations.unwrap();
    assert_eq!(annotations["batch.kubernetes.io/job-index-ignored-failure-count"], "1");

    let job = job(value!({"completions": 1, "podFailurePolicy": (policy)}), value!({}));
    let just_now = PodView::clone(&pods("bad")[0]);
    let just_now = PodView { finished: Some(now() - SignedDuration::from_secs(2)), ..just_now };
    let observed = Observed { job: &job, pods: vec![Arc::new(just_now)], expectations_met: true, now: now() };
    let next = plan(&observed);
    assert_eq!((next.create.len(), next.again), (0, Some(Duration::from_secs(8))));
}

#[test]
fn restarts_of_all_containers_count() {
    let mut job = job(value!({"completions": 1, "backoffLimit": 3}), value!({}));
    job.spec.as_mut().unwrap().template.spec.as_mut().unwrap().restart_policy = Some("OnFailure".into());
    for (all_restarts, expected) in [(2, ""), (3, "FailureTarget:BackoffLimitExceeded")] {
        let pod = PodView { restarts: 1, all_restarts, ..PodView::clone(&pods("run")[0]) };
        let observed = Observed { job: &job, pods: vec![Arc::new(pod)], expectations_met: true, now: now() };
        assert_eq!(truths(&plan(&observed)), expected, "{all_restarts}");
    }
}

#[test]
fn too_many_successes_are_told() {
    for (completions, told) in [(1, &["TooManySucceededPods", "Complete"][..]), (2, &["Complete"])] {
        let plan = run(&job(value!({"completions": completions}), value!({"succeeded": 2})), "");
        assert_eq!(plan.news.iter().map(|(kind, ..)| *kind).collect::<Vec<_>>(), told);
    }
}

#[test]
fn suspending_and_resuming() {
    let started = value!({"startTime": "2026-01-01T00:00:00Z"});
    let stopped = run(&job(value!({"completions": 1, "suspend": true}), started), "run");
    assert_eq!((stopped.status.start_time, stopped.delete.len()), (None, 1));
    let suspended = run(&job(value!({"completions": 1, "suspend": true}), value!({})), "");
    assert_eq!(truths(&suspended), "Suspended:JobSuspended");
    assert_eq!(suspended.status.start_time, None);
    let mut resumed = job(value!({"completions": 1}), value!({}));
    resumed.status = Some(suspended.status);
    let resumed = run(&resumed, "");
    assert_eq!(truths(&resumed), "!Suspended:JobResumed");
    assert_eq!(resumed.status.start_time.as_ref().map(|time| time.0), Some(now()));
    assert_eq!(resumed.create.len(), 1);
}

#[test]
fn an_indexed_pod_knows_its_index() {
    let job = job(value!({"completions": 2, "completionMode": "Indexed"}), value!({}));
    let pod = template::pod(&job, template::Slot { index: Some(1), failures: None }).unwrap();
    assert_eq!(pod.metadata.generate_name.as_deref(), Some("work-1-"));
    assert_eq!(pod.metadata.finalizers.as_deref(), Some(&[TRACKING.to_owned()][..]));
    let spec = pod.spec.unwrap();
    assert_eq!(spec.hostname.as_deref(), Some("work-1"));
    assert_eq!(spec.containers[0].env.as_ref().unwrap()[0].name, "JOB_COMPLETION_INDEX");
}

#[test]
fn what_a_sync_amounts_to() {
    let spec = || value!({"completions": 2, "parallelism": 2});
    for (words, status, action) in [
        ("", value!({}), "pods_created"),
        ("run run", value!({}), "tracking"),
        ("run run run", value!({}), "pods_deleted"),
        ("ok ok", value!({"conditions": [{"type": "SuccessCriteriaMet", "status": "True"}]}), "reconciling"),
    ] {
        assert_eq!(metrics::action(&run(&job(spec(), status), words)), action, "{words}");
    }
    let stale = plan(&Observed {
        job: &job(spec(), value!({})),
        pods: pods(""),
        expectations_met: false,
        now: now(),
    });
    assert_eq!(metrics::action(&stale), "reconciling");
}

#[test]
fn why_pods_are_made() {
    for (policy, status, reason) in [
        ("TerminatingOrFailed", value!({}), "new"),
        ("TerminatingOrFailed", value!({"terminating": 1}), "recreate_terminating_or_failed"),
        ("TerminatingOrFailed", value!({"failed": 1}), "recreate_terminating_or_failed"),
        ("Failed", value!({"failed": 1}), "recreate_failed"),
        ("Failed", value!({"uncountedTerminatedPods": {"failed": ["u"]}}), "recreate_failed"),
        ("Failed", value!({"terminating": 1}), "recreate_terminating_or_failed"),
    ] {
        let job = job(value!({"podReplacementPolicy": policy}), status);
        let (spec, status) = (job.spec.unwrap(), job.status.unwrap());
        assert_eq!(metrics::creation_reason(&spec, &status), reason, "{policy} {status:?}");
    }
}

#[test]
fn what_a_status_counts_beyond_the_one_before() {
    for (mode, before, now, expected) in [
        ("NonIndexed", value!({"succeeded": 1}), value!({"succeeded": 3, "failed": 1}), [2, 1, 0]),
        ("NonIndexed", value!({"failed": 1}), value!({"failed": 1}), [0, 0, 0]),
        (
            "Indexed",
            value!({"completedIndexes": "0"}),
            value!({"completedIndexes": "0-2", "failedIndexes": "3"}),
            [2, 0, 1],
        ),
        // Made smaller: an index out of range is none.
        ("Indexed", value!({"completedIndexes": "0,9"}), value!({"completedIndexes": "0"}), [0, 0, 0]),
    ] {
        let of = |status| job(value!({"completions": 5, "completionMode": mode}), status);
        let (before, now) = (of(before), of(now));
        let new = metrics::newly_finished(
            before.spec.as_ref().unwrap(),
            before.status.as_ref().unwrap(),
            now.status.as_ref().unwrap(),
        );
        assert_eq!([new.succeeded, new.failed, new.failed_indexes], expected, "{mode} {now:?}");
    }
}
