//! The table of controllers.

use crate::{Context, deployment, replicaset};

/// One controller: its name, as in upstream's identity `NAME-controller`, and
/// how it is started.
pub(crate) struct Controller {
    pub name: &'static str,
    pub start: fn(&Context),
}

/// Every controller, in the order of starting.
pub(crate) const CONTROLLERS: &[Controller] = &[
    Controller { name: "deployment", start: deployment::start },
    Controller { name: "replicaset", start: replicaset::start },
];

/// Starts every controller in the task group of the context's edge.
pub fn start_all(context: &Context) {
    for controller in CONTROLLERS {
        tracing::debug!(controller = controller.name, "started");
        (controller.start)(context);
    }
}
