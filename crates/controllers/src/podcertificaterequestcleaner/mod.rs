//! PodCertificateRequest cleaner: requests go when nothing will come of them
//! any more.
//!
//! Watches PodCertificateRequests; owns none, and deletes them by their age.

mod plan;
#[cfg(test)]
mod tests;

use crate::{Context, aging};

/// Starts the controller's watch and worker.
pub fn start(context: &Context) {
    let names = aging::Names {
        loop_name: "podcertificaterequestcleaner",
        queue: "podcertificaterequest_cleaner",
        identity: "podcertificaterequestcleaner",
    };
    aging::start::<plan::Request>(context, &names);
}
