//! How many tokens of service accounts were brought, by their age and sort.

use jiff::Timestamp;
use pki::Claims;
use serve::families::{Counter, Description, Families};

pub(super) struct TokenMetrics {
    valid: Counter,
    stale: Counter,
    legacy: Counter,
}

impl TokenMetrics {
    pub fn new(families: &Families) -> Self {
        let counter = |name, help| families.counter(Description { name, help, labels: &[] });
        Self {
            valid: counter(
                "serviceaccount_valid_tokens_total",
                "[BETA] Cumulative valid projected service account tokens used",
            ),
            stale: counter(
                "serviceaccount_stale_tokens_total",
                "[BETA] Cumulative stale projected service account tokens used",
            ),
            legacy: counter(
                "serviceaccount_legacy_tokens_total",
                "[BETA] Cumulative legacy service account tokens used",
            ),
        }
    }

    /// A bound token that is good. Only those say when they should have been
    /// renewed that live longer than they were asked for.
    pub fn bound(&self, claims: &Claims, now: Timestamp) {
        match claims.kubernetes.warnafter {
            None | Some(0) => {}
            Some(renewed) if now.as_second() > renewed => self.stale.increase(&[]),
            Some(_) => self.valid.increase(&[]),
        }
    }

    /// A token of a Secret, good or not.
    pub fn legacy(&self) {
        self.legacy.increase(&[]);
    }
}
