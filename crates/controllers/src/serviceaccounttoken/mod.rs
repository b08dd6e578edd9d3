//! Service account tokens: fills Secrets of type
//! `kubernetes.io/service-account-token`, and deletes them with their account.
//!
//! Watches those Secrets and accounts; owns `token`, `ca.crt` and `namespace`
//! of the Secrets, and takes the names of deleted ones out of their accounts.
//! Never holds a private key: it is behind [`TokenSigner`].

mod act;
mod plan;
#[cfg(test)]
mod tests;

use client::Resource;
use informer::{Options, Whole};
use k8s_openapi::api::core::v1::Secret;

use crate::Context;

/// The type of these Secrets.
pub(crate) const TYPE: &str = "kubernetes.io/service-account-token";

/// What a token of a Secret says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SecretToken<'a> {
    pub namespace: &'a str,
    pub secret: &'a str,
    pub account: &'a str,
    pub account_uid: &'a str,
}

/// The key of the cluster's service accounts, as this controller uses it.
pub trait TokenSigner: Send + Sync {
    /// A token without an end, which holds as long as its Secret does.
    fn sign(&self, token: &SecretToken<'_>) -> Result<String, String>;
}

/// Starts the controller's watches and workers, where there is a key that signs.
pub fn start(context: &Context) {
    let Some(signer) = context.token_signer() else { return };
    let queue = context.queue::<plan::Key>("serviceaccount_tokens_service");
    let secrets =
        context.informer::<Whole<Secret>>(Resource::of::<Secret>(), Options::fields(format!("type={TYPE}")));
    let accounts = context
        .informer::<crate::everything::Node>(Resource::new("", "v1", "serviceaccounts"), Options::default());

    // A key holds what is needed once its object is gone.
    let changed = queue.clone();
    secrets.on_change(move |change| {
        let secret = change.new.or(change.old);
        secret
            .and_then(|secret| plan::Key::of_secret(&secret.0))
            .into_iter()
            .for_each(|key| changed.add(key));
    });
    let changed = queue.clone();
    accounts.on_change(move |change| {
        let is_other = |old: &crate::everything::Node| change.new.is_none_or(|new| new.uid != old.uid);
        if let Some(old) = change.old.filter(|old| is_other(old)) {
            changed.add(plan::Key::of_account(old));
        }
    });

    let reconciler = act::Tokens {
        // As the controller manager itself: upstream's has no account of its own.
        transport: context.transport("kube-controller-manager"),
        secrets: secrets.clone(),
        accounts: accounts.clone(),
        authority: context.root_ca(),
        signer,
    };
    context.run(queue, reconciler, 5, async move {
        secrets.synced().await;
        accounts.synced().await;
    });
}
