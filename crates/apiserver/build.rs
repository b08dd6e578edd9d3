//! Compresses what OpenAPI documents are made of: schemas and paths from the
//! facts, and descriptions from the doc comments of k8s-openapi's source.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Schema → field ("" is the schema itself) → description.
type Descriptions = BTreeMap<String, BTreeMap<String, String>>;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../../Cargo.lock");
    let mut descriptions = Descriptions::new();
    walk(&source()?.join("src/v1_37"), &mut descriptions)?;
    if descriptions.len() < 500 {
        return Err(format!(
            "only {} types are described: has k8s-openapi another form?",
            descriptions.len()
        )
        .into());
    }
    write("descriptions", &serde_json::to_vec(&descriptions)?)?;
    for facts in ["schemas", "paths"] {
        let path = format!("../api/facts/{facts}.json");
        println!("cargo::rerun-if-changed={path}");
        write(facts, &fs::read(&path).map_err(|error| format!("{path}: {error}"))?)?;
    }
    Ok(())
}

/// Writes `name`.json.zlib for the program to include.
fn write(name: &str, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join(format!("{name}.json.zlib"));
    let mut encoder = flate2::write::ZlibEncoder::new(fs::File::create(out)?, flate2::Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()?;
    Ok(())
}

/// Where cargo keeps k8s-openapi's source.
fn source() -> Result<PathBuf, Box<dyn Error>> {
    let cargo = std::env::var("CARGO")?;
    let output = Command::new(cargo)
        // Of all platforms, only this one's packages are sure to be there or to be had.
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(["--filter-platform", &std::env::var("TARGET")?])
        .current_dir(std::env::var("CARGO_MANIFEST_DIR")?)
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let package = metadata["packages"]
        .as_array()
        .and_then(|packages| packages.iter().find(|package| package["name"] == "k8s-openapi"))
        .ok_or("k8s-openapi is no dependency")?;
    let manifest = package["manifest_path"].as_str().ok_or("a package has no manifest")?;
    Ok(Path::new(manifest).parent().ok_or("a manifest has no folder")?.to_owned())
}

fn walk(folder: &Path, descriptions: &mut Descriptions) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, descriptions)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            read(&fs::read_to_string(&path)?, descriptions);
        }
    }
    Ok(())
}

/// Reads one generated file: its first line names the schema, doc comments
/// stand before the struct and its fields, and the visitor maps JSON's names
/// to fields.
fn read(text: &str, descriptions: &mut Descriptions) {
    let Some(name) = text.lines().next().and_then(|line| line.strip_prefix("// Generated from definition "))
    else {
        return;
    };
    let mut said: Vec<&str> = Vec::new();
    let mut fields: BTreeMap<&str, String> = BTreeMap::new();
    let mut described = BTreeMap::new();
    let mut inside = false;
    for line in text.lines() {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix("///") {
            said.push(comment.strip_prefix(' ').unwrap_or(comment));
            continue;
        }
        if line.starts_with("#[") {
            continue;
        }
        let declares = line.starts_with("pub struct ") || line.starts_with("pub enum ");
        if declares && described.is_empty() {
            described.insert(String::new(), said.join("\n"));
            inside = line.ends_with('{');
        } else if inside && line.starts_with('}') {
            inside = false;
        } else if inside
            && let Some((field, _)) = line.strip_prefix("pub ").and_then(|rest| rest.split_once(':'))
        {
            fields.insert(field.trim(), said.join("\n"));
        } else if let Some((json, field)) = line.split_once(" => Field::Key_") {
            let (json, field) = (json.trim_matches('"'), field.trim_end_matches(','));
            if let Some(text) = fields.get(field) {
                described.insert(json.to_owned(), text.clone());
            }
        }
        said.clear();
    }
    described.retain(|_, text| !text.is_empty());
    descriptions.insert(name.to_owned(), described);
}
