//! The scheduling framework: the extension points as traits, and the set of
//! plugins that a scheduler runs, in order.
//!
//! A plugin names its extension points by the `Plugin::as_…` methods. What
//! upstream keeps in a CycleState between PreFilter and Filter, or PreScore
//! and Score, is here the value that the first returns and the second runs on.

mod events;
mod points;

pub use events::{Change, Hint};
pub use points::{
    Bind, BindContext, Cycle, Filter, MAX_NODE_SCORE, Permit, Plugin, PostFilter, PostFiltered, PreBind,
    PreEnqueue, PreFilter, PreScore, Prepared, QueueSort, Reason, Rejection, Reserve, Score,
    normalize_default,
};

use crate::cluster::NodeInfo;
use crate::plugins;

/// A plugin and what its scores weigh.
pub struct Registered {
    pub plugin: Box<dyn Plugin>,
    pub weight: i64,
}

/// The plugins of one scheduler, in order.
pub struct Framework {
    plugins: Vec<Registered>,
}

impl Framework {
    pub fn new(plugins: Vec<Registered>) -> Self {
        Self { plugins }
    }

    /// Upstream's default profile (`plugins::table`).
    pub fn default_profile() -> Self {
        Self::new(plugins::table::default_plugins())
    }

    pub fn plugins(&self) -> impl Iterator<Item = &dyn Plugin> {
        self.plugins.iter().map(|registered| &*registered.plugin)
    }

    pub fn find(&self, name: &str) -> Option<&dyn Plugin> {
        self.plugins().find(|plugin| plugin.name() == name)
    }

    /// The order of the queue; the first plugin that gives one decides.
    pub fn queue_sort(&self) -> Option<&dyn QueueSort> {
        self.plugins().find_map(Plugin::as_queue_sort)
    }

    pub fn weighted(&self) -> impl Iterator<Item = (&dyn Plugin, i64)> {
        self.plugins.iter().map(|registered| (&*registered.plugin, registered.weight))
    }

    /// Why `pod` may not enter the queue yet, with the plugin that says so.
    pub fn gate(&self, pod: &crate::PodInfo) -> Option<(&'static str, String)> {
        self.plugins().find_map(|plugin| {
            let refusal = plugin.as_pre_enqueue()?.pre_enqueue(pod).err()?;
            Some((plugin.name(), refusal))
        })
    }

    /// Runs every Reserve; the first refusal undoes those before it.
    pub fn reserve(&self, cycle: Cycle<'_>, node: &NodeInfo) -> Result<(), (&'static str, Rejection)> {
        for plugin in self.plugins() {
            let Some(reserve) = plugin.as_reserve() else { continue };
            if let Err(rejection) = reserve.reserve(cycle, node) {
                self.unreserve(cycle.pod, node.name());
                return Err((plugin.name(), rejection));
            }
        }
        Ok(())
    }

    /// Undoes every Reserve, the last first; those that never ran included.
    pub fn unreserve(&self, pod: &crate::PodInfo, node: &str) {
        let plugins: Vec<_> = self.plugins().filter_map(Plugin::as_reserve).collect();
        plugins.iter().rev().for_each(|reserve| reserve.unreserve(pod, node));
    }
}
