//! No two pods of one name run at once, on whatever nodes.

use std::collections::BTreeMap;

use informer::ObjectKey;
use parking_lot::Mutex;

use crate::simulation::world::World;

/// What runs where, as the nodes know it.
#[derive(Default)]
pub struct Running {
    /// Node and uid by the pod's name.
    pods: Mutex<BTreeMap<ObjectKey, Vec<(String, String)>>>,
    violations: Mutex<Vec<String>>,
}

impl Running {
    pub fn start(&self, node: &str, key: &ObjectKey, uid: &str) {
        let mut pods = self.pods.lock();
        let of_name = pods.entry(key.clone()).or_default();
        if !of_name.is_empty() {
            self.violations.lock().push(format!("{key} starts on {node} and runs already: {of_name:?}"));
        }
        of_name.push((node.to_owned(), uid.to_owned()));
    }

    pub fn stop(&self, node: &str, key: &ObjectKey, uid: &str) {
        let mut pods = self.pods.lock();
        if let Some(of_name) = pods.get_mut(key) {
            of_name.retain(|(its_node, its_uid)| (its_node.as_str(), its_uid.as_str()) != (node, uid));
        }
    }

    /// The machine is no more, and nothing runs on it.
    pub fn end(&self, node: &str) {
        for of_name in self.pods.lock().values_mut() {
            of_name.retain(|(its_node, _)| its_node != node);
        }
    }

    /// The uid of what runs under a name on a node.
    pub fn of(&self, node: &str, namespace: &str, name: &str) -> Option<String> {
        self.on(node, &ObjectKey::new(namespace, name))
    }

    /// The uid of what runs under this name on this node.
    pub fn on(&self, node: &str, key: &ObjectKey) -> Option<String> {
        let pods = self.pods.lock();
        pods.get(key)?.iter().find(|(its_node, _)| its_node == node).map(|(_, uid)| uid.clone())
    }
}

pub fn check(world: &World) {
    let violations = world.running.violations.lock();
    assert!(violations.is_empty(), "names ran twice: {violations:?}");
}
