//! What the writers of EndpointSlices share: whose slices are whose, what was
//! written, and the writing.

use std::collections::BTreeMap;
use std::sync::Arc;

use client::{Api, DeleteOptions, Error, Resource, Transport};
use informer::{Index, Informer, ObjectKey, Options, Queue, Whole};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use parking_lot::Mutex;

use crate::Context;

pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// The index of slices by `namespace/service`.
pub const SERVICE: &str = "service";

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Create(Box<EndpointSlice>),
    Update(Box<EndpointSlice>),
    Delete { name: String, uid: String },
}

impl Action {
    pub fn delete(slice: &EndpointSlice) -> Self {
        Action::Delete {
            name: slice.metadata.name.clone().unwrap_or_default(),
            uid: slice.metadata.uid.clone().unwrap_or_default(),
        }
    }
}

/// The Service that a slice belongs to.
pub fn service_of(slice: &EndpointSlice) -> Option<ObjectKey> {
    let name = slice.metadata.labels.as_ref()?.get(SERVICE_NAME)?;
    Some(ObjectKey::new(slice.metadata.namespace.clone()?, name.clone()))
}

/// The slices that one manager wrote, by [`SERVICE`].
pub fn managed(context: &Context, manager: &str) -> Informer<Whole<EndpointSlice>> {
    let index = Index {
        name: SERVICE,
        values: |slice: &Whole<EndpointSlice>| {
            service_of(&slice.0).map(|key| key.to_string()).into_iter().collect()
        },
    };
    context.informer(
        Resource::of::<EndpointSlice>(),
        Options { label_selector: Some(format!("{MANAGED_BY}={manager}")), ..Options::indexed(vec![index]) },
    )
}

/// Brings a Service to `queue` whenever one of its slices changes.
pub fn follow(slices: &Informer<Whole<EndpointSlice>>, queue: Queue<ObjectKey>, tracker: Arc<Tracker>) {
    slices.on_change(move |change| {
        for slice in [change.old, change.new].into_iter().flatten() {
            if let Some(service) = service_of(&slice.0) {
                if change.new.is_none() {
                    tracker.gone(&service, slice.metadata.uid.as_deref().unwrap_or_default());
                }
                queue.add(service);
            }
        }
    });
}

/// The revision in which each slice was last written, by Service and uid: a
/// view that shows less is not planned on (`EndpointSliceTracker`).
#[derive(Default)]
pub struct Tracker(Mutex<BTreeMap<ObjectKey, BTreeMap<String, u64>>>);

impl Tracker {
    fn wrote(&self, service: &ObjectKey, slice: &EndpointSlice) {
        let uid = slice.metadata.uid.clone().unwrap_or_default();
        self.0.lock().entry(service.clone()).or_default().insert(uid, revision(slice));
    }

    /// A slice was deleted, by whomever.
    fn gone(&self, service: &ObjectKey, uid: &str) {
        let mut all = self.0.lock();
        if let Some(slices) = all.get_mut(service) {
            slices.remove(uid);
            if slices.is_empty() {
                all.remove(service);
            }
        }
    }

    pub fn forget(&self, service: &ObjectKey) {
        self.0.lock().remove(service);
    }

    /// Whether `slices` shows everything that was written.
    pub fn is_shown(&self, service: &ObjectKey, slices: &[Arc<Whole<EndpointSlice>>]) -> bool {
        let all = self.0.lock();
        all.get(service).into_iter().flatten().all(|(uid, written)| {
            slices.iter().any(|slice| slice.metadata.uid.as_ref() == Some(uid) && revision(slice) >= *written)
        })
    }

    pub async fn carry_out(
        &self,
        transport: &Arc<dyn Transport>,
        service: &ObjectKey,
        action: Action,
    ) -> Result<(), Error> {
        let api = Api::<EndpointSlice>::namespaced(transport.clone(), service.namespace.clone());
        match action {
            Action::Create(slice) => match api.create(&slice).await {
                Ok(slice) => self.wrote(service, &slice),
                Err(error) if crate::namespace_ends(&error) => {}
                Err(error) => return Err(error),
            },
            Action::Update(slice) => self.wrote(service, &api.update(&slice).await?),
            Action::Delete { name, uid } => match api.delete(&name, DeleteOptions::uid(uid)).await {
                Err(error) if error.is_not_found() => {}
                other => other?,
            },
        }
        Ok(())
    }
}

fn revision(slice: &EndpointSlice) -> u64 {
    slice.metadata.resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0)
}
