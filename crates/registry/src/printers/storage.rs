//! Volumes, claims, classes and drivers.

use apimachinery::{Value, meta};
use jiff::Timestamp;

use super::words::{UNSET, age, cells, joined, length, name, or};

const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const DEFAULT_CLASS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

/// Short names of access modes, in the order in which they are shown.
const MODES: [(&str, &str); 4] = [
    ("ReadWriteOnce", "RWO"),
    ("ReadOnlyMany", "ROX"),
    ("ReadWriteMany", "RWX"),
    ("ReadWriteOncePod", "RWOP"),
];

fn access_modes(modes: &Value) -> String {
    let has = |mode: &str| modes.items().iter().any(|have| have.text() == mode);
    MODES.iter().filter(|(mode, _)| has(mode)).map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

fn phase(object: &Value) -> &str {
    if meta::is_terminating(object) { "Terminating" } else { object["status"]["phase"].text() }
}

fn class(object: &Value) -> &str {
    meta::annotation(object, CLASS_ANNOTATION).unwrap_or(object["spec"]["storageClassName"].text())
}

/// Name, Capacity, Access Modes, Reclaim Policy, Status, Claim, StorageClass,
/// VolumeAttributesClass, Reason, Age, VolumeMode.
pub fn volume(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let claim = &spec["claimRef"];
    let claim = if claim.is_null() {
        String::new()
    } else {
        format!("{}/{}", claim["namespace"].text(), claim["name"].text())
    };
    cells![
        name(object),
        or(&spec["capacity"]["storage"], "0"),
        access_modes(&spec["accessModes"]),
        spec["persistentVolumeReclaimPolicy"].text(),
        phase(object),
        claim,
        class(object),
        or(&spec["volumeAttributesClassName"], UNSET),
        object["status"]["reason"].text(),
        age(object, now),
        or(&spec["volumeMode"], UNSET),
    ]
}

/// Name, Status, Volume, Capacity, Access Modes, StorageClass,
/// VolumeAttributesClass, Age, VolumeMode.
pub fn claim(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let bound = !spec["volumeName"].text().is_empty();
    let (capacity, modes) = if bound {
        (or(&status["capacity"]["storage"], "0"), access_modes(&status["accessModes"]))
    } else {
        ("", String::new())
    };
    cells![
        name(object),
        phase(object),
        spec["volumeName"].text(),
        capacity,
        modes,
        class(object),
        or(&spec["volumeAttributesClassName"], UNSET),
        age(object, now),
        or(&spec["volumeMode"], UNSET),
    ]
}

/// Name, Provisioner, ReclaimPolicy, VolumeBindingMode, AllowVolumeExpansion, Age.
pub fn storage_class(object: &Value, now: Timestamp) -> Vec<Value> {
    cells![
        name(object),
        object["provisioner"].text(),
        or(&object["reclaimPolicy"], "Delete"),
        or(&object["volumeBindingMode"], "Immediate"),
        object["allowVolumeExpansion"].is_true(),
        age(object, now),
    ]
}

/// Which of the classes is the default: the newest that says so, and of those the first by name.
pub fn default_class(classes: &mut [Value]) -> Option<usize> {
    let says_so =
        |class: &Value| DEFAULT_CLASS.iter().any(|key| meta::annotation(class, key) == Some("true"));
    let created = |class: &Value| class["metadata"]["creationTimestamp"].text().to_owned();
    let candidates = classes.iter().enumerate().filter(|(_, class)| says_so(class));
    let newest =
        candidates.max_by_key(|(_, class)| (created(class), std::cmp::Reverse(name(class).to_owned())));
    newest.map(|(at, _)| at)
}

/// Name, DriverName, Age.
pub fn attributes_class(object: &Value, now: Timestamp) -> Vec<Value> {
    cells![name(object), object["driverName"].text(), age(object, now)]
}

/// Name, AttachRequired, PodInfoOnMount, StorageCapacity, TokenRequests,
/// RequiresRepublish, Modes, Age.
pub fn driver(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let requests = &spec["tokenRequests"];
    let audiences = if requests.is_null() {
        UNSET.to_owned()
    } else {
        requests.items().iter().map(|request| request["audience"].text()).collect::<Vec<_>>().join(",")
    };
    cells![
        name(object),
        spec["attachRequired"].as_bool().unwrap_or(true),
        spec["podInfoOnMount"].is_true(),
        spec["storageCapacity"].is_true(),
        audiences,
        spec["requiresRepublish"].is_true(),
        joined(&spec["volumeLifecycleModes"], ","),
        age(object, now),
    ]
}

/// Name, Drivers, Age.
pub fn csi_node(object: &Value, now: Timestamp) -> Vec<Value> {
    cells![name(object), length(&object["spec"]["drivers"]), age(object, now)]
}

/// Name, Attacher, PV, Node, Attached, Age.
pub fn attachment(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    cells![
        name(object),
        spec["attacher"].text(),
        spec["source"]["persistentVolumeName"].text(),
        spec["nodeName"].text(),
        object["status"]["attached"].is_true(),
        age(object, now),
    ]
}
