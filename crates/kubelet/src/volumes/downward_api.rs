//! downwardAPI: fields of the pod as files.

use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, DownwardAPIVolumeSource, Pod};

use super::Content;
use super::files::{DEFAULT_MODE, File, Files, checked};
use crate::container::fields::{self, Facts};

pub(super) fn content(pod: &Pod, source: &DownwardAPIVolumeSource, facts: &Facts) -> Result<Content, String> {
    let files = files(pod, source.items.as_deref().unwrap_or_default(), source.default_mode, facts)?;
    Ok(Content::Files { files, in_memory: false })
}

pub(super) fn files(
    pod: &Pod,
    items: &[DownwardAPIVolumeFile],
    default_mode: Option<i32>,
    facts: &Facts,
) -> Result<Files, String> {
    let mut files = Files::new();
    for item in items {
        let text = if let Some(reference) = &item.field_ref {
            fields::field(pod, facts, &reference.field_path)?
        } else if let Some(reference) = &item.resource_field_ref {
            fields::resource(pod, None, facts, reference)?
        } else {
            continue;
        };
        let mode = item.mode.or(default_mode).unwrap_or(DEFAULT_MODE) as u32;
        files.insert(checked(&item.path)?, File { data: text.into_bytes(), mode, user: None });
    }
    Ok(files)
}
