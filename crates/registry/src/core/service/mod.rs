//! Service.

pub mod addresses;
pub mod allocation;
pub mod defaults;
pub mod families;
pub mod node_ports;
pub mod validation;

use apimachinery::field::{Errors, Path};
use apimachinery::{Status, Value};
use apiserver::{Companion, Context, NameRule, Strategy, Version};
use jiff::Timestamp;

/// Service.
pub struct Service;

impl Strategy for Service {
    fn default(&self, _: &str, object: &mut Value) {
        defaults::service(object);
    }

    /// Relaxed names (KEP-5311): a label may begin with a digit.
    fn name_rule(&self) -> NameRule {
        apimachinery::validation::dns1123_label
    }

    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        defaults::agree_on_cluster_ips(object, None);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        defaults::agree_on_cluster_ips(object, Some(old));
        defaults::drop_unused(object, old);
        defaults::keep_allocated(object, old);
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        validation::service(object)
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = self.validate_create(context, object);
        let (new, before) = (object["spec"]["clusterIPs"].items(), old["spec"]["clusterIPs"].items());
        let stays = defaults::needs_cluster_ip(object) && defaults::needs_cluster_ip(old);
        if stays && !before.is_empty() && new.first() != before.first() {
            let spec = Path::Root.child("spec");
            let list = spec.child("clusterIPs");
            errors.invalid(&list.index(0), object["spec"]["clusterIPs"].clone(), "may not change once set");
        }
        validation::same_class(object, old, &mut errors);
        errors
    }

    fn allocate(
        &self,
        context: &Context<'_>,
        object: &mut Value,
        old: Option<&Value>,
        companions: &mut Vec<Companion>,
    ) -> Result<(), Status> {
        allocation::allocate(context, object, old, companions)
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::network::service(object, now)
    }
}
