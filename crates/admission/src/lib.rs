//! Built-in admission: one plugin a file, in upstream's order.
//!
//! Plugins read through `apiserver::View` and decide by pure functions; what a
//! write takes with it (used quota) they hand over as companions. Webhooks are
//! asked through a trait whose real form is here too. Nothing here commits.

mod certificate;
mod default_ingress_class;
mod default_storage_class;
mod default_toleration_seconds;
mod limit_ranger;
mod matching;
mod metrics;
mod namespace_lifecycle;
mod node_restriction;
mod persistent_volume_claim_resize;
mod pod_security;
pub mod policies;
mod priority;
mod quota;
mod rbac_escalation;
mod runtime_class;
mod service_account;
mod storage_object_in_use_protection;
mod table;
mod taint_nodes_by_condition;
pub mod webhooks;

/// Why an object of this name cannot even be asked for (client-go's words).
fn unaskable(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("resource name may not be empty".into());
    }
    let wrong = apimachinery::validation::path_segment_name(name);
    (!wrong.is_empty()).then(|| format!("invalid resource name {name:?}: [{}]", wrong.join(" ")))
}

pub use rbac_escalation::RefuseGranting;
pub use table::plugins;
