//! Container logs in CRI's format: `TIME STREAM F|P LINE`, where P marks a line
//! that goes on in the next record.
//!
//! Source: Kubernetes' "CRI logging" design; containerd cuts lines at 16 KiB.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::container::Stream;

/// A line longer than this is cut.
const LONGEST: usize = 16 << 10;

pub(super) struct Log {
    path: PathBuf,
    file: File,
    /// What of a line is there before its end is, for each stream.
    unfinished: [Vec<u8>; 2],
}

impl Log {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: open(path)?, unfinished: [Vec::new(), Vec::new()] })
    }

    /// After a rotation has renamed the file.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.file = open(&self.path)?;
        Ok(())
    }

    /// Adds output that arrived at `now` (nanoseconds since 1970). A full disk
    /// loses lines, never the container.
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8], now: i64) {
        let mut out = Vec::with_capacity(bytes.len() + 64);
        records(&mut self.unfinished[stream as usize], bytes, &prefix(now, stream), &mut out);
        let _ = self.file.write_all(&out);
    }

    /// Writes what lacks its line end, as a part of a line, as containerd does.
    pub(super) fn finish(&mut self, now: i64) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let rest = std::mem::take(&mut self.unfinished[stream as usize]);
            if !rest.is_empty() {
                let mut out = Vec::new();
                record(&mut out, &prefix(now, stream), b'P', &rest);
                let _ = self.file.write_all(&out);
            }
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("log {}: {e}", path.display()));
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(named)?;
    }
    // As containerd: readable by log collectors in the root group.
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().create(true).append(true).mode(0o640).open(path).map_err(named)
}

fn prefix(now: i64, stream: Stream) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(now)).unwrap_or_default();
    format!("{time:.9} {} ", if stream == Stream::Stdout { "stdout" } else { "stderr" })
}

fn record(out: &mut Vec<u8>, prefix: &str, tag: u8, line: &[u8]) {
    out.extend_from_slice(prefix.as_bytes());
    out.extend_from_slice(&[tag, b' ']);
    out.extend_from_slice(line);
    out.push(b'\n');
}

/// Turns `bytes` into records in `out` and leaves in `unfinished` what has no
/// end yet.
fn records(unfinished: &mut Vec<u8>, mut bytes: &[u8], prefix: &str, out: &mut Vec<u8>) {
    while !bytes.is_empty() {
        let room = LONGEST - unfinished.len();
        let end = bytes.iter().take(room).position(|b| *b == b'\n');
        match end {
            Some(end) => {
                unfinished.extend_from_slice(&bytes[..end]);
                record(out, prefix, b'F', unfinished);
                bytes = &bytes[end + 1..];
            }
            None if bytes.len() >= room => {
                unfinished.extend_from_slice(&bytes[..room]);
                record(out, prefix, b'P', unfinished);
                bytes = &bytes[room..];
            }
            None => {
                unfinished.extend_from_slice(bytes);
                return;
            }
        }
        unfinished.clear();
    }
    if unfinished.is_empty() {
        *unfinished = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(parts: &[&[u8]]) -> (Vec<String>, usize) {
        let (mut unfinished, mut out) = (Vec::new(), Vec::new());
        for part in parts {
            records(&mut unfinished, part, "T stdout ", &mut out);
        }
        let text = String::from_utf8(out).unwrap();
        (
            text.lines()
                .map(|l| if l.len() > 40 { format!("{}…{}", &l[..12], l.len()) } else { l.to_owned() })
                .collect(),
            unfinished.len(),
        )
    }

    #[test]
    fn lines_are_put_together_and_cut() {
        assert_eq!(shown(&[b"one\ntwo\n"]), (vec!["T stdout F one".into(), "T stdout F two".into()], 0));
        assert_eq!(shown(&[b"on", b"e\n\n"]), (vec!["T stdout F one".into(), "T stdout F ".into()], 0));
        assert_eq!(shown(&[b"rest"]), (vec![], 4));
        let long = vec![b'x'; LONGEST + 5];
        assert_eq!(
            shown(&[&long, b"\n"]),
            (vec![format!("T stdout P x…{}", 11 + LONGEST), "T stdout F xxxxx".into()], 0)
        );
        // Exactly as long as allowed: the end comes as an empty record.
        assert_eq!(shown(&[&long[..LONGEST], b"\n"]).0.len(), 2);
    }

    #[test]
    fn times_have_nine_digits() {
        assert_eq!(
            prefix(1_475_712_009_669_794_202, Stream::Stderr),
            "2016-10-06T00:00:09.669794202Z stderr "
        );
        assert_eq!(prefix(0, Stream::Stdout), "1970-01-01T00:00:00.000000000Z stdout ");
    }
}
