//! Table tests of what is due and of the plan.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use api::schedule::Schedule;
use apimachinery::value;
use jiff::tz::TimeZone;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;

use super::due::{self, Missed};
use super::plan::{Observed, Plan, Zones, plan};
use crate::cases::{Written, check};

const CASES: &str = include_str!("cases.yaml");

fn zones() -> Zones {
    let find = |name: &str| match name {
        "UTC" => Some(TimeZone::UTC),
        "Asia/Kolkata" => TimeZone::posix("IST-5:30").ok(),
        _ => None,
    };
    Zones { local: TimeZone::UTC, find }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Due {
    schedule: String,
    since: Time,
    now: Time,
}

#[test]
fn the_latest_passed_time_is_due() {
    check(CASES, "the latest passed time is due", |case: Due| {
        let schedule = Schedule::parse(&case.schedule, zones().find).unwrap();
        let Ok((at, missed)) = due::latest(case.since.0, &schedule, &TimeZone::UTC, case.now.0) else {
            return "an error".to_owned();
        };
        let at = at.map_or("none".to_owned(), |at| at.to_string());
        match missed {
            Missed::None => at,
            Missed::Few => format!("{at}, few were missed"),
            Missed::Many => format!("{at}, many were missed"),
        }
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Case {
    cron_job: Written<CronJob>,
    #[serde(default)]
    jobs: BTreeMap<String, String>,
    #[serde(default)]
    missing: BTreeSet<String>,
    now: Time,
}

impl Case {
    fn plan(&self) -> Plan {
        let job = |(at, (name, condition)): (usize, (&String, &String))| -> Job {
            let started = format!("2026-01-01T00:{at:02}:00Z");
            let mut job = value!({
                "metadata": {"name": (name.as_str()), "uid": (name.as_str())},
                "spec": {"template": {"spec": {"containers": []}}},
                "status": {"startTime": (started.as_str())}
            });
            if condition != "running" {
                let conditions = value!([{"type": (condition.as_str()), "status": "True"}]);
                job.set_at(&["status", "conditions"], conditions);
                job.set_at(&["status", "completionTime"], started);
            }
            job.decode().unwrap()
        };
        let jobs: Vec<Job> = self.jobs.iter().enumerate().map(job).collect();
        plan(&Observed {
            cron: &self.cron_job,
            jobs: jobs.iter().collect(),
            missing: self.missing.clone(),
            zones: &zones(),
            now: self.now.0,
        })
    }
}

/// What is deleted and created.
fn shown(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(plan.replace.iter().map(|one| format!("delete running {}", one.name.as_deref().unwrap())));
    lines.extend(
        plan.create.iter().map(|one| format!("create {}", one.job.metadata.name.as_deref().unwrap())),
    );
    lines.extend(plan.expired.iter().map(|(name, _)| format!("delete finished {name}")));
    lines
}

#[test]
fn jobs_are_started_when_they_are_due() {
    check(CASES, "jobs are started when they are due", |case: Case| {
        let plan = case.plan();
        let mut lines = shown(&plan);
        lines.extend(plan.events.iter().map(|(_, reason, _)| format!("event {reason}")));
        lines
    });
}

#[test]
fn running_jobs_are_listed_and_finished_ones_cut() {
    check(CASES, "running jobs are listed and finished ones cut", |case: Case| {
        let plan = case.plan();
        let mut lines = shown(&plan);
        lines.extend(plan.events.iter().map(|(_, reason, message)| format!("event {reason}: {message}")));
        let active = plan.status.active.into_iter().flatten();
        lines.extend(active.map(|one| format!("active {}", one.uid.unwrap())));
        lines.extend(plan.status.last_successful_time.map(|time| format!("last success {}", time.0)));
        lines
    });
}

#[test]
fn the_job_tells_its_time() {
    let cron = value!({
        "metadata": {
            "name": "tick", "namespace": "default", "uid": "cron", "creationTimestamp": "2026-01-01T00:00:00Z"
        },
        "spec": {
            "schedule": "30 6 * * *", "timeZone": "Asia/Kolkata",
            "jobTemplate": {"metadata": {"labels": {"app": "tick"}}, "spec": {}}
        }
    });
    let case = Case {
        cron_job: Written(cron.decode().unwrap()),
        jobs: BTreeMap::new(),
        missing: BTreeSet::new(),
        now: Time("2026-01-01T01:00:00Z".parse().unwrap()),
    };
    let plan = case.plan();
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
