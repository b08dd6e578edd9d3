//! Generates the OpenAPI documents from the measured facts and from the
//! descriptions that k8s-openapi's sources carry, compressed into one file
//! that the crate includes.

mod descriptions;
mod operations;
mod schemas;
mod v2;
mod v3;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What both versions are made from.
pub struct Facts {
    /// Operations by path and method.
    pub paths: BTreeMap<String, BTreeMap<String, operations::Operation>>,
    /// OpenAPI v3 schemas with descriptions.
    pub schemas: BTreeMap<String, Value>,
    /// Names of the schemas of kinds, by group, version and kind.
    pub kinds: BTreeMap<(String, String, String), String>,
}

fn main() {
    let manifest = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets it"));
    for watched in ["build", "facts/paths.json", "facts/schemas.json"] {
        println!("cargo::rerun-if-changed={watched}");
    }
    let descriptions = descriptions::read(&k8s_openapi_source());
    assert!(descriptions.len() > 400, "k8s-openapi's sources are laid out otherwise: {}", descriptions.len());
    let facts = load(&manifest.join("facts"), &descriptions);

    let mut documents = v3::documents(&facts);
    documents.insert("v2".into(), v2::document(&facts));
    let mut bytes = Vec::new();
    let mut table = String::from("[\n");
    for (path, document) in &documents {
        let text = serde_json::to_vec(document).expect("a JSON value is always written");
        let compressed = deflate(&text);
        let (start, length) = (bytes.len(), compressed.len());
        table += &format!("    ({path:?}, {start}, {length}, {}),\n", text.len());
        bytes.extend_from_slice(&compressed);
    }
    table += "]\n";
    std::fs::write(out.join("openapi.bin"), bytes).expect("the output directory can be written");
    std::fs::write(out.join("openapi.rs"), table).expect("the output directory can be written");
}

fn load(facts: &Path, descriptions: &descriptions::Descriptions) -> Facts {
    let read = |name: &str| std::fs::read_to_string(facts.join(name)).expect("the facts are in the checkout");
    let paths = serde_json::from_str(&read("paths.json")).expect("paths.json is JSON");
    let plain: BTreeMap<String, Value> =
        serde_json::from_str(&read("schemas.json")).expect("schemas.json is JSON");
    let kinds = schemas::kinds(&plain);
    let schemas = plain
        .into_iter()
        .map(|(name, mut schema)| {
            descriptions::describe(&mut schema, descriptions.get(&name));
            (name, schema)
        })
        .collect();
    Facts { paths, schemas, kinds }
}

/// Where cargo unpacked k8s-openapi.
fn k8s_openapi_source() -> PathBuf {
    let cargo = std::env::var_os("CARGO").expect("cargo sets it");
    let target = std::env::var("TARGET").expect("cargo sets it");
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--filter-platform", &target])
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("cargo lists packages");
    let package =
        packages.iter().find(|package| package["name"] == "k8s-openapi").expect("a dependency of this crate");
    let manifest = Path::new(package["manifest_path"].as_str().expect("a package has a manifest"));
    manifest.parent().expect("a manifest lies in a directory").join("src/v1_37")
}

fn deflate(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text).and_then(|()| encoder.finish()).expect("writing to memory does not fail")
}
