//! `cargo xtask images`: the images that upstream's specs name, made from
//! `conformance/images.toml` as OCI archives and kept in the cache.
//!
//! Nothing here is fetched from a registry of images, and nothing knows a spec.

mod archive;
mod root;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use archive::Layer;
pub use table::Row;

use crate::shell::{cache, run};

/// An image that lies in the cache.
#[derive(Clone, Debug)]
pub struct Made {
    pub names: Vec<String>,
    /// An OCI layout: `index.json` and `blobs/`.
    pub layout: PathBuf,
}

/// Makes what is missing or has changed, and gives all in the table's order.
pub fn make(root: &Path) -> Result<Vec<Made>> {
    let text = std::fs::read_to_string(root.join("conformance/images.toml")).context("images.toml")?;
    let rows = table::parse(&text)?;
    let module = root.join("conformance");
    let sums = std::fs::read_to_string(module.join("go.sum")).context("go.sum")?;
    let place = cache().join("conformance/images");
    let mut done: BTreeMap<String, (String, Vec<Layer>)> = BTreeMap::new();
    let mut out = Vec::new();
    for row in &rows {
        let name = &row.names[0];
        let below = match &row.from {
            None => None,
            Some(from) => Some(done.get(from).with_context(|| format!("{name}: no earlier row is {from}"))?),
        };
        let mark = mark(row, &sums, below.map_or("", |(mark, _)| mark))?;
        let directory = place.join(name.replace(['/', ':'], "_"));
        let layers = match archive::read(&directory, &mark) {
            Some(layers) => layers,
            None => {
                println!("making {name}");
                let work = tempfile::tempdir().context("a directory to work in")?;
                root::fill(row, &module, &work.path().join("root"))
                    .with_context(|| format!("making {name}"))?;
                let mut layers = below.map_or_else(Vec::new, |(_, layers)| layers.clone());
                layers.push(archive::layer(&work.path().join("root"), work.path())?);
                archive::write(&directory, row, &layers, &mark)?;
                archive::read(&directory, &mark).context("an image just made is there")?
            }
        };
        done.insert(name.clone(), (mark, layers));
        out.push(Made { names: row.names.clone(), layout: directory.join("layout") });
    }
    Ok(out)
}

/// What changes when a row would give another image.
fn mark(row: &Row, sums: &str, below: &str) -> Result<String> {
    let text = format!("{}\n{sums}\n{below}", serde_json::to_string(row)?);
    archive::digest_of(text.as_bytes())
}

/// Puts every image into the registry at `address`, where it is not there yet.
/// `curl` is the command with its authority and credentials.
pub fn push(images: &[Made], address: &str, curl: &dyn Fn() -> std::process::Command) -> Result<()> {
    for image in images {
        let manifest = archive::manifest(&image.layout)?;
        for name in &image.names {
            let (_, rest) = name.split_once('/').context("a name has a registry")?;
            let (repository, tag) = rest.rsplit_once(':').context("a name has a tag")?;
            let base = format!("https://{address}/v2/{repository}");
            let there = curl_text(
                curl,
                &["--head", "--header", archive::ACCEPT, &format!("{base}/manifests/{tag}")],
            )?;
            if there.to_lowercase().contains(&manifest.digest) {
                continue;
            }
            for blob in &manifest.blobs {
                let there = curl_text(curl, &["--head", &format!("{base}/blobs/{blob}")])?;
                if there.contains(" 200 ") {
                    continue;
                }
                let begun =
                    curl_text(curl, &["--include", "--request", "POST", &format!("{base}/blobs/uploads/")])?;
                let Some(location) = begun.lines().find_map(|line| {
                    line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case("location"))
                }) else {
                    bail!("the registry began no upload of {name}: {begun}");
                };
                let joint = if location.1.contains('?') { '&' } else { '?' };
                let file = format!("@{}", archive::blob(&image.layout, blob).display());
                curl_text(
                    curl,
                    &[
                        "--fail",
                        "--request",
                        "PUT",
                        "--header",
                        "Content-Type: application/octet-stream",
                        "--data-binary",
                        &file,
                        &format!("{}{joint}digest={blob}", location.1.trim()),
                    ],
                )
                .with_context(|| format!("uploading {blob} of {name}"))?;
            }
            let file = format!("@{}", archive::blob(&image.layout, &manifest.digest).display());
            curl_text(
                curl,
                &[
                    "--fail",
                    "--request",
                    "PUT",
                    "--header",
                    archive::CONTENT,
                    "--data-binary",
                    &file,
                    &format!("{base}/manifests/{tag}"),
                ],
            )
            .with_context(|| format!("uploading {name}"))?;
        }
    }
    Ok(())
}

fn curl_text(curl: &dyn Fn() -> std::process::Command, arguments: &[&str]) -> Result<String> {
    let mut command = curl();
    command.args(["--silent", "--show-error"]).args(arguments);
    run(command)
}
