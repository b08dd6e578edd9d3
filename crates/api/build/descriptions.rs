//! Descriptions of types and their properties, read from the schemars parts of
//! k8s-openapi's generated sources.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

/// By schema name.
pub type Descriptions = BTreeMap<String, Described>;

#[derive(Default)]
pub struct Described {
    whole: Option<String>,
    properties: BTreeMap<String, String>,
}

pub fn read(directory: &Path) -> Descriptions {
    let mut found = Descriptions::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).expect("cargo unpacked the sources").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                found.extend(file(&text));
            }
        }
    }
    found
}

/// The types of one source file. The generator's layout is regular: the
/// indentation tells what a line belongs to.
fn file(text: &str) -> Descriptions {
    let mut found = Descriptions::new();
    let mut current: Option<(String, Described)> = None;
    let mut property = None;
    let mut awaits_name = false;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim();
        if line.starts_with("fn schema_name()") {
            awaits_name = true;
        } else if awaits_name {
            awaits_name = false;
            found.extend(current.take());
            current = quoted(line).map(|name| (name, Described::default()));
            property = None;
        } else if let Some((_, described)) = &mut current {
            match (indent, quoted(line)) {
                (12, Some(key)) if key == "description" => described.whole = value_of(line),
                (16, Some(key)) => property = Some(key),
                (20, Some(key)) if key == "description" => {
                    described.properties.extend(property.clone().zip(value_of(line)));
                }
                (20, _) if line.contains("insert(\"description\".into(), ") => {
                    let value = line.split_once("into(), ").and_then(|(_, rest)| quoted(rest));
                    described.properties.extend(property.clone().zip(value));
                }
                _ => {}
            }
        }
    }
    found.extend(current);
    found
}

/// The string literal that a line starts with.
fn quoted(line: &str) -> Option<String> {
    let mut letters = line.strip_prefix('"')?.chars();
    let mut out = String::new();
    loop {
        match letters.next()? {
            '"' => return Some(out),
            '\\' => out.push(match letters.next()? {
                'n' => '\n',
                't' => '\t',
                other => other,
            }),
            letter => out.push(letter),
        }
    }
}

/// The string literal behind `"key": `.
fn value_of(line: &str) -> Option<String> {
    quoted(line.split_once("\": ")?.1)
}

/// Writes the descriptions into a schema.
pub fn describe(schema: &mut Value, described: Option<&Described>) {
    let Some(described) = described else { return };
    if let Some(whole) = &described.whole {
        schema["description"] = whole.clone().into();
    }
    for (name, description) in &described.properties {
        if let Some(property) = schema.get_mut("properties").and_then(|properties| properties.get_mut(name)) {
            // Siblings of a v3 $ref are ignored: it goes into allOf.
            if let Some(reference) = property.get("$ref").cloned() {
                *property = serde_json::json!({"allOf": [{"$ref": reference}]});
            }
            property["description"] = description.clone().into();
        }
    }
}
