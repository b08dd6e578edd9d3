//! emptyDir: a directory that lives as long as the pod, on disk or in memory.

use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, Pod};

use super::Content;
use crate::container::resources;
use crate::quantity::value;

pub(super) fn content(pod: &Pod, source: &EmptyDirVolumeSource) -> Content {
    if source.medium.as_deref() != Some("Memory") {
        return Content::Directory { tmpfs: None };
    }
    // What is in memory counts against the pod: it cannot hold more.
    let limit = resources::of_pod(pod).memory_limit;
    let sizes = [source.size_limit.as_ref().map(value), limit];
    let size = sizes.into_iter().flatten().filter(|size| *size > 0).min();
    Content::Directory { tmpfs: Some(size.and_then(|size| u64::try_from(size).ok())) }
}
