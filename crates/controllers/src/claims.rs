//! Which objects belong to an owner: adoption of orphans that its selector
//! matches, release of those it matches no more
//! (`controller.BaseControllerRefManager`). The decision is [`Owner::claim`].

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::Value;
use apimachinery::labels::Selector;
use apimachinery::value;
use client::{Api, Error, Object, Patch, Transport};
use informer::Informer;
use k8s_openapi::Metadata;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};

use crate::context::{OWNER, orphans_of};
use crate::owners::controlled_by;
use crate::pods::PodView;

/// What to do about one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is the owner's already.
    Owned,
    /// An orphan that matches: add the owner reference.
    Adopt,
    /// The owner's, but it matches no more: remove the owner reference.
    Release,
    /// Another's, or of no concern.
    Ignore,
}

/// One that claims objects by a selector.
pub struct Owner {
    reference: OwnerReference,
    terminating: bool,
    selector: Selector,
    /// What claimed objects bear, and released ones lose.
    finalizer: Option<&'static str>,
}

/// An object that may be claimed.
pub struct Subject<'a> {
    name: &'a str,
    uid: &'a str,
    labels: Option<&'a BTreeMap<String, String>>,
    controller: Option<&'a OwnerReference>,
    terminating: bool,
}

impl<'a> From<&'a ObjectMeta> for Subject<'a> {
    fn from(metadata: &'a ObjectMeta) -> Self {
        Self {
            name: metadata.name.as_deref().unwrap_or_default(),
            uid: metadata.uid.as_deref().unwrap_or_default(),
            labels: metadata.labels.as_ref(),
            controller: metadata
                .owner_references
                .iter()
                .flatten()
                .find(|owner| owner.controller == Some(true)),
            terminating: metadata.deletion_timestamp.is_some(),
        }
    }
}

impl<'a> From<&'a PodView> for Subject<'a> {
    fn from(pod: &'a PodView) -> Self {
        Self {
            name: &pod.name,
            uid: &pod.uid,
            labels: Some(&pod.labels),
            controller: pod.controller.as_ref(),
            terminating: pod.terminating,
        }
    }
}

impl Owner {
    /// `owner` with its selector; a missing or invalid one matches nothing.
    pub fn of<K: k8s_openapi::Resource + Metadata<Ty = ObjectMeta>>(
        owner: &K,
        selector: Option<&LabelSelector>,
    ) -> Self {
        let metadata = owner.metadata();
        let tree = selector.and_then(|selector| Value::from_serialize(selector).ok()).unwrap_or_default();
        Self {
            reference: controlled_by(owner),
            terminating: metadata.deletion_timestamp.is_some(),
            selector: Selector::of_label_selector(&tree).unwrap_or_else(|_| Selector::nothing()),
            finalizer: None,
        }
    }

    /// Claimed objects get `finalizer`, released ones lose it.
    pub fn with_finalizer(mut self, finalizer: &'static str) -> Self {
        self.finalizer = Some(finalizer);
        self
    }

    pub fn claim<'a>(&self, subject: impl Into<Subject<'a>>) -> Claim {
        self.claim_member(subject, true)
    }

    /// As [`Owner::claim`], where the selector alone does not make a member.
    pub fn claim_member<'a>(&self, subject: impl Into<Subject<'a>>, is_member: bool) -> Claim {
        let subject = subject.into();
        let matches = is_member
            && match subject.labels {
                Some(labels) => self.selector.matches(labels),
                None => self.selector.matches(&BTreeMap::new()),
            };
        match subject.controller {
            Some(reference) if reference.uid != self.reference.uid => Claim::Ignore,
            Some(_) if matches => Claim::Owned,
            // A dying owner lets the garbage collector decide.
            Some(_) if self.terminating => Claim::Ignore,
            Some(_) => Claim::Release,
            None if self.terminating || subject.terminating || !matches => Claim::Ignore,
            None => Claim::Adopt,
        }
    }

    /// Writes the owner reference, unless the object is another by now.
    pub async fn adopt<'a, K: Object>(
        &self,
        api: &Api<K>,
        subject: impl Into<Subject<'a>>,
    ) -> Result<(), Error> {
        let subject = subject.into();
        let reference = Value::from_serialize(&self.reference).unwrap_or_default();
        let mut patch = value!({"metadata": {"uid": (subject.uid), "ownerReferences": [reference]}});
        if let Some(finalizer) = self.finalizer {
            patch.set_at(&["metadata", "finalizers"], value!([finalizer]));
        }
        ignore_gone(api.patch(subject.name, Patch::strategic(patch)).await)
    }

    /// Removes the owner reference, unless the object is another by now.
    pub async fn release<'a, K: Object>(
        &self,
        api: &Api<K>,
        subject: impl Into<Subject<'a>>,
    ) -> Result<(), Error> {
        let subject = subject.into();
        let uid = self.reference.uid.as_str();
        let mut patch = value!({"metadata": {
            "uid": (subject.uid),
            "ownerReferences": [{"$patch": "delete", "uid": uid}]
        }});
        if let Some(finalizer) = self.finalizer {
            patch.set_at(&["metadata", "$deleteFromPrimitiveList/finalizers"], value!([finalizer]));
        }
        match api.patch(subject.name, Patch::strategic(patch)).await {
            // 422: the uid differs, or the reference is gone.
            Err(error) if error.is_invalid() => Ok(()),
            other => ignore_gone(other),
        }
    }
}

/// The pods of `namespace` that have the controller `uid`, and those that have
/// none, by name.
fn candidates(all: &Informer<PodView>, namespace: &str, uid: &str) -> Vec<Arc<PodView>> {
    let mut found = all.by_index(OWNER, uid);
    found.retain(|pod| pod.namespace == namespace);
    found.append(&mut all.by_index(OWNER, &orphans_of(namespace)));
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

/// The pods among `all` of `namespace` that are `owner`'s, after adoption and
/// release. Of those that its selector matches only members by `is_member` are.
pub async fn pods<K>(
    owner: &Owner,
    transport: &Arc<dyn Transport>,
    namespace: &str,
    all: &Informer<PodView>,
    is_member: impl Fn(&PodView) -> bool,
) -> Result<Vec<Arc<PodView>>, Error>
where
    K: Object,
{
    let api = Api::<Pod>::namespaced(transport.clone(), namespace);
    let mut may_adopt = None;
    let mut owned = Vec::new();
    for pod in candidates(all, namespace, &owner.reference.uid) {
        match owner.claim_member(pod.as_ref(), is_member(&pod)) {
            Claim::Owned => owned.push(pod),
            Claim::Adopt => {
                // The view of the owner may be behind that of its pods: one
                // that goes and leaves them as orphans must not take them back.
                let may = match may_adopt {
                    Some(may) => may,
                    None => *may_adopt.insert(owner.still_lives::<K>(transport, namespace).await?),
                };
                if may {
                    owner.adopt(&api, pod.as_ref()).await?;
                    owned.push(pod);
                }
            }
            Claim::Release => owner.release(&api, pod.as_ref()).await?,
            Claim::Ignore => {}
        }
    }
    Ok(owned)
}

impl Owner {
    /// Asks the API whether the owner is there and stays.
    async fn still_lives<K>(&self, transport: &Arc<dyn Transport>, namespace: &str) -> Result<bool, Error>
    where
        K: Object,
    {
        let fresh = Api::<K>::namespaced(transport.clone(), namespace).find(&self.reference.name).await?;
        Ok(fresh.is_some_and(|fresh| {
            let metadata = fresh.metadata();
            metadata.uid.as_deref() == Some(&self.reference.uid) && metadata.deletion_timestamp.is_none()
        }))
    }
}

fn ignore_gone<K>(result: Result<K, Error>) -> Result<(), Error> {
    match result {
        Err(error) if error.is_not_found() => Ok(()),
        other => other.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::apps::v1::ReplicaSet;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    #[test]
    fn claims() {
        let selector = LabelSelector {
            match_labels: Some([("app".to_owned(), "web".to_owned())].into()),
            ..LabelSelector::default()
        };
        let mut set = ReplicaSet::default();
        set.metadata.uid = Some("me".into());
        let owner = Owner::of(&set, Some(&selector));
        set.metadata.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
        let dying = Owner::of(&set, Some(&selector));

        let mine = OwnerReference { uid: "me".into(), controller: Some(true), ..OwnerReference::default() };
        let theirs = OwnerReference { uid: "other".into(), ..mine.clone() };
        for (controller, owner, app, terminating, expected) in [
            (Some(&mine), &owner, "web", false, Claim::Owned),
            (Some(&mine), &dying, "web", false, Claim::Owned),
            (Some(&mine), &owner, "db", false, Claim::Release),
            (Some(&mine), &dying, "db", false, Claim::Ignore),
            (Some(&theirs), &owner, "web", false, Claim::Ignore),
            (None, &owner, "web", false, Claim::Adopt),
            (None, &owner, "web", true, Claim::Ignore),
            (None, &dying, "web", false, Claim::Ignore),
            (None, &owner, "db", false, Claim::Ignore),
        ] {
            let pod = PodView {
                labels: [("app".to_owned(), app.to_owned())].into(),
                controller: controller.cloned(),
                terminating,
                ..PodView::default()
            };
            assert_eq!(owner.claim(&pod), expected, "{controller:?} {app} {terminating}");
        }
    }
}
