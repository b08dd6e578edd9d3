//! Validation of Deployments, ReplicaSets, DaemonSets and StatefulSets (and of
//! what ReplicationControllers share with them).

use std::borrow::Cow;
use std::collections::BTreeSet;

use apimachinery::field::{Errors, Named, Path};
use apimachinery::labels::Selector;
use apimachinery::validation::{IMMUTABLE, dns1123_label};
use apimachinery::{Value, value};

use crate::core::persistent_volume_claim::validate_spec;
use crate::core::pod::validation as pod;
use crate::rules::{internal, non_negative, rollout, selector};

fn spec_path() -> Path<'static> {
    Path::Child(&Path::Root, "spec")
}

/// A template of pods that run for good: restarted always, without a deadline.
fn lasting_template(template: &Value, kind: &str, path: &Path<'_>, errors: &mut Errors) {
    pod::template(template, path, errors);
    always_restarted(template, kind, path, errors);
}

fn always_restarted(template: &Value, kind: &str, path: &Path<'_>, errors: &mut Errors) {
    let (spec, field) = (&template["spec"], path.child("spec"));
    let policy = spec["restartPolicy"].text();
    if policy != "Always" {
        errors.not_supported(&field.child("restartPolicy"), policy, &["Always"]);
    }
    if !spec["activeDeadlineSeconds"].is_null() {
        let why = format!("activeDeadlineSeconds in {kind} is not Supported");
        errors.forbidden(&field.child("activeDeadlineSeconds"), &why);
    }
}

/// Selector, labels and template of Deployments and ReplicaSets.
fn selected_template(spec: &Value, errors: &mut Errors) {
    let path = spec_path();
    let field = path.child("selector");
    selector::of_workload(
        &field,
        &spec["selector"],
        // Upstream says so of ReplicaSets too.
        Some("empty selector is invalid for deployment"),
        errors,
    );
    let place = path.child("template");
    let (template, metadata) = (&spec["template"], place.child("metadata"));
    if selector::matches_labels(&field, &spec["selector"], template, &metadata.child("labels"), errors) {
        lasting_template(template, "ReplicaSet", &place, errors);
    }
}

pub fn deployment(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let (spec, path) = (&object["spec"], spec_path());
    non_negative(&path.child("replicas"), &spec["replicas"], &mut errors);
    selected_template(spec, &mut errors);
    deployment_strategy(&spec["strategy"], &path.child("strategy"), &mut errors);
    for field in ["minReadySeconds", "revisionHistoryLimit"] {
        non_negative(&path.child(field), &spec[field], &mut errors);
    }
    // The annotation is a field of upstream's internal form.
    let asked = object["metadata"]["annotations"]["deprecated.deployment.rollback.to"].text();
    if let Ok(version) = asked.parse::<i64>() {
        non_negative(&path.child("rollback").child("version"), &version.into(), &mut errors);
    }
    let (deadline, field) = (&spec["progressDeadlineSeconds"], path.child("progressDeadlineSeconds"));
    non_negative(&field, deadline, &mut errors);
    if let Some(seconds) = deadline.as_i64()
        && seconds <= spec["minReadySeconds"].as_i64().unwrap_or(0)
    {
        errors.invalid(&field, seconds, "must be greater than minReadySeconds");
    }
    errors
}

fn deployment_strategy(strategy: &Value, path: &Path<'_>, errors: &mut Errors) {
    let rolling = &strategy["rollingUpdate"];
    let field = path.child("rollingUpdate");
    match strategy["type"].text() {
        "Recreate" => {
            if !rolling.is_null() {
                errors.forbidden(&field, "may not be specified when strategy `type` is 'Recreate'");
            }
        }
        "RollingUpdate" if rolling.is_null() => {
            errors.required(&field, "this should be defaulted and never be nil");
        }
        "RollingUpdate" => {
            let (surge, unavailable) = (field.child("maxSurge"), field.child("maxUnavailable"));
            rollout::non_negative(&unavailable, &rolling["maxUnavailable"], errors);
            rollout::non_negative(&surge, &rolling["maxSurge"], errors);
            if rollout::is_zero(&rolling["maxUnavailable"]) && rollout::is_zero(&rolling["maxSurge"]) {
                let why = "may not be 0 when `maxSurge` is 0";
                errors.invalid(&unavailable, rolling["maxUnavailable"].clone(), why);
            }
            rollout::at_most_all(&unavailable, &rolling["maxUnavailable"], errors);
        }
        _ => errors.not_supported(
            path,
            internal::of("DeploymentStrategy", strategy),
            &["Recreate", "RollingUpdate"],
        ),
    }
}

pub fn replica_set(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let (spec, path) = (&object["spec"], spec_path());
    for field in ["replicas", "minReadySeconds"] {
        non_negative(&path.child(field), &spec[field], &mut errors);
    }
    selected_template(spec, &mut errors);
    errors
}

pub fn daemon_set(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let (spec, path) = (&object["spec"], spec_path());
    let field = path.child("selector");
    selector::validate(&field, &spec["selector"], &mut errors);
    let place = path.child("template");
    let labels = place.child("metadata");
    let labels = labels.child("labels");
    // Only here a selector that cannot be read is told once.
    if Selector::of_label_selector(&spec["selector"]).is_ok() {
        selector::matches_labels(&field, &spec["selector"], &spec["template"], &labels, &mut errors);
    }
    if !spec["selector"].is_null() && selector::is_empty(&spec["selector"]) {
        errors.invalid(&field, spec["selector"].clone(), "empty selector is invalid for daemonset");
    }
    pod::template(&spec["template"], &place, &mut errors);
    always_restarted(&spec["template"], "DaemonSet", &place, &mut errors);
    non_negative(&path.child("minReadySeconds"), &spec["minReadySeconds"], &mut errors);
    daemon_set_strategy(&spec["updateStrategy"], &path.child("updateStrategy"), &mut errors);
    non_negative(&path.child("revisionHistoryLimit"), &spec["revisionHistoryLimit"], &mut errors);
    errors
}

fn daemon_set_strategy(strategy: &Value, path: &Path<'_>, errors: &mut Errors) {
    let rolling = &strategy["rollingUpdate"];
    let field = path.child("rollingUpdate");
    match strategy["type"].text() {
        "OnDelete" => {}
        "RollingUpdate" if rolling.is_null() => errors.required(&field, ""),
        "RollingUpdate" => {
            let (surge, unavailable) = (field.child("maxSurge"), field.child("maxUnavailable"));
            rollout::non_negative(&unavailable, &rolling["maxUnavailable"], errors);
            rollout::at_most_all(&unavailable, &rolling["maxUnavailable"], errors);
            rollout::non_negative(&surge, &rolling["maxSurge"], errors);
            rollout::at_most_all(&surge, &rolling["maxSurge"], errors);
            match (rollout::is_zero(&rolling["maxUnavailable"]), rollout::is_zero(&rolling["maxSurge"])) {
                (true, true) => errors.required(&unavailable, "cannot be 0 when maxSurge is 0"),
                (false, false) => errors.invalid(
                    &surge,
                    rolling["maxSurge"].clone(),
                    "may not be set when maxUnavailable is non-zero",
                ),
                _ => {}
            }
        }
        _ => errors.not_supported(
            path,
            internal::of("DaemonSetUpdateStrategy", strategy),
            &["RollingUpdate", "OnDelete"],
        ),
    }
}

/// `is_new` where the name of the Service is still to be chosen.
pub fn stateful_set(object: &Value, is_new: bool) -> Errors {
    let mut errors = Errors::new();
    let (spec, path) = (&object["spec"], spec_path());
    let policy = path.child("podManagementPolicy");
    match spec["podManagementPolicy"].text() {
        "OrderedReady" | "Parallel" => {}
        "" => errors.required(&policy, ""),
        other => errors.invalid(&policy, Named(other), "must be 'OrderedReady' or 'Parallel'"),
    }
    stateful_set_strategy(&spec["updateStrategy"], &path.child("updateStrategy"), &mut errors);
    let (retention, field) =
        (&spec["persistentVolumeClaimRetentionPolicy"], path.child("persistentVolumeClaimRetentionPolicy"));
    for when in ["whenDeleted", "whenScaled"] {
        if let Some(policy) = retention[when].as_str() {
            errors.one_of(&field.child(when), policy, &["Retain", "Delete"]);
        }
    }
    let claims = path.child("volumeClaimTemplates");
    // What is there cannot change, and is not looked at again.
    for (at, claim) in spec["volumeClaimTemplates"].items().iter().enumerate().filter(|_| is_new) {
        validate_spec(&claim["spec"], &claims.index(at).child("spec"), &mut errors);
    }
    non_negative(&path.child("replicas"), &spec["replicas"], &mut errors);
    let service = spec["serviceName"].text();
    if is_new && !service.is_empty() {
        errors.check(&path.child("serviceName"), service, dns1123_label(service));
    }
    non_negative(&path.child("minReadySeconds"), &spec["minReadySeconds"], &mut errors);
    non_negative(&path.child("ordinals").child("start"), &spec["ordinals"]["start"], &mut errors);
    let (field, place) = (path.child("selector"), path.child("template"));
    selector::of_workload(
        &field,
        &spec["selector"],
        Some("empty selector is invalid for statefulset"),
        &mut errors,
    );
    let metadata = place.child("metadata");
    let template = &spec["template"];
    if Selector::of_label_selector(&spec["selector"]).is_err() {
        errors.invalid(&field, spec["selector"].clone(), "");
    } else {
        selector::matches_labels(&field, &spec["selector"], template, &metadata.child("labels"), &mut errors);
        pod::template(&as_made(spec), &place, &mut errors);
    }
    always_restarted(template, "StatefulSet", &place, &mut errors);
    errors
}

/// The template as the controller fills it in: each template of a claim is a
/// volume too, and names are its own.
fn as_made(spec: &Value) -> Cow<'_, Value> {
    let template = &spec["template"];
    let claims = spec["volumeClaimTemplates"].items();
    let named = ["subdomain", "hostname"].iter().any(|name| !template["spec"][*name].text().is_empty());
    if claims.is_empty() && !named {
        return Cow::Borrowed(template);
    }
    let names: BTreeSet<&str> = claims.iter().map(|claim| claim["metadata"]["name"].text()).collect();
    let volume = |name: &&str| value!({"name": (*name), "persistentVolumeClaim": {"claimName": (*name)}});
    let own = template["spec"]["volumes"].items().iter();
    let kept = own.filter(|volume| !names.contains(volume["name"].text())).cloned();
    let volumes: Vec<Value> = names.iter().map(volume).chain(kept).collect();
    let mut made = template.clone();
    let pod = made.entry("spec");
    pod.remove("subdomain");
    pod.remove("hostname");
    if !volumes.is_empty() {
        pod.set("volumes", volumes);
    }
    Cow::Owned(made)
}

fn stateful_set_strategy(strategy: &Value, path: &Path<'_>, errors: &mut Errors) {
    let rolling = &strategy["rollingUpdate"];
    let field = path.child("rollingUpdate");
    match strategy["type"].text() {
        "" => errors.required(path, ""),
        "OnDelete" if !rolling.is_null() => errors.invalid(
            &field,
            internal::of("RollingUpdateStatefulSet", rolling),
            "only allowed for updateStrategy 'RollingUpdate'",
        ),
        "OnDelete" => {}
        "RollingUpdate" => {
            non_negative(&field.child("partition"), &rolling["partition"], errors);
            let unavailable = &rolling["maxUnavailable"];
            if !unavailable.is_null() {
                let place = field.child("maxUnavailable");
                rollout::non_negative(&place, unavailable, errors);
                if rollout::is_zero(unavailable) {
                    errors.invalid(&place, unavailable.clone(), "cannot be 0");
                }
                rollout::at_most_all(&place, unavailable, errors);
            }
        }
        _ => errors.invalid(
            path,
            internal::of("StatefulSetUpdateStrategy", strategy),
            "must be 'RollingUpdate' or 'OnDelete'",
        ),
    }
}

/// The selector of what is there stays.
pub fn same_selector(object: &Value, old: &Value, errors: &mut Errors) {
    errors.immutable(&spec_path().child("selector"), &object["spec"]["selector"], &old["spec"]["selector"]);
}

/// What may change in a StatefulSet; `errors` are those of its validation.
pub fn stateful_set_update(object: &Value, old: &Value, errors: &mut Errors) {
    let path = spec_path();
    let (new, before) = (&object["spec"], &old["spec"]);
    errors.immutable(&path.child("selector"), &new["selector"], &before["selector"]);
    let claims = "volumeClaimTemplates";
    if !crate::rules::same(&new[claims], &before[claims]) {
        let told = match &new[claims] {
            Value::Array(items) => items
                .iter()
                .map(|claim| internal::of("PersistentVolumeClaim", claim))
                .collect::<Vec<_>>()
                .into(),
            other => other.clone(),
        };
        errors.invalid(&path.child(claims), told, IMMUTABLE);
    }
    for field in ["serviceName", "podManagementPolicy"] {
        errors.immutable(&path.child(field), &new[field], &before[field]);
    }
}

/// A ReplicationController: a plain map selects.
pub fn replication_controller(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let (spec, path) = (&object["spec"], spec_path());
    non_negative(&path.child("minReadySeconds"), &spec["minReadySeconds"], &mut errors);
    if spec["selector"].members().next().is_none() {
        errors.required(&path.child("selector"), "");
    }
    let (template, place) = (&spec["template"], path.child("template"));
    non_negative_later(spec, template, &place, &mut errors);
    errors
}

/// Template before number: upstream looks in this order.
fn non_negative_later(spec: &Value, template: &Value, place: &Path<'_>, errors: &mut Errors) {
    if template.is_null() {
        errors.required(place, "");
    } else {
        let own = &template["metadata"]["labels"];
        let matches = spec["selector"].members().all(|(key, value)| own[key] == *value);
        if !matches {
            let metadata = place.child("metadata");
            errors.invalid(
                &metadata.child("labels"),
                own.clone(),
                "`selector` does not match template `labels`",
            );
        }
        lasting_template(template, "ReplicationController", place, errors);
    }
    non_negative(&spec_path().child("replicas"), &spec["replicas"], errors);
}

/// The number of a ControllerRevision, and its data for good.
pub fn controller_revision(object: &Value, old: Option<&Value>) -> Errors {
    let mut errors = Errors::new();
    if let Some(old) = old
        && object["data"] != old["data"]
    {
        errors.invalid(&Path::Root.child("data"), object["data"].clone(), IMMUTABLE);
    }
    non_negative(&Path::Root.child("revision"), &object["revision"], &mut errors);
    if old.is_none() {
        match &object["data"] {
            Value::Object(_) => {}
            Value::Null => errors.required(&Path::Root.child("data"), "data is mandatory"),
            _ => errors.required(&Path::Root.child("data"), "data must be a valid JSON object"),
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(errors: Errors) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    fn template() -> Value {
        value!({"metadata": {"labels": {"a": "b"}}, "spec": {
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "containers": [{
                "name": "c", "image": "i", "terminationMessagePolicy": "File", "imagePullPolicy": "Always"
            }]
        }})
    }

    fn object(fields: Value) -> Value {
        let mut object = value!({"spec": {
            "replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": (template()),
            "strategy": {"type": "Recreate"}, "updateStrategy": {"type": "OnDelete"},
            "podManagementPolicy": "Parallel"
        }});
        for (name, value) in fields.members() {
            object.entry("spec").set(name.to_owned(), value.clone());
        }
        object
    }

    #[test]
    fn right_ones_are_right() {
        let plain = object(value!({}));
        for errors in
            [deployment(&plain), replica_set(&plain), daemon_set(&plain), stateful_set(&plain, true)]
        {
            assert_eq!(told(errors), Vec::<String>::new());
        }
    }

    #[test]
    fn templates_of_claims_are_volumes() {
        let mut template = template();
        let mounts = value!([{"name": "data", "mountPath": "/data"}]);
        let container = &mut template.entry_at(&["spec", "containers"]).items_mut()[0];
        container.set("volumeMounts", mounts);
        let claims = || {
            value!([{"metadata": {"name": "data"}, "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}
            }}])
        };
        let with = object(value!({"template": (template.clone()), "volumeClaimTemplates": (claims())}));
        assert_eq!(told(stateful_set(&with, true)), Vec::<String>::new());
        let without = object(value!({"template": template}));
        assert_eq!(
            told(stateful_set(&without, true)),
            ["spec.template.spec.containers[0].volumeMounts[0].name: Not found: \"data\""]
        );
    }

    #[test]
    fn selectors_match_templates() {
        let wrong = object(value!({"selector": {"matchLabels": {"a": "x"}}}));
        let expected = [
            "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`",
        ];
        assert_eq!(told(deployment(&wrong)), expected);
        assert_eq!(told(replica_set(&wrong)), expected);
        assert_eq!(told(stateful_set(&wrong, true)), expected);
    }

    #[test]
    fn something_always_rolls() {
        for (unavailable, surge, expected) in [
            (
                Value::from("0%"),
                Value::from(0),
                vec![
                    "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0",
                ],
            ),
            (
                Value::from(1),
                Value::from(-1),
                vec![
                    "spec.strategy.rollingUpdate.maxSurge: Invalid value: -1: must be greater than or equal to 0",
                ],
            ),
            (
                Value::from("200%"),
                Value::from(0),
                vec![
                    "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"200%\": must not be greater than 100%",
                ],
            ),
            (Value::from("25%"), Value::from("25%"), vec![]),
        ] {
            let strategy = value!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": unavailable, "maxSurge": surge}});
            assert_eq!(told(deployment(&object(value!({"strategy": strategy})))), expected);
        }
    }
}
