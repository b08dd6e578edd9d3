//! Table tests of protection.

use super::plan::{FINALIZER, plan, uses};
use crate::pods::PodView;
use crate::protection::Action;
use crate::volume_claims::ClaimView;

#[test]
fn claims_are_protected_while_they_are_used() {
    for (terminating, protected, used, expected) in [
        (false, true, true, Action::Nothing),
        (false, true, false, Action::Nothing),
        (false, false, false, Action::Protect),
        (true, true, true, Action::Nothing),
        (true, true, false, Action::Free),
        (true, false, false, Action::Nothing),
    ] {
        let finalizers = protected.then(|| FINALIZER.to_owned()).into_iter().collect();
        let claim = ClaimView { terminating, finalizers, ..ClaimView::default() };
        assert_eq!(plan(&claim, used), expected, "{terminating} {protected} {used}");
    }
}

#[test]
fn a_bound_pod_uses_its_claims() {
    let pod = PodView { claims: vec![("data".into(), "c".into())], ..PodView::default() };
    assert!(!uses(&pod, "c"));
    let bound = PodView { node: "n".into(), ..pod };
    assert!(uses(&bound, "c") && !uses(&bound, "d"));
}
