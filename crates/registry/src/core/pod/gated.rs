//! Fields of features that are off: they are dropped from what a client sends,
//! unless the object that is there uses the same feature.

use apimachinery::Value;

/// Where the fields lie in a pod's spec; `*` is each item of a list, `/` each
/// of the three lists of containers.
const OFF: &[&[&str]] = &[
    &["/", "volumeMounts", "*", "bindMountOptions"],
    &["/", "livenessProbe", "httpGet", "protocol"],
    &["/", "readinessProbe", "httpGet", "protocol"],
    &["/", "startupProbe", "httpGet", "protocol"],
    &["/", "livenessProbe", "grpc", "mode"],
    &["/", "readinessProbe", "grpc", "mode"],
    &["/", "startupProbe", "grpc", "mode"],
    &["volumes", "*", "emptyDir", "mode"],
    &["volumes", "*", "configMap", "defaultUser"],
    &["volumes", "*", "configMap", "items", "*", "user"],
    &["volumes", "*", "secret", "defaultUser"],
    &["volumes", "*", "secret", "items", "*", "user"],
    &["volumes", "*", "downwardAPI", "defaultUser"],
    &["volumes", "*", "downwardAPI", "items", "*", "user"],
    &["volumes", "*", "projected", "defaultUser"],
    &["evictionResponders"],
    &["schedulingGroup"],
];

const STOP_SIGNAL: &[&str] = &["/", "lifecycle", "stopSignal"];

const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Drops from a pod's spec what is off and what `old`, the spec before, does
/// not use.
pub fn drop_from(spec: &mut Value, old: &Value) {
    if spec.as_object().is_none() {
        return;
    }
    for path in OFF {
        if uses(spec, path) && !uses(old, path) {
            remove(spec, path);
        }
    }
    if uses(spec, STOP_SIGNAL) && !uses(old, STOP_SIGNAL) {
        drop_stop_signals(spec);
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

fn uses(value: &Value, path: &[&str]) -> bool {
    match path {
        [] => !value.is_null(),
        ["*", rest @ ..] => value.items().iter().any(|item| uses(item, rest)),
        ["/", rest @ ..] => {
            CONTAINERS.iter().any(|list| value[*list].items().iter().any(|container| uses(container, rest)))
        }
        [field, rest @ ..] => uses(&value[*field], rest),
    }
}

fn remove(value: &mut Value, path: &[&str]) {
    match path {
        [] => {}
        [field] => {
            value.remove(field);
        }
        ["*", rest @ ..] => value.items_mut().iter_mut().for_each(|item| remove(item, rest)),
        ["/", rest @ ..] => {
            for list in CONTAINERS {
                crate::changes::items(value, list).iter_mut().for_each(|container| remove(container, rest));
            }
        }
        [field, rest @ ..] => {
            if let Some(inner) = value.get_mut(field) {
                remove(inner, rest);
            }
        }
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
    }
}
