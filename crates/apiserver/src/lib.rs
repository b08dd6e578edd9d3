//! The generic API server: one pipeline and one engine for all kinds.
//!
//! A request walks the ordered list in `pipeline.rs`; the verbs are written
//! once in `generic/` and know a kind only through its [`Definition`] and
//! [`Strategy`]. Concrete kinds, users' rights and admission plugins come from
//! the crates above, through the traits of `extend/`.
//!
//! This crate never names a kind and is the only one that opens the store.

mod admit;
mod body;
mod catalogue;
mod changes;
mod connect;
mod discovery;
mod dispatch;
mod endpoint;
mod extend;
mod flow;
mod generic;
mod header;
mod health;
mod impersonation;
mod input;
mod links;
mod local;
mod metrics;
mod negotiate;
mod openapi;
mod output;
mod paths;
mod pipeline;
mod query;
mod recent;
mod respond;
mod route;
mod server;
mod view;
mod zpages;

pub use body::Body;
pub use catalogue::{Catalogue, Resource, SharedCatalogue};
pub use changes::Changes;
pub use dispatch::delete_options;
pub use endpoint::{Unresolved, service_address};
pub use extend::admission::{
    Admission, AdmissionPlugin, Notes, Operation, Plugin, Reinvocation, RemotePlugin,
};
pub use extend::authorization::{Action, Authorizer, Decision, Verdict, decide};
pub use extend::companion::{Change, Companion, OWN_MANAGER};
pub use extend::conversion::Conversion;
pub use extend::definition::{
    Column, Definition, Ineffective, Scale, ScaleSelector, Scope, Selectable, Storage, Subresource,
    SubresourceKind, Text, Version,
};
pub use extend::handler::{Answer, Call, Handler};
pub use extend::identity::{Authenticator, CertificateDer, Credentials, Identity, UserInfo};
pub use extend::node::{NodeConnector, NodeStream, node_address};
pub use extend::strategy::{
    Arrange, Context, DeleteOptions, FirstDeletion, Grace, NameRule, Orphaning, Plain, Strategy,
};
pub use generic::{Modify, Options, Owner};
pub use header::{Header, HeaderIndexer};
pub use local::LocalTransport;
pub use metrics::Metrics;
pub use server::{ApiServer, Builder, Page};
pub use view::{Derived, Stored, View};
