//! What the controllers that publish certificates count of their syncs.

use client::Error;
use serve::families::{Counter, Description, Families, Histogram, exponential};
use tokio::time::Instant;

pub struct Metrics {
    total: Counter,
    seconds: Histogram,
}

impl Metrics {
    /// Name and help of both families.
    pub fn among(families: &Families, total: [&'static str; 2], seconds: [&'static str; 2]) -> Self {
        let of = |[name, help]: [&'static str; 2]| Description { name, help, labels: &["code"] };
        Self {
            total: families.counter(of(total)),
            seconds: families.histogram(of(seconds), exponential(0.001, 2.0, 15)),
        }
    }

    /// A sync that began at `since`, by the code of what it ended with.
    pub fn synced<T>(&self, result: &Result<T, Error>, since: Instant) {
        let code = code(result.as_ref().err()).to_string();
        self.total.increase(&[&code]);
        self.seconds.observe(&[&code], since.elapsed().as_secs_f64());
    }
}

/// What is no answer of the API counts as its fault.
fn code(error: Option<&Error>) -> u16 {
    match error {
        None => 200,
        Some(Error::Status(status)) if status.code != 0 => status.code,
        Some(_) => 500,
    }
}
