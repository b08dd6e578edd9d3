//! The kinds of `batch`.

pub mod cron_job;
pub mod job;
pub mod schedule;
pub mod validation;
