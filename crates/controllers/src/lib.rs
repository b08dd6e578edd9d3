//! The loops of kube-controller-manager: one folder a controller, each with
//! `mod.rs` (what it watches and owns), `plan.rs` (pure), `act.rs`, `tests.rs` and
//! the tables of these tests in `cases.yaml`.
//!
//! Controllers are ordinary API users: none touches the store or `apiserver`.
//! [`table::CONTROLLERS`] lists them in order.

mod aging;
mod batch;
mod bootstrap_tokens;
mod bootstrapsigner;
#[cfg(test)]
mod cases;
mod claims;
mod clusterroleaggregation;
mod clustertrustbundlepublisher;
mod context;
mod cronjob;
mod csrapproving;
mod csrcleaner;
mod csrsigning;
mod daemonset;
mod deletions;
mod deployment;
mod devicetainteviction;
mod disruption;
mod endpoints;
mod endpointslice;
mod endpointslicemirroring;
mod ephemeralvolume;
mod everything;
mod expectations;
mod garbage;
mod horizontalpodautoscaler;
mod job;
mod legacytokencleaner;
mod namespace;
mod nodelifecycle;
mod nodes;
mod owners;
mod percent;
mod persistentvolumebinder;
mod podcertificaterequestcleaner;
mod podgc;
mod pods;
mod protection;
mod publishing;
mod pvcprotection;
mod pvprotection;
mod replicaset;
mod replicationcontroller;
mod resourceclaim;
mod resourcequota;
mod revisions;
mod rootca;
mod serviceaccount;
mod serviceaccounttoken;
mod servicecidr;
mod services;
mod slices;
mod statefulset;
mod storageversionmigrator;
mod table;
mod tainteviction;
mod template_hash;
mod tokencleaner;
mod ttl;
mod ttlafterfinished;
mod vacprotection;
mod volume_claims;

pub use context::{Context, Identities};
pub use csrsigning::{Asked, Signer};
pub use serviceaccounttoken::{SecretToken, TokenSigner};
pub use table::start_all;

/// Whether a creation was refused because its namespace goes: nothing is wrong.
pub(crate) fn namespace_ends(error: &client::Error) -> bool {
    error.is_forbidden() && error.to_string().contains("because it is being terminated")
}
