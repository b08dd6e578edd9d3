//! Measures the decision alone: 5,000 nodes, 10,000 basic pods, one thread.
//!
//! `cargo run --release -p scheduler --example decisions_per_second [NODES] [PODS]`
#![allow(clippy::disallowed_methods)] // it measures real time

use std::sync::Arc;
use std::time::Instant;

use client::Document;
use edge::{Random, SeededRandom};
use informer::Projection;
use scheduler::cluster::{Cluster, NodeFacts, NodeIndex};
use scheduler::{Choice, Framework, PodInfo, schedule};

fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<usize>().expect("a number"));
    let nodes = numbers.next().unwrap_or(5000);
    let pods = numbers.next().unwrap_or(10_000);
    let mut cluster = Cluster::default();
    for at in 0..nodes {
        let text = format!(
            r#"{{"metadata":{{"name":"node-{at}","labels":{{"kubernetes.io/hostname":"node-{at}","topology.kubernetes.io/zone":"zone-{}"}}}},
                "status":{{"allocatable":{{"cpu":"4","memory":"32Gi","pods":"110"}}}}}}"#,
            at % 3
        );
        let facts = NodeFacts::project(&Document::new(text.into(), 1)).expect("the node is well formed");
        cluster.put_node(Arc::new(facts));
    }
    let text = r#"{"metadata":{"name":"pod","namespace":"default","uid":"u","labels":{"app":"web"}},
        "spec":{"containers":[{"name":"c","image":"pause","resources":{"requests":{"cpu":"100m","memory":"500Mi"}}}],
                "tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300},
                               {"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}]}}"#;
    let template =
        PodInfo::project(&Document::new(text.to_owned().into(), 1)).expect("the pod is well formed");
    let framework = Framework::default_profile();
    let random = SeededRandom::new(1);
    let mut start = NodeIndex(0);
    let mut evaluated = 0;
    let began = Instant::now();
    for at in 0..pods {
        let pod = PodInfo { name: format!("pod-{at}"), uid: format!("uid-{at}"), ..template.clone() };
        let choice = Choice { start, tie: random.next_u64() };
        match schedule(&framework, &cluster, &pod, choice) {
            Ok(decision) => {
                start = decision.next;
                evaluated += decision.evaluated;
                cluster.assume(&pod, &decision.node);
            }
            Err(error) => println!("pod-{at}: {error}"),
        }
    }
    let took = began.elapsed();
    println!(
        "{nodes} nodes, {pods} pods: {:.0} decisions/s, {:.1} µs and {:.0} nodes looked at each",
        pods as f64 / took.as_secs_f64(),
        took.as_micros() as f64 / pods as f64,
        evaluated as f64 / pods as f64
    );
}
