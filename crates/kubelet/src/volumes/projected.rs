//! projected: several sources in one directory, tokens among them.

use k8s_openapi::api::core::v1::{Pod, ProjectedVolumeSource};

use super::files::{DEFAULT_MODE, File, Files, checked, project};
use super::{Content, Sources, downward_api, fs_group};
use crate::pod::spec::PodExt;
use crate::references::Kind;

pub(super) fn content(
    pod: &Pod,
    volume: &str,
    source: &ProjectedVolumeSource,
    sources: &Sources,
) -> Result<Content, String> {
    let mut files = Files::new();
    for one in source.sources.iter().flatten() {
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
            let (mut mode, mut user) = (source.default_mode.unwrap_or(DEFAULT_MODE) as u32, None);
            // As narrow as its readers allow.
            if let Some(common) =
                part.user.and_then(|user| u32::try_from(user).ok()).or_else(|| common_user(pod))
            {
                (mode, user) = (0o600, Some(common));
            } else if fs_group(pod).is_some() {
                mode = 0o600;
            }
            files.insert(checked(&part.path)?, File { data: token.text.clone().into_bytes(), mode, user });
        }
        if one.cluster_trust_bundle.is_some() || one.pod_certificate.is_some() {
            return Err("this node cannot project trust bundles and pod certificates yet".into());
        }
    }
    Ok(Content::Files { files, in_memory: true })
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
