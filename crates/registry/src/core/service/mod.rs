//! Service.

pub mod addresses;
pub mod allocation;
pub mod cluster_ips;
pub mod defaults;
pub mod families;
pub mod node_ports;
mod status;
pub mod validation;
mod warnings;

use apimachinery::field::Errors;
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

    fn creates_on_update(&self) -> bool {
        true
    }

    fn prepare_create(&self, _: &Context<'_>, object: &mut Value) {
        defaults::agree_on_cluster_ips(object, None);
        defaults::drop_internal_policy(object);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        defaults::keep_allocated(object, old);
        defaults::agree_on_cluster_ips(object, Some(old));
        defaults::drop_unused(object, old);
        defaults::drop_internal_policy(object);
    }

    /// As upstream, addresses are given first: what stands against that is told alone.
    fn validate_create(&self, context: &Context<'_>, object: &Value) -> Errors {
        match allocation::tried(context, object, None) {
            Ok(given) => validation::service(&given, None),
            Err(errors) => errors,
        }
    }

    fn validate_update(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        match allocation::tried(context, object, Some(old)) {
            Ok(given) => validation::update(&given, old),
            Err(errors) => errors,
        }
    }

    fn validate_status(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        status::validate(object, old)
    }

    fn warnings(&self, context: &Context<'_>, object: &Value, _: Option<&Value>) -> Vec<String> {
        if context.subresource.is_empty() { warnings::of(object) } else { Vec::new() }
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
