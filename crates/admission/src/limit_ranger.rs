//! LimitRanger: defaults and bounds of requests and limits by the LimitRanges
//! of the namespace. Mutates and checks pods and claims on create, and checks
//! claims on update.

use std::collections::BTreeMap;

use apimachinery::quantity::{Format, Quantity};
use apimachinery::{Object, Status, Value};
use apiserver::{Admission, AdmissionPlugin, Notes, Operation};

/// Says which defaults were set.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

type Amounts = BTreeMap<String, Quantity>;

fn read(amounts: &Value) -> Amounts {
    amounts
        .members()
        .filter_map(|(name, amount)| Some((name.to_owned(), Quantity::parse(amount.text()).ok()?)))
        .collect()
}

fn limits_of<'a>(range: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    range["spec"]["limits"].items().iter().filter(move |limit| limit["type"].text() == kind)
}

/// Sets what containers leave open; one range after the other.
pub(crate) fn set_defaults(pod: &mut Value, ranges: &[Value]) {
    for range in ranges {
        let mut requests = Object::new();
        let mut limits = Object::new();
        for limit in limits_of(range, "Container") {
            for (name, amount) in limit["defaultRequest"].members() {
                requests.insert(name.to_owned(), amount.clone());
            }
            for (name, amount) in limit["default"].members() {
                limits.insert(name.to_owned(), amount.clone());
            }
        }
        let mut said = Vec::new();
        for (list, word) in [("containers", "container"), ("initContainers", "init container")] {
            for container in pod.entry("spec").get_mut(list).map_or(&mut [][..], Value::items_mut) {
                let name = container["name"].text().to_owned();
                for (field, defaults) in [("requests", &requests), ("limits", &limits)] {
                    let set = fill(container, field, defaults);
                    if !set.is_empty() {
                        let one = field.trim_end_matches('s');
                        said.push(format!("{} {one} for {word} {name}", set.join(", ")));
                    }
                }
            }
        }
        if !said.is_empty() {
            let text = format!("LimitRanger plugin set: {}", said.join("; "));
            pod.entry_at(&["metadata", "annotations"]).set(ANNOTATION, text);
        }
    }
}

fn fill(container: &mut Value, field: &'static str, defaults: &Object) -> Vec<String> {
    let missing: Vec<(String, Value)> = defaults
        .iter()
        .filter(|(name, _)| container["resources"][field][*name].is_null())
        .map(|(name, amount)| (name.to_owned(), amount.clone()))
        .collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let amounts = container.entry("resources").entry(field);
    let mut names: Vec<String> = Vec::new();
    for (name, amount) in missing {
        amounts.set(name.clone(), amount);
        names.push(name);
    }
    if let Some(amounts) = amounts.as_object_mut() {
        amounts.sort();
    }
    names.sort();
    names
}

/// Everything about a pod that the ranges forbid, in upstream's order.
pub(crate) fn pod_violations(pod: &Value, ranges: &[Value]) -> Vec<String> {
    let mut found = Vec::new();
    for range in ranges {
        for limit in range["spec"]["limits"].items() {
            match limit["type"].text() {
                "Container" => {
                    for list in ["containers", "initContainers"] {
                        for container in pod["spec"][list].items() {
                            let resources = &container["resources"];
                            let (requests, limits) =
                                (read(&resources["requests"]), read(&resources["limits"]));
                            check("Container", limit, &requests, &limits, &mut found);
                        }
                    }
                }
                "Pod" => {
                    let requests = over_containers(pod, "requests");
                    let limits = over_containers(pod, "limits");
                    check("Pod", limit, &requests, &limits, &mut found);
                }
                _ => {}
            }
        }
    }
    found
}

/// Everything about a claim's size that the ranges forbid.
pub(crate) fn claim_violations(claim: &Value, ranges: &[Value]) -> Vec<String> {
    let mut found = Vec::new();
    let requests = read(&claim["spec"]["resources"]["requests"]);
    for range in ranges {
        for limit in limits_of(range, "PersistentVolumeClaim") {
            for (name, least) in &read(&limit["min"]) {
                below(name, least, requests.get(name), None, "PersistentVolumeClaim", &mut found);
            }
            for (name, most) in &read(&limit["max"]) {
                match requests.get(name) {
                    None => found.push(format!(
                        "maximum {name} usage per PersistentVolumeClaim is {most}.  No request is specified"
                    )),
                    Some(request) if request > most => found.push(format!(
                        "maximum {name} usage per PersistentVolumeClaim is {most}, but request is {request}"
                    )),
                    Some(_) => {}
                }
            }
        }
    }
    found
}

fn check(kind: &str, limit: &Value, requests: &Amounts, limits: &Amounts, found: &mut Vec<String>) {
    for (name, least) in &read(&limit["min"]) {
        below(name, least, requests.get(name), limits.get(name), kind, found);
    }
    for (name, most) in &read(&limit["max"]) {
        above(name, most, requests.get(name), limits.get(name), kind, found);
    }
    for (name, ratio) in &read(&limit["maxLimitRequestRatio"]) {
        out_of_ratio(name, ratio, requests.get(name), limits.get(name), kind, found);
    }
}

fn below(
    name: &str,
    least: &Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
    kind: &str,
    found: &mut Vec<String>,
) {
    match (request, limit) {
        (None, _) => {
            found.push(format!("minimum {name} usage per {kind} is {least}.  No request is specified"))
        }
        (Some(request), _) if request < least => {
            found.push(format!("minimum {name} usage per {kind} is {least}, but request is {request}"));
        }
        (_, Some(limit)) if limit < least => {
            found.push(format!("minimum {name} usage per {kind} is {least}, but limit is {limit}"));
        }
        _ => {}
    }
}

fn above(
    name: &str,
    most: &Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
    kind: &str,
    found: &mut Vec<String>,
) {
    match (request, limit) {
        (_, None) => found.push(format!("maximum {name} usage per {kind} is {most}.  No limit is specified")),
        (_, Some(limit)) if limit > most => {
            found.push(format!("maximum {name} usage per {kind} is {most}, but limit is {limit}"));
        }
        (Some(request), _) if request > most => {
            found.push(format!("maximum {name} usage per {kind} is {most}, but request is {request}"));
        }
        _ => {}
    }
}

fn out_of_ratio(
    name: &str,
    most: &Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
    kind: &str,
    found: &mut Vec<String>,
) {
    let none = Quantity::new(0, Format::DecimalSi);
    let (request, limit) = (request.unwrap_or(&none), limit.unwrap_or(&none));
    if request.is_zero() {
        found.push(format!(
            "{name} max limit to request ratio per {kind} is {most}, but no request is specified or request is 0"
        ));
    } else if limit.is_zero() {
        found.push(format!(
            "{name} max limit to request ratio per {kind} is {most}, but no limit is specified or limit is 0"
        ));
    } else {
        let ratio = limit.as_f64() / request.as_f64();
        if ratio > most.as_f64() {
            found.push(format!(
                "{name} max limit to request ratio per {kind} is {most}, but provided ratio is {ratio:.6}"
            ));
        }
    }
}

/// The sum over containers, or what one init container needs if that is more.
/// A resource counts only where every container names it.
fn over_containers(pod: &Value, field: &str) -> Amounts {
    let mut sum = Amounts::new();
    for container in pod["spec"]["containers"].items() {
        for (name, amount) in read(&container["resources"][field]) {
            match sum.get_mut(&name) {
                Some(known) => *known += amount,
                None => {
                    sum.insert(name, amount);
                }
            }
        }
    }
    for container in pod["spec"]["initContainers"].items() {
        for (name, amount) in read(&container["resources"][field]) {
            if sum.get(&name).is_none_or(|known| *known < amount) {
                sum.insert(name, amount);
            }
        }
    }
    sum
}

/// See the module.
pub(crate) struct LimitRanger;

impl AdmissionPlugin for LimitRanger {
    fn name(&self) -> &'static str {
        "LimitRanger"
    }

    /// Pods when they are created or resized, claims when they are written.
    fn handles(&self, admission: &Admission<'_>) -> bool {
        let definition = admission.definition;
        if !definition.group.is_empty() {
            return false;
        }
        matches!(
            (&*definition.resource, admission.subresource, admission.operation),
            ("pods", "", Operation::Create)
                | ("pods", "resize", Operation::Update)
                | ("persistentvolumeclaims", "", Operation::Create | Operation::Update)
        )
    }

    fn admit(&self, admission: &Admission<'_>, object: &mut Value, _: &mut Notes) -> Result<(), Status> {
        if admission.is_of("", "pods") && admission.operation == Operation::Create {
            let ranges = ranges(admission);
            if !ranges.is_empty() {
                set_defaults(object, &ranges);
            }
        }
        Ok(())
    }

    fn validate(&self, admission: &Admission<'_>, object: &Value, _: &mut Notes) -> Result<(), Status> {
        let ranges = ranges(admission);
        if ranges.is_empty() {
            return Ok(());
        }
        let found = if admission.definition.resource == "pods" {
            pod_violations(object, &ranges)
        } else {
            claim_violations(object, &ranges)
        };
        match found.as_slice() {
            [] => Ok(()),
            [one] => Err(admission.forbid(object, one)),
            many => Err(admission.forbid(object, format!("[{}]", many.join(", ")))),
        }
    }
}

fn ranges(admission: &Admission<'_>) -> Vec<Value> {
    admission.view.list("", "limitranges", admission.namespace).map(|range| range.tree()).collect()
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    fn range(limits: Value) -> Vec<Value> {
        vec![value!({"spec": {"limits": limits}})]
    }

    #[test]
    fn open_requests_and_limits_are_set_and_told() {
        let ranges = range(value!([{
            "type": "Container", "default": {"cpu": "1", "memory": "2Gi"}, "defaultRequest": {"cpu": "250m"}
        }]));
        let mut pod = value!({"spec": {
            "containers": [{"name": "web", "resources": {"limits": {"memory": "1Gi"}}}],
            "initContainers": [{"name": "prepare"}]
        }});
        set_defaults(&mut pod, &ranges);
        assert_eq!(
            pod["spec"]["containers"][0]["resources"],
            value!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "250m"}})
        );
        assert_eq!(
            pod["metadata"]["annotations"][ANNOTATION].text(),
            "LimitRanger plugin set: cpu request for container web; cpu limit for container web; \
             cpu request for init container prepare; cpu, memory limit for init container prepare"
        );
    }

    #[test]
    fn bounds_are_told_in_upstreams_words() {
        let ranges = range(value!([{
            "type": "Container", "min": {"cpu": "100m"}, "max": {"cpu": "1"}, "maxLimitRequestRatio": {"cpu": "4"}
        }]));
        for (resources, expected) in [
            (value!({"requests": {"cpu": "500m"}, "limits": {"cpu": "1"}}), vec![]),
            (
                value!({"requests": {"cpu": "500m"}, "limits": {"cpu": "2"}}),
                vec!["maximum cpu usage per Container is 1, but limit is 2"],
            ),
            (
                value!({"requests": {"cpu": "50m"}, "limits": {"cpu": "400m"}}),
                vec![
                    "minimum cpu usage per Container is 100m, but request is 50m",
                    "cpu max limit to request ratio per Container is 4, but provided ratio is 8.000000",
                ],
            ),
            (
                value!({}),
                vec![
                    "minimum cpu usage per Container is 100m.  No request is specified",
                    "maximum cpu usage per Container is 1.  No limit is specified",
                    "cpu max limit to request ratio per Container is 4, but no request is specified or request is 0",
                ],
            ),
        ] {
            let pod = value!({"spec": {"containers": [{"name": "c", "resources": resources}]}});
            assert_eq!(pod_violations(&pod, &ranges), expected);
        }
    }

    #[test]
    fn a_pod_is_bounded_by_the_sum() {
        let ranges = range(value!([{"type": "Pod", "max": {"cpu": "3"}}]));
        let one = value!({"name": "c", "resources": {"limits": {"cpu": "2"}}});
        let pod = value!({"spec": {"containers": vec![one.clone(), one]}});
        assert_eq!(pod_violations(&pod, &ranges), ["maximum cpu usage per Pod is 3, but limit is 4"]);
    }

    #[test]
    fn claims_are_bounded_by_their_size() {
        let ranges = range(
            value!([{"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}}]),
        );
        let claim = |size: &str| value!({"spec": {"resources": {"requests": {"storage": size}}}});
        assert!(claim_violations(&claim("1Gi"), &ranges).is_empty());
        assert_eq!(
            claim_violations(&claim("3Gi"), &ranges),
            ["maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"]
        );
    }
}
