//! The namespaces that every cluster has.

use apimachinery::value;
use apiserver::{Companion, View};

use super::create_missing;

const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

pub(super) fn plan(view: &View) -> Vec<Companion> {
    NAMESPACES
        .iter()
        .filter_map(|name| {
            let namespace = value!({
                "kind": "Namespace",
                "apiVersion": "v1",
                "metadata": {"name": *name, "labels": {"kubernetes.io/metadata.name": *name}},
                "spec": {"finalizers": ["kubernetes"]},
                "status": {"phase": "Active"}
            });
            create_missing(view, "", "namespaces", namespace)
        })
        .collect()
}
