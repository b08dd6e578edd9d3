//! Images as OCI layouts and archives, of blobs that are named by their digests.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::table::Row;
use crate::shell::{command, run};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Headers of requests about manifests.
pub const ACCEPT: &str = "Accept: application/vnd.oci.image.manifest.v1+json";
pub const CONTENT: &str = "Content-Type: application/vnd.oci.image.manifest.v1+json";

/// A layer, compressed.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Layer {
    file: PathBuf,
    digest: String,
    size: u64,
    /// Digest of the archive before compression.
    diff_id: String,
}

/// The manifest of a layout, and the blobs that must be there before it.
pub struct Manifest {
    pub digest: String,
    pub blobs: Vec<String>,
}

/// Packs a directory.
pub fn layer(root: &Path, work: &Path) -> Result<Layer> {
    let file = work.join("layer.tar");
    let mut tar = command(&[
        "tar",
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mtime=@0",
        "--create",
        "--file",
    ]);
    tar.arg(&file).arg("--directory").arg(root).arg(".");
    run(tar)?;
    let diff_id = digest(&file)?;
    let mut gzip = command(&["gzip", "--no-name", "-6"]);
    gzip.arg(&file);
    run(gzip)?;
    let file = work.join("layer.tar.gz");
    Ok(Layer { digest: digest(&file)?, size: std::fs::metadata(&file)?.len(), diff_id, file })
}

/// Writes layout and archive under `directory`, and the mark last.
pub fn write(directory: &Path, row: &Row, layers: &[Layer], mark: &str) -> Result<()> {
    let _ = std::fs::remove_dir_all(directory);
    let layout = directory.join("layout");
    std::fs::create_dir_all(layout.join("blobs/sha256"))?;
    let mut kept = Vec::new();
    for layer in layers {
        let place = blob(&layout, &layer.digest);
        std::fs::copy(&layer.file, &place)?;
        kept.push(Layer { file: place, ..layer.clone() });
    }
    let config = put(&layout, &config(row, layers))?;
    let layers: Vec<Value> = layers
        .iter()
        .map(|layer| {
            json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": layer.digest, "size": layer.size})
        })
        .collect();
    let manifest = put(
        &layout,
        &json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.0, "size": config.1},
            "layers": layers,
        }),
    )?;
    let entries: Vec<Value> = row
        .names
        .iter()
        .map(|name| {
            let tag = name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
            json!({
                "mediaType": MANIFEST, "digest": manifest.0, "size": manifest.1,
                "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag},
            })
        })
        .collect();
    let index = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries,
    });
    std::fs::write(layout.join("index.json"), index.to_string())?;
    std::fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let mut tar = command(&["tar", "--create", "--file"]);
    tar.arg(directory.join("image.tar")).arg("--directory").arg(&layout).args([
        "oci-layout",
        "index.json",
        "blobs",
    ]);
    run(tar)?;
    std::fs::write(directory.join("layers.json"), serde_json::to_string(&kept)?)?;
    std::fs::write(directory.join("mark"), mark).context("the mark")
}

/// The layers of an image that was written with this mark.
pub fn read(directory: &Path, mark: &str) -> Option<Vec<Layer>> {
    let written = std::fs::read_to_string(directory.join("mark")).ok()?;
    (written == mark).then_some(())?;
    serde_json::from_str(&std::fs::read_to_string(directory.join("layers.json")).ok()?).ok()
}

/// What must be uploaded of a layout.
pub fn manifest(layout: &Path) -> Result<Manifest> {
    let read = |path: &Path| -> Result<Value> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Ok(serde_json::from_str(&text)?)
    };
    let text = |value: &Value| value.as_str().map(str::to_owned).context("a digest");
    let digest = text(&read(&layout.join("index.json"))?["manifests"][0]["digest"])?;
    let manifest = read(&blob(layout, &digest))?;
    let layers = manifest["layers"].as_array().context("layers")?.iter();
    let blobs =
        layers.chain([&manifest["config"]]).map(|entry| text(&entry["digest"])).collect::<Result<_>>()?;
    Ok(Manifest { digest, blobs })
}

/// Where a blob lies.
pub fn blob(layout: &Path, digest: &str) -> PathBuf {
    layout.join("blobs").join(digest.replace(':', "/"))
}

fn config(row: &Row, layers: &[Layer]) -> Value {
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned();
    let env: Vec<&String> = std::iter::once(&path).chain(&row.env).collect();
    let ports: serde_json::Map<String, Value> =
        row.ports.iter().map(|port| (port.clone(), json!({}))).collect();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
    let mut config = json!({"Env": env});
    let mut set = |key: &str, value: Value, given: bool| {
        if given {
            config[key] = value;
        }
    };
    set("Entrypoint", json!(row.entrypoint), !row.entrypoint.is_empty());
    set("Cmd", json!(row.command), !row.command.is_empty());
    set("User", json!(row.user), !row.user.is_empty());
    set("WorkingDir", json!(row.workdir), !row.workdir.is_empty());
    set("StopSignal", json!(row.stop_signal), !row.stop_signal.is_empty());
    set("ExposedPorts", json!(ports), !ports.is_empty());
    json!({
        "architecture": architecture, "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    })
}

/// Writes a document as a blob; its digest and size.
fn put(layout: &Path, document: &Value) -> Result<(String, usize)> {
    let text = document.to_string();
    let digest = digest_of(text.as_bytes())?;
    std::fs::write(blob(layout, &digest), &text)?;
    Ok((digest, text.len()))
}

fn digest(file: &Path) -> Result<String> {
    let mut sum = command(&["sha256sum"]);
    sum.arg(file);
    let text = run(sum)?;
    Ok(format!("sha256:{}", text.split(' ').next().unwrap_or_default()))
}

/// The digest of bytes.
pub fn digest_of(bytes: &[u8]) -> Result<String> {
    let mut file = tempfile::NamedTempFile::new()?;
    std::io::Write::write_all(&mut file, bytes)?;
    digest(file.path())
}
