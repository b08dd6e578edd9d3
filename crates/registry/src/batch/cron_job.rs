//! CronJob.

use apimachinery::Value;
use apiserver::Strategy;

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
}
