//! Getting an image, by the container's pull policy and the pod's secrets.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{Image, Reference, RegistryAuth};
use jiff::SignedDuration;
use serde::Deserialize;

use super::{ImageFailure, Job};
use crate::pod::spec::PodExt;
use crate::references::{Kind, Payload};

impl Job {
    pub(super) async fn ensure_image(&self, container: &str) -> Result<Arc<Image>, ImageFailure> {
        let events = self.events.of(container);
        let done = self.try_ensure_image(container).await;
        if let Err(failure) = &done {
            events.warning("Failed", format!("Error: {}", failure.reason));
        }
        done
    }

    async fn try_ensure_image(&self, container: &str) -> Result<Arc<Image>, ImageFailure> {
        let events = self.events.of(container);
        let Some((_, spec)) = self.pod.container(container) else {
            return Err(ImageFailure { reason: "InvalidImageName", message: "the container is gone".into() });
        };
        let asked = spec.image.as_deref().unwrap_or_default();
        let reference = Reference::parse(asked).map_err(|error| {
            let message = format!(
                "Failed to apply default image tag {asked:?}: couldn't parse image name {asked:?}: {error}"
            );
            events.warning("InspectFailed", message.clone());
            ImageFailure { reason: "InvalidImageName", message }
        })?;
        let images = &self.context.drivers.images;
        let local = images.find(asked).await;
        let policy = spec.image_pull_policy.as_deref().unwrap_or("IfNotPresent");
        match (policy, local) {
            ("Always", _) | ("IfNotPresent", None) => {}
            (_, Some(image)) => {
                events.normal(
                    "Pulled",
                    format!(
                        "Container image {asked:?} already present on machine and can be accessed by the pod"
                    ),
                );
                return Ok(image);
            }
            (_, None) => {
                let message = format!("Container image {asked:?} is not present with pull policy of Never");
                events.warning("ErrImageNeverPull", message.clone());
                return Err(ImageFailure { reason: "ErrImageNeverPull", message });
            }
        }
        events.normal("Pulling", format!("Pulling image {asked:?}"));
        let begun = tokio::time::Instant::now();
        let mut credentials = self.credentials(&reference).await;
        credentials.push(RegistryAuth::Anonymous);
        let mut failed = None;
        for one in &credentials {
            match images.pull(asked, one).await {
                Ok(image) => {
                    let took = go_seconds(begun.elapsed());
                    events.normal(
                        "Pulled",
                        format!(
                            "Successfully pulled image {asked:?} in {took} ({took} including waiting). Image size: {} bytes.",
                            image.size
                        ),
                    );
                    return Ok(image);
                }
                // The first one had credentials: its word is the more telling.
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        let message = failed.map(|error| error.to_string()).unwrap_or_default();
        events.warning("Failed", format!("Failed to pull image {asked:?}: {message}"));
        Err(ImageFailure { reason: "ErrImagePull", message })
    }

    /// From the pod's imagePullSecrets, those for the image's registry.
    async fn credentials(&self, reference: &Reference) -> Vec<RegistryAuth> {
        let names: Vec<String> =
            self.pod.spec().image_pull_secrets.iter().flatten().map(|secret| secret.name.clone()).collect();
        let keys = names.iter().map(|name| (Kind::Secret, name.clone())).collect();
        let payloads = match self.context.references.fetch(self.pod.namespace(), keys).await {
            Ok(payloads) => payloads,
            Err(why) => {
                self.events.warning("FailedToRetrieveImagePullSecret", why);
                return Vec::new();
            }
        };
        let mut found = Vec::new();
        for name in &names {
            match payloads.get(Kind::Secret, name, true) {
                Ok(Some(secret)) => found.extend(of_secret(secret, reference)),
                _ => self.events.warning(
                    "FailedToRetrieveImagePullSecret",
                    format!(
                        "Unable to retrieve some image pull secrets ({name}); attempting to pull the image may not succeed."
                    ),
                ),
            }
        }
        found
    }
}

/// A duration as Go's `%v` prints one, in milliseconds' precision.
fn go_seconds(took: std::time::Duration) -> String {
    let milliseconds = SignedDuration::try_from(took).map_or(0, |took| took.as_millis());
    match milliseconds {
        0..1000 => format!("{milliseconds}ms"),
        _ => {
            let text = format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000);
            format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    username: String,
    password: String,
    auth: String,
    registrytoken: String,
}

/// The entries of a Docker configuration that fit the image, the most
/// specific first.
fn of_secret(secret: &Payload, reference: &Reference) -> Vec<RegistryAuth> {
    #[derive(Deserialize)]
    struct Whole {
        auths: std::collections::BTreeMap<String, Entry>,
    }
    let entries = if let Some(text) = secret.data.get(".dockerconfigjson") {
        serde_json::from_slice::<Whole>(text).map(|whole| whole.auths)
    } else if let Some(text) = secret.data.get(".dockercfg") {
        serde_json::from_slice(text)
    } else {
        return Vec::new();
    };
    let mut fitting: Vec<(usize, RegistryAuth)> = entries
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(place, entry)| Some((fits(&place, reference)?, auth(entry)?)))
        .collect();
    fitting.sort_by_key(|(specific, _)| std::cmp::Reverse(*specific));
    fitting.into_iter().map(|(_, auth)| auth).collect()
}

/// How much of the image's name `place` (`https://host/v1/`, `host/path`,
/// `*.host`) names; None where it is another's.
fn fits(place: &str, reference: &Reference) -> Option<usize> {
    let bare = place.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    let path = if matches!(path, "v1" | "v2") { "" } else { path };
    let registry = reference.registry();
    // The hub is known by several names.
    let same = |a: &str| a == registry || (a == "index.docker.io" && registry == "docker.io");
    let wild = host.strip_prefix("*.").is_some_and(|rest| {
        registry
            .strip_suffix(rest)
            .and_then(|left| left.strip_suffix('.'))
            .is_some_and(|left| !left.contains('.'))
    });
    let inside = path.is_empty()
        || reference.repository() == path
        || reference.repository().strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
    ((same(host) || wild) && inside).then_some(path.len())
}

fn auth(entry: Entry) -> Option<RegistryAuth> {
    if !entry.registrytoken.is_empty() {
        return Some(RegistryAuth::Bearer(entry.registrytoken));
    }
    if !entry.username.is_empty() {
        return Some(RegistryAuth::Basic { username: entry.username, password: entry.password });
    }
    let decoded = String::from_utf8(STANDARD.decode(entry.auth.trim()).ok()?).ok()?;
    let (username, password) = decoded.split_once(':')?;
    Some(RegistryAuth::Basic { username: username.into(), password: password.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_name_registries_in_many_ways() {
        let config = serde_json::json!({"auths": {
            "https://index.docker.io/v1/": {"auth": STANDARD.encode("hub:pw")},
            "registry.example.org:5000/team": {"username": "team", "password": "x"},
            "registry.example.org:5000": {"username": "all", "password": "x"},
            "*.example.net": {"registrytoken": "t"},
        }});
        let secret = Payload {
            data: [(".dockerconfigjson".to_owned(), config.to_string().into_bytes())].into(),
            ..Payload::default()
        };
        let basic = |user: &str, pw: &str| RegistryAuth::Basic { username: user.into(), password: pw.into() };
        let rows = [
            ("nginx", vec![basic("hub", "pw")]),
            ("registry.example.org:5000/team/app:1", vec![basic("team", "x"), basic("all", "x")]),
            ("registry.example.org:5000/teams/app:1", vec![basic("all", "x")]),
            ("a.example.net/x", vec![RegistryAuth::Bearer("t".into())]),
            ("a.b.example.net/x", vec![]),
        ];
        for (name, expected) in rows {
            assert_eq!(of_secret(&secret, &Reference::parse(name).unwrap()), expected, "{name}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(go_seconds(std::time::Duration::from_millis(1250)), "1.25s");
        assert_eq!(go_seconds(std::time::Duration::from_millis(7)), "7ms");
    }
}
