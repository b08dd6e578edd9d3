//! When a row of results becomes a verdict. Pure.

#[derive(Clone, Copy, Debug)]
pub struct Threshold {
    success: u64,
    failure: u64,
    /// The last result and how often it came in a row.
    row: Option<(bool, u64)>,
    verdict: Option<bool>,
}

impl Threshold {
    pub fn new(success: u64, failure: u64) -> Self {
        Self { success, failure, row: None, verdict: None }
    }

    /// The new verdict, where this result changes it.
    pub fn take(&mut self, healthy: bool) -> Option<bool> {
        let count = match self.row {
            Some((last, count)) if last == healthy => count + 1,
            _ => 1,
        };
        self.row = Some((healthy, count));
        let enough = count >= if healthy { self.success } else { self.failure };
        if !enough || self.verdict == Some(healthy) {
            return None;
        }
        self.verdict = Some(healthy);
        self.verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_need_their_row() {
        let mut threshold = Threshold::new(2, 3);
        let rows = [
            (true, None),
            (true, Some(true)),
            (true, None),
            (false, None),
            (false, None),
            (true, None),
            (false, None),
            (false, None),
            (false, Some(false)),
            (false, None),
            (true, None),
            (true, Some(true)),
        ];
        for (at, (result, expected)) in rows.into_iter().enumerate() {
            assert_eq!(threshold.take(result), expected, "row {at}");
        }
    }
}
