//! Resources of a pod as a whole (KEP-2837): allowed names, and amounts that
//! agree with those of the containers.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};

use super::super::requests;
use crate::rules::resources::{self, amount};

pub(super) fn validate(spec: &Value, claims: &[&str], path: &Path<'_>, errors: &mut Errors) {
    let own = &spec["resources"];
    if own.is_null() {
        return;
    }
    if spec["os"]["name"].text() == "windows" {
        return errors.forbidden(path, "may not be set for a windows pod");
    }
    if !own["claims"].is_null() {
        errors.forbidden(&path.child("claims"), "claims may not be set for Resources at pod-level");
    }
    resources::requirements_named(path, own, claims, resources::pod_name, errors);
    let asked = path.child("requests");
    for (name, sum) in requests::of_containers(spec) {
        let own = &own["requests"][name.as_str()];
        if !own.is_null() && sum > amount(own) {
            let why = format!("must be greater than or equal to aggregate container requests of {sum}");
            errors.invalid(&asked.key(&name), own.text(), &why);
        }
    }
    let most = path.child("limits");
    for (name, sum) in requests::over_containers(spec, "limits") {
        let own = &own["limits"][name.as_str()];
        if name.starts_with("hugepages-") && !own.is_null() && sum > amount(own) {
            let why = format!("must be greater than or equal to aggregate container limits of {sum}");
            errors.invalid(&most.key(&name), own.text(), &why);
        }
    }
    let containers = path.child("containers");
    for (at, container) in spec["containers"].items().iter().enumerate() {
        let here = containers.index(at);
        for (name, limit) in container["resources"]["limits"].members() {
            let most = &own["limits"][name];
            if !most.is_null() && amount(limit) > amount(most) {
                let why = format!("must be less than or equal to pod limits of {}", most.text());
                errors.invalid(&here.key(name).child("limits"), limit.clone(), &why);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn a_pod_asks_for_no_less_than_its_containers() {
        let spec = value!({
            "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}},
            "containers": [
                {"name": "a", "resources": {"requests": {"cpu": "800m"}}},
                {"name": "b", "resources": {"requests": {"cpu": "800m"}, "limits": {"cpu": "3"}}}
            ]
        });
        let mut errors = Errors::new();
        validate(&spec, &[], &Path::Root.child("r"), &mut errors);
        assert_eq!(
            errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "r.requests[cpu]: Invalid value: \"1\": must be greater than or equal to aggregate container requests of 1600m",
                "r.containers[1][cpu].limits: Invalid value: \"3\": must be less than or equal to pod limits of 2",
            ]
        );
    }

    #[test]
    fn what_a_pod_does_not_say_its_containers_may() {
        let container = value!({"name": "a", "resources": {"requests": {"memory": "1Gi"}}});
        let told = |os: &str| {
            let container = container.clone();
            let spec = value!({
                "os": {"name": os}, "resources": {"requests": {"cpu": "1"}}, "containers": [container]
            });
            let mut errors = Errors::new();
            validate(&spec, &[], &Path::Root.child("r"), &mut errors);
            errors.to_string()
        };
        assert_eq!(told("linux"), "[]");
        assert!(told("windows").contains("may not be set for a windows pod"));
    }
}
