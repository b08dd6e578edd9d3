//! The options of a write as admission sees them: made a tree where a policy or
//! a webhook asks for them, and nowhere else.

use apimachinery::{Value, value};
use client::Preconditions;

use super::WriteOptions;
use crate::{DeleteOptions, Operation};

/// CreateOptions, UpdateOptions or DeleteOptions of a request.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a>(Sort<'a>);

#[derive(Clone, Copy, Debug)]
enum Sort<'a> {
    /// A connection has its options for an object.
    None,
    Write(&'a WriteOptions),
    /// With the uid of the very object that is deleted, once that is known.
    Delete(&'a DeleteOptions, Option<&'a str>),
}

impl<'a> Options<'a> {
    pub(crate) const NONE: Self = Options(Sort::None);

    pub(crate) fn of_write(options: &'a WriteOptions) -> Self {
        Options(Sort::Write(options))
    }

    pub(crate) fn of_delete(options: &'a DeleteOptions) -> Self {
        Options(Sort::Delete(options, None))
    }

    /// The options of a deletion of the object with this uid and no other.
    pub(crate) fn of_this(self, uid: &'a str) -> Self {
        match self.0 {
            Sort::Delete(options, _) => Options(Sort::Delete(options, Some(uid))),
            _ => self,
        }
    }

    pub(crate) fn dry_run(self) -> bool {
        match self.0 {
            Sort::None => false,
            Sort::Write(options) => options.dry_run,
            Sort::Delete(options, _) => options.dry_run,
        }
    }

    pub(crate) fn is_patch(self) -> bool {
        matches!(self.0, Sort::Write(WriteOptions { is_patch: true, .. }))
    }

    /// As they are written in meta/v1 for this operation; null of a connection.
    pub(crate) fn tree(self, operation: Operation) -> Value {
        let mut tree = match self.0 {
            Sort::None => return Value::Null,
            Sort::Write(options) => of_write(options, operation),
            Sort::Delete(options, uid) => of_delete(options, uid),
        };
        if self.dry_run() {
            tree.set("dryRun", value!(["All"]));
        }
        tree
    }
}

fn of_write(options: &WriteOptions, operation: Operation) -> Value {
    let kind = if operation == Operation::Create { "CreateOptions" } else { "UpdateOptions" };
    let mut tree = value!({"kind": kind, "apiVersion": "meta.k8s.io/v1"});
    if !options.field_manager.is_empty() {
        tree.set("fieldManager", &options.field_manager);
    }
    if options.asks_validation {
        tree.set("fieldValidation", options.validation.as_str());
    }
    tree
}

fn of_delete(options: &DeleteOptions, this: Option<&str>) -> Value {
    let mut tree = value!({"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"});
    if let Some(seconds) = options.grace_period_seconds {
        tree.set("gracePeriodSeconds", seconds);
    }
    let Preconditions { uid, resource_version } = &options.preconditions;
    for (member, text) in [("uid", this.or(uid.as_deref())), ("resourceVersion", resource_version.as_deref())]
    {
        if let Some(text) = text {
            tree.set_at(&["preconditions", member], text);
        }
    }
    match (options.orphan_dependents, options.propagation) {
        (Some(orphans), _) => tree.set("orphanDependents", orphans),
        (None, Some(propagation)) => tree.set("propagationPolicy", propagation.as_str()),
        (None, None) => {}
    }
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_those_of_the_operation() {
        let write = WriteOptions { dry_run: true, field_manager: "m".into(), ..WriteOptions::default() };
        let options = Options::of_write(&write);
        for (operation, kind) in [(Operation::Create, "CreateOptions"), (Operation::Update, "UpdateOptions")]
        {
            assert_eq!(
                options.tree(operation),
                value!({"kind": kind, "apiVersion": "meta.k8s.io/v1", "fieldManager": "m", "dryRun": ["All"]})
            );
        }
        let delete = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
        assert_eq!(
            Options::of_delete(&delete).of_this("u").tree(Operation::Delete),
            value!({"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1", "gracePeriodSeconds": 0,
                "preconditions": {"uid": "u"}})
        );
        assert!(Options::NONE.tree(Operation::Connect).is_null());
    }
}
