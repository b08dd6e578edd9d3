//! Table tests of the shared rules.

use apimachinery::field::{Errors, Path};
use apimachinery::value;

use super::*;

#[test]
fn special_addresses_are_refused() {
    for (text, told) in [
        ("10.0.0.1", ""),
        (
            "127.0.0.1",
            "ip: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
        ),
        ("0.0.0.0", "ip: Invalid value: \"0.0.0.0\": may not be unspecified (0.0.0.0)"),
        (
            "fe80::1",
            "ip: Invalid value: \"fe80::1\": may not be in the link-local range (169.254.0.0/16, fe80::/10)",
        ),
        ("not an address", ""),
    ] {
        let mut errors = Errors::new();
        non_special_ip(&Path::Root.child("ip"), text, &mut errors);
        assert_eq!(errors.iter().map(ToString::to_string).collect::<String>(), told, "{text}");
    }
}

#[test]
fn resources_have_known_names_and_requests_within_limits() {
    for (resources, told) in [
        (value!({"requests": {"cpu": "1"}, "limits": {"cpu": "1"}}), vec![]),
        (
            value!({"requests": {"cpu": "3"}, "limits": {"cpu": "1500m"}}),
            vec!["r.requests: Invalid value: \"3\": must be less than or equal to cpu limit of 1500m"],
        ),
        (
            value!({"requests": {"memory": "-2Mi"}}),
            vec!["r.requests[memory]: Invalid value: \"-2Mi\": must be greater than or equal to 0"],
        ),
        (
            value!({"limits": {"pods": "1"}}),
            vec!["r.limits[pods]: Invalid value: \"pods\": must be a standard resource for containers"],
        ),
        (
            value!({"requests": {"hugepages-2Mi": "4Mi", "cpu": "1"}, "limits": {"hugepages-2Mi": "8Mi"}}),
            vec!["r.requests: Invalid value: \"4Mi\": must be equal to hugepages-2Mi limit of 8Mi"],
        ),
        (
            value!({"claims": [{"name": "gpu"}]}),
            vec!["r.claims[0]: Not found: \"gpu\": must be one of the names in pod.spec.resourceClaims: nic"],
        ),
    ] {
        let mut errors = Errors::new();
        resources::requirements(&Path::Root.child("r"), &resources, &["nic"], &mut errors);
        assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), told);
    }
}
