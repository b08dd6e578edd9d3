//! CSR cleaner: requests for certificates go when they are done with.
//!
//! Watches CertificateSigningRequests; owns none, and deletes them by their age.

mod plan;
#[cfg(test)]
mod tests;

use crate::{Context, aging};

/// Starts the controller's watch and worker.
pub fn start(context: &Context) {
    let names =
        aging::Names { loop_name: "csrcleaner", queue: "certificate", identity: "certificate-controller" };
    aging::start::<plan::Request>(context, &names);
}
