//! How every component but `apiserver` speaks to the API: the trait
//! [`Transport`], its remote form, typed access by [`Api`], and kubeconfigs.
//!
//! The in-process form lives in `apiserver`, whose inside this crate never sees.

mod api;
mod document;
mod error;
pub mod kubeconfig;
mod remote;
mod request;
mod transport;

pub use api::{Api, Object, Patch};
pub use document::Document;
pub use error::Error;
pub use remote::Remote;
pub use request::{
    DeleteOptions, ListOptions, PatchKind, Preconditions, Propagation, Request, Resource, Verb, WriteOptions,
};
pub use transport::{List, Transport, WatchEvent, WatchKind, WatchStream};
