//! Storage version migrator: writes every object of a resource anew, so that it
//! is stored in the version in which the resource is stored now.
//!
//! Watches StorageVersionMigrations; owns their status, and of a migrated
//! CustomResourceDefinition the condition `StorageMigrating` and the stored
//! versions. One migration of a resource runs at a time. Keys are resources.

mod act;
mod plan;
#[cfg(test)]
mod tests;

use informer::{Options, Whole};
use k8s_openapi::api::storagemigration::v1::StorageVersionMigration;

use crate::Context;

/// Starts the controller's watch and workers.
pub fn start(context: &Context) {
    let queue = context.queue::<plan::Subject>("storage-version-migrator-controller");
    let migrations = context.informer::<Whole<StorageVersionMigration>>(
        client::Resource::of::<StorageVersionMigration>(),
        Options::default(),
    );
    let everything = context.everything().clone();

    let changed = queue.clone();
    migrations.on_change(move |change| {
        for migration in [change.old, change.new].into_iter().flatten() {
            changed.add(plan::Subject::of(&migration.0));
        }
    });

    let reconciler = act::Migrator {
        edge: context.edge.clone(),
        transport: context.transport("storage-version-migrator-controller"),
        migrations: migrations.clone(),
        everything: everything.clone(),
    };
    context.run(queue, reconciler, 5, async move {
        migrations.synced().await;
        everything.synced().await;
    });
}
