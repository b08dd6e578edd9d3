//! Fills and deletes Secrets, and takes their names out of accounts.

use std::sync::Arc;

use async_trait::async_trait;
use client::{Api, DeleteOptions, Error, Transport};
use informer::{Informer, ObjectKey, Outcome, Reconciler, Whole};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};

use super::plan::{Key, fill, is_meant, is_of, missing, without};
use super::{SecretToken, TokenSigner};
use crate::everything::Node;

pub(super) struct Tokens {
    pub transport: Arc<dyn Transport>,
    pub secrets: Informer<Whole<Secret>>,
    pub accounts: Informer<Node>,
    pub authority: Option<Arc<str>>,
    pub signer: Arc<dyn TokenSigner>,
}

#[async_trait]
impl Reconciler<Key> for Tokens {
    fn name(&self) -> &'static str {
        "serviceaccounttoken"
    }

    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        match key {
            Key::Secret { namespace, name, uid, account, account_uid } => {
                let seen = self.secrets.get(&ObjectKey::new(namespace.clone(), name.clone()));
                let seen = seen.filter(|secret| is_meant(secret.metadata.uid.as_deref().unwrap_or(""), uid));
                let meant = (namespace.as_str(), account.as_str(), account_uid.as_str());
                match seen {
                    None => self.forget(name, meant).await?,
                    Some(secret) => match self.account(meant).await? {
                        None => self.delete(&secret.0).await?,
                        Some(account_uid) => self.fill(&secret.0, (account, &account_uid)).await?,
                    },
                }
            }
            Key::Account { namespace, name, uid } => {
                // One of the same name and uid is there again: the view was behind.
                if self.known((namespace, name, uid)).is_none() {
                    for secret in self.secrets.namespace(namespace) {
                        if is_of(&secret.0, name, uid) {
                            self.delete(&secret.0).await?;
                        }
                    }
                }
            }
        }
        Ok(Outcome::Done)
    }
}

impl Tokens {
    /// The uid of an account that the view shows.
    fn known(&self, (namespace, name, uid): (&str, &str, &str)) -> Option<String> {
        let account = self.accounts.get(&ObjectKey::new(namespace, name))?;
        is_meant(&account.uid, uid).then(|| account.uid.clone())
    }

    /// The uid of an account that is there; the view may be behind.
    async fn account(&self, meant: (&str, &str, &str)) -> Result<Option<String>, Error> {
        if let Some(uid) = self.known(meant) {
            return Ok(Some(uid));
        }
        let (namespace, name, uid) = meant;
        let api = Api::<ServiceAccount>::namespaced(self.transport.clone(), namespace);
        let fresh = api.find(name).await?.and_then(|account| account.metadata.uid);
        Ok(fresh.filter(|fresh| is_meant(fresh, uid)))
    }

    async fn fill(&self, seen: &Secret, (account, account_uid): (&str, &str)) -> Result<(), Error> {
        let authority = self.authority.as_deref();
        if missing(seen, authority).is_nothing() {
            return Ok(());
        }
        let namespace = seen.metadata.namespace.as_deref().unwrap_or_default();
        let name = seen.metadata.name.as_deref().unwrap_or_default();
        let api = Api::<Secret>::namespaced(self.transport.clone(), namespace);
        let Some(mut fresh) = api.find(name).await? else { return Ok(()) };
        let missing = missing(&fresh, authority);
        // Where the view is behind, it brings the key back.
        if fresh.metadata.resource_version != seen.metadata.resource_version || missing.is_nothing() {
            return Ok(());
        }
        let asked = SecretToken { namespace, secret: name, account, account_uid };
        let token = match missing.token.then(|| self.signer.sign(&asked)).transpose() {
            Ok(token) => token,
            // Another try would end alike.
            Err(why) => {
                tracing::error!(namespace, name, why, "a Secret's token was not signed");
                return Ok(());
            }
        };
        fill(&mut fresh, (account, account_uid), missing, authority, token);
        ignore_changed(api.update(&fresh).await.map(drop))
    }

    async fn delete(&self, secret: &Secret) -> Result<(), Error> {
        let metadata = &secret.metadata;
        let namespace = metadata.namespace.clone().unwrap_or_default();
        let api = Api::<Secret>::namespaced(self.transport.clone(), namespace);
        let options = DeleteOptions::uid(metadata.uid.clone().unwrap_or_default());
        ignore_changed(api.delete(metadata.name.as_deref().unwrap_or_default(), options).await)
    }

    /// Takes the name of a deleted Secret out of its account.
    async fn forget(&self, secret: &str, meant: (&str, &str, &str)) -> Result<(), Error> {
        if self.known(meant).is_none() {
            return Ok(());
        }
        let (namespace, name, uid) = meant;
        let api = Api::<ServiceAccount>::namespaced(self.transport.clone(), namespace);
        let Some(fresh) = api.find(name).await? else { return Ok(()) };
        if !is_meant(fresh.metadata.uid.as_deref().unwrap_or(""), uid) {
            return Ok(());
        }
        match without(fresh, secret) {
            None => Ok(()),
            Some(account) => match api.update(&account).await {
                Err(error) if error.is_not_found() => Ok(()),
                other => other.map(drop),
            },
        }
    }
}

/// Whoever changed or deleted the Secret meanwhile brings its key back.
fn ignore_changed(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
        other => other,
    }
}
