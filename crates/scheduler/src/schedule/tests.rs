//! Decisions of the whole default profile.

use serde_json::json;

use super::*;
use crate::testing::{cluster, decide, node, place, pod, sized};

#[test]
fn a_cluster_without_nodes_says_so() {
    let error = decide(&cluster([]), &pod("p", json!({}))).unwrap_err();
    assert_eq!(error.to_string(), "no nodes available to schedule pods");
}

#[test]
fn the_emptiest_node_is_chosen() {
    let mut cluster = cluster([node("a", json!({})), node("b", json!({})), node("c", json!({}))]);
    place(&mut cluster, &sized("one", "1", "2Gi"), "a");
    place(&mut cluster, &sized("two", "500m", "1Gi"), "c");
    assert_eq!(decide(&cluster, &sized("p", "1", "2Gi")), Ok("b".into()));
}

#[test]
fn equals_are_chosen_by_chance() {
    let cluster = cluster([node("a", json!({})), node("b", json!({})), node("c", json!({}))]);
    let framework = Framework::default_profile();
    let chosen: Vec<String> = (0..4)
        .map(|tie| {
            let choice = Choice { tie, ..Choice::default() };
            schedule(&framework, &cluster, &pod("p", json!({})), choice).unwrap().node
        })
        .collect();
    assert_eq!(chosen, ["a", "b", "c", "a"]);
}

#[test]
fn a_refusal_names_every_reason() {
    let mut cluster = cluster([
        node("a", json!({"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}})),
        node("b", json!({})),
        node("c", json!({})),
    ]);
    place(&mut cluster, &sized("one", "3", "1Gi"), "b");
    place(&mut cluster, &sized("two", "3", "7Gi"), "c");
    let error = decide(&cluster, &sized("p", "2", "2Gi")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "0/3 nodes are available: 1 Insufficient memory, 1 node(s) had untolerated taint(s), 2 Insufficient cpu."
    );
    assert_eq!(error.plugins, ["NodeResourcesFit", "TaintToleration"].into());
    assert_eq!(error.resolvable.len(), 2);
}

#[test]
fn a_daemon_pod_asks_its_own_node_only() {
    let nodes = ["a", "b", "c"].map(|name| node(name, json!({"status": {"allocatable": {"cpu": "1"}}})));
    let daemon = |name: &str, cpu: &str| {
        let mut pod = sized("p", cpu, "1Gi");
        let affinity = json!({"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]}]}}}}});
        pod.wishes = crate::testing::pod("p", affinity).wishes;
        pod
    };
    let cluster = cluster(nodes);
    let framework = Framework::default_profile();
    let decision = schedule(&framework, &cluster, &daemon("b", "1"), Choice::default()).unwrap();
    assert_eq!((decision.node.as_str(), decision.evaluated), ("b", 1));
    assert_eq!(
        decide(&cluster, &daemon("b", "2")).unwrap_err().to_string(),
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]."
    );
    assert_eq!(
        decide(&cluster, &daemon("gone", "1")).unwrap_err().to_string(),
        "0/3 nodes are available: 3 node(s) didn't satisfy plugin(s) [NodeAffinity]."
    );
}

#[test]
fn room_that_was_made_is_kept_for_whom_it_was_made() {
    let mut cluster = cluster([node("a", json!({}))]);
    let mut important = sized("important", "4", "1Gi");
    important.priority = 10;
    cluster.nominate(&important, "a");
    let error = decide(&cluster, &sized("other", "1", "1Gi")).unwrap_err();
    assert_eq!(error.to_string(), "0/1 nodes are available: 1 Insufficient cpu.");
    let mut more_important = sized("more", "4", "1Gi");
    more_important.priority = 11;
    assert_eq!(decide(&cluster, &more_important), Ok("a".into()));
    assert_eq!(decide(&cluster, &important), Ok("a".into()));
}

#[test]
fn the_nominated_node_goes_first() {
    let mut cluster = cluster([node("a", json!({})), node("b", json!({}))]);
    place(&mut cluster, &sized("one", "2", "1Gi"), "b");
    let nominated = pod("p", json!({"status": {"nominatedNodeName": "b"}}));
    assert_eq!(decide(&cluster, &nominated), Ok("b".into()));
}

#[test]
fn full_nodes_are_not_visited() {
    let mut cluster = cluster((0..50).map(|at| node(&format!("n{at}"), json!({}))));
    for at in 0..50 {
        if at != 33 {
            place(&mut cluster, &sized(&format!("p{at}"), "4", "1Gi"), &format!("n{at}"));
        }
    }
    let framework = Framework::default_profile();
    let decision = schedule(&framework, &cluster, &sized("p", "1", "1Gi"), Choice::default()).unwrap();
    assert_eq!((decision.node.as_str(), decision.evaluated, decision.feasible), ("n33", 1, 1));
}

#[test]
fn large_clusters_are_sampled_in_turn() {
    assert_eq!(
        [1, 99, 100, 1000, 5000, 7000].map(enough),
        [1, 99, 100, 420, 500, 350],
        "kube-scheduler's percentageOfNodesToScore"
    );
    let cluster = cluster((0..1000).map(|at| node(&format!("n{at:04}"), json!({}))));
    let framework = Framework::default_profile();
    let mut choice = Choice::default();
    let mut starts = Vec::new();
    for _ in 0..4 {
        let decision = schedule(&framework, &cluster, &pod("p", json!({})), choice).unwrap();
        assert_eq!((decision.evaluated, decision.feasible), (420, 420));
        choice.start = decision.next;
        starts.push(decision.next.0);
    }
    assert_eq!(starts, [420, 840, 260, 680]);
}

/// The indexes hide no node that fits: the decision with them and the word of
/// every filter for itself agree, on clusters and pods drawn at random.
#[test]
fn indexes_and_filters_agree() {
    use edge::{Random, SeededRandom};
    let framework = Framework::default_profile();
    for seed in 0..200 {
        let random = SeededRandom::new(seed);
        let mut cluster = cluster((0..8).map(|at| {
            let effect = ["NoSchedule", "NoExecute", "PreferNoSchedule"][random.below(3) as usize];
            let taints = match random.below(3) {
                0 => json!([{"key": "k", "effect": effect}]),
                _ => json!([]),
            };
            node(
                &format!("n{at}"),
                json!({
                    "metadata": {"labels": {"zone": format!("z{}", random.below(3))}},
                    "spec": {"taints": taints, "unschedulable": random.below(8) == 0},
                    "status": {"allocatable": {"cpu": random.below(5).to_string(), "pods": (1 + random.below(4)).to_string()}}
                }),
            )
        }));
        for at in 0..12 {
            let sized = sized(&format!("p{at}"), &format!("{}m", random.below(1500)), "1Gi");
            place(&mut cluster, &sized, &format!("n{}", random.below(8)));
        }
        let mut pod = sized("p", &format!("{}m", random.below(3000)), "1Gi");
        let wish = match random.below(4) {
            0 => json!({"spec": {"nodeSelector": {"zone": "z1"}}}),
            1 => json!({"spec": {"tolerations": [{"operator": "Exists", "effect": "NoExecute"}]}}),
            2 => json!({"spec": {"tolerations": [{"operator": "Exists"}]}}),
            _ => json!({}),
        };
        pod.wishes = crate::testing::pod("p", wish).wishes;
        let fitting: Vec<&str> = cluster
            .nodes()
            .filter(|(index, _)| fits(&framework, &cluster, &pod, *index).is_ok())
            .map(|(_, node)| node.name())
            .collect();
        match schedule(&framework, &cluster, &pod, Choice::default()) {
            Ok(decision) => {
                assert_eq!(decision.feasible, fitting.len(), "seed {seed}");
                assert!(fitting.contains(&decision.node.as_str()), "seed {seed}");
            }
            Err(_) => assert!(fitting.is_empty(), "seed {seed}: {fitting:?} fit"),
        }
    }
}
