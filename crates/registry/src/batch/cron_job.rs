//! CronJob.

use apimachinery::Value;
use apimachinery::field::Errors;
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

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

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        super::validation::cron_job(object, None)
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        super::validation::cron_job(object, Some(old))
    }
}
