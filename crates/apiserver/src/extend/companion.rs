//! Other objects that a write takes with it in its transaction: allocated
//! addresses, used quota.

use apimachinery::Value;

/// A change of another object, committed together with the object itself or
/// not at all. Where its precondition fails, the whole write runs again on
/// what is there then.
#[derive(Clone, Debug)]
pub struct Companion {
    /// "" is the core group.
    pub group: String,
    pub resource: String,
    /// "" for cluster-scoped ones.
    pub namespace: String,
    pub name: String,
    /// Whose the fields of a new object are; "" where it says nothing of owners.
    pub manager: &'static str,
    pub change: Change,
}

/// Whose the fields are that the API server itself sets.
pub const OWN_MANAGER: &str = "kube-apiserver";

#[derive(Clone, Debug)]
pub enum Change {
    /// The object must not exist. A tree in the stored version, with
    /// apiVersion, kind and name; uid and times are filled in.
    Create(Value),
    /// The object must be at `revision`. The whole tree in the stored version.
    Update { revision: u64, object: Value },
    /// The object must be at `revision`.
    Delete { revision: u64 },
    /// The object must still be at `revision`; it is not changed.
    Unchanged { revision: u64 },
}
