//! Binding: the scheduler's word on which node a pod runs (`pods/binding`, and
//! `bindings` by its older path).

use apimachinery::field::{Errors, Path};
use apimachinery::status::GroupResource;
use apimachinery::validation::dns1123_subdomain;
use apimachinery::{Status, Value, meta, time, value};
use apiserver::{Answer, Call, Handler};
use async_trait::async_trait;

use super::{is_gated, set_condition};

/// See the module.
pub struct Binding;

#[async_trait]
impl Handler for Binding {
    async fn call(&self, call: Call<'_>) -> Result<Answer, Status> {
        let body = &call.body;
        let name = if call.name.is_empty() { meta::name(body) } else { call.name };
        if name != meta::name(body) {
            return Err(Status::bad_request("name in URL does not match name in Binding object"));
        }
        let target = &body["target"];
        let errors = check_target(target);
        if !errors.is_empty() {
            // As plain text, and no fault of the client's.
            return Err(Status::failure(500, "", errors.to_string()));
        }
        let now = time::format(call.edge.clock.now());
        let mut bind = |pod: &mut Value, _: &apiserver::View| {
            assign(pod, body, &now).map_err(|why| {
                let resource = GroupResource { group: "", resource: "pods/binding" };
                Status::conflict(resource, name, &why)
            })?;
            Ok(Vec::new())
        };
        call.server.modify(("", "pods"), (call.namespace, name), call.dry_run, &mut bind).await?;
        Ok(Answer::created(value!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201
        })))
    }
}

/// What is wrong with the place where the pod shall run (ValidatePodBinding).
fn check_target(target: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::Root.child("target");
    let kind = target["kind"].text();
    if !matches!(kind, "" | "Node") {
        errors.text_not_supported(&path.child("kind"), kind, &["Node", "<empty>"]);
    }
    let name = target["name"].text();
    if name.is_empty() {
        errors.required(&path.child("name"), "");
    } else if matches!(kind, "" | "Node") {
        errors.check(&path.child("name"), name, dns1123_subdomain(name));
    }
    errors
}

/// Puts the pod on the node; the error is why it may not be.
fn assign(pod: &mut Value, binding: &Value, now: &str) -> Result<(), String> {
    let name = meta::name(pod).to_owned();
    let uid = meta::uid(binding);
    if !uid.is_empty() && uid != meta::uid(pod) {
        return Err(format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            meta::uid(pod)
        ));
    }
    if meta::is_terminating(pod) {
        return Err(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    let node = pod["spec"]["nodeName"].text();
    if !node.is_empty() {
        return Err(format!("pod {name} is already assigned to node {node:?}"));
    }
    if is_gated(pod) {
        return Err(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    pod.entry("spec").set("nodeName", binding["target"]["name"].text());
    for field in ["annotations", "labels"] {
        for (key, value) in binding["metadata"][field].members() {
            pod.entry("metadata").entry(field).set(key.to_owned(), value.clone());
        }
    }
    set_condition(
        pod,
        value!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now}),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_bound_once() {
        let binding =
            value!({"metadata": {"name": "p", "annotations": {"a": "b"}}, "target": {"name": "n1"}});
        let mut pod = value!({"metadata": {"name": "p"}, "spec": {}, "status": {"phase": "Pending"}});
        assert_eq!(assign(&mut pod, &binding, "now"), Ok(()));
        assert_eq!(pod["spec"]["nodeName"].text(), "n1");
        assert_eq!(pod["metadata"]["annotations"]["a"].text(), "b");
        assert_eq!(pod["status"]["conditions"][0]["status"].text(), "True");
        assert_eq!(
            assign(&mut pod, &binding, "now"),
            Err("pod p is already assigned to node \"n1\"".to_owned())
        );
    }

    #[test]
    fn a_target_is_a_node_with_a_name_that_nodes_can_have() {
        let cases = [
            (value!({"name": "n1"}), 0),
            (value!({"name": "n1", "kind": "Node"}), 0),
            (value!({"name": "N_!"}), 1),
            (value!({"name": "N_!", "kind": "Pod"}), 1),
            (value!({"kind": "Pod"}), 2),
        ];
        for (target, wrong) in cases {
            assert_eq!(check_target(&target).len(), wrong, "{target:?}");
        }
    }

    #[test]
    fn gates_and_deletion_keep_a_pod_from_nodes() {
        let binding = value!({"target": {"name": "n1"}});
        let mut gated = value!({"metadata": {"name": "p"}, "spec": {"schedulingGates": [{"name": "g"}]}});
        assert!(assign(&mut gated, &binding, "now").is_err());
        let mut ending = value!({"metadata": {"name": "p", "deletionTimestamp": "2026-01-01T00:00:00Z"}});
        assert!(assign(&mut ending, &binding, "now").is_err());
    }
}
