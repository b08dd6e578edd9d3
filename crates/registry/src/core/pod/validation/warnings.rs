//! Warnings about pods and templates: what is accepted and probably not meant.

use apimachinery::Value;
use apimachinery::field::Path;

/// Warnings about a pod.
pub fn of_pod(pod: &Value) -> Vec<String> {
    about(&pod["spec"], &Path::Root.child("spec"))
}

/// Warnings about a pod template at `path`.
pub fn of_template(template: &Value, path: &Path<'_>) -> Vec<String> {
    about(&template["spec"], &path.child("spec"))
}

/// Labels of nodes that have newer names.
const OLD_LABELS: [(&str, &str); 4] = [
    ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
    ("beta.kubernetes.io/os", "kubernetes.io/os"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
];

fn about(spec: &Value, path: &Path<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    let selector = path.child("nodeSelector");
    for (key, _) in spec["nodeSelector"].members() {
        if let Some((_, new)) = OLD_LABELS.iter().find(|(old, _)| *old == key) {
            warnings.push(format!("{}: deprecated since v1.14; use \"{new}\" instead", selector.key(key)));
        }
    }
    let secrets = path.child("imagePullSecrets");
    let mut names: Vec<&str> = Vec::new();
    for (at, secret) in spec["imagePullSecrets"].items().iter().enumerate() {
        let name = secret["name"].text();
        let here = secrets.index(at);
        if name.is_empty() {
            warnings.push(format!("{}: invalid empty name \"\"", here.child("name")));
        } else if names.contains(&name) {
            warnings.push(format!("{}: duplicate name {name:?}", here.child("name")));
        }
        names.push(name);
    }
    let aliases = path.child("hostAliases");
    let mut addresses: Vec<&str> = Vec::new();
    for (at, alias) in spec["hostAliases"].items().iter().enumerate() {
        let address = alias["ip"].text();
        if addresses.contains(&address) {
            warnings.push(format!("{}: duplicate ip {address:?}", aliases.index(at).child("ip")));
        }
        addresses.push(address);
    }
    for list in ["initContainers", "containers"] {
        let field = path.child(list);
        for (at, container) in spec[list].items().iter().enumerate() {
            of_container(container, &field.index(at), &mut warnings);
        }
    }
    if spec["terminationGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds < 0) {
        let field = path.child("terminationGracePeriodSeconds");
        warnings.push(format!("{field}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    warnings
}

fn of_container(container: &Value, path: &Path<'_>, warnings: &mut Vec<String>) {
    let variables = path.child("env");
    let mut names: Vec<&str> = Vec::new();
    for (at, variable) in container["env"].items().iter().enumerate() {
        let name = variable["name"].text();
        if names.contains(&name) && !variable["value"].text().contains(&format!("$({name})")) {
            let here = variables.index(at);
            warnings.push(format!("{here}: hides previous definition of {name:?}, which may be unexpected"));
        }
        names.push(name);
    }
}
