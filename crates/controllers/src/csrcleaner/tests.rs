//! Table tests of when requests go.

use apimachinery::value;

use super::plan::Request;
use crate::aging::Aged;

#[test]
fn requests_go_when_they_are_done_with() {
    for (conditions, certificate, expected) in [
        (value!([]), "", Some("2026-01-02T00:00:00Z")),
        (value!(["Approved"]), "AA==", Some("2026-01-01T11:00:00Z")),
        (value!(["Approved"]), "", Some("2026-01-02T10:00:00Z")),
        (value!(["Denied"]), "", Some("2026-01-01T11:00:00Z")),
        (value!(["Approved", "Failed"]), "", Some("2026-01-01T11:00:00Z")),
        (value!(["Odd"]), "", None),
    ] {
        let condition = |kind: &apimachinery::Value| value!({"type": (kind.text()), "status": "True", "lastUpdateTime": "2026-01-01T10:00:00Z"});
        let conditions: Vec<_> = conditions.items().iter().map(condition).collect();
        let request = value!({
            "metadata": {"name": "r", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"request": "", "signerName": "x"},
            "status": {"conditions": (apimachinery::Value::from(conditions)), "certificate": certificate}
        });
        let request = Request::of(request.decode().unwrap());
        assert_eq!(request.due(), expected.map(|text| text.parse().unwrap()), "{request:?}");
    }
}
