//! Legacy token cleaner: Secrets of tokens that were made for an account
//! without being asked for, and that nobody uses, are first marked invalid and
//! then deleted (KEP-2799).
//!
//! Reads those Secrets, accounts and pods once a day, for days are what it
//! decides by; owns the label `kubernetes.io/legacy-token-invalid-since`.

mod act;
mod plan;
#[cfg(test)]
mod tests;

use crate::Context;

/// Starts the controller's worker.
pub fn start(context: &Context) {
    let queue = context.queue::<()>("legacy_service_account_token_cleaner");
    queue.add(());
    let reconciler = act::Cleaner {
        edge: context.edge.clone(),
        transport: context.transport("legacy-service-account-token-cleaner"),
        reader: context.transport("kube-controller-manager"),
    };
    context.run(queue, reconciler, 1, async {});
}
