//! Table tests of the plan and of the graph.

use std::sync::Arc;

use client::{Propagation, Resource};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::graph::{Graph, State, Uid};
use super::plan::{Action, Dependent, Observed, OwnerState, plan};
use crate::everything::{Kind, Node};

fn owner(uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        name: uid.into(),
        uid: uid.into(),
        block_owner_deletion: Some(true),
        controller: None,
    }
}

#[test]
fn what_owners_mean() {
    use OwnerState::{Absent, Invalid, Solid, Unknown, Waiting};
    let delete = |propagation| Action::Delete { propagation, unblock: false };
    let kept = |uids: &[&str]| Action::KeepOwners(uids.iter().map(|uid| owner(uid)).collect());
    let living = vec![Dependent { blocks: true, state: State::Living }];
    let circle = vec![Dependent { blocks: true, state: State::Foreground }];
    for (owners, finalizers, dependents, expected) in [
        (vec![], vec![], vec![], Action::Nothing),
        (vec![Solid], vec![], vec![], Action::Nothing),
        (vec![Solid, Absent], vec![], vec![], kept(&["0"])),
        (vec![Waiting, Solid], vec![], vec![], kept(&["1"])),
        (vec![Absent], vec![], vec![], delete(Propagation::Background)),
        (vec![Absent, Absent], vec!["orphan"], vec![], delete(Propagation::Orphan)),
        (vec![Absent], vec!["foregroundDeletion"], vec![], delete(Propagation::Foreground)),
        (vec![Waiting], vec![], vec![], delete(Propagation::Background)),
        (vec![Waiting], vec![], living, delete(Propagation::Foreground)),
        (
            vec![Waiting],
            vec![],
            circle,
            Action::Delete { propagation: Propagation::Foreground, unblock: true },
        ),
        (vec![Absent, Unknown], vec![], vec![], Action::Later),
        (vec![Absent, Invalid], vec![], vec![], Action::Nothing),
    ] {
        let owners: Vec<_> =
            owners.into_iter().enumerate().map(|(at, state)| (owner(&at.to_string()), state)).collect();
        let finalizers: Vec<_> = finalizers.into_iter().map(str::to_owned).collect();
        let observed = Observed { finalizers: &finalizers, terminating: false, owners: &owners, dependents };
        assert_eq!(plan(&observed), expected, "{owners:?} {finalizers:?}");
    }
}

#[test]
fn what_deletion_waits_for() {
    let dependent = |blocks| Dependent { blocks, state: State::Living };
    for (finalizers, dependents, expected) in [
        (vec![], vec![dependent(true)], Action::Nothing),
        (vec!["foregroundDeletion"], vec![dependent(true)], Action::DeleteDependents),
        (vec!["foregroundDeletion"], vec![dependent(false)], Action::RemoveFinalizer("foregroundDeletion")),
        (vec!["orphan", "foregroundDeletion"], vec![dependent(true)], Action::FreeDependents),
        (vec!["orphan"], vec![], Action::RemoveFinalizer("orphan")),
    ] {
        let finalizers: Vec<_> = finalizers.into_iter().map(str::to_owned).collect();
        let observed = Observed { finalizers: &finalizers, terminating: true, owners: &[], dependents };
        assert_eq!(plan(&observed), expected, "{finalizers:?}");
    }
}

fn maps() -> Arc<Kind> {
    Arc::new(Kind {
        resource: Resource::new("", "v1", "configmaps"),
        kind: "ConfigMap".into(),
        namespaced: true,
        collection: true,
    })
}

fn node(namespace: &str, uid: &str, owners: &[&str]) -> Node {
    Node {
        namespace: namespace.into(),
        name: uid.into(),
        uid: uid.into(),
        owners: owners.iter().map(|uid| owner(uid)).collect(),
        ..Node::default()
    }
}

#[test]
fn the_graph_wakes_those_concerned() {
    let (kind, mut graph) = (maps(), Graph::default());
    let uid = Uid::of;
    assert_eq!(graph.apply(&kind, None, Some(&node("a", "owner", &[]))), []);
    let child = node("a", "child", &["owner"]);
    assert_eq!(graph.apply(&kind, None, Some(&child)), [], "its owner is there");
    let lost = node("a", "lost", &["nobody"]);
    assert_eq!(graph.apply(&kind, None, Some(&lost)), [uid("lost")]);
    let across = node("b", "across", &["owner"]);
    assert_eq!(graph.apply(&kind, None, Some(&across)), [uid("across")], "of another namespace");
    assert_eq!(graph.dependents(uid("owner")).len(), 2);
    assert!(graph.is_elsewhere(uid("owner"), "b") && graph.is_elsewhere(uid("owner"), ""));
    assert!(!graph.is_elsewhere(uid("owner"), "a") && !graph.is_elsewhere(uid("nobody"), "b"));

    // A foreground deletion waits, and is woken when a dependent goes.
    let waiting =
        Node { terminating: true, finalizers: vec!["foregroundDeletion".into()], ..node("a", "owner", &[]) };
    assert_eq!(graph.apply(&kind, Some(&node("a", "owner", &[])), Some(&waiting)), [uid("owner")]);
    assert!(graph.apply(&kind, Some(&across), None).contains(&uid("owner")));
    // An owner that goes wakes its dependents.
    assert_eq!(graph.apply(&kind, Some(&waiting), None), [uid("child")]);
    assert!(graph.apply(&kind, Some(&child), None).contains(&uid("owner")));
    assert!(graph.dependents(uid("owner")).is_empty());
}

#[test]
fn an_owner_that_turns_up_elsewhere_wakes_its_dependents() {
    let (kind, mut graph) = (maps(), Graph::default());
    for (namespace, name) in [("a", "beside"), ("b", "across"), ("", "above")] {
        graph.apply(&kind, None, Some(&node(namespace, name, &["late"])));
    }
    let woken = graph.apply(&kind, None, Some(&node("a", "late", &[])));
    assert_eq!(woken, [Uid::of("above"), Uid::of("across")]);
    assert_eq!(graph.apply(&kind, None, Some(&node("a", "late", &[]))), [], "it is known");
}

#[test]
fn another_object_of_the_same_name_is_another() {
    let (kind, mut graph) = (maps(), Graph::default());
    let first = node("a", "one", &[]);
    graph.apply(&kind, None, Some(&first));
    let child = node("a", "child", &["one"]);
    graph.apply(&kind, None, Some(&child));
    let second = Node { uid: "two".into(), ..first.clone() };
    assert_eq!(graph.apply(&kind, Some(&first), Some(&second)), [Uid::of("child")]);
}
