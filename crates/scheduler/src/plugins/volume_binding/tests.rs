//! Table tests of what is chosen on which node.

use apimachinery::{Value, value, yaml};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use serde_json::json;

use super::bind::{bound, sent_to, tied};
use super::*;
use crate::testing::{cluster, decide, filtered, node, pod};

fn read(text: &str) -> Value {
    serde_json::from_slice(&yaml::to_json(text.as_bytes()).unwrap().json).unwrap()
}

/// `SIZE`, and of a claim `class`, `node` (selected), `volume`, `bound`.
fn claim(name: &str, told: &Value) -> PersistentVolumeClaim {
    let mut tree = value!({
        "metadata": {"name": name, "namespace": "default", "uid": name, "annotations": {}},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": (told["class"].as_str().unwrap_or("late")),
            "resources": {"requests": {"storage": (told["size"].as_str().unwrap_or("1Gi"))}}
        }
    });
    if let Some(node) = told["node"].as_str() {
        tree.set_at(&["metadata", "annotations", facts::SELECTED_NODE], node);
    }
    if let Some(volume) = told["volume"].as_str() {
        tree.set_at(&["spec", "volumeName"], volume);
        if !told["prebound"].is_true() {
            tree.set_at(&["metadata", "annotations", "pv.kubernetes.io/bind-completed"], "yes");
        }
    }
    tree.decode().unwrap()
}

/// `at` (the only node that can mount it), `size`, `class`, `claim` (which it is tied to), `phase`.
fn volume(name: &str, told: &Value) -> PersistentVolume {
    let mut tree = value!({
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": (told["class"].as_str().unwrap_or("late")),
            "capacity": {"storage": (told["size"].as_str().unwrap_or("1Gi"))}
        },
        "status": {"phase": (told["phase"].as_str().unwrap_or("Available"))}
    });
    if let Some(node) = told["at"].as_str() {
        let terms = value!([{"matchExpressions": [
            {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
        ]}]);
        tree.set_at(&["spec", "nodeAffinity", "required", "nodeSelectorTerms"], terms);
    }
    if let Some(claim) = told["claim"].as_str() {
        tree.set_at(&["spec", "claimRef"], value!({"namespace": "default", "name": claim}));
    }
    tree.decode().unwrap()
}

/// Nodes `a` and `b`, and the classes `late` (volumes by hand), `made` (a
/// provisioner), `made-on-b` (one that reaches b alone) and `now`.
fn observe(case: &Value) -> (Cluster, PodInfo) {
    let mut cluster = cluster([node("a", json!({})), node("b", json!({}))]);
    let mode = "WaitForFirstConsumer";
    let topology = json!([{"matchLabelExpressions": [{"key": "kubernetes.io/hostname", "values": ["b"]}]}]);
    for (name, class) in [
        ("late", json!({"provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": mode})),
        ("made", json!({"provisioner": "x.example.com", "volumeBindingMode": mode})),
        (
            "made-on-b",
            json!({"provisioner": "x.example.com", "volumeBindingMode": mode, "allowedTopologies": topology}),
        ),
        ("now", json!({"provisioner": "x.example.com", "volumeBindingMode": "Immediate"})),
    ] {
        let mut class = class;
        class["metadata"] = json!({"name": name});
        cluster.put_class(name, Some(Arc::new(Class::of(serde_json::from_value(class).unwrap()))));
    }
    for (name, told) in case["claims"].members() {
        cluster.put_claim("default", name, Some(Arc::new(Claim::of(claim(name, told)))));
    }
    for (name, told) in case["volumes"].members() {
        cluster.put_volume(name, Some(Arc::new(Volume::of(volume(name, told)))));
    }
    let volumes: Vec<_> = case["claims"]
        .members()
        .map(|(name, _)| json!({"name": name, "persistentVolumeClaim": {"claimName": name}}))
        .collect();
    (cluster, pod("p", json!({"spec": {"volumes": volumes}})))
}

/// For each node what the claims would get: `CLAIM=VOLUME`, `CLAIM made`, or why there is nothing.
const CASES: &str = r#"
- what: a volume that one node can mount
  claims: {c: {}}
  volumes: {v: {at: a}}
  a: [c=v]
  b: none left
- what: the smallest that is large enough
  claims: {c: {size: 2Gi}}
  volumes: {tiny: {size: 1Gi}, huge: {size: 9Gi}, right: {size: 2Gi}}
  a: [c=right]
  b: [c=right]
- what: another class does not do
  claims: {c: {}}
  volumes: {v: {class: other}}
  a: none left
  b: none left
- what: what is not available does not do
  claims: {c: {}}
  volumes: {v: {phase: Released}}
  a: none left
  b: none left
- what: two claims get two volumes, the smaller one first
  claims: {big: {size: 2Gi}, small: {size: 1Gi}}
  volumes: {v1: {size: 1Gi, at: a}, v2: {size: 2Gi, at: a}, v3: {size: 5Gi, at: b}}
  a: [small=v1, big=v2]
  b: none left
- what: a volume that is kept for the claim wins
  claims: {c: {}}
  volumes: {kept: {size: 9Gi, claim: c, at: b}, v: {at: a}}
  a: none left
  b: [c=kept]
- what: a volume that is kept for another is not to be had
  claims: {c: {}}
  volumes: {kept: {claim: other}}
  a: none left
  b: none left
- what: a volume can be made anywhere
  claims: {c: {class: made}}
  a: [c made]
  b: [c made]
- what: or where its class reaches
  claims: {c: {class: made-on-b}}
  a: none left
  b: [c made]
- what: what is there is used before anything is made
  claims: {c: {class: made}}
  volumes: {v: {class: made, at: a}}
  a: [c=v]
  b: [c made]
- what: a volume is being made for a node
  claims: {c: {class: made, node: b}}
  volumes: {v: {class: made, at: a}}
  a: none left
  b: [c made]
- what: one bound, one late
  claims: {c: {volume: v}, d: {}}
  volumes: {v: {at: b, phase: Bound}, w: {}}
  a: elsewhere
  b: [d=w]
"#;

#[test]
fn each_node_offers_what_it_can_mount() {
    for case in read(CASES).items() {
        let what = case["what"].text();
        let (cluster, pod) = observe(case);
        let plugin = VolumeBinding::default();
        let cycle = Cycle { pod: &pod, cluster: &cluster };
        let needs = plugin.needs(cycle).unwrap();
        let answers = filtered(&plugin, &cluster, &pod);
        for (name, answer) in ["a", "b"].into_iter().zip(answers) {
            let node = cluster.node(cluster.find(name).unwrap());
            match case[name].as_str() {
                Some("none left") => assert_eq!(answer, format!("!{NONE_LEFT}"), "{what} on {name}"),
                Some(_) => assert_eq!(answer, format!("!{ELSEWHERE}"), "{what} on {name}"),
                None => {
                    assert_eq!(answer, "ok", "{what} on {name}");
                    let chosen = needs.choose(node).unwrap();
                    let matched = chosen.matched.iter().map(|(claim, volume)| format!("{claim}={volume}"));
                    let shown: Vec<_> =
                        matched.chain(chosen.made.iter().map(|claim| format!("{claim} made"))).collect();
                    let expected: Vec<_> = case[name].items().iter().map(|text| text.text()).collect();
                    assert_eq!(shown, expected, "{what} on {name}");
                }
            }
        }
    }
}

/// Why no node can do.
const REFUSALS: &str = r#"
- {claims: {c: {class: now}}, why: pod has unbound immediate PersistentVolumeClaims}
- {claims: {c: {class: unknown}}, why: pod has unbound immediate PersistentVolumeClaims}
- {claims: {c: {volume: v, prebound: true}}, why: pod has unbound immediate PersistentVolumeClaims}
"#;

#[test]
fn a_pod_waits_for_claims_that_do_not_wait_for_it() {
    for case in read(REFUSALS).items() {
        let (cluster, pod) = observe(case);
        let refused = decide(&cluster, &pod).unwrap_err().to_string();
        assert_eq!(refused, format!("0/2 nodes are available: {}.", case["why"].text()));
    }
    let (mut cluster, pod) = observe(&value!({"claims": {"c": {}}}));
    let refused = |cluster: &Cluster| decide(cluster, &pod).unwrap_err().to_string();
    let going = Claim { terminating: true, ..Claim::default() };
    cluster.put_claim("default", "c", Some(Arc::new(going)));
    assert_eq!(refused(&cluster), "0/2 nodes are available: persistentvolumeclaim \"c\" is being deleted.");
    cluster.put_claim("default", "c", None);
    assert_eq!(refused(&cluster), "0/2 nodes are available: persistentvolumeclaim \"c\" not found.");
    let lost = Claim { volume: Some("gone".into()), ..Claim::default() };
    cluster.put_claim("default", "c", Some(Arc::new(lost)));
    assert_eq!(filtered(&VolumeBinding::default(), &cluster, &pod), [format!("!{GONE}"), format!("!{GONE}")]);
}

#[test]
fn what_is_chosen_for_one_pod_is_kept_from_others() {
    let (mut cluster, first) = observe(&read("{claims: {c: {}}, volumes: {v: {at: a}, w: {at: b}}}"));
    let plugin = VolumeBinding::default();
    let on = |cluster: &Cluster, name: &str| cluster.node(cluster.find(name).unwrap()).clone();
    plugin.reserve(Cycle { pod: &first, cluster: &cluster }, &on(&cluster, "a")).unwrap();

    cluster.put_claim("default", "d", Some(Arc::new(Claim::of(claim("d", &Value::Null)))));
    let uses = |name: &str, claim: &str| {
        pod(
            name,
            json!({"spec": {"volumes": [{"name": "x", "persistentVolumeClaim": {"claimName": claim}}]}}),
        )
    };
    let none = format!("!{NONE_LEFT}");
    assert_eq!(filtered(&plugin, &cluster, &uses("q", "d")), [none.clone(), "ok".into()], "v is taken");
    assert_eq!(filtered(&plugin, &cluster, &uses("r", "c")), ["ok".to_owned(), none.clone()], "c gets v");
    plugin.unreserve(&first, "a");
    assert_eq!(filtered(&plugin, &cluster, &uses("q", "d")), ["ok", "ok"]);

    // Until the cluster shows that the claim is bound, its volume stays taken.
    plugin.reserve(Cycle { pod: &first, cluster: &cluster }, &on(&cluster, "a")).unwrap();
    plugin.chosen.lock().get_mut("p").unwrap().told = true;
    assert_eq!(filtered(&plugin, &cluster, &uses("q", "d")), [none, "ok".into()]);
    cluster.put_claim("default", "c", Some(Arc::new(Claim::of(claim("c", &value!({"volume": "v"}))))));
    cluster.put_volume("v", Some(Arc::new(Volume::of(volume("v", &value!({"at": "a", "phase": "Bound"}))))));
    assert_eq!(filtered(&plugin, &cluster, &uses("q", "d")).len(), 2);
    assert!(plugin.chosen.lock().is_empty());
}

#[test]
fn a_volume_is_tied_to_its_claim_once() {
    let claim = claim("c", &Value::Null);
    let tied_now = tied(volume("v", &Value::Null), &claim).unwrap().unwrap();
    let reference = tied_now.spec.as_ref().unwrap().claim_ref.clone().unwrap();
    assert_eq!((reference.name.as_deref(), reference.uid.as_deref()), (Some("c"), Some("c")));
    assert_eq!(
        tied_now.metadata.annotations.as_ref().unwrap()["pv.kubernetes.io/bound-by-controller"],
        "yes"
    );
    assert_eq!(tied(tied_now.clone(), &claim), Ok(None));
    let kept = tied(volume("v", &value!({"claim": "c"})), &claim).unwrap().unwrap();
    assert!(kept.metadata.annotations.is_none(), "somebody kept it by hand");
    assert!(tied(volume("v", &value!({"claim": "other"})), &claim).is_err());
}

#[test]
fn waiting_ends_when_a_claim_is_bound_or_given_up() {
    let free = claim("c", &Value::Null);
    assert_eq!(bound(Some(&free), None), None);
    assert_eq!(bound(Some(&claim("c", &value!({"volume": "v"}))), None), Some(Ok(())));
    assert!(bound(None, None).unwrap().is_err());
    let sent = sent_to(free.clone(), "a").unwrap().unwrap();
    assert_eq!((sent_to(sent.clone(), "a"), sent_to(sent.clone(), "b").is_err()), (Ok(None), true));
    assert_eq!(bound(Some(&sent), Some("a")), None);
    let given_up = bound(Some(&free), Some("a")).unwrap();
    assert_eq!(given_up, Err("provisioning failed for PVC \"c\"".to_owned()));
}
