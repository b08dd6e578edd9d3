//! Table tests of protection.

use apimachinery::value;

use super::plan::{FINALIZER, Volume, plan};
use crate::protection::Action;

#[test]
fn volumes_are_protected_while_they_are_bound() {
    for (terminating, protected, phase, expected) in [
        (false, false, "Available", Action::Protect),
        (false, true, "Bound", Action::Nothing),
        (true, true, "Bound", Action::Nothing),
        (true, true, "Released", Action::Free),
        (true, false, "Released", Action::Nothing),
    ] {
        let mut volume = value!({"metadata": {"name": "v"}, "status": {"phase": phase}});
        if terminating {
            volume.set_at(&["metadata", "deletionTimestamp"], "2026-01-01T00:00:00Z");
        }
        if protected {
            volume.set_at(&["metadata", "finalizers"], value!([FINALIZER]));
        }
        let volume = Volume::of(&volume.decode().unwrap());
        assert_eq!(plan(&volume), expected, "{volume:?}");
    }
}
