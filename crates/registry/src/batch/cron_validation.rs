//! Validation of CronJobs.

use apimachinery::Value;
use apimachinery::field::{Errors, Named, Path};

use super::schedule;
use super::validation::{declared, job_spec};
use crate::rules::non_negative;

/// A CronJob.
pub fn cron_job(object: &Value, old: Option<&Value>) -> Errors {
    let mut errors = Errors::new();
    let (spec, path) = (&object["spec"], Path::Root.child("spec"));
    let field = path.child("schedule");
    let text = spec["schedule"].text();
    if !text.is_empty() {
        if let Err(why) = schedule::check(text) {
            errors.invalid(&field, text, &why);
        }
        let unchanged = old.is_some_and(|old| old["spec"]["schedule"].text() == text);
        if text.contains("TZ") && !unchanged {
            errors.invalid(&field, text, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
        }
    }
    non_negative(&path.child("startingDeadlineSeconds"), &spec["startingDeadlineSeconds"], &mut errors);
    time_zone(spec, &path.child("timeZone"), &mut errors);
    match spec["concurrencyPolicy"].text() {
        "" => errors.required(&path.child("concurrencyPolicy"), ""),
        policy => {
            errors.one_of(&path.child("concurrencyPolicy"), policy, &["Allow", "Forbid", "Replace"]);
        }
    }
    let template = path.child("jobTemplate");
    job_template(&spec["jobTemplate"]["spec"], &template.child("spec"), &mut errors);
    for field in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        non_negative(&path.child(field), &spec[field], &mut errors);
    }
    let name = object["metadata"]["name"].text();
    if old.is_none() && name.len() > schedule::MOST_NAME {
        let why = format!("must be no more than {} characters", schedule::MOST_NAME);
        errors.invalid(&Path::Root.child("metadata").child("name"), name, &why);
    }
    if text.is_empty() {
        errors.required(&field, "");
    }
    declared(&spec["jobTemplate"]["spec"], &template.child("spec"), &mut errors);
    errors
}

/// A Job that a CronJob makes chooses its own selector.
fn job_template(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    job_spec(spec, path, errors);
    if !spec["selector"].is_null() {
        let why = "`selector` will be auto-generated";
        errors.invalid(&path.child("selector"), spec["selector"].clone(), why);
    }
    if spec["manualSelector"].is_true() {
        errors.not_supported(&path.child("manualSelector"), true, &["nil", "false"]);
    }
}

fn time_zone(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let Some(zone) = spec["timeZone"].as_str() else { return };
    if zone.is_empty() {
        errors.invalid(path, zone, "timeZone must be nil or non-empty string");
        return;
    }
    if zone.eq_ignore_ascii_case("Local") {
        let why = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.invalid(path, Named(zone), why);
    }
    // Go knows the one as the machine's own zone.
    if zone != "Local" && !schedule::is_zone(zone) {
        errors.invalid(path, Named(zone), &format!("unknown time zone {zone}"));
    }
}
