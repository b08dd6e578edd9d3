//! Pods and nodes for the tables of the tests, read as from the API.

use std::sync::Arc;

use client::Document;
use informer::Projection;
use serde_json::{Value, json};

use crate::cluster::{Cluster, NodeFacts};
use crate::framework::{Cycle, Filter, MAX_NODE_SCORE, Plugin, Prepared};
use crate::{Choice, FitError, Framework, PodInfo, schedule};

/// Puts `more` over `base`, object by object.
fn merge(base: &mut Value, more: Value) {
    match (base, more) {
        (Value::Object(base), Value::Object(more)) => {
            for (key, value) in more {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, more) => *base = more,
    }
}

fn document(tree: &Value) -> Document {
    Document::new(serde_json::to_vec(tree).expect("a tree can be written").into(), 1)
}

/// A pod `default/NAME` whose uid is its name.
pub fn pod(name: &str, more: Value) -> PodInfo {
    let mut tree = json!({
        "metadata": {"name": name, "namespace": "default", "uid": name},
        "spec": {"containers": [{"name": "c", "image": "app"}]}
    });
    merge(&mut tree, more);
    PodInfo::project(&document(&tree)).expect("the test writes a pod")
}

/// A pod that requests CPU and memory.
pub fn sized(name: &str, cpu: &str, memory: &str) -> PodInfo {
    pod(
        name,
        json!({"spec": {"containers": [
            {"name": "c", "image": "app", "resources": {"requests": {"cpu": cpu, "memory": memory}}}
        ]}}),
    )
}

/// A node with 4 cores, 8 GiB and place for 110 pods.
pub fn node(name: &str, more: Value) -> Arc<NodeFacts> {
    let mut tree = json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}}
    });
    merge(&mut tree, more);
    Arc::new(NodeFacts::project(&document(&tree)).expect("the test writes a node"))
}

pub fn cluster(nodes: impl IntoIterator<Item = Arc<NodeFacts>>) -> Cluster {
    let mut cluster = Cluster::default();
    nodes.into_iter().for_each(|node| cluster.put_node(node));
    cluster
}

/// Puts a pod on a node.
pub fn place(cluster: &mut Cluster, pod: &PodInfo, node: &str) {
    cluster.put_pod(&Arc::new(pod.on_node(node)));
}

/// Decides with the default profile, from the first node on.
pub fn decide(cluster: &Cluster, pod: &PodInfo) -> Result<String, Box<FitError>> {
    schedule(&Framework::default_profile(), cluster, pod, Choice::default()).map(|decision| decision.node)
}

/// For each node in order of name, whether `plugin` lets the pod run there:
/// `ok`, or its reasons, with `!` before what eviction cannot mend.
pub fn filtered(plugin: &dyn Plugin, cluster: &Cluster, pod: &PodInfo) -> Vec<String> {
    let mut nodes: Vec<_> = cluster.nodes().collect();
    nodes.sort_by_key(|(_, node)| node.name().to_owned());
    let pre_filter = plugin.as_pre_filter().expect("the plugin filters");
    let ask = |filter: &dyn Filter| {
        let mut narrowed = cluster.all().clone();
        filter.narrow(cluster, &mut narrowed);
        nodes
            .iter()
            .map(|(index, node)| match filter.filter(node) {
                Ok(()) => {
                    assert!(narrowed.contains(*index), "an index hides {}, which fits", node.name());
                    "ok".to_owned()
                }
                Err(rejection) => {
                    let mark = if rejection.resolvable { "" } else { "!" };
                    format!("{mark}{}", rejection.reasons.join(", "))
                }
            })
            .collect()
    };
    match pre_filter.pre_filter(Cycle { pod, cluster }) {
        Prepared::Skip => nodes.iter().map(|_| "ok".to_owned()).collect(),
        Prepared::Filter(filter) => ask(&*filter),
        Prepared::Only(only, filter) => {
            let mut all: Vec<String> = ask(&*filter);
            for (answer, (index, _)) in all.iter_mut().zip(&nodes) {
                if !only.contains(index) {
                    *answer = "left out".to_owned();
                }
            }
            all
        }
        Prepared::Reject(rejection) => nodes.iter().map(|_| rejection.reasons.join(", ")).collect(),
    }
}

/// The normalized score of each node in order of name; empty where the plugin
/// finds them all alike.
pub fn scored(plugin: &dyn Plugin, cluster: &Cluster, pod: &PodInfo) -> Vec<i64> {
    let mut nodes: Vec<_> = cluster.nodes().collect();
    nodes.sort_by_key(|(_, node)| node.name().to_owned());
    let indexes: Vec<_> = nodes.iter().map(|(index, _)| *index).collect();
    let pre_score = plugin.as_pre_score().expect("the plugin scores");
    let Some(score) = pre_score.pre_score(Cycle { pod, cluster }, &indexes) else { return Vec::new() };
    let mut scores: Vec<i64> = nodes.iter().map(|(_, node)| score.score(node)).collect();
    score.normalize(&mut scores);
    assert!(scores.iter().all(|score| (0..=MAX_NODE_SCORE).contains(score)), "{scores:?}");
    scores
}
