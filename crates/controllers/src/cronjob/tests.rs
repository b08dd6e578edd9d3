//! Table tests of what is due and of the plan.

use std::collections::BTreeSet;
use std::time::Duration;

use api::schedule::Schedule;
use apimachinery::{Value, value};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use k8s_openapi::api::batch::v1::{CronJob, Job};

use super::due::{self, Missed};
use super::plan::{Observed, Plan, Zones, plan};

fn time(text: &str) -> Timestamp {
    format!("2026-01-{text}Z").parse().unwrap()
}

fn zones() -> Zones {
    let find = |name: &str| match name {
        "UTC" => Some(TimeZone::UTC),
        "Asia/Kolkata" => TimeZone::posix("IST-5:30").ok(),
        _ => None,
    };
    Zones { local: TimeZone::UTC, find }
}

#[test]
fn the_latest_passed_time_is_due() {
    for (schedule, since, now, expected, missed) in [
        ("0 * * * *", "01T00:00:00", "01T00:59:59", "", Missed::None),
        ("0 * * * *", "01T00:00:00", "01T01:00:00", "01T01:00:00", Missed::None),
        ("0 * * * *", "01T00:00:00", "01T05:30:00", "01T05:00:00", Missed::Few),
        ("* * * * *", "01T00:00:00", "05T05:30:30", "05T05:30:00", Missed::Many),
        ("@every 7m", "01T00:00:00", "01T01:00:00", "01T00:56:00", Missed::Few),
        // An irregular schedule: over the weekend nothing.
        ("30 6-16/4 * * 1-5", "02T14:30:00", "05T07:00:00", "05T06:30:00", Missed::None),
    ] {
        let read = Schedule::parse(schedule, zones().find).unwrap();
        let (found, many) = due::latest(time(since), &read, &TimeZone::UTC, time(now)).unwrap();
        let expected = (!expected.is_empty()).then(|| time(expected));
        assert_eq!((found, many), (expected, missed), "{schedule} since {since} at {now}");
    }
    let never = Schedule::parse("59 23 31 2 *", zones().find).unwrap();
    assert!(due::latest(time("01T00:00:00"), &never, &TimeZone::UTC, time("02T00:00:00")).is_err());
}

fn cron(spec: Value, status: Value) -> CronJob {
    let mut cron = value!({
        "metadata": {
            "name": "tick", "namespace": "default", "uid": "cron", "creationTimestamp": "2026-01-01T00:00:00Z"
        },
        "spec": {
            "schedule": "0 * * * *", "concurrencyPolicy": "Allow",
            "successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 1,
            "jobTemplate": {
                "metadata": {"labels": {"app": "tick"}},
                "spec": {"template": {"spec": {"containers": []}}}
            }
        },
        "status": status
    });
    for (key, value) in spec.members() {
        cron.get_mut("spec").unwrap().set(key.to_owned(), value.clone());
    }
    cron.decode().unwrap()
}

/// `a b:Complete c:Failed`: Jobs by uid, started in this order.
fn jobs(text: &str) -> Vec<Job> {
    let job = |(at, word): (usize, &str)| {
        let (name, condition) = word.split_once(':').unwrap_or((word, ""));
        let started = format!("2026-01-01T00:{at:02}:00Z");
        let mut job = value!({
            "metadata": {"name": name, "uid": name},
            "spec": {"template": {"spec": {"containers": []}}},
            "status": {"startTime": (started.as_str())}
        });
        if !condition.is_empty() {
            let conditions = value!([{"type": condition, "status": "True"}]);
            job.set_at(&["status", "conditions"], conditions);
            job.set_at(&["status", "completionTime"], started.as_str());
        }
        job.decode().unwrap()
    };
    text.split_whitespace().enumerate().map(job).collect()
}

fn active(names: &str) -> Value {
    let list: Vec<Value> = names.split_whitespace().map(|name| value!({"name": name, "uid": name})).collect();
    value!({"active": (Value::from(list)), "lastScheduleTime": "2026-01-01T00:00:00Z"})
}

fn run(spec: Value, status: Value, of: &str, missing: &str, now: &str) -> Plan {
    let (cron, jobs) = (cron(spec, status), jobs(of));
    plan(&Observed {
        cron: &cron,
        jobs: jobs.iter().collect(),
        missing: missing.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>(),
        zones: &zones(),
        now: time(now),
    })
}

/// What is created, replaced and removed, and the reasons of events.
fn shown(plan: &Plan) -> String {
    let mut words = Vec::new();
    words.extend(plan.replace.iter().map(|one| format!("-{}", one.name.as_deref().unwrap())));
    words.extend(plan.create.iter().map(|one| format!("+{}", one.job.metadata.name.as_deref().unwrap())));
    words.extend(plan.expired.iter().map(|(name, _)| format!("x{name}")));
    words.extend(plan.events.iter().map(|(_, reason, _)| reason.to_string()));
    words.join(" ")
}

#[test]
fn jobs_are_started_when_they_are_due() {
    let nothing = value!({});
    let at_one = format!("+tick-{}", time("01T01:00:00").as_second() / 60);
    let with = |word: &str| format!("{word} {at_one}");
    for (what, spec, status, now, expected) in [
        ("not yet", nothing.clone(), value!({}), "01T00:30:00", String::new()),
        ("now", nothing.clone(), value!({}), "01T01:00:00", at_one.clone()),
        (
            "not twice",
            nothing.clone(),
            value!({"lastScheduleTime": "2026-01-01T01:00:00Z"}),
            "01T01:20:00",
            String::new(),
        ),
        ("beside another", nothing.clone(), active("a"), "01T01:00:00", at_one.clone()),
        (
            "never beside another",
            value!({"concurrencyPolicy": "Forbid"}),
            active("a"),
            "01T01:00:00",
            "JobAlreadyActive".into(),
        ),
        (
            "in place of another",
            value!({"concurrencyPolicy": "Replace"}),
            active("a"),
            "01T01:00:00",
            with("-a"),
        ),
        ("suspended", value!({"suspend": true}), value!({}), "01T01:00:00", String::new()),
        (
            "late, but not too late",
            value!({"startingDeadlineSeconds": 60}),
            value!({}),
            "01T01:00:59",
            at_one.clone(),
        ),
        // Times beyond the deadline are not even looked for.
        ("too late", value!({"startingDeadlineSeconds": 60}), value!({}), "01T01:01:01", String::new()),
        (
            "in a zone that nobody knows",
            value!({"timeZone": "Nowhere"}),
            value!({}),
            "01T01:00:00",
            "UnknownTimeZone".into(),
        ),
        ("unreadable", value!({"schedule": "x"}), value!({}), "01T01:00:00", "UnparseableSchedule".into()),
        (
            "impossible",
            value!({"schedule": "0 0 31 2 *"}),
            value!({}),
            "01T01:00:00",
            "InvalidSchedule".into(),
        ),
    ] {
        // The Job is there where it is listed.
        let listed = if status["active"].is_null() { "" } else { "a" };
        assert_eq!(shown(&run(spec, status, listed, "", now)), expected, "{what}");
    }
}

#[test]
fn the_job_tells_its_time() {
    let plan = run(
        value!({"timeZone": "Asia/Kolkata", "schedule": "30 6 * * *"}),
        value!({}),
        "",
        "",
        "01T01:00:00",
    );
    let scheduled = plan.create.unwrap();
    let metadata = &scheduled.job.metadata;
    assert_eq!(
        metadata.annotations.as_ref().unwrap()["batch.kubernetes.io/cronjob-scheduled-timestamp"],
        "2026-01-01T06:30:00+05:30"
    );
    assert_eq!(metadata.labels.as_ref().unwrap()["app"], "tick");
    assert_eq!(metadata.owner_references.as_ref().unwrap()[0].uid, "cron");
    assert_eq!(plan.again, Some(Duration::from_millis(24 * 3600 * 1000 + 100)));
}

#[test]
fn running_jobs_are_listed_and_finished_ones_cut() {
    let quiet = value!({"suspend": true});
    let plan = run(quiet.clone(), active("a b"), "a:Complete b", "", "01T01:00:00");
    assert_eq!(shown(&plan), "SawCompletedJob");
    assert_eq!(plan.events[0].2, "Saw completed job: a, condition: Complete");
    let uids: Vec<_> = plan.status.active.unwrap().into_iter().filter_map(|one| one.uid).collect();
    assert_eq!(uids, ["b"]);
    assert_eq!(plan.status.last_successful_time.unwrap().0, time("01T00:00:00"));

    assert_eq!(shown(&run(quiet.clone(), active("a"), "", "a", "01T01:00:00")), "MissingJob");
    assert_eq!(shown(&run(quiet.clone(), active("a"), "", "", "01T01:00:00")), "");
    assert_eq!(shown(&run(quiet.clone(), active(""), "a", "", "01T01:00:00")), "UnexpectedJob");
    let plan =
        run(quiet, active(""), "a:Complete b:Failed c:Complete d:Complete e:Failed", "", "01T01:00:00");
    assert_eq!(shown(&plan), "xa xc xb");
    assert_eq!(plan.status.active, None);
}
