//! CronJob.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use crate::changes::{is_new_generation, name_warnings};
use crate::core::pod::defaults;

/// CronJob.
pub struct CronJob;

impl Strategy for CronJob {
    fn default(&self, _: &str, object: &mut Value) {
        let template = object
            .get_mut("spec")
            .and_then(|spec| spec.get_mut("jobTemplate"))
            .and_then(|job| job.get_mut("spec"))
            .and_then(|spec| spec.get_mut("template"));
        if let Some(template) = template {
            defaults::template(template);
        }
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::workloads::cron_job(object, now)
    }

    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        drop_disabled(object, &Value::Null);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        drop_disabled(object, old);
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        super::cron_validation::cron_job(object, None)
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        super::cron_validation::cron_job(object, Some(old))
    }

    fn warnings(&self, _: &Context<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        let mut warnings = name_warnings(object, old);
        if is_new_generation(object, old) {
            let spec = Path::Root.child("spec");
            let template = spec.child("jobTemplate");
            super::job::spec_warnings(
                &object["spec"]["jobTemplate"]["spec"],
                &template.child("spec"),
                &mut warnings,
            );
        }
        // Upstream doubles the path; only what was stored before is left with a zone.
        if old.is_some() && object["spec"]["schedule"].text().contains("TZ") {
            warnings.push(
                "CRON_TZ or TZ used in spec.spec.schedule is not officially supported, see \
                 https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
                    .to_owned(),
            );
        }
        warnings
    }
}

fn drop_disabled(object: &mut Value, old: &Value) {
    let before = &old["spec"]["jobTemplate"]["spec"];
    let job = object
        .get_mut("spec")
        .and_then(|spec| spec.get_mut("jobTemplate"))
        .and_then(|template| template.get_mut("spec"));
    if let Some(job) = job {
        super::job::drop_disabled(job, before);
    }
}
