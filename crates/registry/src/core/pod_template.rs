//! PodTemplate.

use apimachinery::Value;
use apiserver::Strategy;

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
}
