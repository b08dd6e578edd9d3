//! Table tests of the plan.

use std::net::IpAddr;
use std::time::Duration;

use apimachinery::value;
use k8s_openapi::api::networking::v1::ServiceCIDR;

use super::plan::{Action, FINALIZER, plan};

fn range(name: &str, cidr: &str, deleted: &str) -> ServiceCIDR {
    let mut range = value!({
        "metadata": {"name": name, "finalizers": [FINALIZER]},
        "spec": {"cidrs": [cidr]},
        "status": {"conditions": [{
            "type": "Ready", "status": "True", "reason": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
            "message": "Kubernetes Service CIDR is ready"
        }]}
    });
    if !deleted.is_empty() {
        range.set_at(&["metadata", "deletionTimestamp"], deleted);
    }
    range.decode().unwrap()
}

#[test]
fn ranges_stay_while_they_are_needed() {
    let now = "2026-01-01T01:00:00Z".parse().unwrap();
    let (long_ago, just_now) = ("2026-01-01T00:00:00Z", "2026-01-01T00:59:55Z");
    let whole = || range("kubernetes", "10.96.0.0/16", "");
    let six = || range("six", "fd00::/112", "");
    let extra = |deleted| range("extra", "10.97.0.0/24", deleted);
    for (what, seen, others, used, expected) in [
        ("as it should be", extra(""), vec![whole()], vec![], "nothing"),
        ("nothing of it is used", extra(long_ago), vec![whole()], vec!["10.96.0.1"], "free"),
        ("not heard of yet", extra(just_now), vec![whole()], vec![], "again"),
        ("an address of it is used", extra(long_ago), vec![whole()], vec!["10.97.0.9"], "False"),
        (
            "a larger one has its addresses",
            range("extra", "10.96.3.0/24", long_ago),
            vec![whole()],
            vec!["10.96.3.9"],
            "free",
        ),
        ("the last of its family", extra(long_ago), vec![six()], vec!["10.97.0.1"], "False"),
        ("addresses of the other family", extra(long_ago), vec![six()], vec!["fd00::1"], "free"),
    ] {
        let all: Vec<&ServiceCIDR> = others.iter().chain([&seen]).collect();
        let used: Vec<IpAddr> = used.iter().map(|address| address.parse().unwrap()).collect();
        let action = plan(&seen, &all, &used, now);
        let shown = match &action {
            Action::Nothing => "nothing",
            Action::Protect => "protect",
            Action::Again(after) if *after == Duration::from_secs(5) => "again",
            Action::Again(_) => "again, some time",
            Action::Tell(condition) => condition.status.as_str(),
            Action::Free => "free",
        };
        assert_eq!(shown, expected, "{what}");
    }
    let mut new = extra("");
    new.metadata.finalizers = None;
    assert_eq!(plan(&new, &[&new], &[], now), Action::Protect);
    let mut untold = extra("");
    untold.status = None;
    assert!(matches!(plan(&untold, &[&untold], &[], now), Action::Tell(told) if told.status == "True"));
}
