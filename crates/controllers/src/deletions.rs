//! What the controllers that evict pods for taints count.

use jiff::Timestamp;
use serve::families::{Counter, Description, Families, Histogram};

pub struct Metrics {
    total: Counter,
    seconds: Histogram,
}

impl Metrics {
    /// Name and help of both families.
    pub fn among(families: &Families, total: [&'static str; 2], seconds: [&'static str; 2]) -> Self {
        let of = |[name, help]: [&'static str; 2]| Description { name, help, labels: &[] };
        let bounds = [0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0, 120.0, 180.0, 240.0];
        Self { total: families.counter(of(total)), seconds: families.histogram(of(seconds), bounds.to_vec()) }
    }

    /// A pod was deleted that had to go at `due`.
    pub fn deleted(&self, due: Timestamp, now: Timestamp) {
        self.total.increase(&[]);
        self.seconds.observe(&[], now.duration_since(due).as_secs_f64().max(0.0));
    }
}
