//! Importing archives: OCI layouts and what `docker save` writes, plain or
//! compressed.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde_json::json;

use super::{ImageStore, Inner, archive_reader};
use crate::manifest::{Descriptor, Document, Manifest, parse, parse_config, select};
use crate::{Error, Image, Reference, Result};

/// Nesting of indexes that is followed.
const DEEPEST: u32 = 4;

impl ImageStore {
    /// Imports every image of an archive that fits this machine. `name` is given
    /// to an archive's only image in place of the names inside; an image without
    /// any name is known by its id. Imported images are pinned.
    pub async fn import(
        &self,
        reader: impl Read + Send + 'static,
        name: Option<String>,
    ) -> Result<Vec<Image>> {
        let name = name.map(|name| Reference::parse(&name)).transpose()?;
        let inner = self.inner.clone();
        self.blocking(move || import(&inner, reader, name.as_ref())).await
    }
}

fn import(inner: &Inner, reader: impl Read, name: Option<&Reference>) -> Result<Vec<Image>> {
    let files = read_archive(inner, archive_reader(reader)?)?;
    let read = |path: &str| files.get(Path::new(path)).map(|digest| inner.content.read(digest)).transpose();
    let mut found = Vec::new();
    if let Some(index) = read("index.json")? {
        let Document::Index(manifests) = parse(&index)? else {
            return Err(Error::Damaged("index.json of the archive is no index".into()));
        };
        for descriptor in &manifests {
            let names = names_of(descriptor);
            if let Some((digest, manifest)) = find_manifest(inner, descriptor, DEEPEST)? {
                found.push((digest, manifest, names));
            }
        }
    } else if let Some(list) = read("manifest.json")? {
        found = docker_manifests(inner, &list, &files)?;
    } else {
        return Err(Error::Damaged(
            "the archive has neither index.json (OCI) nor manifest.json (docker save)".into(),
        ));
    }
    if found.is_empty() {
        return Err(Error::NoPlatform {
            reference: "the archive".into(),
            platform: format!("linux/{}", crate::manifest::architecture()),
        });
    }
    if name.is_some() && found.len() > 1 {
        return Err(Error::Conflict(
            "the archive holds several images, so it cannot be imported under one name".into(),
        ));
    }
    let mut images = Vec::new();
    for (digest, manifest, mut names) in found {
        if let Some(name) = name {
            names = vec![name.clone()];
        }
        let (_, diff_ids) = parse_config(&inner.content.read(&manifest.config.digest)?)?;
        if diff_ids.len() != manifest.layers.len() {
            return Err(Error::Damaged("manifest and configuration differ in their number of layers".into()));
        }
        for (layer, diff_id) in manifest.layers.iter().zip(&diff_ids) {
            if !inner.has_layer(diff_id) {
                inner.unpack_layer(&layer.digest, diff_id)?;
            }
        }
        let tags: Vec<String> = names.iter().filter_map(Reference::tagged).collect();
        let digests: Vec<String> = names.iter().map(|name| format!("{}@{digest}", name.name())).collect();
        images.push(inner.register(&digest, &manifest, &tags, &digests, true)?);
    }
    // What lay in the archive and belongs to no image.
    let kept: Vec<String> = images.iter().map(|i| i.id.as_str().to_owned()).collect();
    for digest in files.values().filter(|digest| !kept.contains(digest)) {
        let is_manifest = inner.state.lock().images.values().any(|record| record.manifest == **digest);
        if !is_manifest {
            inner.content.remove(digest);
        }
    }
    Ok(images)
}

/// Stores all files of the archive as content; path → digest. Links of old
/// `docker save` archives (equal layers) are followed.
fn read_archive(inner: &Inner, reader: impl Read) -> Result<BTreeMap<PathBuf, String>> {
    // What is no archive at all may have anything in the place of a name.
    let damaged = |e: std::io::Error| {
        let said: String = e.to_string().chars().filter(|one| one.is_ascii() && !one.is_control()).collect();
        Error::Damaged(format!("the archive cannot be read ({said})"))
    };
    let mut files = BTreeMap::new();
    let mut links: Vec<(PathBuf, PathBuf)> = Vec::new();
    let mut archive = tar::Archive::new(reader);
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let path = normal(Path::new(""), &entry.path().map_err(damaged)?);
        match entry.header().entry_type() {
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                // Content that names its own digest must have it.
                let named = path
                    .strip_prefix("blobs/sha256")
                    .ok()
                    .and_then(Path::to_str)
                    .map(|hex| format!("sha256:{hex}"));
                let (digest, _) = inner.content.put(&mut entry, named.as_deref())?;
                files.insert(path, digest);
            }
            tar::EntryType::Symlink | tar::EntryType::Link => {
                let target = entry.link_name().map_err(damaged)?.unwrap_or_default().into_owned();
                let base = if entry.header().entry_type() == tar::EntryType::Link {
                    Path::new("")
                } else {
                    path.parent().unwrap_or(Path::new(""))
                };
                links.push((path.clone(), normal(base, &target)));
            }
            _ => {}
        }
    }
    for (path, target) in links {
        if let Some(digest) = files.get(&target).cloned() {
            files.insert(path, digest);
        }
    }
    Ok(files)
}

/// `path` seen from `base`, without `.` and `..`.
fn normal(base: &Path, path: &Path) -> PathBuf {
    let mut out = base.to_owned();
    for part in path.components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::ParentDir => {
                out.pop();
            }
            _ => {}
        }
    }
    out
}

/// Names that an archive's index gives to an image.
fn names_of(descriptor: &Descriptor) -> Vec<Reference> {
    let full = descriptor.annotations.get("io.containerd.image.name");
    let short = descriptor.annotations.get("org.opencontainers.image.ref.name");
    full.into_iter()
        // The short form is often a bare tag, which names no repository.
        .chain(short.filter(|name| full.is_none() && name.contains([':', '/'])))
        .filter_map(|name| Reference::parse(name).ok())
        .collect()
}

/// The manifest that a descriptor leads to; None when nothing fits this machine.
fn find_manifest(inner: &Inner, descriptor: &Descriptor, deepest: u32) -> Result<Option<(String, Manifest)>> {
    if descriptor.annotations.contains_key("vnd.docker.reference.type") {
        return Ok(None);
    }
    match parse(&inner.content.read(&descriptor.digest)?)? {
        Document::Image(manifest) => Ok(Some((descriptor.digest.clone(), manifest))),
        Document::Index(_) if deepest == 0 => {
            Err(Error::Damaged("indexes of the archive are nested too deeply".into()))
        }
        Document::Index(manifests) => match select(&manifests, "the archive") {
            Ok(fitting) => find_manifest(inner, fitting, deepest - 1),
            Err(Error::NoPlatform { .. }) => Ok(None),
            Err(error) => Err(error),
        },
    }
}

/// `manifest.json` of `docker save`, each entry turned into an OCI manifest.
fn docker_manifests(
    inner: &Inner,
    list: &[u8],
    files: &BTreeMap<PathBuf, String>,
) -> Result<Vec<(String, Manifest, Vec<Reference>)>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Entry {
        config: String,
        repo_tags: Option<Vec<String>>,
        layers: Vec<String>,
    }
    let entries: Vec<Entry> = serde_json::from_slice(list)
        .map_err(|e| Error::Damaged(format!("manifest.json of the archive: {e}")))?;
    let descriptor = |path: &str, kind: &str| -> Result<serde_json::Value> {
        let digest = files
            .get(&normal(Path::new(""), Path::new(path)))
            .ok_or_else(|| Error::Damaged(format!("{path} is missing in the archive")))?;
        let size = inner.content.path(digest).ok().and_then(|p| p.metadata().ok()).map_or(0, |m| m.len());
        Ok(json!({ "mediaType": kind, "digest": digest, "size": size }))
    };
    entries
        .into_iter()
        .map(|entry| {
            let layers = entry
                .layers
                .iter()
                .map(|path| descriptor(path, "application/vnd.oci.image.layer.v1.tar"))
                .collect::<Result<Vec<_>>>()?;
            let manifest = json!({
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": descriptor(&entry.config, "application/vnd.oci.image.config.v1+json")?,
                "layers": layers,
            });
            let bytes = manifest.to_string().into_bytes();
            let (digest, _) = inner.content.put(&bytes[..], None)?;
            let names = entry
                .repo_tags
                .unwrap_or_default()
                .iter()
                .filter_map(|tag| Reference::parse(tag).ok())
                .collect();
            match parse(&bytes)? {
                Document::Image(manifest) => Ok((digest, manifest, names)),
                Document::Index(_) => Err(Error::Damaged("manifest.json of the archive".into())),
            }
        })
        .collect()
}
