//! ServiceAccount: the account `default` in every namespace.
//!
//! Watches namespaces and accounts of that name; owns nothing: an account that
//! is there is left as it is.

mod act;
mod plan;
#[cfg(test)]
mod tests;

use client::Resource;
use informer::{ObjectKey, Options};

use crate::Context;

pub(crate) use plan::is_active;

/// Starts the controller's watches and workers. Keys are namespaces.
pub fn start(context: &Context) {
    let queue = context.queue::<String>("serviceaccount");
    let namespaces = context.namespaces().clone();
    let accounts = context.informer::<crate::everything::Node>(
        Resource::new("", "v1", "serviceaccounts"),
        Options::fields(format!("metadata.name={}", plan::DEFAULT)),
    );

    let changed = queue.clone();
    namespaces.on_change(move |change| changed.add(change.key.name.clone()));
    let changed = queue.clone();
    accounts.on_change(move |change| {
        if change.new.is_none() {
            changed.add(change.key.namespace.clone());
        }
    });

    let reconciler = act::DefaultAccounts {
        transport: context.transport("service-account-controller"),
        namespaces: namespaces.clone(),
        accounts: accounts.clone(),
    };
    context.run::<String, _>(queue, reconciler, 1, async move {
        namespaces.synced().await;
        accounts.synced().await;
    });
}

/// The key of a namespace's default account.
fn account(namespace: &str) -> ObjectKey {
    ObjectKey::new(namespace, plan::DEFAULT)
}
