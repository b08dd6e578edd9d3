//! configMap: its keys as files.

use k8s_openapi::api::core::v1::ConfigMapVolumeSource;

use super::Content;
use super::files::{Files, project};
use crate::references::{Kind, Payloads};

pub(super) fn content(source: &ConfigMapVolumeSource, payloads: &Payloads) -> Result<Content, String> {
    let optional = source.optional == Some(true);
    let files = match payloads.get(Kind::ConfigMap, &source.name, optional)? {
        Some(payload) => {
            project(&payload.data, source.items.as_deref(), source.default_mode, optional, "config")?
        }
        None => Files::new(),
    };
    Ok(Content::Files { files, in_memory: false })
}
