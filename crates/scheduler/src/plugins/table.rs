//! The table of plugins: upstream's default profile, in its order, with the
//! weights of its scores.

use crate::framework::{Plugin, Registered};
use crate::plugins::default_binder::DefaultBinder;
use crate::plugins::default_preemption::DefaultPreemption;
use crate::plugins::image_locality::ImageLocality;
use crate::plugins::inter_pod_affinity::InterPodAffinity;
use crate::plugins::node_affinity::NodeAffinity;
use crate::plugins::node_name::NodeName;
use crate::plugins::node_ports::NodePorts;
use crate::plugins::node_resources_balanced_allocation::NodeResourcesBalancedAllocation;
use crate::plugins::node_resources_fit::NodeResourcesFit;
use crate::plugins::node_unschedulable::NodeUnschedulable;
use crate::plugins::pod_topology_spread::PodTopologySpread;
use crate::plugins::priority_sort::PrioritySort;
use crate::plugins::scheduling_gates::SchedulingGates;
use crate::plugins::taint_toleration::TaintToleration;
use crate::plugins::volume_binding::VolumeBinding;

/// All plugins that run by default.
pub fn default_plugins() -> Vec<Registered> {
    let registered = |plugin: Box<dyn Plugin>, weight| Registered { plugin, weight };
    vec![
        registered(Box::new(SchedulingGates), 0),
        registered(Box::new(PrioritySort), 0),
        registered(Box::new(NodeUnschedulable), 0),
        registered(Box::new(NodeName), 0),
        registered(Box::new(TaintToleration), 3),
        registered(Box::new(NodeAffinity), 2),
        registered(Box::new(NodePorts), 0),
        registered(Box::new(NodeResourcesFit), 1),
        registered(Box::<VolumeBinding>::default(), 0),
        registered(Box::new(PodTopologySpread), 2),
        registered(Box::new(InterPodAffinity), 2),
        registered(Box::new(DefaultPreemption), 0),
        registered(Box::new(NodeResourcesBalancedAllocation), 1),
        registered(Box::new(ImageLocality), 1),
        registered(Box::new(DefaultBinder), 0),
    ]
}
