//! What a CronJob needs next (`cronjob.syncCronJob`). Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use api::schedule::Schedule;
use apimachinery::field::quote;
use informer::EventType;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus, Job};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::due::{self, Missed, Since};
use crate::owners::controlled_by;

/// The annotation of Jobs that tells their scheduled time.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// What was seen of a CronJob.
pub struct Observed<'a> {
    pub cron: &'a CronJob,
    /// The Jobs it owns.
    pub jobs: Vec<&'a Job>,
    /// Uids in `status.active` of Jobs that are there no more.
    pub missing: BTreeSet<String>,
    pub zones: &'a Zones,
    pub now: Timestamp,
}

/// The time zones that are known.
#[derive(Clone)]
pub struct Zones {
    /// Of CronJobs that name none.
    pub local: TimeZone,
    pub find: fn(&str) -> Option<TimeZone>,
}

#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    pub status: CronJobStatus,
    pub events: Vec<(EventType, &'static str, String)>,
    /// Running Jobs that make room for the next.
    pub replace: Vec<ObjectReference>,
    pub create: Option<Box<Scheduled>>,
    /// Finished Jobs beyond the history's limits: name and uid.
    pub expired: Vec<(String, String)>,
    pub again: Option<Duration>,
}

/// A Job to be created, and the time it is of.
#[derive(Debug, PartialEq)]
pub struct Scheduled {
    pub job: Job,
    pub time: Timestamp,
}

impl Plan {
    fn tell(&mut self, kind: EventType, reason: &'static str, message: impl Into<String>) {
        self.events.push((kind, reason, message.into()));
    }

    fn warn(&mut self, reason: &'static str, message: impl Into<String>) {
        self.tell(EventType::Warning, reason, message);
    }
}

fn uid(job: &Job) -> &str {
    job.metadata.uid.as_deref().unwrap_or_default()
}

fn name(job: &Job) -> &str {
    job.metadata.name.as_deref().unwrap_or_default()
}

/// `Complete` or `Failed` of a Job that has ended.
pub fn finished(job: &Job) -> Option<&str> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let ended = |kind: &str| ["Complete", "Failed"].contains(&kind);
    conditions
        .iter()
        .find(|condition| ended(&condition.type_) && condition.status == "True")
        .map(|condition| condition.type_.as_str())
}

/// Whether `status.active` lists the Job.
pub fn is_active(cron: &CronJob, job: &Job) -> bool {
    let active = cron.status.iter().flat_map(|status| status.active.iter().flatten());
    active.into_iter().any(|reference| reference.uid.as_deref() == Some(uid(job)))
}

/// The schedule with the zone of its times.
///
/// # Errors
/// The reason and message of the event that tells why it cannot be read.
pub fn read_schedule(cron: &CronJob, zones: &Zones) -> Result<(Schedule, TimeZone), (&'static str, String)> {
    let zone = match super::time_zone(cron) {
        None => zones.local.clone(),
        Some(name) => (zones.find)(name).ok_or_else(|| {
            let message = format!("invalid timeZone: {}: unknown time zone {name}", quote(name));
            ("UnknownTimeZone", message)
        })?,
    };
    let text = cron.spec.schedule.as_str();
    match Schedule::parse(text, zones.find) {
        Ok(schedule) => Ok((schedule, zone)),
        Err(why) => Err(("UnparseableSchedule", format!("unparseable schedule: {} : {why}", quote(text)))),
    }
}

pub fn plan(observed: &Observed<'_>) -> Plan {
    let mut plan = Plan { status: observed.cron.status.clone().unwrap_or_default(), ..Plan::default() };
    note_jobs(observed, &mut plan);
    if observed.cron.metadata.deletion_timestamp.is_none() {
        schedule(observed, &mut plan);
    }
    expire(observed, &mut plan);
    plan.status.active.take_if(|active| active.is_empty());
    plan
}

/// Brings the list of running Jobs up to date.
fn note_jobs(observed: &Observed<'_>, plan: &mut Plan) {
    for job in &observed.jobs {
        let (active, ended) = (is_active(observed.cron, job), finished(job));
        let Some(condition) = ended else {
            if !active {
                let message =
                    format!("Saw a job that the controller did not create or forgot: {}", name(job));
                plan.warn("UnexpectedJob", message);
            }
            continue;
        };
        if active {
            forget(&mut plan.status, uid(job));
            let message = format!("Saw completed job: {}, condition: {condition}", name(job));
            plan.tell(EventType::Normal, "SawCompletedJob", message);
        }
        let completed = job.status.as_ref().and_then(|status| status.completion_time.as_ref());
        let last = plan.status.last_successful_time.as_ref();
        if condition == "Complete" && completed.map(|time| time.0) > last.map(|time| time.0) {
            plan.status.last_successful_time = completed.cloned();
        }
    }
    for reference in plan.status.active.clone().unwrap_or_default() {
        let uid = reference.uid.unwrap_or_default();
        if observed.missing.contains(&uid) {
            let message = format!("Active job went missing: {}", reference.name.unwrap_or_default());
            plan.tell(EventType::Normal, "MissingJob", message);
            forget(&mut plan.status, &uid);
        }
    }
}

pub fn forget(status: &mut CronJobStatus, uid: &str) {
    if let Some(active) = &mut status.active {
        active.retain(|reference| reference.uid.as_deref() != Some(uid));
    }
}

fn schedule(observed: &Observed<'_>, plan: &mut Plan) {
    let (cron, now) = (observed.cron, observed.now);
    let spec = &cron.spec;
    let read = read_schedule(cron, observed.zones);
    if let Err((reason @ "UnknownTimeZone", message)) = &read {
        return plan.warn(reason, message.clone());
    }
    if spec.suspend == Some(true) {
        return;
    }
    if spec.schedule.contains("TZ") {
        let message = format!(
            "CRON_TZ or TZ used in schedule {} is not officially supported, see \
             https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details",
            quote(&spec.schedule)
        );
        plan.warn("UnsupportedSchedule", message);
    }
    let (schedule, zone) = match read {
        Ok(read) => read,
        Err((reason, message)) => return plan.warn(reason, message),
    };
    let since = Since::of(cron);
    let time = match due::due(&since, &schedule, &zone, now) {
        Err(why) => {
            return plan.warn("InvalidSchedule", format!("invalid schedule: {} : {why}", spec.schedule));
        }
        Ok((time, missed)) => {
            if time.is_some() && missed == Missed::Many {
                let message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or \
                               check clock skew";
                plan.warn("TooManyMissedTimes", message);
            }
            time
        }
    };
    plan.again = due::until_next(&since, &schedule, &zone, now);
    let Some(time) = time else { return };
    let deadline = spec.starting_deadline_seconds.map(SignedDuration::from_secs);
    if deadline.is_some_and(|deadline| time.saturating_add(deadline).is_ok_and(|latest| latest < now)) {
        let shown = time.strftime("%a, %d %b %Y %H:%M:%S +0000");
        return plan.warn("MissSchedule", format!("Missed scheduled time to start a job: {shown}"));
    }
    let job = job(observed, time);
    let active = plan.status.active.clone().unwrap_or_default();
    let listed = active.iter().any(|reference| reference.name == job.metadata.name);
    if listed || plan.status.last_schedule_time.as_ref().is_some_and(|last| last.0 == time) {
        return;
    }
    match spec.concurrency_policy.as_deref() {
        Some("Forbid") if !active.is_empty() => {
            let message =
                "Not starting job because prior execution is running and concurrency policy is Forbid";
            return plan.tell(EventType::Normal, "JobAlreadyActive", message);
        }
        Some("Replace") => plan.replace = active,
        _ => {}
    }
    plan.create = Some(Box::new(Scheduled { job, time }));
    // As it will be once the Job is there.
    let since = Since::of(&after(cron, time));
    plan.again = due::until_next(&since, &schedule, &zone, now);
}

/// The CronJob once `time` was acted on.
fn after(cron: &CronJob, time: Timestamp) -> CronJob {
    let status = cron.status.clone().unwrap_or_default();
    CronJob {
        metadata: cron.metadata.clone(),
        spec: cron.spec.clone(),
        status: Some(CronJobStatus { last_schedule_time: Some(Time(time)), ..status }),
    }
}

/// The Job of a scheduled time.
fn job(observed: &Observed<'_>, time: Timestamp) -> Job {
    let cron = observed.cron;
    let spec = cron.spec.clone();
    let of_template = spec.job_template.metadata.unwrap_or_default();
    let zone = spec.time_zone.as_deref().and_then(observed.zones.find).unwrap_or(TimeZone::UTC);
    let local = time.to_zoned(zone);
    let shown = match local.offset().seconds() {
        0 => local.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        _ => local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
    };
    let name = cron.metadata.name.clone().unwrap_or_default();
    let mut annotations = of_template.annotations.unwrap_or_default();
    annotations.insert(SCHEDULED.into(), shown);
    Job {
        metadata: ObjectMeta {
            name: Some(format!("{name}-{}", time.as_second().div_euclid(60))),
            namespace: cron.metadata.namespace.clone(),
            labels: of_template.labels,
            annotations: Some(annotations),
            owner_references: Some(vec![controlled_by(cron)]),
            ..ObjectMeta::default()
        },
        spec: spec.job_template.spec,
        status: None,
    }
}

/// Adds a Job that was created for `time` to the status.
pub fn note_created(status: &mut CronJobStatus, job: &Job, time: Timestamp) {
    status.active.get_or_insert_default().push(ObjectReference {
        api_version: Some("batch/v1".into()),
        kind: Some("Job".into()),
        name: job.metadata.name.clone(),
        namespace: job.metadata.namespace.clone(),
        uid: job.metadata.uid.clone(),
        resource_version: job.metadata.resource_version.clone(),
        field_path: None,
    });
    status.last_schedule_time = Some(Time(time));
}

/// Finished Jobs beyond the limits, oldest first.
fn expire(observed: &Observed<'_>, plan: &mut Plan) {
    let spec = &observed.cron.spec;
    for (condition, limit) in
        [("Complete", spec.successful_jobs_history_limit), ("Failed", spec.failed_jobs_history_limit)]
    {
        let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else { continue };
        let mut ended: Vec<&Job> =
            observed.jobs.iter().copied().filter(|job| finished(job) == Some(condition)).collect();
        // One that never started comes last.
        ended.sort_by_key(|job| {
            let started =
                job.status.as_ref().and_then(|status| status.start_time.as_ref()).map(|time| time.0);
            (started.is_none(), started, name(job).to_owned())
        });
        let surplus = ended.len().saturating_sub(limit);
        let doomed = ended.into_iter().take(surplus).filter(|job| job.metadata.deletion_timestamp.is_none());
        plan.expired.extend(doomed.map(|job| (name(job).to_owned(), uid(job).to_owned())));
    }
}
