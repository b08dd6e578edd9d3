//! projected: several sources in one directory, tokens among them.

use k8s_openapi::api::core::v1::{Pod, ProjectedVolumeSource};

use super::files::{DEFAULT_MODE, File, Files, checked, project};
use super::{Content, Sources, downward_api, fs_group};
use crate::pod::spec::PodExt;
use crate::references::Kind;
use crate::trust_bundles;

pub(super) fn content(
    pod: &Pod,
    volume: &str,
    source: &ProjectedVolumeSource,
    sources: &Sources,
) -> Result<Content, String> {
    let mut files = Files::new();
    for (at, one) in source.sources.iter().flatten().enumerate() {
        if let Some(part) = &one.config_map {
            let optional = part.optional == Some(true);
            if let Some(payload) = sources.payloads.get(Kind::ConfigMap, &part.name, optional)? {
                files.extend(project(
                    &payload.data,
                    part.items.as_deref(),
                    source.default_mode,
                    optional,
                    "config",
                )?);
            }
        }
        if let Some(part) = &one.secret {
            let optional = part.optional == Some(true);
            if let Some(payload) = sources.payloads.get(Kind::Secret, &part.name, optional)? {
                files.extend(project(
                    &payload.data,
                    part.items.as_deref(),
                    source.default_mode,
                    optional,
                    "secret",
                )?);
            }
        }
        if let Some(part) = &one.downward_api {
            let items = part.items.as_deref().unwrap_or_default();
            files.extend(downward_api::files(pod, items, source.default_mode, &sources.facts)?);
        }
        if let Some(part) = &one.service_account_token {
            let token = sources
                .tokens
                .get(&(volume.to_owned(), part.path.clone()))
                .ok_or_else(|| "failed to fetch token: it was not requested".to_owned())?;
            let (mode, user) = readers(pod, source.default_mode, part.user);
            files.insert(checked(&part.path)?, File { data: token.text.clone().into_bytes(), mode, user });
        }
        if let Some(part) = &one.cluster_trust_bundle {
            let data = trust_bundles::anchors(&sources.trust_bundles, part)?.into_bytes();
            let (mode, user) = readers(pod, source.default_mode, part.user);
            files.insert(checked(&part.path)?, File { data, mode, user });
        }
        if let Some(part) = &one.pod_certificate {
            let key = (volume.to_owned(), at);
            let bundle = sources.certificates.get(&key).cloned();
            let bundle = bundle.unwrap_or_else(|| Err("credential bundle was not requested".into()))?;
            let (mode, user) = readers(pod, source.default_mode, part.user);
            let places = [
                (&part.credential_bundle_path, format!("{}{}", bundle.key, bundle.chain)),
                (&part.key_path, bundle.key),
                (&part.certificate_chain_path, bundle.chain),
            ];
            for (path, text) in places {
                if let Some(path) = path.as_deref().filter(|path| !path.is_empty()) {
                    files.insert(checked(path)?, File { data: text.into_bytes(), mode, user });
                }
            }
        }
    }
    Ok(Content::Files { files, in_memory: true })
}

/// Mode and owner of a file, as narrow as its readers allow.
fn readers(pod: &Pod, default_mode: Option<i32>, user: Option<i64>) -> (u32, Option<u32>) {
    let user = user.and_then(|user| u32::try_from(user).ok()).or_else(|| common_user(pod));
    let narrow = user.is_some() || fs_group(pod).is_some();
    (if narrow { 0o600 } else { default_mode.unwrap_or(DEFAULT_MODE) as u32 }, user)
}

/// The user that all containers run as, where all say the same.
fn common_user(pod: &Pod) -> Option<u32> {
    let whole = pod.spec().security_context.as_ref().and_then(|one| one.run_as_user);
    let mut users = pod
        .containers()
        .map(|(_, container)| container.security_context.as_ref().and_then(|one| one.run_as_user).or(whole));
    let first = users.next()??;
    users.all(|user| user == Some(first)).then(|| u32::try_from(first).ok())?
}
