//! What the writers of EndpointSlices share: whose slices are whose, what was
//! written, and the writing.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use client::{Api, DeleteOptions, Error, Resource, Transport};
use informer::{Index, Informer, ObjectKey, Options, Queue, Whole};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use parking_lot::Mutex;
use serve::families::{Counter, Description, Families, Gauge, Histogram, exponential};

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

/// What a plan does to the endpoints of one Service, and what it leaves.
#[derive(Debug, Default, PartialEq)]
pub struct Tally {
    pub added: usize,
    pub updated: usize,
    pub removed: usize,
    /// How many slices there are then.
    pub slices: usize,
    /// How many endpoints there are then for each address type and set of ports.
    pub endpoints: Vec<usize>,
}

/// Address type and ports.
type Shape<'a> = (&'a str, Rc<str>);

fn shape(slice: &EndpointSlice) -> Shape<'_> {
    (&slice.address_type, format!("{:?}", slice.ports).into())
}

/// See [`Tally`]. Pure.
pub fn tally(before: &[&EndpointSlice], actions: &[Action]) -> Tally {
    let mut after: BTreeMap<&str, &EndpointSlice> = BTreeMap::new();
    let mut created = Vec::new();
    for slice in before.iter().filter(|slice| slice.metadata.deletion_timestamp.is_none()) {
        after.insert(slice.metadata.name.as_deref().unwrap_or_default(), slice);
    }
    let known = told_apart(after.values().copied(), actions);
    for action in actions {
        match action {
            Action::Create(slice) => created.push(slice.as_ref()),
            Action::Update(slice) => {
                after.insert(slice.metadata.name.as_deref().unwrap_or_default(), slice);
            }
            Action::Delete { name, .. } => {
                after.remove(name.as_str());
            }
        }
    }
    let slices: Vec<&EndpointSlice> = after.into_values().chain(created).collect();
    let now = told_apart(slices.iter().copied(), actions);
    let mut groups: BTreeMap<Shape<'_>, usize> = BTreeMap::new();
    for slice in &slices {
        *groups.entry(shape(slice)).or_default() += slice.endpoints.as_ref().map_or(0, Vec::len);
    }
    Tally {
        added: now.keys().filter(|key| !known.contains_key(*key)).count(),
        updated: now.iter().filter(|(key, one)| known.get(*key).is_some_and(|old| old != *one)).count(),
        removed: known.keys().filter(|key| !now.contains_key(*key)).count(),
        slices: slices.len(),
        endpoints: groups.into_values().collect(),
    }
}

/// An endpoint's slice's shape, its address and its target.
type Id<'a> = (Shape<'a>, &'a str, &'a str);

/// The endpoints of slices; none where nothing changes, for then there is
/// nothing to compare.
fn told_apart<'a>(
    slices: impl Iterator<Item = &'a EndpointSlice>,
    actions: &[Action],
) -> BTreeMap<Id<'a>, &'a Endpoint> {
    slices.filter(|_| !actions.is_empty()).flat_map(endpoints).collect()
}

/// The endpoints of a slice by what tells them apart.
fn endpoints(slice: &EndpointSlice) -> impl Iterator<Item = (Id<'_>, &Endpoint)> {
    let shape = shape(slice);
    slice.endpoints.iter().flatten().map(move |endpoint| {
        let address = endpoint.addresses.first().map_or("", String::as_str);
        let target = endpoint.target_ref.as_ref().and_then(|target| target.uid.as_deref());
        ((shape.clone(), address, target.unwrap_or_default()), endpoint)
    })
}

/// How many of something one sync came to.
pub fn per_sync(families: &Families, name: &'static str, help: &'static str) -> Histogram {
    families.histogram(Description { name, help, labels: &[] }, exponential(2.0, 2.0, 15))
}

/// What the gauges tell of all Services together.
pub struct Totals {
    /// Endpoints of one slice at most.
    most: usize,
    /// Endpoints, slices, and slices that would do.
    by_service: Mutex<BTreeMap<ObjectKey, [usize; 3]>>,
    gauges: [Gauge; 3],
}

impl Totals {
    pub fn new(most: usize, endpoints: Gauge, slices: Gauge, desired: Gauge) -> Self {
        Self { most, by_service: Mutex::default(), gauges: [endpoints, slices, desired] }
    }

    pub fn set(&self, key: &ObjectKey, tally: &Tally) {
        let desired: usize = tally.endpoints.iter().map(|count| count.div_ceil(self.most)).sum();
        let all = tally.endpoints.iter().sum();
        self.change(|services| {
            // A Service without endpoints has one slice all the same.
            services.insert(key.clone(), [all, tally.slices, desired.max(1)]);
        });
    }

    pub fn forget(&self, key: &ObjectKey) {
        self.change(|services| {
            services.remove(key);
        });
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<ObjectKey, [usize; 3]>)) {
        let mut services = self.by_service.lock();
        change(&mut services);
        for (at, gauge) in self.gauges.iter().enumerate() {
            gauge.set(&[], services.values().map(|counts| counts[at]).sum::<usize>() as f64);
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
pub struct Tracker {
    written: Mutex<BTreeMap<ObjectKey, BTreeMap<String, u64>>>,
    changes: Counter,
}

impl Tracker {
    /// Counts its writes in `changes`, by their operation.
    pub fn new(changes: Counter) -> Self {
        Self { written: Mutex::default(), changes }
    }

    fn wrote(&self, service: &ObjectKey, slice: &EndpointSlice) {
        let uid = slice.metadata.uid.clone().unwrap_or_default();
        self.written.lock().entry(service.clone()).or_default().insert(uid, revision(slice));
    }

    /// A slice was deleted, by whomever.
    fn gone(&self, service: &ObjectKey, uid: &str) {
        let mut all = self.written.lock();
        if let Some(slices) = all.get_mut(service) {
            slices.remove(uid);
            if slices.is_empty() {
                all.remove(service);
            }
        }
    }

    pub fn forget(&self, service: &ObjectKey) {
        self.written.lock().remove(service);
    }

    /// Whether `slices` shows everything that was written.
    pub fn is_shown(&self, service: &ObjectKey, slices: &[Arc<Whole<EndpointSlice>>]) -> bool {
        let all = self.written.lock();
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
        let operation = match action {
            Action::Create(slice) => match api.create(&slice).await {
                Ok(slice) => {
                    self.wrote(service, &slice);
                    "create"
                }
                Err(error) if crate::namespace_ends(&error) => return Ok(()),
                Err(error) => return Err(error),
            },
            Action::Update(slice) => {
                self.wrote(service, &api.update(&slice).await?);
                "update"
            }
            Action::Delete { name, uid } => match api.delete(&name, DeleteOptions::uid(uid)).await {
                Err(error) if error.is_not_found() => return Ok(()),
                other => {
                    other?;
                    "delete"
                }
            },
        };
        self.changes.increase(&[operation]);
        Ok(())
    }
}

fn revision(slice: &EndpointSlice) -> u64 {
    slice.metadata.resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    fn slice(name: &str, port: i64, addresses: &[(&str, bool)]) -> EndpointSlice {
        let endpoint = |(address, ready): &(&str, bool)| value!({"addresses": [(*address)], "conditions": {"ready": (*ready)}});
        let endpoints: Vec<_> = addresses.iter().map(endpoint).collect();
        let tree = value!({
            "metadata": {"name": name}, "addressType": "IPv4", "ports": [{"port": port}],
            "endpoints": endpoints
        });
        tree.decode().unwrap()
    }

    #[test]
    fn a_plan_is_tallied() {
        let before = [slice("a", 80, &[("1", true), ("2", true)]), slice("b", 81, &[("3", true)])];
        let update = Action::Update(Box::new(slice("a", 80, &[("1", false), ("4", true)])));
        let create = Action::Create(Box::new(slice("", 80, &[("5", true)])));
        let before: Vec<&EndpointSlice> = before.iter().collect();
        assert_eq!(
            tally(&before, &[create, update, Action::delete(before[1])]),
            Tally { added: 2, updated: 1, removed: 2, slices: 2, endpoints: vec![3] }
        );
        assert_eq!(tally(&before, &[]), Tally { slices: 2, endpoints: vec![2, 1], ..Tally::default() });
    }
}
