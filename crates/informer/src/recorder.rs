//! The recorder of events: what people read in `kubectl describe`.
//!
//! Repeated events are counted up in one object and similar ones combined, so
//! that a loop cannot flood the API (client-go's `tools/record`). The decision
//! is [`Correlator`]'s, which does no I/O.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::value;
use client::{Api, Patch, Transport};
use edge::Edge;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::Metadata;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use tokio::sync::mpsc;

/// Events wait here for the API; more are dropped, as upstream's broadcaster does.
const WAITING: usize = 1000;
/// So many different messages of one reason about one object within
/// [`INTERVAL`] are written as they are; more are combined.
const DIFFERENT: usize = 10;
const INTERVAL: SignedDuration = SignedDuration::from_mins(10);
/// Events about one object: a burst, then one in each [`REFILL`].
const BURST: f64 = 25.0;
const REFILL: SignedDuration = SignedDuration::from_secs(300);
/// How many objects the correlator remembers.
const REMEMBERED: usize = 4096;

/// The object that an event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    pub api_version: Cow<'static, str>,
    pub kind: Cow<'static, str>,
    /// "" for cluster-scoped objects, whose events lie in `default`.
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub resource_version: String,
    /// Such as `spec.containers{nginx}`; "" is the whole object.
    pub field_path: String,
}

impl Reference {
    pub fn to<K: k8s_openapi::Resource + Metadata<Ty = ObjectMeta>>(object: &K) -> Self {
        let metadata = object.metadata();
        Self {
            api_version: K::API_VERSION.into(),
            kind: K::KIND.into(),
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
            field_path: String::new(),
        }
    }

    /// The same object, at a part of it.
    pub fn at(mut self, field_path: impl Into<String>) -> Self {
        self.field_path = field_path.into();
        self
    }

    fn object_reference(&self) -> ObjectReference {
        let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        ObjectReference {
            api_version: Some(self.api_version.clone().into_owned()),
            kind: Some(self.kind.clone().into_owned()),
            namespace: some(&self.namespace),
            name: some(&self.name),
            uid: some(&self.uid),
            resource_version: some(&self.resource_version),
            field_path: some(&self.field_path),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventType {
    Normal,
    Warning,
}

impl EventType {
    fn as_str(self) -> &'static str {
        match self {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Occurrence {
    about: Reference,
    kind: EventType,
    reason: &'static str,
    message: String,
    at: Timestamp,
}

/// Writes events for one component. Clones share the queue.
#[derive(Clone)]
pub struct Recorder {
    sender: mpsc::Sender<Occurrence>,
    edge: Edge,
}

impl Recorder {
    /// Events come from `component` (such as `kubelet`) on `host` ("" for none).
    pub fn start(edge: &Edge, transport: Arc<dyn Transport>, component: &'static str, host: &str) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let source = EventSource {
            component: Some(component.into()),
            host: Some(host.to_owned()).filter(|host| !host.is_empty()),
        };
        let writer = Writer { transport, source, correlator: Correlator::default() };
        edge.tasks.spawn(writer.run(receiver));
        Self { sender, edge: edge.clone() }
    }

    /// Records that something happened. It never waits and never fails.
    pub fn event(
        &self,
        about: &Reference,
        kind: EventType,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let occurrence = Occurrence {
            about: about.clone(),
            kind,
            reason,
            message: message.into(),
            at: self.edge.clock.now(),
        };
        if self.sender.try_send(occurrence).is_err() {
            tracing::debug!(reason, "an event was dropped: too many are waiting");
        }
    }
}

/// What is to be done about an occurrence.
#[derive(Debug, PartialEq)]
enum Decision {
    Create {
        name: String,
        message: String,
    },
    /// Count up the event written before.
    Count {
        name: String,
        count: i32,
        message: String,
    },
    Drop,
}

/// Remembers what was written about which object.
#[derive(Default)]
struct Correlator {
    objects: BTreeMap<Reference, Object>,
    /// The time in the last event's name: two of one moment are two.
    named: i128,
}

struct Object {
    tokens: f64,
    refilled: Timestamp,
    written: BTreeMap<(EventType, &'static str, String), Written>,
}

#[derive(Clone, Debug)]
struct Written {
    name: String,
    count: i32,
    last: Timestamp,
}

impl Correlator {
    fn decide(&mut self, occurrence: &Occurrence) -> Decision {
        let now = occurrence.at;
        if self.objects.len() >= REMEMBERED {
            self.objects.retain(|_, object| now.duration_since(object.refilled) < INTERVAL);
        }
        // The revision does not tell one object from another.
        let about = Reference { resource_version: String::new(), ..occurrence.about.clone() };
        let object = self.objects.entry(about).or_insert_with(|| Object {
            tokens: BURST,
            refilled: now,
            written: BTreeMap::new(),
        });
        if !object.take(now) {
            return Decision::Drop;
        }
        object.written.retain(|_, written| now.duration_since(written.last) < INTERVAL);
        let alike = |kind: EventType, reason: &str| (kind, reason) == (occurrence.kind, occurrence.reason);
        let known = (occurrence.kind, occurrence.reason, occurrence.message.clone());
        let different = object.written.keys().filter(|(kind, reason, _)| alike(*kind, reason)).count();
        let (key, message) = if object.written.contains_key(&known) || different < DIFFERENT {
            (known, occurrence.message.clone())
        } else {
            let combined = format!("(combined from similar events): {}", occurrence.message);
            ((occurrence.kind, occurrence.reason, String::new()), combined)
        };
        match object.written.get_mut(&key) {
            Some(written) => {
                written.count += 1;
                written.last = now;
                Decision::Count { name: written.name.clone(), count: written.count, message }
            }
            None => {
                self.named = now.as_nanosecond().max(self.named + 1);
                let name = format!("{}.{:x}", occurrence.about.name, self.named);
                object.written.insert(key, Written { name: name.clone(), count: 1, last: now });
                Decision::Create { name, message }
            }
        }
    }
}

impl Object {
    fn take(&mut self, now: Timestamp) -> bool {
        let passed = now.duration_since(self.refilled).as_secs_f64().max(0.0);
        self.tokens = (self.tokens + passed / REFILL.as_secs_f64()).min(BURST);
        self.refilled = now;
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

struct Writer {
    transport: Arc<dyn Transport>,
    source: EventSource,
    correlator: Correlator,
}

impl Writer {
    async fn run(mut self, mut occurrences: mpsc::Receiver<Occurrence>) {
        while let Some(occurrence) = occurrences.recv().await {
            let decision = self.correlator.decide(&occurrence);
            if let Err(error) = self.write(&occurrence, decision).await {
                tracing::debug!(%error, reason = occurrence.reason, "an event was not written");
            }
        }
    }

    async fn write(&self, occurrence: &Occurrence, decision: Decision) -> Result<(), client::Error> {
        let namespace = match occurrence.about.namespace.as_str() {
            "" => "default",
            namespace => namespace,
        };
        let events = Api::<Event>::namespaced(self.transport.clone(), namespace);
        match decision {
            Decision::Drop => Ok(()),
            Decision::Create { name, message } => {
                events.create(&self.event(occurrence, namespace, name, message, 1)).await.map(drop)
            }
            Decision::Count { name, count, message } => {
                let patch = value!({
                    "count": count,
                    "lastTimestamp": occurrence.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
                    "message": message.as_str()
                });
                match events.patch(&name, Patch::strategic(patch)).await {
                    // It has expired meanwhile.
                    Err(error) if error.is_not_found() => events
                        .create(&self.event(occurrence, namespace, name, message, count))
                        .await
                        .map(drop),
                    other => other.map(drop),
                }
            }
        }
    }

    fn event(
        &self,
        occurrence: &Occurrence,
        namespace: &str,
        name: String,
        message: String,
        count: i32,
    ) -> Event {
        Event {
            metadata: ObjectMeta {
                name: Some(name),
                namespace: Some(namespace.into()),
                ..ObjectMeta::default()
            },
            involved_object: occurrence.about.object_reference(),
            reason: Some(occurrence.reason.into()),
            message: Some(message),
            type_: Some(occurrence.kind.as_str().into()),
            count: Some(count),
            first_timestamp: Some(Time(occurrence.at)),
            last_timestamp: Some(Time(occurrence.at)),
            reporting_component: self.source.component.clone(),
            reporting_instance: self.source.host.clone(),
            source: Some(self.source.clone()),
            ..Event::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occurrence(message: &str, second: i64) -> Occurrence {
        Occurrence {
            about: Reference { kind: "Pod".into(), name: "web".into(), ..Reference::default() },
            kind: EventType::Warning,
            reason: "BackOff",
            message: message.into(),
            at: Timestamp::from_second(second).unwrap(),
        }
    }

    #[test]
    fn the_same_again_is_counted() {
        let mut correlator = Correlator::default();
        let Decision::Create { name, .. } = correlator.decide(&occurrence("x", 0)) else {
            panic!("not created")
        };
        assert_eq!(
            correlator.decide(&occurrence("x", 1)),
            Decision::Count { name, count: 2, message: "x".into() }
        );
    }

    #[test]
    fn two_of_one_moment_have_two_names() {
        let mut correlator = Correlator::default();
        let mut name = |message| match correlator.decide(&occurrence(message, 0)) {
            Decision::Create { name, .. } => name,
            other => panic!("{other:?}"),
        };
        assert_ne!(name("x"), name("y"));
    }

    #[test]
    fn many_alike_are_combined() {
        let mut correlator = Correlator::default();
        for at in 0..DIFFERENT {
            let decision = correlator.decide(&occurrence(&format!("m{at}"), at as i64));
            assert!(matches!(decision, Decision::Create { .. }), "{decision:?}");
        }
        let Decision::Create { message, .. } = correlator.decide(&occurrence("another", 20)) else {
            panic!("not created")
        };
        assert_eq!(message, "(combined from similar events): another");
        let decision = correlator.decide(&occurrence("yet another", 21));
        assert!(matches!(decision, Decision::Count { count: 2, .. }), "{decision:?}");
    }

    #[test]
    fn a_flood_is_dropped_and_the_next_minutes_give_a_few() {
        let mut correlator = Correlator::default();
        let written = |correlator: &mut Correlator, second| {
            (0..100).filter(|_| correlator.decide(&occurrence("x", second)) != Decision::Drop).count()
        };
        assert_eq!(written(&mut correlator, 0), 25);
        assert_eq!(written(&mut correlator, 600), 2);
    }
}
