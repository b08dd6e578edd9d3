//! Images of one node: registries, the content store, unpacked layers and the
//! root file systems made of them.
//!
//! Holds [`ImageStore`] (pull, import, list, prepare, collect garbage),
//! [`Reference`] (names as Docker normalises them) and [`archive::Builder`]
//! (an OCI archive out of files). Everything is kept by digest; a layer is
//! unpacked once and shared by all images and containers that have it.
//!
//! Never starts a process and never knows a pod. Nothing half-written is ever
//! visible: content and layers appear by rename after they are complete.
//!
//! Pulling over TLS needs a process-wide rustls provider; the program installs it.

pub mod archive;
mod config;
mod content;
mod error;
mod hosts;
mod layer;
mod manifest;
mod pull;
mod reference;
mod store;
mod user;

pub use config::{Image, ImageConfig, ImageId};
pub use error::{Error, Result};
pub use pull::{Progress, PullProgress, RegistryAuth};
pub use reference::Reference;
pub use store::{DiskUsage, Garbage, ImageStore};
pub use user::{ResolvedUser, resolve_user};
