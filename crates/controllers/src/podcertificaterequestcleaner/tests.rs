//! Table test of when requests go.

use apimachinery::value;

use super::plan::Request;
use crate::aging::Aged;

#[test]
fn requests_go_after_a_quarter_of_an_hour() {
    for (created, expected) in [
        (value!("2026-01-01T00:00:00Z"), "2026-01-01T00:15:00Z"),
        (value!("2026-01-01T23:50:00Z"), "2026-01-02T00:05:00Z"),
        (value!(null), "1970-01-01T00:15:00Z"),
    ] {
        let request = value!({
            "metadata": {"name": "r", "namespace": "ns", "uid": "u", "creationTimestamp": created},
            "spec": {
                "signerName": "x", "podName": "p", "podUID": "1", "serviceAccountName": "a",
                "serviceAccountUID": "2", "nodeName": "n", "nodeUID": "3"
            }
        });
        let request = Request::of(request.decode().unwrap());
        assert_eq!(request.due(), Some(expected.parse().unwrap()), "{request:?}");
    }
}
