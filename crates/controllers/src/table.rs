//! The table of controllers.

use crate::{
    Context, bootstrapsigner, clusterroleaggregation, clustertrustbundlepublisher, cronjob, csrapproving,
    csrcleaner, csrsigning, daemonset, deployment, devicetainteviction, disruption, endpoints, endpointslice,
    endpointslicemirroring, ephemeralvolume, garbage, horizontalpodautoscaler, job, legacytokencleaner,
    namespace, nodelifecycle, persistentvolumebinder, podcertificaterequestcleaner, podgc, pvcprotection,
    pvprotection, replicaset, replicationcontroller, resourceclaim, resourcequota, rootca, serviceaccount,
    serviceaccounttoken, servicecidr, statefulset, storageversionmigrator, tainteviction, tokencleaner, ttl,
    ttlafterfinished, vacprotection,
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
    Controller { name: "serviceaccounttoken", start: serviceaccounttoken::start },
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
    Controller { name: "horizontalpodautoscaler", start: horizontalpodautoscaler::start },
    Controller { name: "ttlafterfinished", start: ttlafterfinished::start },
    Controller { name: "tainteviction", start: tainteviction::start },
    Controller { name: "devicetainteviction", start: devicetainteviction::start },
    Controller { name: "disruption", start: disruption::start },
    Controller { name: "resourcequota", start: resourcequota::start },
    Controller { name: "clusterroleaggregation", start: clusterroleaggregation::start },
    Controller { name: "podgc", start: podgc::start },
    Controller { name: "pvcprotection", start: pvcprotection::start },
    Controller { name: "pvprotection", start: pvprotection::start },
    Controller { name: "vacprotection", start: vacprotection::start },
    Controller { name: "persistentvolumebinder", start: persistentvolumebinder::start },
    Controller { name: "ephemeralvolume", start: ephemeralvolume::start },
    Controller { name: "csrapproving", start: csrapproving::start },
    Controller { name: "csrcleaner", start: csrcleaner::start },
    Controller { name: "bootstrapsigner", start: bootstrapsigner::start },
    Controller { name: "tokencleaner", start: tokencleaner::start },
    Controller { name: "legacytokencleaner", start: legacytokencleaner::start },
    Controller { name: "servicecidr", start: servicecidr::start },
    Controller { name: "podcertificaterequestcleaner", start: podcertificaterequestcleaner::start },
    Controller { name: "clustertrustbundlepublisher", start: clustertrustbundlepublisher::start },
    Controller { name: "resourceclaim", start: resourceclaim::start },
    Controller { name: "storageversionmigrator", start: storageversionmigrator::start },
    Controller { name: "ttl", start: ttl::start },
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
