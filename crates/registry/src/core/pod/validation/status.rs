//! What a pod's status may become.

use std::collections::HashSet;

use apimachinery::Value;
use apimachinery::field::{Errors, Named, Path};
use apimachinery::validation::{dns1123_label, dns1123_subdomain, in_range, qualified_name};

use super::annotations;
use crate::rules::addresses::{is_ipv4, one_of_each_family, valid_ip};
use crate::rules::resources::amount;

/// Conditions whose names came before the rule for names.
const SYSTEM_CONDITIONS: [&str; 3] = ["PodScheduled", "Ready", "Initialized"];
/// The longest message of a device's health, in bytes.
const LONGEST_MESSAGE: usize = 1024;
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
    let conditions = path.child("conditions");
    for (at, condition) in status["conditions"].items().iter().enumerate() {
        let (name, here) = (condition["type"].text(), conditions.index(at));
        observed_generation(condition, &here, &mut errors);
        if !SYSTEM_CONDITIONS.contains(&name) {
            errors.check(&here.child("Type"), name, qualified_name(name));
        }
    }
    nominated_node(pod, old, &path.child("nominatedNodeName"), &mut errors);
    observed_generation(status, &path, &mut errors);
    let class = &status["qosClass"];
    if class.text() != old["status"]["qosClass"].text() {
        errors.invalid(&path.child("qosClass"), class.text(), "field is immutable");
    }
    for (list, containers) in LISTS {
        transitions(list, containers, pod, old, &path.child(list), &mut errors);
    }
    claims(pod, &path.child("resourceClaimStatuses"), &mut errors);
    extended_resources(pod, &path.child("extendedResourceClaimStatus"), &mut errors);
    pod_addresses(status, &old["status"], &path, &mut errors);
    host_addresses(status, &old["status"], &path, &mut errors);
    for (list, _) in LISTS {
        users(pod, list, &path.child(list), &mut errors);
    }
    for (list, containers) in LISTS {
        allocated(pod, list, containers, &path.child(list), &mut errors);
    }
    errors
}

fn observed_generation(told: &Value, path: &Path<'_>, errors: &mut Errors) {
    if let Some(negative) = told["observedGeneration"].as_i64().filter(|number| *number < 0) {
        let why = "must be a non-negative integer";
        errors.invalid(&path.child("observedGeneration"), negative, why);
    }
}

/// A pod that has its node is nominated for no other.
fn nominated_node(pod: &Value, old: &Value, path: &Path<'_>, errors: &mut Errors) {
    let nominated = pod["status"]["nominatedNodeName"].text();
    if nominated.is_empty() || nominated == old["status"]["nominatedNodeName"].text() {
        return;
    }
    errors.check(path, nominated, dns1123_subdomain(nominated));
    if !old["spec"]["nodeName"].text().is_empty() {
        errors.forbidden(path, "may not be set on pods that are already bound to a node");
    }
}

/// What has ended for good does not run again.
fn transitions(list: &str, containers: &str, pod: &Value, old: &Value, path: &Path<'_>, errors: &mut Errors) {
    let is_ephemeral = containers == "ephemeralContainers";
    if !is_ephemeral && all_could_restart(&old["spec"]) {
        return;
    }
    for (at, before) in old["status"][list].items().iter().enumerate() {
        let ended = &before["state"]["terminated"];
        if ended.is_null() {
            continue;
        }
        let name = before["name"].text();
        let runs = pod["status"][list]
            .items()
            .iter()
            .any(|now| now["name"].text() == name && now["state"]["terminated"].is_null());
        let code = ended["exitCode"].as_i64().unwrap_or(0);
        let container = old["spec"][containers].items().iter().find(|one| one["name"].text() == name);
        let may_restart =
            !is_ephemeral && container.is_some_and(|container| restarts(container, &old["spec"], code));
        if runs && !may_restart {
            let why = "may not be transitioned to non-terminated state";
            errors.forbidden(&path.index(at).child("state"), why);
        }
    }
}

/// Whether a rule of some container restarts all of them (KEP-5532).
fn all_could_restart(spec: &Value) -> bool {
    ["initContainers", "containers"]
        .iter()
        .flat_map(|list| spec[*list].items())
        .flat_map(|container| container["restartPolicyRules"].items())
        .any(|rule| rule["action"].text() == "RestartAllContainers")
}

/// Whether a container that ended with `code` runs again (KEP-5307): by the
/// first of its rules that fits, by its own policy, or by the pod's.
fn restarts(container: &Value, spec: &Value, code: i64) -> bool {
    let by_policy = |policy: &str| match policy {
        "Always" => Some(true),
        "OnFailure" => Some(code != 0),
        "Never" => Some(false),
        _ => None,
    };
    let fits = |rule: &Value| {
        let (codes, listed) = (&rule["exitCodes"], rule["exitCodes"]["values"].items());
        let is_listed = listed.iter().any(|value| value.as_i64() == Some(code));
        match codes["operator"].text() {
            "In" => is_listed,
            "NotIn" => !is_listed,
            _ => false,
        }
    };
    if let Some(own) = container["restartPolicy"].as_str() {
        let rule = container["restartPolicyRules"].items().iter().find(|rule| fits(rule));
        if rule.is_some_and(|rule| matches!(rule["action"].text(), "Restart" | "RestartAllContainers")) {
            return true;
        }
        if let Some(restarts) = by_policy(own) {
            return restarts;
        }
    }
    by_policy(spec["restartPolicy"].text()).unwrap_or(true)
}

/// Claims that the spec knows, once each.
fn claims(pod: &Value, path: &Path<'_>, errors: &mut Errors) {
    let mut seen: HashSet<&str> = HashSet::new();
    for (at, claim) in pod["status"]["resourceClaimStatuses"].items().iter().enumerate() {
        let here = path.index(at);
        let (name, field) = (claim["name"].text(), here.child("name"));
        if !pod["spec"]["resourceClaims"].items().iter().any(|known| known["name"].text() == name) {
            errors.invalid(&field, name, "must match the name of an entry in `spec.resourceClaims`");
        }
        if seen.contains(&name) {
            errors.duplicate(&field, name);
        } else {
            seen.insert(name);
        }
        if let Some(made) = claim["resourceClaimName"].as_str() {
            errors.check_named(&field, made, dns1123_subdomain(made));
        }
    }
}

/// The claim that was made for extended resources, and which requests of which
/// containers it serves (KEP-5004).
fn extended_resources(pod: &Value, path: &Path<'_>, errors: &mut Errors) {
    let told = &pod["status"]["extendedResourceClaimStatus"];
    if told.is_null() {
        return;
    }
    let (mappings, list) = (told["requestMappings"].items(), path.child("requestMappings"));
    if mappings.is_empty() {
        errors.required(&list, "at least one request mapping is required");
    }
    const PARTS: [&str; 3] = ["containerName", "resourceName", "requestName"];
    let mut seen: HashSet<[&str; 3]> = HashSet::new();
    for (at, mapping) in mappings.iter().enumerate() {
        let (key, here) = (PARTS.map(|part| mapping[part].text()), list.index(at));
        let [name, resource, request] = key;
        let container = ["containers", "initContainers"]
            .iter()
            .flat_map(|list| pod["spec"][*list].items())
            .find(|container| container["name"].text() == name);
        match container {
            None => errors.invalid(
                &here.child("containerName"),
                name,
                "must match the name of an entry in spec.initContainers.name or spec.containers.name",
            ),
            Some(container) if container["resources"]["requests"][resource].is_null() => errors.invalid(
                &here.child("resourceName"),
                resource,
                "must match the extended resource name of an entry in spec.initContainers.resources.requests or \
                 spec.containers.resources.requests",
            ),
            Some(_) => {}
        }
        errors.check(&path.child("requestName"), request, dns1123_label(request));
        if seen.contains(&key) {
            for (part, value) in PARTS.iter().zip(key) {
                errors.duplicate(&here.child(part), value);
            }
        }
        seen.insert(key);
    }
    let (claim, field) = (told["resourceClaimName"].text(), path.child("resourceClaimName"));
    if claim.is_empty() {
        errors.required(&field, "");
    } else {
        errors.check(&field, claim, dns1123_subdomain(claim));
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

fn pod_addresses(status: &Value, old: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (texts, field) = (addresses(&status["podIPs"]), path.child("podIPs"));
    let known = addresses(&old["podIPs"]);
    for (at, text) in texts.iter().enumerate() {
        valid_ip(&field.index(at), text, &known, errors);
    }
    families(&field, &status["podIPs"], &texts, errors);
}

fn host_addresses(status: &Value, old: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (texts, field) = (addresses(&status["hostIPs"]), path.child("hostIPs"));
    let Some(first) = texts.first() else { return };
    if status["hostIP"].text() != *first {
        errors.invalid(&field.index(0).child("ip"), *first, "must be equal to `hostIP`");
    }
    let known = addresses(&old["hostIPs"]);
    for (at, text) in texts.iter().enumerate() {
        valid_ip(&field.index(at), text, &known, errors);
    }
    families(&field, &status["hostIPs"], &texts, errors);
}

/// Users as the system of the pod knows them.
fn users(pod: &Value, list: &str, path: &Path<'_>, errors: &mut Errors) {
    let system = pod["spec"]["os"]["name"].text();
    for (at, container) in pod["status"][list].items().iter().enumerate() {
        let (user, here) = (&container["user"]["linux"], path.index(at));
        let here = here.child("user");
        let here = here.child("linux");
        if user.is_null() {
            continue;
        }
        if system == "windows" {
            errors.forbidden(&here, "cannot be set for a windows pod");
            continue;
        }
        // A runtime may tell of users that no pod could ask for.
        id(&here.child("uid"), &user["uid"], u32::MAX.into(), errors);
        id(&here.child("gid"), &user["gid"], i32::MAX.into(), errors);
        let groups = here.child("supplementalGroups");
        for (nth, group) in user["supplementalGroups"].items().iter().enumerate() {
            id(&groups.index(nth), group, i32::MAX.into(), errors);
        }
    }
}

fn id(path: &Path<'_>, value: &Value, most: i64, errors: &mut Errors) {
    let number = value.as_i64().unwrap_or(0);
    for why in in_range(number, 0, most) {
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
                known_resource(pod, container, resource["name"].text(), &here.child("name"), errors);
            }
            let parts = here.child("resources");
            let mut seen: HashSet<&str> = HashSet::new();
            for (index, part) in resource["resources"].items().iter().enumerate() {
                let here = parts.index(index);
                let health = part["health"].text();
                if !HEALTH.contains(&health) {
                    errors.not_supported(&here.child("health"), health, &HEALTH);
                }
                match part["message"].as_str() {
                    Some("") => {
                        errors.required(&here.child("message"), "must be non-empty if specified");
                    }
                    Some(text) if text.len() > LONGEST_MESSAGE => {
                        errors.too_long(&here.child("message"), LONGEST_MESSAGE);
                    }
                    _ => {}
                }
                let id = part["resourceID"].text();
                if seen.contains(&id) {
                    errors.duplicate(&here.child("resourceID"), Named(id));
                } else {
                    seen.insert(id);
                }
            }
        }
    }
}

fn known_resource(pod: &Value, container: &Value, name: &str, path: &Path<'_>, errors: &mut Errors) {
    let resources = &container["resources"];
    let Some(claim) = name.strip_prefix("claim:") else {
        if resources["requests"][name].is_null() {
            errors.invalid(path, Named(name), "must match one of the container's resource requests");
        }
        return;
    };
    let known = resources["claims"].items().iter().any(|used| match used["request"].text() {
        "" => used["name"].text() == claim,
        request => claim == format!("{}/{request}", used["name"].text()),
    });
    if !known && !is_extended_request(pod, container, claim) {
        let why = "must match one of the container's resource claims as 'claim:<claimName>/<requestName>' when \
                   container.resources.claims[*].request is set or 'claim:<claimName>' when it is empty";
        errors.invalid(path, Named(name), why);
    }
}

/// Whether `claim` is `NAME/REQUEST` of the claim that was made for extended
/// resources, and the request is this container's.
fn is_extended_request(pod: &Value, container: &Value, claim: &str) -> bool {
    let told = &pod["status"]["extendedResourceClaimStatus"];
    let Some((name, request)) = claim.split_once('/') else { return false };
    !name.is_empty()
        && !request.is_empty()
        && told["resourceClaimName"].text() == name
        && told["requestMappings"].items().iter().any(|mapping| {
            let asked = &container["resources"]["requests"][mapping["resourceName"].text()];
            mapping["containerName"] == container["name"]
                && mapping["requestName"].text() == request
                && !amount(asked).is_zero()
        })
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
