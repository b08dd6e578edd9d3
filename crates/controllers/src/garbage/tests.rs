//! Table tests of the plan; tests of the graph.

use std::sync::Arc;

use client::{Propagation, Resource};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde::Deserialize;

use super::graph::{Graph, State, Uid};
use super::plan::{Action, Dependent, Observed, OwnerState, plan};
use crate::cases::check;
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    finalizers: Vec<String>,
    terminating: bool,
    owners: Vec<Owner>,
    dependents: Vec<String>,
}

#[derive(Clone, Copy, Deserialize)]
enum Owner {
    Solid,
    Waiting,
    Absent,
    Unknown,
    Invalid,
}

impl Owner {
    fn state(self) -> OwnerState {
        match self {
            Owner::Solid => OwnerState::Solid,
            Owner::Waiting => OwnerState::Waiting,
            Owner::Absent => OwnerState::Absent,
            Owner::Unknown => OwnerState::Unknown,
            Owner::Invalid => OwnerState::Invalid,
        }
    }
}

/// `living`, `waiting`, or one of them `and blocks`.
fn dependent(told: &str) -> Dependent {
    let (state, blocks) = told.strip_suffix(" and blocks").map_or((told, false), |state| (state, true));
    let state = match state {
        "living" => State::Living,
        "waiting" => State::Foreground,
        other => panic!("{other}"),
    };
    Dependent { blocks, state }
}

fn shown(action: Action) -> String {
    match action {
        Action::Nothing => "nothing".into(),
        Action::Later => "look again later".into(),
        Action::KeepOwners(kept) => {
            let kept: Vec<_> = kept.iter().map(|kept| kept.uid.as_str()).collect();
            format!("keep owner {}", kept.join(" "))
        }
        Action::Delete { propagation, unblock } => {
            let how = match propagation {
                Propagation::Background => "in the background",
                Propagation::Foreground => "in the foreground",
                Propagation::Orphan => "and orphan",
            };
            format!("delete {how}{}", if unblock { " and unblock" } else { "" })
        }
        Action::DeleteDependents => "delete dependents".into(),
        Action::FreeDependents => "free dependents".into(),
        Action::RemoveFinalizer(name) => format!("remove finalizer {name}"),
    }
}

#[test]
fn what_owners_and_dependents_mean() {
    check(include_str!("cases.yaml"), "what owners and dependents mean", |case: Case| {
        let owners: Vec<_> =
            case.owners.iter().enumerate().map(|(at, of)| (owner(&at.to_string()), of.state())).collect();
        shown(plan(&Observed {
            finalizers: &case.finalizers,
            terminating: case.terminating,
            owners: &owners,
            dependents: case.dependents.iter().map(|told| dependent(told)).collect(),
        }))
    });
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
