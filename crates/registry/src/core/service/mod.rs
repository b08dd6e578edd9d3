//! Service.

pub mod addresses;
pub mod allocation;
pub mod cluster_ips;
pub mod defaults;
pub mod families;
pub mod node_ports;
mod ports;
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
        defaults::drop_internal_policy(object);
    }

    fn prepare_update(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        defaults::drop_unused(object, old);
        defaults::drop_internal_policy(object);
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        validation::service(object, None)
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        validation::update(object, old)
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
