//! A ReplicationController read as a ReplicaSet
//! (`replication.convertRCtoRS`). Pure.

use std::borrow::Cow;

use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetSpec, ReplicaSetStatus};
use k8s_openapi::api::core::v1::{
    ReplicationController, ReplicationControllerCondition, ReplicationControllerStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::replicaset::Replicated;

impl Replicated for ReplicationController {
    const NAME: &'static str = "replicationcontroller";
    const IDENTITY: &'static str = "replication-controller";
    const QUEUE: &'static str = "replicationmanager";

    fn as_set(&self) -> Cow<'_, ReplicaSet> {
        let spec = self.spec.clone().unwrap_or_default();
        Cow::Owned(ReplicaSet {
            metadata: self.metadata.clone(),
            spec: ReplicaSetSpec {
                min_ready_seconds: spec.min_ready_seconds,
                replicas: spec.replicas,
                selector: LabelSelector { match_labels: spec.selector, match_expressions: None },
                template: spec.template,
            },
            status: self.status.clone().map(|status| ReplicaSetStatus {
                available_replicas: status.available_replicas,
                conditions: status.conditions.map(|list| list.into_iter().map(of_set).collect()),
                fully_labeled_replicas: status.fully_labeled_replicas,
                observed_generation: status.observed_generation,
                ready_replicas: status.ready_replicas,
                replicas: status.replicas,
                terminating_replicas: None,
            }),
        })
    }

    fn has_status(&self, status: &ReplicaSetStatus) -> bool {
        self.status.as_ref() == Some(&own_status(status.clone()))
    }

    fn with_status(&self, status: ReplicaSetStatus) -> Self {
        Self { status: Some(own_status(status)), ..self.clone() }
    }
}

fn of_set(condition: ReplicationControllerCondition) -> ReplicaSetCondition {
    ReplicaSetCondition {
        last_transition_time: condition.last_transition_time,
        message: condition.message,
        reason: condition.reason,
        status: Some(condition.status),
        type_: Some(condition.type_),
    }
}

/// Terminating replicas are told of ReplicaSets only.
fn own_status(status: ReplicaSetStatus) -> ReplicationControllerStatus {
    let own = |condition: ReplicaSetCondition| ReplicationControllerCondition {
        last_transition_time: condition.last_transition_time,
        message: condition.message,
        reason: condition.reason,
        status: condition.status.unwrap_or_default(),
        type_: condition.type_.unwrap_or_default(),
    };
    ReplicationControllerStatus {
        available_replicas: status.available_replicas,
        conditions: status.conditions.map(|list| list.into_iter().map(own).collect()),
        fully_labeled_replicas: status.fully_labeled_replicas,
        observed_generation: status.observed_generation,
        ready_replicas: status.ready_replicas,
        replicas: status.replicas,
    }
}
