//! Levels and versions, and how a namespace's labels choose them.

use std::borrow::Cow;
use std::fmt;

use apimachinery::field::{Errors, Path};

/// How strict; the order is that of strictness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Privileged,
    Baseline,
    Restricted,
}

/// The Kubernetes version whose rules count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    /// `v1.x`
    Minor(u32),
    Latest,
}

/// `restricted:v1.30`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LevelVersion {
    pub level: Level,
    pub version: Version,
}

/// What a namespace asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub enforce: LevelVersion,
    pub audit: LevelVersion,
    pub warn: LevelVersion,
}

/// Labels that cannot be read: label, value and why.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LabelErrors(Vec<(&'static str, String, &'static str)>);

const ENFORCE: &str = "pod-security.kubernetes.io/enforce";
const ENFORCE_VERSION: &str = "pod-security.kubernetes.io/enforce-version";
const AUDIT: &str = "pod-security.kubernetes.io/audit";
const AUDIT_VERSION: &str = "pod-security.kubernetes.io/audit-version";
const WARN: &str = "pod-security.kubernetes.io/warn";
const WARN_VERSION: &str = "pod-security.kubernetes.io/warn-version";

impl LevelVersion {
    pub const PRIVILEGED: Self = Self { level: Level::Privileged, version: Version::Latest };
}

impl Policy {
    /// Reads the labels (`label` gives one's value). A policy comes out always: what cannot be read
    /// is enforced as `restricted` and neither audited nor warned about.
    pub fn of<'a>(label: impl Fn(&'static str) -> Option<&'a str>) -> (Self, LabelErrors) {
        let mut errors = LabelErrors::default();
        let mut policy = Self {
            enforce: LevelVersion::PRIVILEGED,
            audit: LevelVersion::PRIVILEGED,
            warn: LevelVersion::PRIVILEGED,
        };
        let enforced = errors.level(ENFORCE, label(ENFORCE));
        policy.enforce.level = match (label(ENFORCE), enforced) {
            (None, _) => Level::Privileged,
            (Some(_), level) => level.unwrap_or(Level::Restricted),
        };
        policy.enforce.version = errors.version(ENFORCE_VERSION, label(ENFORCE_VERSION));
        policy.audit.level = errors.level(AUDIT, label(AUDIT)).unwrap_or(Level::Privileged);
        policy.audit.version = errors.version(AUDIT_VERSION, label(AUDIT_VERSION));
        policy.warn.level = errors.level(WARN, label(WARN)).unwrap_or(Level::Privileged);
        policy.warn.version = errors.version(WARN_VERSION, label(WARN_VERSION));
        // What is enforced on pods is warned about where workloads are written.
        if label(WARN).is_none() && enforced.is_some_and(|level| level > policy.warn.level) {
            policy.warn.level = policy.enforce.level;
            if label(WARN_VERSION).is_none() {
                policy.warn.version = policy.enforce.version;
            }
        }
        (policy, errors)
    }

    /// Whether nothing is checked at all.
    pub fn is_privileged(&self) -> bool {
        [self.enforce, self.audit, self.warn].iter().all(|mode| mode.level == Level::Privileged)
    }
}

impl LabelErrors {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As the causes of a refusal.
    pub fn causes(&self) -> Errors {
        let mut errors = Errors::new();
        let labels = Path::child(&Path::Root, "metadata");
        let labels = labels.child("labels");
        for (label, value, why) in &self.0 {
            errors.invalid(&labels.key(label), value.as_str(), why);
        }
        errors
    }

    fn level(&mut self, label: &'static str, text: Option<&str>) -> Option<Level> {
        match text? {
            "privileged" => Some(Level::Privileged),
            "baseline" => Some(Level::Baseline),
            "restricted" => Some(Level::Restricted),
            other => {
                self.0.push((label, other.to_owned(), "must be one of privileged, baseline, restricted"));
                None
            }
        }
    }

    fn version(&mut self, label: &'static str, text: Option<&str>) -> Version {
        match text {
            None | Some("latest") => Version::Latest,
            Some(text) => minor(text).map_or_else(
                || {
                    self.0.push((label, text.to_owned(), "must be \"latest\" or \"v1.x\""));
                    Version::Latest
                },
                Version::Minor,
            ),
        }
    }
}

/// The x of `v1.x`, without leading zeros.
fn minor(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("v1.")?;
    let canonical = digits == "0" || !digits.starts_with('0');
    (canonical && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl LevelVersion {
    /// The version as metrics have it, `newest` being the minor one of this API.
    /// Of what checks nothing it is the latest.
    pub fn label(&self, newest: u32) -> Cow<'static, str> {
        match self.version {
            Version::Minor(minor) if self.level != Level::Privileged => {
                if minor > newest {
                    "future".into()
                } else {
                    format!("v1.{minor}").into()
                }
            }
            _ => "latest".into(),
        }
    }
}

impl fmt::Display for LevelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Version::Latest => write!(f, "{}:latest", self.level),
            Version::Minor(minor) => write!(f, "{}:v1.{minor}", self.level),
        }
    }
}

impl fmt::Display for LabelErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (label, value, why)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}metadata.labels[{label}]: Invalid value: {value:?}: {why}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_know_versions_up_to_this_ones() {
        for (level, version, label) in [
            (Level::Baseline, Version::Minor(30), "v1.30"),
            (Level::Baseline, Version::Minor(37), "v1.37"),
            (Level::Restricted, Version::Minor(38), "future"),
            (Level::Restricted, Version::Latest, "latest"),
            (Level::Privileged, Version::Minor(30), "latest"),
        ] {
            assert_eq!(LevelVersion { level, version }.label(37), label);
        }
    }

    fn read(labels: &[(&str, &str)]) -> (String, usize) {
        let (policy, errors) = Policy::of(|asked| {
            labels
                .iter()
                .find(|(label, _)| asked.strip_prefix("pod-security.kubernetes.io/") == Some(label))
                .map(|(_, value)| *value)
        });
        (format!("{} {} {}", policy.enforce, policy.audit, policy.warn), errors.0.len())
    }

    #[test]
    fn labels_choose_the_policy() {
        for (labels, policy, errors) in [
            (&[][..], "privileged:latest privileged:latest privileged:latest", 0),
            (&[("enforce", "baseline")], "baseline:latest privileged:latest baseline:latest", 0),
            (
                &[("enforce", "baseline"), ("enforce-version", "v1.30")],
                "baseline:v1.30 privileged:latest baseline:v1.30",
                0,
            ),
            (
                &[("enforce", "baseline"), ("enforce-version", "v1.30"), ("warn-version", "v1.31")],
                "baseline:v1.30 privileged:latest baseline:v1.31",
                0,
            ),
            (
                &[("enforce", "baseline"), ("warn", "restricted"), ("audit", "baseline")],
                "baseline:latest baseline:latest restricted:latest",
                0,
            ),
            (
                &[("enforce", "restricted"), ("warn", "privileged")],
                "restricted:latest privileged:latest privileged:latest",
                0,
            ),
            (&[("enforce", "odd")], "restricted:latest privileged:latest privileged:latest", 1),
            (
                &[("audit", "odd"), ("warn", ""), ("enforce-version", "v1")],
                "privileged:latest privileged:latest privileged:latest",
                3,
            ),
            (&[("enforce-version", "v1.01")], "privileged:latest privileged:latest privileged:latest", 1),
        ] {
            assert_eq!(read(labels), (policy.to_owned(), errors), "{labels:?}");
        }
    }

    #[test]
    fn levels_and_versions_are_ordered() {
        assert!(Level::Privileged < Level::Baseline && Level::Baseline < Level::Restricted);
        assert!(Version::Minor(99) < Version::Latest);
    }
}
