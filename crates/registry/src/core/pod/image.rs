//! What an image reference says about pulling.

/// `Always` for the tag `latest`, written or implied, else `IfNotPresent`.
/// A reference that cannot be parsed has no tag.
pub fn pull_policy(reference: &str) -> &'static str {
    if tag(reference) == Some("latest") { "Always" } else { "IfNotPresent" }
}

/// The tag of a reference; `latest` where it has neither tag nor digest,
/// nothing where there is only a digest or the reference is broken.
fn tag(reference: &str) -> Option<&str> {
    let (name, digest) = match reference.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (reference, None),
    };
    let (repository, tag) = match name.rsplit_once(':') {
        // A colon before a slash belongs to the registry's port.
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (name, None),
    };
    if repository.len() > MOST_REPOSITORY || !is_repository(repository) || tag.is_some_and(|tag| !is_tag(tag))
    {
        return None;
    }
    match (tag, digest) {
        (Some(tag), _) => Some(tag),
        (None, Some(_)) => None,
        (None, None) => Some("latest"),
    }
}

/// The bytes of a repository's name, beyond which a reference is no reference.
const MOST_REPOSITORY: usize = 255;

fn is_tag(tag: &str) -> bool {
    let mut bytes = tag.bytes();
    tag.len() <= 128
        && bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// Path components in lower case; the first may be a host with a port.
fn is_repository(name: &str) -> bool {
    let mut parts = name.split('/').peekable();
    let mut first = true;
    while let Some(part) = parts.next() {
        let host = first
            && parts.peek().is_some()
            && (part.contains(['.', ':'])
                || part == "localhost"
                || part.bytes().any(|b| b.is_ascii_uppercase()));
        first = false;
        if !host && !is_component(part) {
            return false;
        }
    }
    !name.is_empty()
}

fn is_component(part: &str) -> bool {
    let end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    end(part.bytes().next())
        && end(part.bytes().next_back())
        && part.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_behind_ports_and_before_digests() {
        for (reference, expected) in [
            ("nginx", Some("latest")),
            ("nginx:1.29", Some("1.29")),
            ("registry.example:5000/team/app", Some("latest")),
            ("registry.example:5000/team/app:v2", Some("v2")),
            ("app@sha256:00", None),
            ("app:latest@sha256:00", Some("latest")),
            ("localhost/app", Some("latest")),
            ("", None),
            ("Upper", None),
            ("a//b", None),
            ("app:", None),
        ] {
            assert_eq!(tag(reference), expected, "{reference}");
        }
    }
}
