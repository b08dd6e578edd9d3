//! secret: its keys as files that never touch a disk.

use k8s_openapi::api::core::v1::SecretVolumeSource;

use super::Content;
use super::files::{Files, project};
use crate::references::{Kind, Payloads};

pub(super) fn content(source: &SecretVolumeSource, payloads: &Payloads) -> Result<Content, String> {
    let optional = source.optional == Some(true);
    let name = source.secret_name.as_deref().unwrap_or_default();
    let files = match payloads.get(Kind::Secret, name, optional)? {
        Some(payload) => {
            project(&payload.data, source.items.as_deref(), source.default_mode, optional, "secret")?
        }
        None => Files::new(),
    };
    Ok(Content::Files { files, in_memory: true })
}
