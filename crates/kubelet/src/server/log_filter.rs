//! Lines of a CRI log, as `kubectl logs` wants them. Pure.

use jiff::Timestamp;

/// What the client asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub since: Option<Timestamp>,
    pub timestamps: bool,
    pub limit_bytes: Option<u64>,
    /// `stdout` or `stderr`; None is both.
    pub stream: Option<&'static str>,
}

/// Turns log lines into what the client sees.
pub struct Filter {
    wanted: Wanted,
    left: Option<u64>,
    /// The line before was cut: this one goes on without a time.
    inside_line: bool,
}

impl Filter {
    pub fn new(wanted: Wanted) -> Self {
        Self { left: wanted.limit_bytes, wanted, inside_line: false }
    }

    /// Nothing more will be sent.
    pub fn is_full(&self) -> bool {
        self.left == Some(0)
    }

    /// One line without its end: `TIME STREAM TAG CONTENT`. Appends what is
    /// to be sent; lines that no runtime wrote are left out.
    pub fn take(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let mut parts = line.splitn(4, |byte| *byte == b' ');
        let (Some(time), Some(stream), Some(tag)) = (parts.next(), parts.next(), parts.next()) else {
            return;
        };
        let content = parts.next().unwrap_or_default();
        if self.wanted.stream.is_some_and(|wanted| wanted.as_bytes() != stream) {
            return;
        }
        if let Some(since) = self.wanted.since {
            let at = std::str::from_utf8(time).ok().and_then(|text| text.parse::<Timestamp>().ok());
            if at.is_none_or(|at| at < since) {
                return;
            }
        }
        let before = out.len();
        if self.wanted.timestamps && !self.inside_line {
            out.extend_from_slice(time);
            out.push(b' ');
        }
        out.extend_from_slice(content);
        let partial = tag.split(|byte| *byte == b':').any(|one| one == b"P");
        if !partial {
            out.push(b'\n');
        }
        self.inside_line = partial;
        if let Some(left) = &mut self.left {
            let written = (out.len() - before) as u64;
            if written >= *left {
                out.truncate(before + *left as usize);
            }
            *left = left.saturating_sub(written);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &[&str] = &[
        "2026-01-01T00:00:00.000000001Z stdout F one",
        "2026-01-01T00:00:01Z stderr F two",
        "2026-01-01T00:00:02Z stdout P par",
        "2026-01-01T00:00:02Z stdout F tial",
        "garbage",
        "2026-01-01T00:00:03Z stdout F ",
    ];

    fn run(wanted: Wanted) -> String {
        let mut filter = Filter::new(wanted);
        let mut out = Vec::new();
        for line in LOG {
            if !filter.is_full() {
                filter.take(line.as_bytes(), &mut out);
            }
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn options() {
        let all = Wanted::default();
        assert_eq!(run(all.clone()), "one\ntwo\npartial\n\n");
        assert_eq!(run(Wanted { stream: Some("stderr"), ..all.clone() }), "two\n");
        assert_eq!(
            run(Wanted { since: Some("2026-01-01T00:00:02Z".parse().unwrap()), ..all.clone() }),
            "partial\n\n"
        );
        assert_eq!(run(Wanted { limit_bytes: Some(5), ..all.clone() }), "one\nt");
        assert_eq!(
            run(Wanted { timestamps: true, since: Some("2026-01-01T00:00:02Z".parse().unwrap()), ..all }),
            "2026-01-01T00:00:02Z partial\n2026-01-01T00:00:03Z \n"
        );
    }
}
