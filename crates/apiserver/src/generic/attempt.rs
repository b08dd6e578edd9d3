//! One try at a write: the snapshot and the moment on which all of it is decided.

use apimachinery::Value;
use jiff::Timestamp;

use super::{Caller, Options, Target};
use crate::{Admission, ApiServer, Context, Operation, View};

/// What every step of one try sees. A write that others overtook makes a new one.
pub(crate) struct Attempt<'a> {
    server: &'a ApiServer,
    pub target: &'a Target,
    pub caller: &'a Caller,
    options: Options<'a>,
    pub view: View,
    pub now: Timestamp,
}

impl<'a> Attempt<'a> {
    pub fn new(server: &'a ApiServer, target: &'a Target, caller: &'a Caller, options: Options<'a>) -> Self {
        Self { server, target, caller, options, view: server.view(), now: server.edge.clock.now() }
    }

    /// The write as admission sees it. `name` may be "" where none is made yet.
    pub fn admission<'b>(
        &'b self,
        operation: Operation,
        name: &'b str,
        old: Option<&'b Value>,
    ) -> Admission<'b> {
        let resource = &self.target.resource;
        // A namespace is in itself, for admission.
        let is_namespace = resource.group.is_empty() && resource.kind == "Namespace";
        Admission {
            operation,
            definition: resource,
            version: self.target.version(),
            namespace: if is_namespace { name } else { &self.target.namespace },
            name,
            requested: &self.target.name,
            subresource: &self.target.subresource,
            user: &self.caller.user,
            old,
            options: self.options,
            dry_run: self.options.dry_run(),
            view: &self.view,
            random: &*self.server.edge.random,
            now: self.now,
        }
    }

    /// The write as the kind's strategy sees it.
    pub fn context<'b>(&'b self, name: &'b str) -> Context<'b> {
        Context {
            definition: &self.target.resource,
            version: self.target.version(),
            namespace: &self.target.namespace,
            name,
            subresource: &self.target.subresource,
            user: &self.caller.user,
            is_patch: self.options.is_patch(),
            authorizers: &self.server.authorizers,
            now: self.now,
            dry_run: self.options.dry_run(),
            view: &self.view,
            random: &*self.server.edge.random,
        }
    }
}
