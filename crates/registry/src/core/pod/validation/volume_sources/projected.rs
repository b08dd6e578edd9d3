//! Projected volumes: several sources in one directory, no two files at one path.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::{dns1123_subdomain, qualified_name};

use super::files::{downward_file, key_to_path};
use crate::names::is_kubernetes_signer;
use crate::rules::{internal, paths, required, selector, signer};

/// The least life of a projected token, in seconds.
const LEAST_TOKEN: i64 = 600;
/// The lives of pod certificates, in seconds.
const LEAST_CERTIFICATE_LIFE: i64 = 3600;
const MOST_CERTIFICATE_LIFE: i64 = 7_862_400;
/// Of certificates by Kubernetes' own signers.
const MOST_KUBERNETES_LIFE: i64 = 86_400;
/// Kinds of keys of pod certificates.
const KEY_TYPES: [&str; 6] = ["RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"];

pub fn projected(source: &Value, path: &Path<'_>, errors: &mut Errors) {
    paths::mode(&path.child("defaultMode"), &source["defaultMode"], errors);
    let sources = path.child("sources");
    let mut files = Files { taken: Vec::new(), path };
    for (at, source) in source["sources"].items().iter().enumerate() {
        let here = sources.index(at);
        let mut count = 0;
        for field in [
            "secret",
            "configMap",
            "downwardAPI",
            "serviceAccountToken",
            "clusterTrustBundle",
            "podCertificate",
        ] {
            let part = &source[field];
            if part.is_null() {
                continue;
            }
            count += 1;
            let here = here.child(field);
            match field {
                "downwardAPI" => {
                    for file in part["items"].items() {
                        downward_file(file, &here, errors);
                        files.take(file["path"].text(), file["path"].text(), errors);
                    }
                }
                "serviceAccountToken" => token(part, &here, path, errors),
                "clusterTrustBundle" => trust_bundle(part, &here, &mut files, errors),
                "podCertificate" => certificate(part, &here, &mut files, errors),
                _ => {
                    required(&here.child("name"), &part["name"], errors);
                    let items = here.child("items");
                    for (nth, item) in part["items"].items().iter().enumerate() {
                        key_to_path(item, &items.index(nth), errors);
                        files.take(item["path"].text(), part["name"].text(), errors);
                    }
                }
            }
        }
        if count > 1 {
            errors.forbidden(&here, "may not specify more than 1 volume type per source");
        }
    }
}

/// The files of a volume so far.
struct Files<'a> {
    taken: Vec<&'a str>,
    path: &'a Path<'a>,
}

impl<'a> Files<'a> {
    /// Takes a path; `told` is what an error shows.
    fn take(&mut self, file: &'a str, told: &str, errors: &mut Errors) {
        if file.is_empty() {
            return;
        }
        if self.taken.contains(&file) {
            errors.invalid(self.path, told, "conflicting duplicate paths");
        } else {
            self.taken.push(file);
        }
    }
}

fn token(source: &Value, path: &Path<'_>, volume: &Path<'_>, errors: &mut Errors) {
    if let Some(seconds) = source["expirationSeconds"].as_i64() {
        let field = path.child("expirationSeconds");
        if seconds < LEAST_TOKEN {
            errors.invalid(&field, seconds, "may not specify a duration less than 10 minutes");
        }
        if seconds > 1 << 32 {
            errors.invalid(&field, seconds, "may not specify a duration larger than 2^32 seconds");
        }
    }
    let field = volume.child("path");
    if required(&field, &source["path"], errors) {
        paths::not_reserved(&field, source["path"].text(), errors);
    }
}

fn trust_bundle<'a>(source: &'a Value, path: &Path<'_>, files: &mut Files<'a>, errors: &mut Errors) {
    match (source["name"].as_str(), source["signerName"].as_str()) {
        (Some(_), Some(_)) => {
            let told = internal::of("ClusterTrustBundleProjection", source);
            errors.invalid(path, told, "only one of name and signerName may be used");
        }
        (Some(name), None) => {
            let field = path.child("name");
            if name.is_empty() {
                errors.required(&field, "must be a valid object name");
            }
            for why in trust_bundle_name(name) {
                errors.invalid(&field, name, &format!("not a valid clustertrustbundlename: {why}"));
            }
            if !source["labelSelector"].is_null() {
                let why = "labelSelector must be unset if name is specified";
                errors.invalid(&path.child("labelSelector"), source["labelSelector"].clone(), why);
            }
        }
        (None, Some(signer)) => {
            let field = path.child("signerName");
            if signer.is_empty() {
                errors.required(&field, "must be a valid signer name");
            }
            signer::name(signer, &field, errors);
            selector::validate(&path.child("labelSelector"), &source["labelSelector"], errors);
        }
        (None, None) => errors.required(path, "either name or signerName must be specified"),
    }
    let field = path.child("path");
    required(&field, &source["path"], errors);
    paths::not_reserved(&field, source["path"].text(), errors);
    files.take(source["path"].text(), source["path"].text(), errors);
}

/// A bundle of a signer is called `domain:path:name`, any other without colons.
fn trust_bundle_name(name: &str) -> Vec<String> {
    dns1123_subdomain(name.rsplit_once(':').map_or(name, |(_, own)| own))
}

fn certificate<'a>(source: &'a Value, path: &Path<'_>, files: &mut Files<'a>, errors: &mut Errors) {
    signer::name(source["signerName"].text(), &path.child("signerName"), errors);
    errors.one_of_texts(&path.child("keyType"), source["keyType"].text(), &KEY_TYPES);
    if let Some(seconds) = source["maxExpirationSeconds"].as_i64() {
        let field = path.child("maxExpirationSeconds");
        let least = LEAST_CERTIFICATE_LIFE;
        let kubernetes = is_kubernetes_signer(source["signerName"].text());
        let most = if kubernetes { MOST_KUBERNETES_LIFE } else { MOST_CERTIFICATE_LIFE };
        if seconds < least {
            errors.invalid(&field, seconds, &format!("if provided, maxExpirationSeconds must be >= {least}"));
        }
        if seconds > most {
            errors.invalid(&field, seconds, &format!("if provided, maxExpirationSeconds must be <= {most}"));
        }
    }
    let places = ["credentialBundlePath", "keyPath", "certificateChainPath"];
    if places.iter().all(|place| source[*place].text().is_empty()) {
        errors.required(
            path,
            "specify at least one of credentialBundlePath, keyPath, and certificateChainPath",
        );
    }
    for place in places {
        let text = source[place].text();
        if !text.is_empty() {
            paths::not_reserved(&path.child(place), text, errors);
            files.take(text, text, errors);
        }
    }
    let annotations = path.child("userAnnotations");
    for (key, _) in source["userAnnotations"].members() {
        errors.check(&annotations, key, qualified_name(&key.to_lowercase()));
    }
}
