//! ValidatingWebhookConfiguration and MutatingWebhookConfiguration.

use apimachinery::Value;
use apiserver::{Strategy, Version};
use jiff::Timestamp;

use crate::changes::{default_struct, items};

/// Either kind of webhook configuration.
pub struct WebhookConfiguration;

impl Strategy for WebhookConfiguration {
    /// Selectors that are not said select everything.
    fn default(&self, _: &str, object: &mut Value) {
        for webhook in items(object, "webhooks") {
            default_struct(webhook, "namespaceSelector");
            default_struct(webhook, "objectSelector");
        }
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::cluster::webhooks(object, now)
    }
}
