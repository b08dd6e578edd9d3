//! Image manifests, indexes and configurations: the parts that are used, from
//! OCI's and Docker's formats alike.
//!
//! Source: OCI image specification 1.1; Docker image manifest V2, schema 2.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Error, ImageConfig, Result};

pub(crate) const ACCEPTED: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Descriptor {
    pub(crate) digest: String,
    #[serde(default)]
    pub(crate) size: u64,
    #[serde(default)]
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) platform: Option<Platform>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Platform {
    #[serde(default)]
    pub(crate) architecture: String,
    #[serde(default)]
    pub(crate) os: String,
    #[serde(default)]
    pub(crate) variant: String,
}

/// An image's manifest.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

/// A manifest, or a list of them.
pub(crate) enum Document {
    Image(Manifest),
    Index(Vec<Descriptor>),
}

pub(crate) fn parse(bytes: &[u8]) -> Result<Document> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Any {
        #[serde(default)]
        schema_version: u32,
        manifests: Option<Vec<Descriptor>>,
        config: Option<Descriptor>,
        layers: Option<Vec<Descriptor>>,
    }
    let any: Any = serde_json::from_slice(bytes).map_err(|e| Error::Damaged(format!("manifest: {e}")))?;
    match any {
        Any { schema_version: 1, .. } => Err(Error::Damaged(
            "manifests of schema version 1 are not supported; push the image again".into(),
        )),
        Any { manifests: Some(manifests), .. } => Ok(Document::Index(manifests)),
        Any { config: Some(config), layers: Some(layers), .. } => {
            Ok(Document::Image(Manifest { config, layers }))
        }
        _ => Err(Error::Damaged("a manifest has neither manifests nor config and layers".into())),
    }
}

/// This machine in the words of images.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The entry of an index that fits this machine: linux, its architecture, the
/// plainest variant first.
pub(crate) fn select<'a>(manifests: &'a [Descriptor], reference: &str) -> Result<&'a Descriptor> {
    let architecture = architecture();
    let fits = |descriptor: &&Descriptor| match &descriptor.platform {
        Some(platform) => platform.os == "linux" && platform.architecture == architecture,
        // An index of one image that nobody bothered to describe.
        None => manifests.len() == 1,
    };
    manifests
        .iter()
        .filter(|d| !d.annotations.contains_key("vnd.docker.reference.type"))
        .filter(fits)
        .min_by_key(|d| d.platform.as_ref().map_or("", |p| p.variant.as_str()).to_owned().replace("v8", ""))
        .ok_or_else(|| Error::NoPlatform {
            reference: reference.to_owned(),
            platform: format!("linux/{architecture}"),
        })
}

/// What an image's configuration says: how to run it and which layers it has.
pub(crate) fn parse_config(bytes: &[u8]) -> Result<(ImageConfig, Vec<String>)> {
    #[derive(Deserialize)]
    struct File {
        #[serde(default)]
        architecture: String,
        #[serde(default)]
        os: String,
        #[serde(default)]
        config: Option<Run>,
        rootfs: RootFs,
    }
    #[derive(Deserialize)]
    struct RootFs {
        #[serde(default)]
        diff_ids: Option<Vec<String>>,
    }
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "PascalCase", default)]
    struct Run {
        user: String,
        exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
        env: Option<Vec<String>>,
        entrypoint: Option<Vec<String>>,
        cmd: Option<Vec<String>>,
        volumes: Option<BTreeMap<String, serde_json::Value>>,
        working_dir: String,
        labels: Option<BTreeMap<String, String>>,
        stop_signal: String,
    }
    let file: File =
        serde_json::from_slice(bytes).map_err(|e| Error::Damaged(format!("image configuration: {e}")))?;
    let run = file.config.unwrap_or_default();
    let keys =
        |map: Option<BTreeMap<String, serde_json::Value>>| map.unwrap_or_default().into_keys().collect();
    let config = ImageConfig {
        entrypoint: run.entrypoint.unwrap_or_default(),
        cmd: run.cmd.unwrap_or_default(),
        env: run.env.unwrap_or_default(),
        working_dir: run.working_dir,
        user: run.user,
        exposed_ports: keys(run.exposed_ports),
        stop_signal: run.stop_signal,
        volumes: keys(run.volumes),
        labels: run.labels.unwrap_or_default(),
        architecture: file.architecture,
        os: file.os,
    };
    Ok((config, file.rootfs.diff_ids.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_own_platform_is_chosen() {
        let entry = |digest: &str, os: &str, arch: &str, variant: &str| Descriptor {
            digest: digest.into(),
            size: 0,
            annotations: BTreeMap::new(),
            platform: Some(Platform { architecture: arch.into(), os: os.into(), variant: variant.into() }),
        };
        let own = architecture();
        let list = [
            entry("w", "windows", own, ""),
            entry("v3", "linux", own, "v3"),
            entry("ok", "linux", own, ""),
            entry("s", "linux", "s390x", ""),
        ];
        assert_eq!(select(&list, "x").unwrap().digest, "ok");
        assert!(matches!(select(&list[..1], "x"), Err(Error::NoPlatform { .. })));
        let lone = Descriptor { platform: None, ..entry("lone", "", "", "") };
        assert_eq!(select(std::slice::from_ref(&lone), "x").unwrap().digest, "lone");
    }

    #[test]
    fn nulls_of_dockers_configurations_are_nothing() {
        let text = br#"{"architecture":"amd64","os":"linux","config":{"Cmd":["sh"],"Entrypoint":null,"Env":null,"ExposedPorts":{"80/tcp":{}},"Labels":null},"rootfs":{"type":"layers","diff_ids":["sha256:1"]}}"#;
        let (config, layers) = parse_config(text).unwrap();
        assert_eq!(
            (config.cmd, config.exposed_ports, layers),
            (vec!["sh".into()], vec!["80/tcp".into()], vec!["sha256:1".to_owned()])
        );
        for bad in ["", "{}", "[]"] {
            assert!(parse_config(bad.as_bytes()).is_err() && parse(bad.as_bytes()).is_err());
        }
    }
}
