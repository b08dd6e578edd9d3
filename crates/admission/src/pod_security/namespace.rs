//! Namespaces: their labels are checked, and a stricter level says which pods
//! that are there break it.

use std::collections::{BTreeMap, BTreeSet};

use apimachinery::{Status, Value, meta};
use apiserver::{Admission, Notes, Operation};

use super::checks::{self, PodView};
use super::policy::{Level, LevelVersion, Policy};

/// How many pods are looked at, most.
const MOST_PODS: usize = 3000;

/// Refuses labels that cannot be read, unless they were so before.
pub(super) fn validate(
    admission: &Admission<'_>,
    namespace: &Value,
    notes: &mut Notes,
) -> Result<(), Status> {
    let (policy, errors) = Policy::of(|label| meta::label(namespace, label));
    let before = admission.old.map(|old| Policy::of(|label| meta::label(old, label)));
    let known = before.as_ref().is_some_and(|(_, before)| *before == errors);
    if !errors.is_empty() && !known {
        let name = meta::name(namespace);
        return Err(Status::invalid(admission.definition.group_kind(), name, &errors.causes()));
    }
    let Some((before, _)) = before else { return Ok(()) };
    if admission.operation == Operation::Update && is_tightened(policy.enforce, before.enforce) {
        let pods = admission.view.list("", "pods", meta::name(namespace)).map(|pod| pod.tree());
        let pods: Vec<Value> = pods.collect();
        notes.warnings.extend(violating(meta::name(namespace), policy.enforce, &pods));
    }
    Ok(())
}

/// Whether pods that were fine may not be so any more.
fn is_tightened(now: LevelVersion, before: LevelVersion) -> bool {
    now != before
        && now.level != Level::Privileged
        && (now.version != before.version || now.level > before.level)
}

/// The warnings about pods that break `enforce`, those with the same faults together.
fn violating(namespace: &str, enforce: LevelVersion, pods: &[Value]) -> Vec<String> {
    let pods = prioritized(pods);
    let mut by_fault: BTreeMap<String, (&str, usize)> = BTreeMap::new();
    for pod in pods.iter().take(MOST_PODS) {
        let violations = checks::evaluate(enforce, PodView::of(pod));
        if violations.is_empty() {
            continue;
        }
        let faults: Vec<&str> = violations.iter().map(|violation| violation.reason).collect();
        let name = meta::name(pod);
        let (first, count) = by_fault.entry(faults.join(", ")).or_insert((name, 0));
        *first = name.min(first);
        *count += 1;
    }
    let mut warnings = Vec::new();
    if pods.len() > MOST_PODS {
        warnings.push(format!(
            "new PodSecurity enforce level only checked against the first {MOST_PODS} of {} existing pods",
            pods.len()
        ));
    }
    if !by_fault.is_empty() {
        warnings.push(format!(
            "existing pods in namespace {namespace:?} violate the new PodSecurity enforce level \"{enforce}\""
        ));
    }
    let mut told: Vec<String> = by_fault
        .into_iter()
        .map(|(faults, (first, count))| match count {
            1 => format!("{first}: {faults}"),
            2 => format!("{first} (and 1 other pod): {faults}"),
            count => format!("{first} (and {} other pods): {faults}", count - 1),
        })
        .collect();
    told.sort();
    warnings.append(&mut told);
    warnings
}

/// One pod of each controller before its other pods, which are most likely alike.
fn prioritized(pods: &[Value]) -> Vec<&Value> {
    let mut seen = BTreeSet::new();
    let (first, rest): (Vec<&Value>, Vec<&Value>) = pods.iter().partition(|pod| {
        meta::controller(pod).is_none_or(|controller| seen.insert(controller["uid"].text().to_owned()))
    });
    first.into_iter().chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::super::policy::Version;
    use super::*;

    fn at(level: Level) -> LevelVersion {
        LevelVersion { level, version: Version::Latest }
    }

    #[test]
    fn pods_with_the_same_faults_are_told_together() {
        let pod = |name: &str, spec: Value| value!({"metadata": {"name": name}, "spec": spec});
        let pods = [
            pod("z", value!({"containers": [{"name": "c", "securityContext": {"privileged": true}}]})),
            pod("y", value!({"hostPID": true, "containers": []})),
            pod("x", value!({"hostPID": true, "containers": []})),
            pod("fine", value!({"containers": []})),
        ];
        assert_eq!(
            violating("n", at(Level::Baseline), &pods),
            [
                "existing pods in namespace \"n\" violate the new PodSecurity enforce level \"baseline:latest\"",
                "x (and 1 other pod): host namespaces",
                "z: privileged"
            ]
        );
        assert!(violating("n", at(Level::Privileged), &pods).is_empty());
    }

    #[test]
    fn only_a_stricter_level_is_looked_at() {
        let old = LevelVersion { level: Level::Baseline, version: Version::Minor(30) };
        for (now, before, tightened) in [
            (at(Level::Baseline), at(Level::Baseline), false),
            (at(Level::Restricted), at(Level::Baseline), true),
            (at(Level::Baseline), at(Level::Restricted), false),
            (at(Level::Privileged), old, false),
            (at(Level::Baseline), old, true),
        ] {
            assert_eq!(is_tightened(now, before), tightened, "{now} after {before}");
        }
    }

    #[test]
    fn each_controller_has_a_pod_in_front() {
        let owned = |name: &str, owner: &str| value!({"metadata": {"name": name, "ownerReferences": [{"uid": owner, "controller": true}]}});
        let pods =
            [owned("a1", "a"), owned("a2", "a"), owned("b1", "b"), value!({"metadata": {"name": "free"}})];
        let names: Vec<&str> = prioritized(&pods).into_iter().map(meta::name).collect();
        assert_eq!(names, ["a1", "b1", "free", "a2"]);
    }
}
