//! Fields that an apply would change and others own, and how they are told
//! (upstream's `internal.NewConflictError`).

use std::collections::BTreeMap;

use super::element;
use super::entries::Identity;
use super::set::Set;
use crate::field::quote;
use crate::status::Cause;
use crate::{Status, Value};

/// The fields of one owner that are in conflict.
pub(super) struct Conflict {
    /// `"one" with subresource "status" using v1`.
    told: String,
    /// What owners are sorted by.
    order: String,
    fields: Set,
}

impl Conflict {
    pub fn new(owner: &Value, fields: Set) -> Self {
        let owner = Identity::of(owner);
        let mut told = quote(owner.manager);
        if !owner.subresource.is_empty() {
            told.push_str(&format!(" with subresource {}", quote(owner.subresource)));
        }
        if owner.operation == "Update" {
            told.push_str(&format!(" using {}", owner.api_version));
        }
        Conflict { told, order: owner.text(), fields }
    }

    /// Without the fields that may be taken; `None` where nothing is left.
    pub fn without(mut self, allowed: &Set) -> Option<Self> {
        self.fields.subtract(allowed);
        (!self.fields.is_empty()).then_some(self)
    }
}

/// 409 with a cause for each field.
pub(super) fn status(conflicts: &[Conflict]) -> Status {
    let mut by_owner: BTreeMap<&str, (&str, Vec<String>)> = BTreeMap::new();
    for conflict in conflicts {
        let (_, paths) = by_owner.entry(&conflict.order).or_insert((&conflict.told, Vec::new()));
        let path = |path: Vec<&str>| path.into_iter().map(element::display).collect();
        paths.extend(conflict.fields.listed().into_iter().map(path));
    }
    let mut causes = Vec::new();
    let mut lines = Vec::new();
    for (told, paths) in by_owner.values() {
        lines.push(format!("conflicts with {told}:"));
        for path in paths {
            lines.push(format!("- {path}"));
            causes.push(Cause {
                reason: "FieldManagerConflict".to_owned(),
                message: format!("conflict with {told}"),
                field: path.clone(),
            });
        }
    }
    let message = match causes.as_slice() {
        [only] => format!("Apply failed with 1 conflict: {}: {}", only.message, only.field),
        several => format!("Apply failed with {} conflicts: {}", several.len(), lines.join("\n")),
    };
    Status::apply_conflict(message, causes)
}
