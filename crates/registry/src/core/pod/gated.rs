//! Fields of features that are off: they are dropped from what a client sends,
//! unless the object that is there uses the same feature.

use apimachinery::Value;

use crate::changes::{drop_at, has};

/// Where the fields of a feature lie; `*` is each item of a list, `/` each of
/// the three lists of containers.
type Feature = &'static [&'static [&'static str]];

/// The fields in a pod's spec that are off.
const OFF: &[Feature] = &[
    // VolumeBindMountOptions
    &[&["/", "volumeMounts", "*", "bindMountOptions"]],
    // H2CContainerProbe
    &[
        &["/", "livenessProbe", "httpGet", "protocol"],
        &["/", "readinessProbe", "httpGet", "protocol"],
        &["/", "startupProbe", "httpGet", "protocol"],
    ],
    // GRPCContainerProbeTLS
    &[
        &["/", "livenessProbe", "grpc", "mode"],
        &["/", "readinessProbe", "grpc", "mode"],
        &["/", "startupProbe", "grpc", "mode"],
    ],
    // EmptyDirVolumeMode
    &[&["volumes", "*", "emptyDir", "mode"]],
    // AtomicWriteVolumeUserFields
    &[
        &["volumes", "*", "configMap", "defaultUser"],
        &["volumes", "*", "configMap", "items", "*", "user"],
        &["volumes", "*", "secret", "defaultUser"],
        &["volumes", "*", "secret", "items", "*", "user"],
        &["volumes", "*", "downwardAPI", "defaultUser"],
        &["volumes", "*", "downwardAPI", "items", "*", "user"],
        &["volumes", "*", "projected", "defaultUser"],
        &["volumes", "*", "projected", "sources", "*", "configMap", "items", "*", "user"],
        &["volumes", "*", "projected", "sources", "*", "secret", "items", "*", "user"],
        &["volumes", "*", "projected", "sources", "*", "downwardAPI", "items", "*", "user"],
        &["volumes", "*", "projected", "sources", "*", "serviceAccountToken", "user"],
        &["volumes", "*", "projected", "sources", "*", "clusterTrustBundle", "user"],
        &["volumes", "*", "projected", "sources", "*", "podCertificate", "user"],
    ],
    // EvictionRequestAPI
    &[&["evictionResponders"]],
    // GenericWorkload
    &[&["schedulingGroup"]],
];

/// Those in its status.
const OFF_IN_STATUS: &[Feature] = &[
    // ImageVolumeWithDigest
    &[
        &["containerStatuses", "*", "volumeMounts", "*", "volumeStatus"],
        &["initContainerStatuses", "*", "volumeMounts", "*", "volumeStatus"],
        &["ephemeralContainerStatuses", "*", "volumeMounts", "*", "volumeStatus"],
    ],
    // DRANodeAllocatableResources
    &[&["nodeAllocatableResourceClaimStatuses"]],
    // CSIVolumeHealth
    &[&["volumeHealth"]],
];

const STOP_SIGNAL: &[&str] = &["/", "lifecycle", "stopSignal"];

const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Drops from a pod's spec what is off and what `old`, the spec before, does
/// not use.
pub fn drop_from(spec: &mut Value, old: &Value) {
    if spec.as_object().is_none() {
        return;
    }
    drop(OFF, spec, old);
    if !places(STOP_SIGNAL).iter().any(|path| has(old, path)) {
        drop_stop_signals(spec);
    }
}

/// As [`drop_from`], of a pod's status.
pub fn drop_from_status(status: &mut Value, old: &Value) {
    drop(OFF_IN_STATUS, status, old);
}

fn drop(features: &[Feature], value: &mut Value, old: &Value) {
    for feature in features {
        let paths: Vec<Vec<&str>> = feature.iter().flat_map(|path| places(path)).collect();
        if !paths.iter().any(|path| has(old, path)) {
            paths.iter().for_each(|path| drop_at(value, path));
        }
    }
}

/// The paths that a path with `/` stands for.
fn places(path: &[&'static str]) -> Vec<Vec<&'static str>> {
    match path {
        ["/", rest @ ..] => CONTAINERS.iter().map(|list| [&[*list, "*"], rest].concat()).collect(),
        path => vec![path.to_vec()],
    }
}

fn drop_stop_signals(spec: &mut Value) {
    for list in CONTAINERS {
        for container in crate::changes::items(spec, list) {
            let Some(lifecycle) = container.get_mut("lifecycle").and_then(Value::as_object_mut) else {
                continue;
            };
            // A lifecycle that said nothing else is none.
            if lifecycle.remove("stopSignal").is_some() && lifecycle.is_empty() {
                container.remove("lifecycle");
            }
        }
    }
}

/// As [`drop_from`], of the template at `spec.template`.
pub fn drop_from_template(object: &mut Value, old: Option<&Value>) {
    let before = old.map_or(&Value::Null, |old| &old["spec"]["template"]["spec"]);
    if let Some(spec) = object
        .get_mut("spec")
        .and_then(|spec| spec.get_mut("template"))
        .and_then(|template| template.get_mut("spec"))
    {
        drop_from(spec, before);
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn what_is_off_goes_unless_it_is_in_use() {
        let with = || {
            value!({
                "containers": [{"name": "c", "lifecycle": {"stopSignal": "SIGTERM"}}],
                "volumes": [{"name": "v", "emptyDir": {"mode": 448}}]
            })
        };
        let mut new = with();
        drop_from(&mut new, &Value::Null);
        assert_eq!(new, value!({"containers": [{"name": "c"}], "volumes": [{"name": "v", "emptyDir": {}}]}));
        let mut changed = with();
        drop_from(&mut changed, &with());
        assert_eq!(changed, with());
        let user = value!({"volumes": [{"name": "v", "secret": {"secretName": "s", "defaultUser": 7}}]});
        let other = value!({"volumes": [{"name": "w", "configMap": {"name": "c", "defaultUser": 7}}]});
        let mut kept = user.clone();
        drop_from(&mut kept, &other);
        assert_eq!(kept, user, "one feature, whichever of its fields is in use");
        let mut status = value!({"volumeHealth": [{"name": "v"}], "phase": "Running"});
        drop_from_status(&mut status, &Value::Null);
        assert_eq!(status, value!({"phase": "Running"}));
    }
}
