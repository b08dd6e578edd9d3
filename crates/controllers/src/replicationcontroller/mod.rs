//! ReplicationController: so many pods of a template, as a ReplicaSet has.
//!
//! Watches ReplicationControllers and pods; owns the pods it creates and the
//! status of its controllers. The loop is the ReplicaSet's; here is only how
//! the one is read as the other.

mod kind;
#[cfg(test)]
mod tests;

use crate::{Context, replicaset};

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    replicaset::run(context, context.replication_controllers().clone());
}
