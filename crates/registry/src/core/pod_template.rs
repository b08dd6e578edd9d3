//! PodTemplate.

use apimachinery::Value;
use apiserver::{Strategy, Version};
use jiff::Timestamp;

use super::pod::defaults;

/// PodTemplate.
pub struct PodTemplate;

impl Strategy for PodTemplate {
    fn default(&self, _: &str, object: &mut Value) {
        if let Some(template) = object.get_mut("template") {
            defaults::template(template);
        }
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::pod::template(object, now)
    }
}
