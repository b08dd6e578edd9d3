//! Table tests of both plans.

use apimachinery::{Value, value, yaml};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;

use super::plan::{BIND_COMPLETED, ClaimSeen, Plan, Write, plan_claim, plan_volume};

fn read(text: &str) -> Value {
    serde_json::from_slice(&yaml::to_json(text.as_bytes()).unwrap().json).unwrap()
}

/// A claim `data` of 5Gi, with what is given of its spec, `phase` and `completed`.
fn claim(told: &Value) -> PersistentVolumeClaim {
    let mut spec = value!({
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}
    });
    for (name, value) in told["spec"].members() {
        spec.set(name.to_owned(), value.clone());
    }
    let mut claim = value!({
        "metadata": {"name": "data", "namespace": "ns", "uid": (told["uid"].as_str().unwrap_or("c"))},
        "spec": (spec), "status": {"phase": (told["phase"].as_str().unwrap_or("Pending"))}
    });
    if told["completed"].is_true() {
        claim.set_at(&["metadata", "annotations", BIND_COMPLETED], "yes");
    }
    claim.decode().unwrap()
}

/// A volume of 10Gi that is `Available`, with what is given of its spec.
fn volume(name: &str, told: &Value) -> PersistentVolume {
    let mut spec = value!({
        "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "10Gi"},
        "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": "/data"}
    });
    for (name, value) in told["spec"].members() {
        spec.set(name.to_owned(), value.clone());
    }
    let mut volume = value!({
        "metadata": {"name": name, "uid": name},
        "spec": (spec), "status": {"phase": (told["phase"].as_str().unwrap_or("Available"))}
    });
    for field in ["labels", "annotations"] {
        if !told[field].is_null() {
            volume.get_mut("metadata").unwrap().set(field.to_owned(), told[field].clone());
        }
    }
    volume.decode().unwrap()
}

/// Writes as text: `pv NAME→CLAIM/UID`, `pv NAME=PHASE`, `pvc→VOLUME`, `pvc=PHASE`, then events as `!REASON`.
fn shown(plan: &Plan) -> String {
    let name = |volume: &PersistentVolume| volume.metadata.name.clone().unwrap();
    let write = |write: &Write| match write {
        Write::Volume(volume) => {
            let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.clone());
            let to = reference.map_or("nobody".to_owned(), |to| {
                format!("{}/{}", to.name.unwrap_or_default(), to.uid.unwrap_or_default())
            });
            format!("pv {}→{to}", name(volume))
        }
        Write::VolumeStatus(volume) => {
            format!("pv {}={}", name(volume), volume.status.as_ref().unwrap().phase.as_deref().unwrap())
        }
        Write::Claim(claim) => {
            let spec = claim.spec.clone().unwrap();
            let class = spec.storage_class_name.map(|class| format!("({class})")).unwrap_or_default();
            format!("pvc→{}{class}", spec.volume_name.unwrap_or_default())
        }
        Write::ClaimStatus(claim) => {
            format!("pvc={}", claim.status.as_ref().unwrap().phase.as_deref().unwrap())
        }
    };
    let events = plan.events.iter().map(|(_, _, reason, _)| format!("!{reason}"));
    plan.writes.iter().map(write).chain(events).collect::<Vec<_>>().join(" ")
}

const CLAIMS: &str = r#"
- what: the smallest that is large enough
  volumes: {a: {spec: {capacity: {storage: 1Gi}}}, b: {spec: {capacity: {storage: 20Gi}}}, c: {}}
  done: pv c→data/c pv c=Bound pvc→c pvc=Bound
- what: the fewest access modes
  volumes: {a: {spec: {accessModes: [ReadWriteOnce, ReadOnlyMany], capacity: {storage: 6Gi}}}, b: {}}
  done: pv b→data/c pv b=Bound pvc→b pvc=Bound
- what: all modes that are asked for
  claim: {spec: {accessModes: [ReadWriteMany]}}
  volumes: {a: {}}
  done: "!FailedBinding"
- what: one kept for the claim, however large
  volumes: {a: {}, b: {spec: {capacity: {storage: 1Ti}, claimRef: {namespace: ns, name: data}}}}
  done: pv b→data/c pv b=Bound pvc→b pvc=Bound
- what: one kept for another claim of the same name
  volumes: {a: {spec: {claimRef: {namespace: ns, name: data, uid: other}}}}
  done: "!FailedBinding"
- what: labels choose
  claim: {spec: {selector: {matchLabels: {disk: fast}}}}
  volumes: {a: {labels: {disk: slow}}, b: {labels: {disk: fast}}}
  done: pv b→data/c pv b=Bound pvc→b pvc=Bound
- what: a released one is nobody's
  volumes: {a: {phase: Released}}
  done: "!FailedBinding"
- what: classes must agree
  claim: {spec: {storageClassName: manual}}
  volumes: {a: {}, b: {spec: {storageClassName: manual}}}
  done: pv b→data/c pv b=Bound pvc→b(manual) pvc=Bound
- what: a class that is not there
  claim: {spec: {storageClassName: manual}}
  done: "!ProvisioningFailed"
- what: block devices are no file systems
  claim: {spec: {volumeMode: Block}}
  volumes: {a: {}}
  done: "!FailedBinding"
- what: the default class comes late
  classes: {std: {annotations: {storageclass.kubernetes.io/is-default-class: "true"}}}
  done: pvc→(std)
- what: somebody else provisions
  claim: {spec: {storageClassName: std}}
  classes: {std: {}}
  done: pvc→(std) !ExternalProvisioning
- what: binding waits for a pod
  claim: {spec: {storageClassName: local}}
  classes: {local: {mode: WaitForFirstConsumer}}
  volumes: {a: {spec: {storageClassName: local}}}
  done: "!WaitForFirstConsumer"
- what: binding waits for a pod's node
  claim: {spec: {storageClassName: local}}
  classes: {local: {mode: WaitForFirstConsumer}}
  pods: [p]
  done: "!WaitForPodScheduled"
- what: a volume asked for by name
  claim: {spec: {volumeName: a}}
  volumes: {a: {}}
  done: pv a→data/c pv a=Bound pvc→a pvc=Bound
- what: a volume asked for that is too small
  claim: {spec: {volumeName: a}}
  volumes: {a: {spec: {capacity: {storage: 1Gi}}}}
  done: "!VolumeMismatch"
- what: a volume asked for that is another's
  claim: {spec: {volumeName: a}}
  volumes: {a: {spec: {claimRef: {namespace: ns, name: other, uid: o}}}}
  done: "!FailedBinding"
- what: a volume asked for that is not there yet
  claim: {spec: {volumeName: a}, phase: ""}
  done: pvc=Pending
- what: all is well
  claim: {spec: {volumeName: a}, phase: Bound, completed: true}
  volumes: {a: {phase: Bound, spec: {claimRef: {namespace: ns, name: data, uid: c}}}}
  done: ""
- what: interrupted half way
  claim: {spec: {volumeName: ""}}
  volumes: {a: {phase: Available, spec: {claimRef: {namespace: ns, name: data, uid: c}}}}
  done: pv a=Bound pvc→a pvc=Bound
- what: the volume is gone
  claim: {spec: {volumeName: a}, phase: Bound, completed: true}
  done: pvc=Lost !ClaimLost
- what: the volume is another's now
  claim: {spec: {volumeName: a}, phase: Bound, completed: true}
  volumes: {a: {phase: Bound, spec: {claimRef: {namespace: ns, name: data, uid: other}}}}
  done: pvc=Lost !ClaimMisbound
"#;

#[test]
fn claims_get_their_volumes() {
    for case in read(CLAIMS).items() {
        let claim = claim(&case["claim"]);
        let volumes: Vec<PersistentVolume> =
            case["volumes"].members().map(|(name, told)| volume(name, told)).collect();
        let class = |(name, told): (&str, &Value)| -> StorageClass {
            let mut class = value!({
                "metadata": {"name": name}, "provisioner": "example.com/disks",
                "volumeBindingMode": (told["mode"].as_str().unwrap_or("Immediate"))
            });
            class.set_at(&["metadata", "annotations"], told["annotations"].clone());
            class.decode().unwrap()
        };
        let classes: Vec<StorageClass> = case["classes"].members().map(class).collect();
        let seen = ClaimSeen {
            claim: &claim,
            volumes: volumes.iter().collect(),
            classes: classes.iter().collect(),
            waiting_pods: case["pods"].items().iter().map(|pod| pod.text().to_owned()).collect(),
        };
        assert_eq!(shown(&plan_claim(&seen)), case["done"].text(), "{}", case["what"].text());
    }
}

const VOLUMES: &str = r#"
- what: a new one
  volume: {phase: Pending}
  done: pv a=Available
- what: one kept for a claim
  volume: {phase: Pending, spec: {claimRef: {namespace: ns, name: data}}}
  done: pv a=Available
- what: its claim is bound to it
  volume: {spec: {claimRef: {namespace: ns, name: data, uid: c}}}
  claim: {spec: {volumeName: a}}
  done: pv a=Bound
- what: its claim's turn comes
  volume: {spec: {claimRef: {namespace: ns, name: data, uid: c}}}
  claim: {}
  done: ""
- what: its claim is gone
  volume: {phase: Bound, spec: {claimRef: {namespace: ns, name: data, uid: c}}}
  done: pv a=Released
- what: its claim is gone and another has its name
  volume: {phase: Bound, spec: {claimRef: {namespace: ns, name: data, uid: c}}}
  claim: {uid: other}
  done: pv a=Released
- what: released is released
  volume: {phase: Released, spec: {claimRef: {namespace: ns, name: data, uid: c}}}
  done: ""
- what: nobody can delete it
  volume: {phase: Bound, spec: {persistentVolumeReclaimPolicy: Delete, claimRef: {namespace: ns, name: data, uid: c}}}
  done: pv a=Failed !VolumeFailedDelete
- what: its provisioner deletes it
  volume: {phase: Bound, annotations: {pv.kubernetes.io/provisioned-by: x}, spec: {persistentVolumeReclaimPolicy: Delete, claimRef: {namespace: ns, name: data, uid: c}}}
  done: pv a=Released
- what: its claim took another; we had bound it
  volume: {annotations: {pv.kubernetes.io/bound-by-controller: "yes"}, phase: Bound, spec: {claimRef: {namespace: ns, name: data, uid: c}}}
  claim: {spec: {volumeName: b}}
  done: pv a→nobody pv a=Available
- what: its claim took another; it was kept for it
  volume: {phase: Bound, spec: {claimRef: {namespace: ns, name: data, uid: c}}}
  claim: {spec: {volumeName: b}}
  done: pv a→data/ pv a=Available
"#;

#[test]
fn volumes_follow_their_claims() {
    for case in read(VOLUMES).items() {
        let volume = volume("a", &case["volume"]);
        let claim = (!case["claim"].is_null()).then(|| claim(&case["claim"]));
        let plan = plan_volume(&volume, claim.as_ref());
        assert_eq!(shown(&plan), case["done"].text(), "{}", case["what"].text());
    }
}
