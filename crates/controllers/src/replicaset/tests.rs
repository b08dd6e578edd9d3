//! Table tests of the plan and the status.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::Value;
use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::ReplicaSet;
use serde::Deserialize;

use super::plan::{Failure, Observed, plan, status};
use crate::cases::{Written, check, now};
use crate::pods::{Phase, PodView};

const CASES: &str = include_str!("cases.yaml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    set: Written<ReplicaSet>,
    pods: BTreeMap<String, State>,
    /// What was done before does not show yet.
    #[serde(default)]
    stale: bool,
    /// Why no pod could be created.
    failure: Option<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum State {
    Ready,
    Pending,
    Ended,
    Leaving,
}

impl Case {
    fn look<T>(&self, decide: impl FnOnce(&Observed<'_>) -> T) -> T {
        let pod = |(name, state): (&String, &State)| {
            Arc::new(PodView {
                name: name.clone(),
                uid: name.clone(),
                labels: [("app".to_owned(), "web".to_owned())].into(),
                node: "n".into(),
                phase: match state {
                    State::Pending => Phase::Pending,
                    State::Ended => Phase::Failed,
                    State::Ready | State::Leaving => Phase::Running,
                },
                ready: [State::Ready, State::Leaving].contains(state),
                ready_changed: Some(now() - SignedDuration::from_secs(60)),
                terminating: *state == State::Leaving,
                ..PodView::default()
            })
        };
        let failure = self.failure.clone().map(|message| Failure { reason: "FailedCreate", message });
        decide(&Observed {
            set: &self.set,
            pods: self.pods.iter().map(pod).collect(),
            ranks: BTreeMap::new(),
            expectations_met: !self.stale,
            failure: failure.as_ref(),
            now: now(),
        })
    }
}

#[test]
fn so_many_pods_as_wanted() {
    check(CASES, "so many pods as wanted", |case: Case| {
        let plan = case.look(plan);
        let mut lines = Vec::from_iter((plan.create > 0).then(|| format!("create {}", plan.create)));
        lines.extend(plan.delete.iter().map(|pod| format!("delete {}", pod.name)));
        lines.extend(plan.again.map(|after| format!("look again after {after:?}")));
        lines
    });
}

#[test]
fn the_status_counts() {
    check(CASES, "the status counts", |case: Case| Value::from_serialize(&case.look(status)).unwrap());
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Aged {
    set: Written<ReplicaSet>,
    ready: Vec<i64>,
    unready: Vec<i64>,
}

#[test]
fn the_ages_of_the_chosen_are_told() {
    check(CASES, "the ages of the chosen are told", |case: Aged| {
        let aged = |seconds: &i64, ready| {
            Arc::new(PodView {
                name: seconds.to_string(),
                node: "n".into(),
                ready,
                phase: Phase::Running,
                created: now() - SignedDuration::from_secs(*seconds),
                ..PodView::default()
            })
        };
        let ready = case.ready.iter().map(|seconds| aged(seconds, true));
        let unready = case.unready.iter().map(|seconds| aged(seconds, false));
        let plan = plan(&Observed {
            set: &case.set,
            pods: ready.chain(unready).collect(),
            ranks: BTreeMap::new(),
            expectations_met: true,
            failure: None,
            now: now(),
        });
        let mut ratios = plan.age_ratios.iter();
        let told = |pod: &Arc<PodView>| match ratios.next() {
            Some(ratio) => format!("delete {}: {ratio}", pod.name),
            None => format!("delete {}", pod.name),
        };
        plan.delete.iter().map(told).collect::<Vec<_>>()
    });
}
