//! Warnings about volumes: sources that are gone, fractions of bytes, and
//! files that hide others.

use apimachinery::Value;
use apimachinery::field::{Path, quote};

use crate::rules::resources;

/// Sources of volumes and what became of them.
const OLD_SOURCES: [(&str, &str); 9] = [
    ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// How messages call a source of a pod's volume.
fn title(source: &str) -> &str {
    match source {
        "storageos" => "storageOS",
        other => other,
    }
}

pub(super) fn of_volumes(volumes: &Value, path: &Path<'_>, warnings: &mut Vec<String>) {
    for (at, volume) in volumes.items().iter().enumerate() {
        let here = path.index(at);
        for (source, told) in OLD_SOURCES {
            if !volume[source].is_null() {
                warnings.push(format!("{}: {told}", here.child(title(source))));
            }
        }
        let template = &volume["ephemeral"]["volumeClaimTemplate"];
        if !template.is_null() {
            let ephemeral = here.child("ephemeral");
            let claim = ephemeral.child("volumeClaimTemplate");
            of_claim(&template["spec"], &claim.child("spec"), warnings);
        }
    }
    for volume in volumes.items() {
        hidden_files(volume, warnings);
    }
}

/// Warnings about a PersistentVolumeClaimSpec at `path`.
pub fn of_claim(spec: &Value, path: &Path<'_>, warnings: &mut Vec<String>) {
    let here = path.child("resources");
    for field in ["requests", "limits"] {
        let amounts = here.child(field);
        let storage = &spec["resources"][field]["storage"];
        resources::warn_of_fraction(&amounts.key("storage"), storage, warnings);
    }
}

/// A file of a volume and where it comes from.
struct File<'a> {
    path: &'a str,
    source: String,
}

fn hidden_files(volume: &Value, warnings: &mut Vec<String>) {
    let name = quote(volume["name"].text());
    for (field, title, named) in [
        ("configMap", "ConfigMap", "name"),
        ("secret", "Secret", "secretName"),
        ("downwardAPI", "DownwardAPI", ""),
    ] {
        let source = &volume[field];
        let described = described(title, &source[named]);
        let mut before: Vec<&str> = Vec::new();
        for path in paths(source) {
            for other in before.iter().filter(|other| overlap(path, other)) {
                warnings.push(format!(
                    "volume {name} ({described}): overlapping paths: {} with {}",
                    quote(path),
                    quote(other)
                ));
            }
            before.push(path);
        }
    }
    let mut before: Vec<File<'_>> = Vec::new();
    for source in volume["projected"]["sources"].items() {
        if source.members().next().is_none() {
            warnings.push(format!("volume {name} (Projected) has no sources provided"));
            continue;
        }
        for file in files(source) {
            for other in before.iter().filter(|other| overlap(file.path, other.path)) {
                warnings.push(format!(
                    "volume {name} (Projected): overlapping paths: {} ({}) with {} ({})",
                    quote(file.path),
                    file.source,
                    quote(other.path),
                    other.source
                ));
            }
            before.push(file);
        }
    }
}

fn described(title: &str, name: &Value) -> String {
    match name.as_str() {
        Some(name) => format!("{title} {}", quote(name)),
        None => title.to_owned(),
    }
}

fn paths(source: &Value) -> impl Iterator<Item = &str> {
    source["items"].items().iter().map(|item| item["path"].text().trim_end_matches('/'))
}

/// Files of one source of a projected volume.
fn files(source: &Value) -> Vec<File<'_>> {
    for (field, title) in [("configMap", "ConfigMap"), ("secret", "Secret"), ("downwardAPI", "DownwardAPI")] {
        if !source[field].is_null() {
            let described = described(title, &source[field]["name"]);
            return paths(&source[field]).map(|path| File { path, source: described.clone() }).collect();
        }
    }
    let bundle = &source["clusterTrustBundle"];
    let token = &source["serviceAccountToken"];
    let (path, described) = if !token.is_null() {
        (token["path"].text(), "ServiceAccountToken".to_owned())
    } else if !bundle.is_null() {
        let name = bundle["name"].as_str().unwrap_or_else(|| bundle["signerName"].text());
        (bundle["path"].text(), format!("ClusterTrustBundle {}", quote(name)))
    } else {
        return Vec::new();
    };
    vec![File { path: path.trim_end_matches('/'), source: described }]
}

/// Whether one path is the other, or below it.
fn overlap(one: &str, other: &str) -> bool {
    let below = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    below(one, other) || below(other, one)
}
