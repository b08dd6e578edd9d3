//! Eviction: a deletion that its disruption budget allows (`pods/eviction`).

use apimachinery::labels;
use apimachinery::status::{Cause, Details, GroupResource};
use apimachinery::{Status, Value, meta, time, value};
use apiserver::{Answer, Call, Handler, Stored, View};
use async_trait::async_trait;
use jiff::Timestamp;

use super::set_condition;

/// Budgets remember a disruption until the pod is gone, at most so many at once.
const MOST_DISRUPTED: usize = 2000;
/// Seconds after which a client may ask again while a budget is not computed.
const RETRY_SECONDS: i32 = 10;

/// The condition of a budget that says whether it has disruptions left.
const DISRUPTION_ALLOWED: &str = "DisruptionAllowed";

/// See the module.
pub struct Eviction;

fn pods() -> GroupResource<'static> {
    GroupResource { group: "", resource: "pods" }
}

#[async_trait]
impl Handler for Eviction {
    fn reads_also(&self) -> &'static [&'static str] {
        &["policy/v1beta1"]
    }

    async fn call(&self, call: Call<'_>) -> Result<Answer, Status> {
        let body = &call.body;
        if meta::name(body) != call.name {
            return Err(Status::bad_request("name in URL does not match name in Eviction object"));
        }
        check_dry_run(&body["deleteOptions"], call.dry_run)?;
        let pod = call
            .view
            .get("", "pods", call.namespace, call.name)
            .ok_or_else(|| Status::not_stored(pods(), call.name))?
            .tree();
        let mut options = apiserver::delete_options(&body["deleteOptions"])?;
        options.dry_run |= call.dry_run;
        if !ignores_budgets(&pod) {
            spend(&call, &pod, options.dry_run).await?;
            mark(&call, options.dry_run).await?;
        }
        call.server.delete_as(call.user, ("", "pods"), (call.namespace, call.name), &options).await?;
        Ok(Answer::created(value!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201
        })))
    }
}

/// The request and its body may not say different things of how dry they are.
fn check_dry_run(options: &Value, asked: bool) -> Result<(), Status> {
    let said: Vec<&str> = options["dryRun"].items().iter().map(Value::text).collect();
    if !asked || said.is_empty() || said == ["All"] {
        return Ok(());
    }
    let why = format!("Non-matching dry-run options in request and content: [All] and [{}]", said.join(" "));
    Err(Status::failure(500, "", why))
}

/// A pod that does not run, or is going already, disrupts nothing.
fn ignores_budgets(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].text(), "Pending" | "Succeeded" | "Failed") || meta::is_terminating(pod)
}

/// Takes one disruption from the pod's budget, where it has one.
async fn spend(call: &Call<'_>, pod: &Value, dry_run: bool) -> Result<(), Status> {
    let budgets = budgets_of(&call.view, call.namespace, pod);
    let budget = match budgets.as_slice() {
        [] => return Ok(()),
        [one] => one.name().to_owned(),
        _ => {
            return Err(Status::failure(
                500,
                "",
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            ));
        }
    };
    let ready = is_ready(pod);
    let now = call.edge.clock.now();
    let mut take = |budget: &mut Value, _: &View| {
        if !(needs_no_disruption(budget, ready)) {
            charge(budget, call.name, now)?;
        }
        Ok(Vec::new())
    };
    let place = (call.namespace, budget.as_str());
    call.server.modify(("policy", "poddisruptionbudgets"), place, dry_run, &mut take).await?;
    Ok(())
}

fn budgets_of(view: &View, namespace: &str, pod: &Value) -> Vec<Stored> {
    view.list("policy", "poddisruptionbudgets", namespace)
        .filter(|budget| {
            let tree = budget.tree();
            let selector = &tree["spec"]["selector"];
            // No selector selects nothing, an empty one everything.
            !selector.is_null()
                && labels::Selector::of_label_selector(selector)
                    .is_ok_and(|selector| selector.matches(&pod["metadata"]["labels"]))
        })
        .collect()
}

fn is_ready(pod: &Value) -> bool {
    pod["status"]["conditions"]
        .items()
        .iter()
        .any(|condition| condition["type"].text() == "Ready" && condition["status"].text() == "True")
}

/// A pod that is not ready may go where the policy or the state of the budget says so.
fn needs_no_disruption(budget: &Value, ready: bool) -> bool {
    if ready {
        return false;
    }
    let status = &budget["status"];
    let healthy = status["currentHealthy"].as_i64().unwrap_or(0);
    let desired = status["desiredHealthy"].as_i64().unwrap_or(0);
    match budget["spec"]["unhealthyPodEvictionPolicy"].text() {
        "AlwaysAllow" => true,
        _ => healthy >= desired && desired > 0,
    }
}

fn charge(budget: &mut Value, pod: &str, now: Timestamp) -> Result<(), Status> {
    let name = meta::name(budget).to_owned();
    let status = &budget["status"];
    if status["observedGeneration"].as_i64().unwrap_or(0) < meta::generation(budget) {
        let why = format!("The disruption budget {name} is still being processed by the server.");
        return Err(too_many(why, RETRY_SECONDS));
    }
    let allowed = status["disruptionsAllowed"].as_i64().unwrap_or(0);
    if allowed < 0 {
        return Err(Status::forbidden(
            GroupResource { group: "policy", resource: "poddisruptionbudget" },
            &name,
            "pdb disruptions allowed is negative",
        ));
    }
    if status["disruptedPods"].members().count() > MOST_DISRUPTED {
        return Err(Status::forbidden(
            GroupResource { group: "policy", resource: "poddisruptionbudget" },
            &name,
            "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
        ));
    }
    if allowed == 0 {
        let (needs, has) =
            (status["desiredHealthy"].as_i64().unwrap_or(0), status["currentHealthy"].as_i64().unwrap_or(0));
        let condition =
            status["conditions"].items().iter().find(|one| one["type"].text() == DISRUPTION_ALLOWED);
        let failed = condition
            .filter(|one| one["status"].text() == "False" && one["reason"].text() == "SyncFailed")
            .map(|one| one["message"].text());
        let why = match failed {
            Some(why) => format!(
                "The disruption budget {name} does not allow evicting pods currently because it failed sync: {why}"
            ),
            None if has <= needs => {
                format!("The disruption budget {name} needs {needs} healthy pods and has {has} currently")
            }
            None => format!("The disruption budget {name} does not allow evicting pods currently"),
        };
        return Err(too_many(why, 0));
    }
    let status = budget.entry("status");
    status.set("disruptionsAllowed", allowed - 1);
    status.entry("disruptedPods").set(pod.to_owned(), time::format(now));
    if allowed == 1 {
        none_left(status, &time::format(now));
    }
    Ok(())
}

/// Says in the condition that no disruption is left.
fn none_left(status: &mut Value, now: &str) {
    let generation = status["observedGeneration"].clone();
    let mut condition = value!({
        "type": DISRUPTION_ALLOWED, "status": "False", "lastTransitionTime": now, "reason": "InsufficientPods", "message": ""
    });
    if !generation.is_null() {
        condition.set("observedGeneration", generation);
    }
    let conditions = status.entry("conditions");
    if !matches!(conditions, Value::Array(_)) {
        *conditions = Value::Array(Vec::new());
    }
    let Value::Array(list) = conditions else { return };
    match list.iter_mut().find(|known| known["type"].text() == DISRUPTION_ALLOWED) {
        Some(known) => {
            if known["status"].text() == "False" {
                condition.set("lastTransitionTime", known["lastTransitionTime"].clone());
            }
            *known = condition;
        }
        None => list.push(condition),
    }
}

fn too_many(why: String, retry: i32) -> Status {
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    let mut status = Status::failure(429, "TooManyRequests", message);
    status.details = Some(Details {
        causes: vec![Cause { reason: "DisruptionBudget".into(), message: why, field: String::new() }],
        retry_after_seconds: retry,
        ..Details::default()
    });
    status
}

/// Says on the pod why it goes.
async fn mark(call: &Call<'_>, dry_run: bool) -> Result<(), Status> {
    let now = time::format(call.edge.clock.now());
    let mut condition = |pod: &mut Value, _: &View| {
        set_condition(
            pod,
            value!({
                "type": "DisruptionTarget", "status": "True", "lastProbeTime": null,
                "lastTransitionTime": now.as_str(), "reason": "EvictionByEvictionAPI",
                "message": "Eviction API: evicting"
            }),
        );
        Ok(Vec::new())
    };
    call.server.modify(("", "pods"), (call.namespace, call.name), dry_run, &mut condition).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(status: Value) -> Value {
        value!({"metadata": {"name": "b", "generation": 1}, "spec": {}, "status": status})
    }

    #[test]
    fn a_disruption_is_taken_until_none_is_left() {
        let now = Timestamp::from_second(1_800_000_000).expect("a time");
        let mut one = budget(
            value!({"observedGeneration": 1, "disruptionsAllowed": 1, "desiredHealthy": 2, "currentHealthy": 3}),
        );
        assert!(charge(&mut one, "p", now).is_ok());
        assert_eq!(one["status"]["disruptionsAllowed"].as_i64(), Some(0));
        assert!(!one["status"]["disruptedPods"]["p"].is_null());
        let condition = &one["status"]["conditions"][0];
        assert_eq!(
            (condition["status"].text(), condition["observedGeneration"].as_i64()),
            ("False", Some(1))
        );
        let why = "The disruption budget b does not allow evicting pods currently";
        assert_eq!(cause(&mut one, now), why);
        one.entry("status").set("currentHealthy", 2);
        assert_eq!(cause(&mut one, now), "The disruption budget b needs 2 healthy pods and has 2 currently");
        one.entry("status").set(
            "conditions",
            value!([{"type": DISRUPTION_ALLOWED, "status": "False", "reason": "SyncFailed", "message": "no scale"}]),
        );
        assert_eq!(cause(&mut one, now), format!("{why} because it failed sync: no scale"));
    }

    fn cause(budget: &mut Value, now: Timestamp) -> String {
        let refused = charge(budget, "q", now).expect_err("no disruption left");
        assert_eq!(refused.code, 429);
        refused.details.expect("details").causes[0].message.to_string()
    }

    #[test]
    fn a_budget_that_was_not_computed_says_when_to_ask_again() {
        let now = Timestamp::from_second(1_800_000_000).expect("a time");
        let refused = charge(&mut budget(value!({})), "p", now).expect_err("not computed");
        assert_eq!(refused.details.expect("details").retry_after_seconds, 10);
    }

    #[test]
    fn unready_pods_go_where_enough_are_healthy() {
        let full = budget(value!({"currentHealthy": 2, "desiredHealthy": 2}));
        assert!(needs_no_disruption(&full, false));
        assert!(!needs_no_disruption(&full, true));
        let short = budget(value!({"currentHealthy": 1, "desiredHealthy": 2}));
        assert!(!needs_no_disruption(&short, false));
    }
}
