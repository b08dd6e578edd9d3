//! Claim protection: a PersistentVolumeClaim stays as long as a pod uses it.
//!
//! Watches claims and pods; owns the claims' finalizer
//! `kubernetes.io/pvc-protection`.

mod act;
mod plan;
#[cfg(test)]
mod tests;

use informer::ObjectKey;

use crate::Context;

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    let queue = context.queue::<ObjectKey>("pvcprotection");
    let claims = context.volume_claims().clone();
    let pods = context.pods().clone();

    let changed = queue.clone();
    claims.on_change(move |change| {
        if change.new.is_some() {
            changed.add(change.key.clone());
        }
    });

    // The end of a pod may free a claim.
    let changed = queue.clone();
    pods.on_change(move |change| {
        if let (Some(old), None) = (change.old, change.new) {
            for (_, claim) in &old.claims {
                changed.add(ObjectKey::new(old.namespace.clone(), claim.clone()));
            }
        }
    });

    let reconciler = act::Protection {
        transport: context.transport("pvc-protection-controller"),
        claims: claims.clone(),
        pods: pods.clone(),
    };
    context.run(queue, reconciler, 2, async move {
        claims.synced().await;
        pods.synced().await;
    });
}
