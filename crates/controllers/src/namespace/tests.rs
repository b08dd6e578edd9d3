//! Table tests of the plan.

use apimachinery::{Value, value};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;

use super::plan::{Action, Observed, Remaining, plan};

fn namespace(finalizers: Value) -> Namespace {
    value!({
        "metadata": {"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"finalizers": (finalizers)},
        "status": {"phase": "Terminating"}
    })
    .decode()
    .unwrap()
}

fn run(namespace: &Namespace, remaining: Vec<Remaining>, failures: Vec<String>) -> Action {
    let now: Timestamp = "2026-01-01T00:00:10Z".parse().unwrap();
    plan(&Observed { namespace, remaining, failures, now })
}

#[test]
fn an_empty_namespace_ends() {
    let ours = namespace(value!(["kubernetes"]));
    assert_eq!(run(&ours, vec![], vec![]), Action::Finalize(vec![]));
    let shared = namespace(value!(["kubernetes", "example.com/mine"]));
    assert_eq!(run(&shared, vec![], vec![]), Action::Finalize(vec!["example.com/mine".into()]));
    assert_eq!(run(&namespace(value!(["example.com/mine"])), vec![], vec![]), Action::Wait);
    assert_eq!(run(&namespace(value!([])), vec![], vec![]), Action::Delete);
}

#[test]
fn what_is_left_is_told_once() {
    let left = vec![Remaining {
        resource: "pods.".into(),
        objects: 2,
        finalizers: [("example.com/hold".to_owned(), 1)].into(),
    }];
    let mut namespace = namespace(value!(["kubernetes"]));
    let Action::Status(status) = run(&namespace, left.clone(), vec![]) else { panic!("no status") };
    let message = |kind: &str| {
        let conditions = status.conditions.as_ref().unwrap();
        let found = conditions.iter().find(|condition| condition.type_ == kind).unwrap();
        (found.status.clone(), found.message.clone().unwrap())
    };
    let (truth, text) = message("NamespaceContentRemaining");
    assert_eq!((truth.as_str(), text.contains("pods. has 2 resource instances")), ("True", true));
    let (truth, text) = message("NamespaceFinalizersRemaining");
    assert_eq!((truth.as_str(), text.contains("example.com/hold in 1")), ("True", true));
    assert_eq!(message("NamespaceDeletionContentFailure").0, "False");
    namespace.status = Some(*status);
    assert_eq!(run(&namespace, left.clone(), vec![]), Action::Wait);
    // A failure is told even where nothing is left.
    assert!(matches!(run(&namespace, vec![], vec!["refused".into()]), Action::Status(_)));
}
