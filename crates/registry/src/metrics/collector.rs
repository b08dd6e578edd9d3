//! Asks nodes for their counters, when somebody asks for what they use and
//! never otherwise.
//!
//! CPU usage lies between two samples. While questions come, each takes the
//! place of the older; the first after a pause takes two, a moment apart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::status::GroupResource;
use apimachinery::{Status, Value, time, value};
use apiserver::{Answer, ApiServer, Call, Handler, Stored, View};
use async_trait::async_trait;
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use super::samples::{self, Sample};
use super::{GROUP, VERSION};

/// The page that metrics-server reads too.
const PAGE: &str = "/metrics/resource";
/// So young a sample answers once more.
const FRESH: SignedDuration = SignedDuration::from_secs(10);
/// So old a sample is too far back for a rate.
const STALE: SignedDuration = SignedDuration::from_secs(60);
/// Between the two samples after a pause.
const MOMENT: Duration = Duration::from_secs(1);
/// A node that does not answer is left out.
const PATIENCE: Duration = Duration::from_secs(5);
/// Nodes that are asked at once.
const AT_ONCE: usize = 32;

/// The last two samples of a node.
#[derive(Default)]
struct Samples {
    before: Option<Arc<Sample>>,
    last: Option<Arc<Sample>>,
    /// When the last was taken, by this server's clock.
    taken: Option<Timestamp>,
}

/// What has to be done before an answer.
#[derive(Debug, PartialEq)]
enum Need {
    Nothing,
    One,
    Two,
}

impl Samples {
    fn need(&self, now: Timestamp) -> Need {
        let age = self.taken.map(|taken| now.duration_since(taken));
        match age {
            // A clock that was set back makes a sample of the future.
            Some(age) if age < SignedDuration::ZERO => Need::Two,
            Some(age) if age < FRESH && self.before.is_some() => Need::Nothing,
            Some(age) if age < STALE => Need::One,
            _ => Need::Two,
        }
    }

    fn push(&mut self, sample: Sample, now: Timestamp) {
        self.before = self.last.replace(Arc::new(sample));
        self.taken = Some(now);
    }
}

/// One place for each node, so that questions at the same time ask it once.
type Places = BTreeMap<String, Arc<tokio::sync::Mutex<Samples>>>;

/// The two samples of a node, older first.
type Pair = (Arc<Sample>, Arc<Sample>);

/// See the module.
#[derive(Default)]
pub struct Collector(Mutex<Places>);

impl Collector {
    /// The samples of these nodes; those that do not answer are left out.
    async fn collect(&self, server: &ApiServer, view: &View, names: Vec<String>) -> BTreeMap<String, Pair> {
        self.0.lock().retain(|name, _| view.get("", "nodes", "", name).is_some());
        let asked = names.into_iter().map(|name| async move {
            let node = view.get("", "nodes", "", &name)?;
            let pair = self.of_node(server, &name, &node).await;
            let pair = pair.inspect_err(|why| tracing::debug!(node = name, %why, "no metrics")).ok()??;
            Some((name, pair))
        });
        futures::stream::iter(asked).buffer_unordered(AT_ONCE).filter_map(async |found| found).collect().await
    }

    async fn of_node(&self, server: &ApiServer, name: &str, node: &Stored) -> Result<Option<Pair>, String> {
        let place = self.0.lock().entry(name.to_owned()).or_default().clone();
        let mut samples = place.lock().await;
        let clock = &server.edge().clock;
        let tree = Arc::new(node.tree());
        let need = samples.need(clock.now());
        if need == Need::Two {
            samples.push(ask(server, name, tree.clone()).await?, clock.now());
            tokio::time::sleep(MOMENT).await;
        }
        if need != Need::Nothing {
            samples.push(ask(server, name, tree).await?, clock.now());
        }
        Ok(samples.before.clone().zip(samples.last.clone()))
    }
}

async fn ask(server: &ApiServer, name: &str, node: Arc<Value>) -> Result<Sample, String> {
    let page = tokio::time::timeout(PATIENCE, server.ask_node(name, node, PAGE));
    let page = page.await.map_err(|_| "it did not answer in time".to_owned())??;
    Ok(Sample::read(&String::from_utf8_lossy(&page), server.edge().clock.now()))
}

/// NodeMetrics.
pub struct NodeMetrics(pub Arc<Collector>);

/// PodMetrics.
pub struct PodMetrics(pub Arc<Collector>);

#[async_trait]
impl Handler for NodeMetrics {
    fn is_tabular(&self) -> bool {
        true
    }

    async fn call(&self, call: Call<'_>) -> Result<Answer, Status> {
        let nodes = chosen(&call, "nodes")?;
        let names = nodes.iter().map(|node| node.name().to_owned()).collect();
        let pairs = self.0.collect(call.server, &call.view, names).await;
        let now = call.edge.clock.now();
        let of_node = |node: &Stored| {
            let (before, after) = pairs.get(node.name())?;
            Some(with_metadata(samples::node(before, after)?, node, now))
        };
        answer(&call, nodes.iter().filter_map(of_node).collect(), "nodemetrics", call.name)
    }
}

#[async_trait]
impl Handler for PodMetrics {
    fn is_tabular(&self) -> bool {
        true
    }

    async fn call(&self, call: Call<'_>) -> Result<Answer, Status> {
        let pods = chosen(&call, "pods")?;
        let node_of = |pod: &Stored| pod.field("spec.nodeName").unwrap_or("").to_owned();
        let mut names: Vec<String> = pods.iter().map(node_of).filter(|name| !name.is_empty()).collect();
        names.sort_unstable();
        names.dedup();
        let pairs = self.0.collect(call.server, &call.view, names).await;
        let now = call.edge.clock.now();
        let of_pod = |pod: &Stored| {
            let (before, after) = pairs.get(&node_of(pod))?;
            Some(with_metadata(samples::pod(before, after, pod.namespace(), pod.name())?, pod, now))
        };
        let name = format!("{}/{}", call.namespace, call.name);
        answer(&call, pods.iter().filter_map(of_pod).collect(), "podmetrics", &name)
    }
}

/// The objects whose usage is asked for.
fn chosen(call: &Call<'_>, resource: &str) -> Result<Vec<Stored>, Status> {
    if call.verb == "get" {
        let found = call.view.get("", resource, call.namespace, call.name);
        let missing = || Status::not_found(GroupResource { group: "", resource }, call.name);
        return found.map(|found| vec![found]).ok_or_else(missing);
    }
    let all = call.view.list("", resource, call.namespace);
    Ok(all
        .filter(|object| {
            call.labels.matches(object.header())
                && call.fields.matches(|field| match field {
                    "metadata.name" => object.name(),
                    "metadata.namespace" => object.namespace(),
                    _ => "",
                })
        })
        .collect())
}

fn with_metadata(mut usage: Value, of: &Stored, now: Timestamp) -> Value {
    let mut metadata = value!({"name": (of.name()), "creationTimestamp": (time::format(now))});
    if !of.namespace().is_empty() {
        metadata.set("namespace", of.namespace());
    }
    let labels = of.tree()["metadata"]["labels"].clone();
    if !labels.is_null() {
        metadata.set("labels", labels);
    }
    usage.set("metadata", metadata);
    usage
}

/// The only object, or the list of all. `resource` and `name` are what
/// metrics-server calls a missing one.
fn answer(call: &Call<'_>, items: Vec<Value>, resource: &str, name: &str) -> Result<Answer, Status> {
    let api_version = format!("{GROUP}/{VERSION}");
    if call.verb != "get" {
        return Ok(Answer::ok(value!({
            "kind": (&*call.definition.list_kind), "apiVersion": api_version,
            "metadata": {}, "items": (Value::from(items))
        })));
    }
    let found = items.into_iter().next();
    let mut object =
        found.ok_or_else(|| Status::not_found(GroupResource { group: GROUP, resource }, name))?;
    object.set("kind", &*call.definition.kind);
    object.set("apiVersion", api_version);
    Ok(Answer::ok(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_asked_when_what_is_known_is_old() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let mut samples = Samples::default();
        assert_eq!(samples.need(at(100)), Need::Two);
        samples.push(Sample::default(), at(100));
        assert_eq!(samples.need(at(101)), Need::One, "one sample tells no rate");
        samples.push(Sample::default(), at(101));
        for (now, expected) in
            [(105, Need::Nothing), (112, Need::One), (160, Need::One), (161, Need::Two), (50, Need::Two)]
        {
            assert_eq!(samples.need(at(now)), expected, "at {now}");
        }
    }
}
