//! Names of images, normalised as Docker and containerd do: `nginx` is
//! `docker.io/library/nginx:latest`.
//!
//! Source: the grammar of the distribution project's reference documentation.

use std::fmt;

use crate::{Error, Result};

const DEFAULT_REGISTRY: &str = "docker.io";
const MOST_NAME: usize = 255;

/// A parsed and normalised image name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Reference {
    /// Reads `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`. Without tag and digest the
    /// tag is `latest`.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |why: &str| Error::InvalidReference(format!("{text:?}: {why}"));
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) if is_digest(digest) => (rest, Some(digest.to_owned())),
            Some(_) => return Err(bad("the digest must be sha256: and 64 hex digits")),
            None => (text, None),
        };
        // A colon after the last slash starts a tag; one before it is a port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => {
                if !is_tag(tag) {
                    return Err(bad("the tag must be letters, digits, _ . - and at most 128 long"));
                }
                (name, Some(tag.to_owned()))
            }
            _ => (rest, None),
        };
        let (registry, path) = match name.split_once('/') {
            Some((host, path))
                if host.contains(['.', ':'])
                    || host == "localhost"
                    || host.bytes().any(|b| b.is_ascii_uppercase()) =>
            {
                (if host == "index.docker.io" { DEFAULT_REGISTRY } else { host }, path)
            }
            _ => (DEFAULT_REGISTRY, name),
        };
        if !is_host(registry) {
            return Err(bad("the registry must be a host name with an optional port"));
        }
        if path.is_empty() {
            return Err(bad("the repository is missing"));
        }
        if path.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(bad("repository name must be lowercase"));
        }
        if !path.split('/').all(is_component) {
            return Err(bad(
                "a part of the repository may hold a-z, 0-9 and single separators . _ - between them",
            ));
        }
        let repository = if registry == DEFAULT_REGISTRY && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        if registry.len() + 1 + repository.len() > MOST_NAME {
            return Err(bad("the name must not be longer than 255"));
        }
        let tag = if tag.is_none() && digest.is_none() { Some("latest".to_owned()) } else { tag };
        Ok(Self { registry: registry.to_owned(), repository, tag, digest })
    }

    /// Host and port as written (`docker.io`).
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Path in the registry (`library/nginx`).
    pub fn repository(&self) -> &str {
        &self.repository
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// `docker.io/library/nginx`, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// `docker.io/library/nginx:latest`; None without a tag.
    pub fn tagged(&self) -> Option<String> {
        self.tag.as_ref().map(|tag| format!("{}:{tag}", self.name()))
    }

    /// What a registry is asked for: the digest if there is one, else the tag.
    pub fn target(&self) -> &str {
        self.digest.as_deref().or(self.tag.as_deref()).unwrap_or("latest")
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Is it `sha256:` and 64 lower-case hex digits? Only then may it become a
/// file's name.
pub(crate) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && tag
            .bytes()
            .enumerate()
            .all(|(at, b)| b.is_ascii_alphanumeric() || b == b'_' || (at > 0 && matches!(b, b'.' | b'-')))
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let port_fits = port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    let is_v6 = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok());
    let is_name = name.split('.').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    });
    port_fits && (is_v6 || is_name)
}

/// Runs of a-z and 0-9 with `.`, `_`, `__` or dashes between them.
fn is_component(part: &str) -> bool {
    let bytes = part.as_bytes();
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if bytes.is_empty() || !alphanumeric(bytes[0]) || !alphanumeric(bytes[bytes.len() - 1]) {
        return false;
    }
    bytes.split(|b| alphanumeric(*b)).all(|separator| {
        matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised_as_docker_does() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (text, expected) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.27-alpine", "docker.io/library/nginx:1.27-alpine"),
            ("team/app", "docker.io/team/app:latest"),
            ("docker.io/nginx", "docker.io/library/nginx:latest"),
            ("index.docker.io/library/nginx", "docker.io/library/nginx:latest"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/a/b/c:v1", "localhost:5000/a/b/c:v1"),
            ("registry.example:443/x__y/z-w.v", "registry.example:443/x__y/z-w.v:latest"),
            ("[::1]:5000/app", "[::1]:5000/app:latest"),
            (&format!("app@{digest}"), &format!("docker.io/library/app@{digest}")),
            (&format!("app:v2@{digest}"), &format!("docker.io/library/app:v2@{digest}")),
        ] {
            assert_eq!(Reference::parse(text).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            ":",
            "/",
            "Nginx",
            "a//b",
            "a/",
            "/a",
            "a:",
            "a:b c",
            "a@sha256:12",
            "a..b",
            "-a",
            "a-",
            "a___b",
            "docker.io/",
            "../etc",
            "a/../b",
            "host:port/app",
            "a b",
        ] {
            assert!(matches!(Reference::parse(text), Err(Error::InvalidReference(_))), "{text}");
        }
        assert!(Reference::parse(&"a".repeat(300)).is_err());
        assert!(Reference::parse("nginx:UPPER").is_ok(), "tags may be upper case");
    }
}
