//! The scheduler's decision alone: 5,000 nodes, 10,000 basic pods, one thread.

use std::sync::Arc;

use client::Document;
use edge::{Random, SeededRandom};
use informer::Projection;
use scheduler::cluster::{Cluster, NodeFacts, NodeIndex};
use scheduler::{Choice, Framework, PodInfo, schedule};

use crate::process::thread_cpu_seconds;
use crate::report::Report;

const NODES: usize = 5000;
const PODS: usize = 10_000;

pub fn measure(report: &mut Report) {
    let mut cluster = nodes();
    let template = pod();
    let framework = Framework::default_profile();
    let random = SeededRandom::new(1);
    let mut start = NodeIndex(0);
    // Of this thread alone: what else the machine does is not counted.
    let began = thread_cpu_seconds();
    for at in 0..PODS {
        let pod = PodInfo { name: format!("pod-{at}"), uid: format!("uid-{at}"), ..template.clone() };
        let choice = Choice { start, tie: random.next_u64() };
        let decision = schedule(&framework, &cluster, &pod, choice).expect("there is room for all");
        start = decision.next;
        cluster.assume(&pod, &decision.node);
    }
    let each = (thread_cpu_seconds() - began) * 1e6 / PODS as f64;
    // What Kubernetes took is a whole pod's, API and binding counted: 191 pods/s.
    report.add("scheduling decision, 5,000 nodes, CPU", each, "µs", 200.0, 1e6 / 191.0);
}

fn nodes() -> Cluster {
    let mut cluster = Cluster::default();
    for at in 0..NODES {
        let text = format!(
            r#"{{"metadata":{{"name":"node-{at}","labels":{{"kubernetes.io/hostname":"node-{at}","topology.kubernetes.io/zone":"zone-{}"}}}},
                "status":{{"allocatable":{{"cpu":"4","memory":"32Gi","pods":"110"}}}}}}"#,
            at % 3
        );
        let facts = NodeFacts::project(&Document::new(text.into(), 1)).expect("the node is well formed");
        cluster.put_node(Arc::new(facts));
    }
    cluster
}

fn pod() -> PodInfo {
    let text = r#"{"metadata":{"name":"pod","namespace":"default","uid":"u","labels":{"app":"web"}},
        "spec":{"containers":[{"name":"c","image":"pause","resources":{"requests":{"cpu":"100m","memory":"500Mi"}}}],
                "tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300},
                               {"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}]}}"#;
    PodInfo::project(&Document::new(text.to_owned().into(), 1)).expect("the pod is well formed")
}
