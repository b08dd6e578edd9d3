//! Table tests of evictions and of what rules say, in YAML.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::{Value, yaml};
use informer::{ObjectKey, Whole};
use jiff::Timestamp;
use k8s_openapi::api::resource::v1::{DeviceTaintRule, ResourceClaim, ResourceSlice};

use super::plan::{Effects, Observed, Reason, Told, effects, pause, tell};
use crate::pods::PodView;

fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

fn read(text: &str) -> Value {
    serde_json::from_slice(&yaml::to_json(text.as_bytes()).unwrap().json).unwrap()
}

fn claim(value: &Value) -> Arc<Whole<ResourceClaim>> {
    Arc::new(Whole(value.clone().decode().unwrap()))
}

fn rule(value: &Value) -> DeviceTaintRule {
    value.clone().decode().unwrap()
}

fn observe(value: &Value) -> Observed {
    let claims = value["claims"].items().iter().map(claim);
    let slices = value["slices"].items().iter();
    let slices = slices.map(|slice| Arc::new(Whole(slice.clone().decode::<ResourceSlice>().unwrap())));
    let rules = value["rules"].items().iter().map(|value| Arc::new(Whole(rule(value))));
    Observed {
        claims: claims.map(|claim| (ObjectKey::of(&claim.metadata), claim)).collect(),
        slices: slices.collect(),
        rules: rules.collect(),
    }
}

fn pod(value: &Value) -> Arc<PodView> {
    Arc::new(PodView::of(value.clone().decode().unwrap()))
}

/// `TIME: REASONS` or nothing.
fn shown(observed: &Observed, pod: &PodView) -> String {
    let Some(eviction) = observed.of_pod(pod) else { return String::new() };
    let reasons: Vec<_> = eviction
        .reasons
        .iter()
        .map(|reason| match reason {
            Reason::Rule { name, .. } => format!("rule {name}"),
            Reason::Slice { driver, pool, device, taint } => format!("{driver}/{pool}/{device}#{taint}"),
        })
        .collect();
    format!("{}: {}", eviction.at, reasons.join(", "))
}

const POD: &str = "
metadata: {name: p, namespace: ns, uid: u}
spec:
  nodeName: n1
  containers: []
  resourceClaims: [{name: gpu, resourceClaimName: c}]
";

/// A claim with device `d` of pool `p`, reserved for the pod.
const CLAIM: &str = "
metadata: {name: c, namespace: ns}
status:
  reservedFor: [{resource: pods, name: p, uid: u}]
  allocation: {devices: {results: [{request: r, driver: x, pool: p, device: d}]}}
";

const SLICE: &str = "
metadata: {name: s}
spec:
  driver: x
  pool: {name: p, generation: 2, resourceSliceCount: 1}
  devices:
  - name: d
    taints: [{key: broken, effect: NoExecute, timeAdded: '2026-01-01T00:00:00Z'}]
  - name: e
";

const RULE: &str = "
metadata: {name: bad, uid: o, generation: 3}
spec:
  deviceSelector: {driver: x}
  taint: {key: bad, value: now, effect: NoExecute, timeAdded: '2026-01-01T00:30:00Z'}
";

fn world(change: impl Fn(&mut Value, &mut Value, &mut Value, &mut Value)) -> (Observed, Arc<PodView>) {
    let (mut this, mut claim, mut slice, mut rule) = (read(POD), read(CLAIM), read(SLICE), read(RULE));
    change(&mut this, &mut claim, &mut slice, &mut rule);
    let all = apimachinery::value!({"claims": [claim], "slices": [slice], "rules": [rule]});
    (observe(&all), pod(&this))
}

#[test]
fn who_is_driven_out_and_when() {
    let both = "2026-01-01T00:00:00Z: rule bad, x/p/d#0";
    let rule_only = "2026-01-01T00:30:00Z: rule bad";
    for (what, patch, expected) in [
        ("both taints", "", both),
        (
            "another device is tainted by the rule alone",
            "claim: {status: {allocation: {devices: {results: [{request: r, driver: x, pool: p, device: e}]}}}}",
            rule_only,
        ),
        (
            "another driver's",
            "claim: {status: {allocation: {devices: {results: [{request: r, driver: z, pool: p, device: d}]}}}}",
            "",
        ),
        ("no device yet", "claim: {status: {allocation: null}}", ""),
        ("not bound", "pod: {spec: {nodeName: null}}", ""),
        (
            "reserved for another",
            "claim: {status: {reservedFor: [{resource: pods, name: p, uid: other}]}}",
            "",
        ),
        (
            "the slice's taint keeps only new ones away",
            "slice: {spec: {devices: [{name: d, taints: [{key: broken, effect: NoSchedule}]}]}}",
            rule_only,
        ),
        (
            "the rule is about another pool",
            "rule: {spec: {deviceSelector: {pool: q}}}",
            "2026-01-01T00:00:00Z: x/p/d#0",
        ),
        ("the rule has no selector", "rule: {spec: {deviceSelector: null}}", "2026-01-01T00:00:00Z: x/p/d#0"),
        ("the rule has no effect", "rule: {spec: {taint: {effect: None}}}", "2026-01-01T00:00:00Z: x/p/d#0"),
        (
            "all is tolerated for good",
            "claim: {status: {allocation: {devices: {results: [{request: r, driver: x, pool: p, device: d, tolerations: [{operator: Exists, effect: NoExecute}]}]}}}}",
            "",
        ),
        (
            "a toleration of no effect does not count",
            "claim: {status: {allocation: {devices: {results: [{request: r, driver: x, pool: p, device: d, tolerations: [{operator: Exists}]}]}}}}",
            both,
        ),
        (
            "one for a while",
            "claim: {status: {allocation: {devices: {results: [{request: r, driver: x, pool: p, device: d, tolerations: [{key: broken, operator: Exists, effect: NoExecute, tolerationSeconds: 7200}, {operator: Exists, effect: NoExecute, tolerationSeconds: 3600}]}]}}}}",
            "2026-01-01T01:00:00Z: rule bad, x/p/d#0",
        ),
        (
            "by its value",
            "claim: {status: {allocation: {devices: {results: [{request: r, driver: x, pool: p, device: d, tolerations: [{key: bad, value: now, effect: NoExecute}]}]}}}}",
            "2026-01-01T00:00:00Z: x/p/d#0",
        ),
        (
            "by another value",
            "claim: {status: {allocation: {devices: {results: [{request: r, driver: x, pool: p, device: e, tolerations: [{key: bad, value: then, effect: NoExecute}]}]}}}}",
            rule_only,
        ),
        (
            "less than no time",
            "claim: {status: {allocation: {devices: {results: [{request: r, driver: x, pool: p, device: e, tolerations: [{key: bad, operator: Exists, effect: NoExecute, tolerationSeconds: -5}]}]}}}}",
            rule_only,
        ),
        (
            "a template's claim of another pod",
            "pod: {spec: {resourceClaims: [{name: gpu, resourceClaimTemplateName: t}]}, status: {resourceClaimStatuses: [{name: gpu, resourceClaimName: c}]}}",
            "",
        ),
        (
            "a template's claim of its own",
            "{pod: {spec: {resourceClaims: [{name: gpu, resourceClaimTemplateName: t}]}, status: {resourceClaimStatuses: [{name: gpu, resourceClaimName: c}]}}, claim: {metadata: {ownerReferences: [{apiVersion: v1, kind: Pod, name: p, uid: u, controller: true}]}}}",
            both,
        ),
    ] {
        let patch = if patch.is_empty() { Value::Null } else { read(patch) };
        let (observed, pod) = world(|pod, claim, slice, rule| {
            for (part, of) in [("pod", pod), ("claim", claim), ("slice", slice), ("rule", rule)] {
                if !patch[part].is_null() {
                    apimachinery::patch::merge::apply(of, patch[part].clone());
                }
            }
        });
        assert_eq!(shown(&observed, &pod), expected, "{what}");
    }
}

#[test]
fn only_the_last_generation_of_a_pool_counts() {
    let newer = read(
        "
metadata: {name: t}
spec: {driver: x, pool: {name: p, generation: 3, resourceSliceCount: 1}, devices: [{name: d}]}
",
    );
    let all = apimachinery::value!({"claims": [(read(CLAIM))], "slices": [(read(SLICE)), newer]});
    assert_eq!(shown(&observe(&all), &pod(&read(POD))), "");
}

#[test]
fn what_a_rule_would_do_is_counted() {
    let (observed, own) = world(|_, _, _, rule| {
        rule.set_at(&["spec", "taint", "effect"], "None");
    });
    let rule = observed.rules[0].0.clone();
    let counted = effects(observed, &[own], &rule, 0);
    assert_eq!(counted, Effects { pods: 1, namespaces: 1, published: 2, allocated: 1, evicted: 0 });
    let (observed, own) = world(|_, _, _, _| {});
    let rule = observed.rules[0].0.clone();
    let going = Arc::new(PodView { terminating: true, ..own.as_ref().clone() });
    let counted = effects(observed, &[own, going], &rule, 2);
    assert_eq!(counted, Effects { pods: 1, namespaces: 1, evicted: 2, ..Effects::default() });
}

#[test]
fn what_rules_say() {
    let after =
        "This information will not be updated again. Recreate the DeviceTaintRule to trigger an update.";
    for (effect, counts, expected) in [
        ("NoExecute", [0, 0, 0, 0, 0], "False NotStarted: ".to_owned()),
        ("NoExecute", [1, 1, 0, 0, 0], "True PodsPendingEviction: 1 pod needs to be evicted in 1 namespace.".into()),
        (
            "NoExecute",
            [3, 2, 0, 0, 1],
            "True PodsPendingEviction: 3 pods need to be evicted in 2 different namespaces. 1 pod evicted since \
             starting the controller."
                .into(),
        ),
        ("NoExecute", [0, 0, 0, 0, 4], "False Completed: 4 pods evicted since starting the controller.".into()),
        (
            "None",
            [2, 1, 1, 0, 0],
            format!(
                "False NoEffect: 1 published device selected. 0 allocated devices selected. 2 pods would be \
                 evicted in 1 namespace if the effect was NoExecute. {after}"
            ),
        ),
        (
            "NoSchedule",
            [0, 0, 0, 0, 0],
            "False OtherEffect: Eviction only happens for the NoExecute effect.".into(),
        ),
    ] {
        let mut value = read(RULE);
        value.set_at(&["spec", "taint", "effect"], effect);
        let [pods, namespaces, published, allocated, evicted] = counts;
        let counted = Effects { pods, namespaces, published, allocated, evicted: evicted as u64 };
        let Told::Condition(condition) = tell(&rule(&value), &counted, now()) else { panic!("{effect}") };
        assert_eq!(format!("{} {}: {}", condition.status, condition.reason, condition.message), expected);
        assert_eq!((condition.type_.as_str(), condition.observed_generation), ("EvictionInProgress", Some(3)));
    }
}

#[test]
fn what_is_told_rests_a_while() {
    let with = |at: &str, generation: i64| {
        let mut value = read(RULE);
        let condition = apimachinery::value!({
            "type": "EvictionInProgress", "status": "False", "reason": "NotStarted", "message": "",
            "observedGeneration": generation, "lastTransitionTime": at
        });
        value.set("status", apimachinery::value!({"conditions": [condition]}));
        rule(&value)
    };
    let one = Effects { pods: 1, namespaces: 1, ..Effects::default() };
    let recent = with("2026-01-01T00:59:57Z", 3);
    assert_eq!(pause(&recent, now()), Some(Duration::from_secs(7)));
    assert_eq!(tell(&recent, &one, now()), Told::Again(Duration::from_secs(7)));
    assert!(
        matches!(tell(&with("2026-01-01T00:59:57Z", 2), &one, now()), Told::Condition(_)),
        "another spec"
    );
    let older = with("2026-01-01T00:59:00Z", 3);
    assert!(matches!(tell(&older, &one, now()), Told::Condition(_)));
    assert_eq!(tell(&older, &Effects::default(), now()), Told::Nothing);
}
