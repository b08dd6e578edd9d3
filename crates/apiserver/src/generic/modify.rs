//! Writes that handlers make of their own, past the pipeline that their
//! request has already walked: a binding's pod, an eviction's pod and budget.

use std::sync::Arc;

use apimachinery::{Status, Value};
use store::Key;

use super::commit::{CommitError, Draft, Was, tree_of};
use super::{Caller, Outcome, Target, WriteOptions};
use crate::{ApiServer, Companion, DeleteOptions, UserInfo, View};

const TRIES: usize = 64;

/// What a handler makes of the stored tree, and what is committed with it.
pub type Modify<'a> = &'a mut (dyn FnMut(&mut Value, &View) -> Result<Vec<Companion>, Status> + Send);

/// Who comes to own what a change sets, and how.
#[derive(Clone, Copy)]
pub enum Owner<'a> {
    /// The manager updates.
    Updates(&'a str),
    /// The manager applies what the status has then.
    Applies(&'a str),
}

/// The status of an object as a configuration to apply.
fn status_of(object: &Value) -> Value {
    let mut config = Value::object();
    for member in ["apiVersion", "kind"] {
        config.set(member, object[member].clone());
    }
    for member in ["name", "namespace"] {
        if !object["metadata"][member].is_null() {
            config.set_at(&["metadata", member], object["metadata"][member].clone());
        }
    }
    config.set("status", object["status"].clone());
    config
}

impl ApiServer {
    /// Reads a stored object, lets `change` write on it and commits; again on
    /// the newer one where somebody came between. Neither admission nor
    /// validation looks at it. Gives the tree as committed, with its revision.
    ///
    /// # Errors
    /// 404, what `change` refuses, or the store's refusal.
    pub async fn modify(
        &self,
        (group, plural): (&str, &str),
        (namespace, name): (&str, &str),
        dry_run: bool,
        change: Modify<'_>,
    ) -> Result<Value, Status> {
        self.modify_owned((group, plural), (namespace, name), dry_run, None, change).await
    }

    /// As [`Self::modify`], for a loop that writes the status of an object in
    /// its first version, which comes to be owned.
    ///
    /// # Errors
    /// As [`Self::modify`].
    pub async fn modify_status(
        &self,
        kind: (&str, &str),
        place: (&str, &str),
        owner: Owner<'_>,
        change: Modify<'_>,
    ) -> Result<Value, Status> {
        self.modify_owned(kind, place, false, Some(owner), change).await
    }

    async fn modify_owned(
        &self,
        (group, plural): (&str, &str),
        (namespace, name): (&str, &str),
        dry_run: bool,
        owner: Option<Owner<'_>>,
        change: Modify<'_>,
    ) -> Result<Value, Status> {
        let catalogue = self.catalogue();
        let Some(resource) = catalogue.resource(group, plural) else {
            return Err(Status::internal(format!("no resource {plural} in {group:?}")));
        };
        let key = Key::from(resource.key(namespace, name).unwrap_or_default());
        for _ in 0..TRIES {
            let view = self.view();
            let Some(entry) = view.snapshot().get(&key).cloned() else {
                return Err(Status::not_found(resource.group_resource(), name));
            };
            let mut object = tree_of(resource, &entry.value, entry.revision);
            let before = owner.map(|_| object.clone());
            let companions = change(&mut object, &view)?;
            if let (Some(owner), Some(before)) = (owner, before)
                && before != object
            {
                let target = Target {
                    resource: resource.clone(),
                    version: 0,
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                    subresource: "status".to_owned(),
                };
                let (Owner::Updates(manager) | Owner::Applies(manager)) = owner;
                let caller = Caller { user: Arc::new(UserInfo::new("", &[])), agent: manager.into() };
                let (options, now) = (WriteOptions::default(), self.edge.clock.now());
                match owner {
                    Owner::Applies(_) => {
                        let config = status_of(&object);
                        object = self.apply(&target, &caller, &options, &before, (&config, true))?;
                    }
                    Owner::Updates(_) => {
                        self.own_fields(&target, &caller, &options, now, &before, &mut object)
                    }
                }
            }
            if dry_run {
                return Ok(object);
            }
            let draft = Draft::of(resource, &mut object)?;
            if draft.bytes == entry.value && companions.is_empty() {
                return Ok(object);
            }
            let ttl = resource.strategy.time_to_live(&object);
            match self.put(resource, key.clone(), Was::At(entry.revision), draft, ttl, companions).await {
                Ok(published) => return Ok(published.tree()),
                Err(CommitError::Refused(status)) => return Err(status),
                Err(CommitError::Moved | CommitError::CompanionMoved) => {}
            }
        }
        Err(Status::server_timeout(resource.group_resource(), "update", 1))
    }

    /// Deletes an object as `user` would, admission included.
    ///
    /// # Errors
    /// As a DELETE request.
    pub async fn delete_as(
        &self,
        user: &Arc<UserInfo>,
        (group, plural): (&str, &str),
        (namespace, name): (&str, &str),
        options: &DeleteOptions,
    ) -> Result<(), Status> {
        let catalogue = self.catalogue();
        let Some(resource) = catalogue.resource(group, plural) else {
            return Err(Status::internal(format!("no resource {plural} in {group:?}")));
        };
        let target = Target {
            resource: resource.clone(),
            version: 0,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: String::new(),
        };
        let caller = Caller { user: user.clone(), agent: "".into() };
        match self.delete(&target, &caller, options, &mut Vec::new()).await? {
            Outcome::Object { .. } | Outcome::Tree { .. } | Outcome::List(_) | Outcome::Watch(_) => Ok(()),
        }
    }
}
