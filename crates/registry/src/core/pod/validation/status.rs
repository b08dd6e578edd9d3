//! What a pod's status may become.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::{dns1123_subdomain, in_range, qualified_name};

use super::annotations;
use crate::rules::addresses::{is_ipv4, one_of_each_family, valid_ip};

/// Conditions whose names came before the rule for names.
const SYSTEM_CONDITIONS: [&str; 3] = ["PodScheduled", "Ready", "Initialized"];
const HEALTH: [&str; 3] = ["Healthy", "Unhealthy", "Unknown"];

/// The lists of container statuses, each with the containers that they tell of.
const LISTS: [(&str, &str); 3] = [
    ("containerStatuses", "containers"),
    ("initContainerStatuses", "initContainers"),
    ("ephemeralContainerStatuses", "ephemeralContainers"),
];

/// Everything of a changed status.
pub fn status(pod: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    let metadata = Path::Root.child("metadata");
    let place = metadata.child("annotations");
    let (own, before) = (&pod["metadata"]["annotations"], &old["metadata"]["annotations"]);
    annotations::unchanged(own, before, &place, &mut errors);
    annotations::validate(own, &pod["spec"], &place, &mut errors);
    let (status, path) = (&pod["status"], Path::Root.child("status"));
    // Upstream names the conditions below the metadata.
    let conditions = metadata.child("conditions");
    for (at, condition) in status["conditions"].items().iter().enumerate() {
        let name = condition["type"].text();
        if !SYSTEM_CONDITIONS.contains(&name) {
            errors.check(&conditions.index(at).child("Type"), name, qualified_name(name));
        }
    }
    let nominated = status["nominatedNodeName"].text();
    if !nominated.is_empty() && status["nominatedNodeName"] != old["status"]["nominatedNodeName"] {
        errors.check(&path.child("nominatedNodeName"), nominated, dns1123_subdomain(nominated));
    }
    let class = &status["qosClass"];
    if class.text() != old["status"]["qosClass"].text() {
        errors.invalid(&path.child("qosClass"), class.text(), "field is immutable");
    }
    for (list, containers) in LISTS {
        transitions(list, containers, pod, old, &path.child(list), &mut errors);
    }
    claims(pod, &path.child("resourceClaimStatuses"), &mut errors);
    pod_addresses(status, &path, &mut errors);
    host_addresses(status, &path, &mut errors);
    for (list, _) in LISTS {
        users(pod, list, &path.child(list), &mut errors);
    }
    for (list, containers) in LISTS {
        allocated(pod, list, containers, &path.child(list), &mut errors);
    }
    errors
}

/// What has ended for good does not run again.
fn transitions(list: &str, containers: &str, pod: &Value, old: &Value, path: &Path<'_>, errors: &mut Errors) {
    let policy =
        if list == "ephemeralContainerStatuses" { "Never" } else { old["spec"]["restartPolicy"].text() };
    if policy == "Always" {
        return;
    }
    for (at, before) in old["status"][list].items().iter().enumerate() {
        let ended = &before["state"]["terminated"];
        let name = before["name"].text();
        let container = old["spec"][containers].items().iter().find(|one| one["name"].text() == name);
        let may_restart = match container {
            Some(container) if !container["restartPolicyRules"].items().is_empty() => true,
            Some(container) if containers == "initContainers" => {
                container["restartPolicy"].text() == "Always"
            }
            Some(container) => match container["restartPolicy"].text() {
                "Always" => true,
                "OnFailure" => ended["exitCode"].as_i64().unwrap_or(0) != 0,
                _ => false,
            },
            None => false,
        };
        let failed = policy == "OnFailure" && ended["exitCode"].as_i64().unwrap_or(0) != 0;
        if ended.is_null() || failed || may_restart {
            continue;
        }
        for now in pod["status"][list].items() {
            if now["name"].text() == name && now["state"]["terminated"].is_null() {
                let why = "may not be transitioned to non-terminated state";
                errors.forbidden(&path.index(at).child("state"), why);
            }
        }
    }
}

/// Claims that the spec knows, once each.
fn claims(pod: &Value, path: &Path<'_>, errors: &mut Errors) {
    let mut seen: Vec<&str> = Vec::new();
    for (at, claim) in pod["status"]["resourceClaimStatuses"].items().iter().enumerate() {
        let here = path.index(at);
        let (name, field) = (claim["name"].text(), here.child("name"));
        if !pod["spec"]["resourceClaims"].items().iter().any(|known| known["name"].text() == name) {
            errors.invalid(&field, name, "must match the name of an entry in `spec.resourceClaims`");
        }
        if seen.contains(&name) {
            errors.duplicate(&field, name);
        } else {
            seen.push(name);
        }
        if let Some(made) = claim["resourceClaimName"].as_str() {
            errors.check(&field, made, dns1123_subdomain(made));
        }
    }
}

fn addresses(list: &Value) -> Vec<&str> {
    list.items().iter().map(|entry| entry["ip"].text()).collect()
}

fn families(path: &Path<'_>, list: &Value, texts: &[&str], errors: &mut Errors) {
    let known: Vec<Option<bool>> = texts.iter().map(|text| is_ipv4(text)).collect();
    let unreadable =
        |at: usize| format!("failed to check for dual stack with error:invalid IP[{at}]: {}", texts[at]);
    // Entries are told as the internal type writes them.
    let told: Vec<Value> =
        list.items().iter().map(|entry| crate::rules::internal::of("PodIP", entry)).collect();
    one_of_each_family(path, &Value::Array(told), &known, unreadable, "IP", errors);
}

fn repeated(path: &Path<'_>, texts: &[&str], errors: &mut Errors) {
    for (at, text) in texts.iter().enumerate() {
        if texts[..at].contains(text) {
            errors.duplicate(&path.index(at), apimachinery::value!({"IP": *text}));
        }
    }
}

fn pod_addresses(status: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (texts, field) = (addresses(&status["podIPs"]), path.child("podIPs"));
    for (at, text) in texts.iter().enumerate() {
        valid_ip(&field.index(at), text, errors);
    }
    families(&field, &status["podIPs"], &texts, errors);
    if texts.len() > 1 {
        repeated(&field, &texts, errors);
    }
}

fn host_addresses(status: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (texts, field) = (addresses(&status["hostIPs"]), path.child("hostIPs"));
    let Some(first) = texts.first() else { return };
    if status["hostIP"].text() != *first {
        errors.invalid(&field.index(0).child("ip"), *first, "must be equal to `hostIP`");
    }
    for (at, text) in texts.iter().enumerate() {
        valid_ip(&field.index(at), text, errors);
    }
    if texts.len() > 1 {
        repeated(&field, &texts, errors);
        families(&field, &status["hostIPs"], &texts, errors);
    }
}

/// Users as the system of the pod knows them.
fn users(pod: &Value, list: &str, path: &Path<'_>, errors: &mut Errors) {
    let windows = pod["spec"]["os"]["name"].text() == "windows";
    for (at, container) in pod["status"][list].items().iter().enumerate() {
        let (user, here) = (&container["user"]["linux"], path.index(at));
        let here = here.child("linux");
        if user.is_null() {
            continue;
        }
        if windows {
            errors.forbidden(&here, "cannot be set for a windows pod");
            continue;
        }
        for field in ["uid", "gid"] {
            id(&here.child(field), &user[field], errors);
        }
        let groups = here.child("supplementalGroups");
        for (nth, group) in user["supplementalGroups"].items().iter().enumerate() {
            id(&groups.index(nth), group, errors);
        }
    }
}

fn id(path: &Path<'_>, value: &Value, errors: &mut Errors) {
    let number = value.as_i64().unwrap_or(0);
    for why in in_range(number, 0, i32::MAX.into()) {
        errors.invalid(path, number, &why);
    }
}

/// The health of devices that the container has.
fn allocated(pod: &Value, list: &str, containers: &str, path: &Path<'_>, errors: &mut Errors) {
    for (at, status) in pod["status"][list].items().iter().enumerate() {
        let resources = status["allocatedResourcesStatus"].items();
        let here = path.index(at);
        let field = here.child("allocatedResourcesStatus");
        if containers == "ephemeralContainers" {
            if !resources.is_empty() {
                errors.forbidden(&field, "must not be specified in container status");
            }
            continue;
        }
        let name = status["name"].text();
        let container =
            pod["spec"][containers].items().iter().find(|container| container["name"].text() == name);
        for (nth, resource) in resources.iter().enumerate() {
            let here = field.index(nth);
            if let Some(container) = container {
                known_resource(&container["resources"], resource["name"].text(), &here.child("name"), errors);
            }
            let parts = here.child("resources");
            let mut seen: Vec<&str> = Vec::new();
            for (index, part) in resource["resources"].items().iter().enumerate() {
                let here = parts.index(index);
                let health = part["health"].text();
                if !HEALTH.contains(&health) {
                    errors.not_supported(&here.child("health"), health, &HEALTH);
                }
                let id = part["resourceID"].text();
                if seen.contains(&id) {
                    errors.duplicate(&here.child("resourceID"), id);
                } else {
                    seen.push(id);
                }
            }
        }
    }
}

fn known_resource(resources: &Value, name: &str, path: &Path<'_>, errors: &mut Errors) {
    let Some(claim) = name.strip_prefix("claim:") else {
        if resources["requests"][name].is_null() {
            errors.invalid(path, name, "must match one of the container's resource requests");
        }
        return;
    };
    let known = resources["claims"].items().iter().any(|used| match used["request"].text() {
        "" => used["name"].text() == claim,
        request => claim == format!("{}/{request}", used["name"].text()),
    });
    if !known {
        let why = "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or \
                   'claim:<claimName>' if request is empty";
        errors.invalid(path, name, why);
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn a_status_tells_what_can_be() {
        let spec = value!({"restartPolicy": "Never", "containers": [{"name": "c"}]});
        let ended = value!({"containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 1}}}]});
        for (before, now, told) in [
            (value!({}), value!({"podIPs": [{"ip": "10.0.0.1"}], "podIP": "10.0.0.1"}), vec![]),
            (
                value!({}),
                value!({"podIPs": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]}),
                vec![
                    "status.podIPs: Invalid value: [{\"IP\":\"10.0.0.1\"},{\"IP\":\"10.0.0.2\"}]: may specify no more than \
                     one IP for each IP family",
                ],
            ),
            (
                value!({}),
                value!({"hostIPs": [{"ip": "10.0.0.1"}]}),
                vec!["status.hostIPs[0].ip: Invalid value: \"10.0.0.1\": must be equal to `hostIP`"],
            ),
            (
                ended.clone(),
                value!({"containerStatuses": [{"name": "c", "state": {"running": {}}}]}),
                vec![
                    "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state",
                ],
            ),
            (ended.clone(), ended.clone(), vec![]),
            (
                value!({}),
                value!({"resourceClaimStatuses": [{"name": "gpu"}]}),
                vec![
                    "status.resourceClaimStatuses[0].name: Invalid value: \"gpu\": must match the name of an entry in \
                     `spec.resourceClaims`",
                ],
            ),
        ] {
            let pod = |status: Value| value!({"spec": spec.clone(), "status": status});
            let errors = status(&pod(now), &pod(before));
            assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), told);
        }
    }
}
