//! The table of controllers.

use crate::{
    Context, clusterroleaggregation, cronjob, csrsigning, daemonset, deployment, disruption, endpoints,
    endpointslice, endpointslicemirroring, garbage, job, namespace, nodelifecycle, podgc, pvcprotection,
    replicaset, replicationcontroller, resourcequota, rootca, serviceaccount, statefulset, tainteviction,
    ttlafterfinished,
};

/// One controller: its folder's name, and how it is started.
pub(crate) struct Controller {
    pub name: &'static str,
    pub start: fn(&Context),
}

/// Every controller, in the order of starting: first what a new node and its
/// first pods wait for.
pub(crate) const CONTROLLERS: &[Controller] = &[
    Controller { name: "serviceaccount", start: serviceaccount::start },
    Controller { name: "rootca", start: rootca::start },
    Controller { name: "csrsigning", start: csrsigning::start },
    Controller { name: "nodelifecycle", start: nodelifecycle::start },
    Controller { name: "deployment", start: deployment::start },
    Controller { name: "replicaset", start: replicaset::start },
    Controller { name: "replicationcontroller", start: replicationcontroller::start },
    Controller { name: "statefulset", start: statefulset::start },
    Controller { name: "daemonset", start: daemonset::start },
    Controller { name: "endpointslice", start: endpointslice::start },
    Controller { name: "endpointslicemirroring", start: endpointslicemirroring::start },
    Controller { name: "endpoints", start: endpoints::start },
    Controller { name: "job", start: job::start },
    Controller { name: "cronjob", start: cronjob::start },
    Controller { name: "ttlafterfinished", start: ttlafterfinished::start },
    Controller { name: "tainteviction", start: tainteviction::start },
    Controller { name: "disruption", start: disruption::start },
    Controller { name: "resourcequota", start: resourcequota::start },
    Controller { name: "clusterroleaggregation", start: clusterroleaggregation::start },
    Controller { name: "podgc", start: podgc::start },
    Controller { name: "pvcprotection", start: pvcprotection::start },
    Controller { name: "garbage", start: garbage::start },
    Controller { name: "namespace", start: namespace::start },
];

/// Starts every controller in the task group of the context's edge.
pub fn start_all(context: &Context) {
    for controller in CONTROLLERS {
        tracing::debug!(controller = controller.name, "started");
        (controller.start)(context);
    }
}
