//! SelfSubjectRulesReview: what may I do in this namespace.

use apimachinery::{Status, Value, value};
use apiserver::{Answer, Call, Handler};
use async_trait::async_trait;
use auth::rbac::{self, Rule};

/// SelfSubjectRulesReview. Only RBAC can list rights; others decide one by one.
pub struct RulesReview;

#[async_trait]
impl Handler for RulesReview {
    async fn call(&self, call: Call<'_>) -> Result<Answer, Status> {
        let namespace = call.body["spec"]["namespace"].text();
        if namespace.is_empty() {
            return Err(Status::bad_request("no namespace on request"));
        }
        let mut resources: Vec<Value> = Vec::new();
        let mut paths: Vec<Value> = Vec::new();
        for rule in rbac::rules_of(call.user, namespace, &call.view).iter().flat_map(|rules| rules.iter()) {
            if rule.resources.is_empty() {
                paths.push(path_rule(rule));
            } else {
                resources.push(resource_rule(rule));
            }
        }
        let is_node = auth::node::node_of(call.user).is_some();
        let node = is_node.then(|| "node authorizer does not support user rule resolution".to_owned());
        let problems: Vec<String> =
            node.into_iter().chain(rbac::problems_of(call.user, namespace, &call.view)).collect();
        let mut status =
            value!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": is_node});
        match problems.as_slice() {
            [] => {}
            [one] => status.set("evaluationError", one.as_str()),
            many => status.set("evaluationError", format!("[{}]", many.join(", "))),
        }
        Ok(Answer::created(value!({
            "kind": "SelfSubjectRulesReview",
            "apiVersion": "authorization.k8s.io/v1",
            "metadata": {},
            "spec": {},
            "status": status
        })))
    }
}

fn list(items: &[String]) -> Vec<Value> {
    items.iter().map(Value::from).collect()
}

fn resource_rule(rule: &Rule) -> Value {
    let mut written = value!({"verbs": list(&rule.verbs)});
    for (field, items) in [
        ("apiGroups", &rule.api_groups),
        ("resources", &rule.resources),
        ("resourceNames", &rule.resource_names),
    ] {
        if !items.is_empty() {
            written.set(field, list(items));
        }
    }
    written
}

fn path_rule(rule: &Rule) -> Value {
    value!({"verbs": list(&rule.verbs), "nonResourceURLs": list(&rule.non_resource_urls)})
}
