//! The running scheduler against an API that is a few maps in memory.

mod fake_api;
mod scheduling;
