//! The kinds of `batch`.

pub mod cron_job;
mod cron_validation;
mod indexes;
pub mod job;
pub mod schedule;
mod status;
pub mod validation;
