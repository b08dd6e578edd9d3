//! Discovery: which groups, versions and resources there are, in the old form
//! (a document a group) and the aggregated one.

mod aggregated_protobuf;

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::{Status, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use http::{HeaderMap, Response};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::body::Body;
use crate::catalogue::{Catalogue, Resource};
use crate::negotiate::{self, Format, Wanted};
use crate::pipeline::{Head, is_pretty};
use crate::{ApiServer, Definition, Storage, Subresource, SubresourceKind, output, respond};

/// Kinds that upstream still stores in an older version than the one it serves,
/// so that the release before can read them. Clients learn of it by the hash of
/// the storage version alone: the stored shapes are the same.
const STORED_IN_OLDER_VERSION: [(&str, &str, &str); 5] = [
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "apiextensions.k8s.io/v1beta1"),
    ("certificates.k8s.io/v1", "ClusterTrustBundle", "certificates.k8s.io/v1beta1"),
    ("certificates.k8s.io/v1", "PodCertificateRequest", "certificates.k8s.io/v1beta1"),
    ("resource.k8s.io/v1", "DeviceTaintRule", "resource.k8s.io/v1beta2"),
    ("storagemigration.k8s.io/v1", "StorageVersionMigration", "storagemigration.k8s.io/v1beta1"),
];

/// Groups in the order of their priority, as upstream registers them; others
/// follow by name.
const PRIORITY: [&str; 23] = [
    "",
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "storagemigration.k8s.io",
];

/// The groups of the least priority: after those of custom resources.
const LAST: [&str; 1] = ["metrics.k8s.io"];

/// An aggregated document, encoded, with its ETag, and the catalogue that it is of.
type Encoded = (u64, Arc<(Vec<u8>, String)>);

/// The aggregated documents of the newest catalogue that was asked for, by form and by whether
/// they are the core's.
#[derive(Default)]
pub(crate) struct Discovery(Mutex<BTreeMap<(&'static str, bool), Encoded>>);

/// Groups other than the core's, in order, with their versions.
pub(crate) fn groups(catalogue: &Catalogue) -> Vec<(&str, Vec<&str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> = catalogue
        .groups()
        .iter()
        .map(|(group, versions)| (group.as_str(), versions.iter().map(String::as_str).collect()))
        .collect();
    let rank = |group: &str| {
        let others = PRIORITY.len() + usize::from(LAST.contains(&group));
        PRIORITY.iter().position(|known| *known == group).unwrap_or(others)
    };
    groups.sort_by(|(a, _), (b, _)| (rank(a), *a).cmp(&(rank(b), *b)));
    for (_, versions) in &mut groups {
        versions.sort_by_key(|version| std::cmp::Reverse(version_rank(version)));
    }
    groups
}

/// v2 before v1 before v1beta1 before v1alpha1 before others.
fn version_rank(version: &str) -> (u8, u32, u32) {
    let Some(rest) = version.strip_prefix('v') else { return (0, 0, 0) };
    let number = |text: &str| text.parse::<u32>().ok();
    let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    let Some(major) = number(&rest[..digits]) else { return (0, 0, 0) };
    match &rest[digits..] {
        "" => (3, major, 0),
        stage => {
            for (word, rank) in [("beta", 2), ("alpha", 1)] {
                if let Some(minor) = stage.strip_prefix(word).and_then(number) {
                    return (rank, major, minor);
                }
            }
            (0, 0, 0)
        }
    }
}

fn texts(values: &[crate::Text]) -> Vec<Value> {
    values.iter().map(|value| Value::from(&**value)).collect()
}

/// Definitions of a version, in the order of their names.
fn of_version<'a>(catalogue: &'a Catalogue, group: &str, version: &str) -> Vec<&'a Definition> {
    let mut found: Vec<&Definition> = catalogue
        .resources()
        .iter()
        .map(|resource| &***resource)
        .filter(|resource| resource.group == group && resource.version(version).is_some())
        // What is only kept, not served, is not told of.
        .filter(|resource| !resource.verbs.is_empty() || !resource.subresources.is_empty())
        .collect();
    found.sort_by(|a, b| a.resource.cmp(&b.resource));
    found
}

fn sorted_subresources(definition: &Definition) -> Vec<&Subresource> {
    let mut found: Vec<&Subresource> = definition.subresources.iter().collect();
    if !definition.is_custom() {
        found.sort_by(|a, b| a.name.cmp(&b.name));
    }
    found
}

/// The kind that a subresource answers with, and its group and version where
/// they are others.
fn subresource_kind(definition: &Definition, subresource: &Subresource) -> (String, String, String) {
    if let Some((group, version, kind)) = &subresource.body {
        return (group.to_string(), version.to_string(), kind.to_string());
    }
    match &subresource.kind {
        SubresourceKind::Scale(_) => ("autoscaling".into(), "v1".into(), "Scale".into()),
        _ => (String::new(), String::new(), definition.kind.to_string()),
    }
}

/// APIResourceList.
fn resource_list(catalogue: &Catalogue, group: &str, version: &str) -> Value {
    let mut resources = Vec::new();
    for definition in of_version(catalogue, group, version) {
        let mut entry = Value::object();
        entry.set("name", &*definition.resource);
        entry.set("singularName", &*definition.singular);
        entry.set("namespaced", definition.is_namespaced());
        entry.set("kind", &*definition.kind);
        entry.set("verbs", texts(&definition.verbs));
        if !definition.short_names.is_empty() {
            entry.set("shortNames", texts(&definition.short_names));
        }
        if !definition.categories.is_empty() {
            entry.set("categories", texts(&definition.categories));
        }
        if let Storage::Stored { api_version, .. } = &definition.storage {
            entry.set("storageVersionHash", storage_version_hash(api_version, &definition.kind));
        }
        resources.push(entry);
        for subresource in sorted_subresources(definition) {
            let (its_group, its_version, kind) = subresource_kind(definition, subresource);
            let mut entry = Value::object();
            entry.set("name", format!("{}/{}", definition.resource, subresource.name));
            entry.set("singularName", "");
            entry.set("namespaced", definition.is_namespaced());
            if !its_version.is_empty() && (its_group.as_str(), its_version.as_str()) != (group, version) {
                entry.set("group", its_group);
                entry.set("version", its_version);
            }
            entry.set("kind", kind);
            entry.set("verbs", texts(&subresource.verbs));
            resources.push(entry);
        }
    }
    let full = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let mut list = Value::object();
    list.set("kind", "APIResourceList");
    if !group.is_empty() {
        list.set("apiVersion", "v1");
    }
    list.set("groupVersion", full);
    list.set("resources", resources);
    list
}

fn storage_version_hash(api_version: &str, kind: &str) -> String {
    let older = STORED_IN_OLDER_VERSION
        .iter()
        .find(|(served, its_kind, _)| (*served, *its_kind) == (api_version, kind));
    let api_version = older.map_or(api_version, |(_, _, stored)| stored);
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let digest = Sha256::digest(format!("{group}/{version}/{kind}"));
    STANDARD.encode(&digest[..8])
}

/// APIGroup, without its own kind where it stands in a list.
fn group(name: &str, versions: &[&str], in_list: bool) -> Value {
    let one = |version: &str| {
        let mut entry = Value::object();
        entry.set("groupVersion", format!("{name}/{version}"));
        entry.set("version", version);
        entry
    };
    let mut made = Value::object();
    if !in_list {
        made.set("kind", "APIGroup");
        made.set("apiVersion", "v1");
    }
    made.set("name", name);
    made.set("versions", versions.iter().map(|version| one(version)).collect::<Vec<_>>());
    if let Some(first) = versions.first() {
        made.set("preferredVersion", one(first));
    }
    made
}

fn group_list(catalogue: &Catalogue) -> Value {
    let groups: Vec<Value> = groups(catalogue)
        .iter()
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, versions)| group(name, versions, true))
        .collect();
    let mut list = Value::object();
    list.set("kind", "APIGroupList");
    list.set("apiVersion", "v1");
    list.set("groups", groups);
    list
}

fn core_versions(address: &str) -> Value {
    let mut client = Value::object();
    client.set("clientCIDR", "0.0.0.0/0");
    client.set("serverAddress", address);
    let mut versions = Value::object();
    versions.set("kind", "APIVersions");
    versions.set("versions", vec![Value::from("v1")]);
    versions.set("serverAddressByClientCIDRs", vec![client]);
    versions
}

/// APIGroupDiscoveryList of the core or of all other groups.
fn aggregated(catalogue: &Catalogue, core: bool) -> Value {
    let mut items = Vec::new();
    for (name, versions) in groups(catalogue).iter().filter(|(name, _)| name.is_empty() == core) {
        let mut shown = Vec::new();
        for version in versions {
            let mut entry = Value::object();
            entry.set("version", *version);
            let resources = of_version(catalogue, name, version);
            entry.set(
                "resources",
                resources
                    .iter()
                    .map(|definition| aggregated_resource(definition, version))
                    .collect::<Vec<_>>(),
            );
            entry.set("freshness", "Current");
            shown.push(entry);
        }
        let mut item = Value::object();
        item.set("metadata", Value::object());
        if !name.is_empty() {
            item.set_at(&["metadata", "name"], *name);
        }
        item.set("versions", shown);
        items.push(item);
    }
    let mut list = Value::object();
    list.set("kind", "APIGroupDiscoveryList");
    list.set("apiVersion", "apidiscovery.k8s.io/v2");
    list.set("metadata", Value::object());
    list.set("items", items);
    list
}

fn response_kind(group: &str, version: &str, kind: &str) -> Value {
    let mut made = Value::object();
    made.set("group", group);
    made.set("version", version);
    made.set("kind", kind);
    made
}

fn aggregated_resource(definition: &Definition, version: &str) -> Value {
    // Custom resources spell out what is the group's own.
    let (own_group, own_version) =
        if definition.is_custom() { (&*definition.group, version) } else { ("", "") };
    let mut entry = Value::object();
    entry.set("resource", &*definition.resource);
    entry.set("responseKind", response_kind(own_group, own_version, &definition.kind));
    entry.set("scope", if definition.is_namespaced() { "Namespaced" } else { "Cluster" });
    entry.set("singularResource", &*definition.singular);
    entry.set("verbs", texts(&definition.verbs));
    if !definition.short_names.is_empty() {
        entry.set("shortNames", texts(&definition.short_names));
    }
    if !definition.categories.is_empty() {
        entry.set("categories", texts(&definition.categories));
    }
    let subresources: Vec<Value> = sorted_subresources(definition)
        .into_iter()
        .map(|subresource| {
            let (group, mut version, kind) = subresource_kind(definition, subresource);
            // A kind of the resource's own group is told without its version.
            if group == definition.group {
                version.clear();
            }
            let group = if version.is_empty() { own_group.to_owned() } else { group };
            let version = if version.is_empty() { own_version.to_owned() } else { version };
            let mut entry = Value::object();
            entry.set("subresource", &*subresource.name);
            entry.set("responseKind", response_kind(&group, &version, &kind));
            entry.set("verbs", texts(&subresource.verbs));
            entry
        })
        .collect();
    if !subresources.is_empty() {
        entry.set("subresources", subresources);
    }
    entry
}

impl ApiServer {
    /// Answers `/api`, `/apis`, a group or a version; None for other paths.
    pub(crate) fn discover(&self, head: &Head, routed: bool) -> Option<Response<Body>> {
        let (path, headers) = (head.path.as_str(), &head.headers);
        let refused = self.wanted_or_json(head);
        let document = |value: &Value| document(value, head, routed, refused);
        let parts: Vec<&str> = path.trim_end_matches('/').split('/').skip(1).collect();
        let catalogue = self.catalogue.load_full();
        if matches!(path, "/api" | "/apis")
            && let Some(form) = negotiate::aggregated(headers)
        {
            return Some(self.aggregated(&catalogue, parts == ["api"], form, headers));
        }
        match parts.as_slice() {
            ["api"] => {
                let host = headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
                Some(document(&core_versions(host)))
            }
            ["apis"] => Some(document(&group_list(&catalogue))),
            ["api", version] => {
                Some(
                    if catalogue.groups().iter().any(|(group, versions)| {
                        group.is_empty() && versions.iter().any(|have| have == version)
                    }) {
                        document(&resource_list(&catalogue, "", version))
                    } else {
                        respond::status(&Status::no_such_resource(), self.wanted_or_json(head))
                    },
                )
            }
            ["apis", "", ..] => None,
            ["api", "v1", ..] => {
                Some(respond::status(&Status::no_such_resource(), self.wanted_or_json(head)))
            }
            ["apis", name] => {
                let found = groups(&catalogue).into_iter().find(|(group, _)| group == name)?;
                Some(document(&group(found.0, &found.1, false)))
            }
            ["apis", name, version] => {
                let found = groups(&catalogue).into_iter().find(|(group, _)| group == name)?;
                if found.1.contains(version) {
                    return Some(document(&resource_list(&catalogue, name, version)));
                }
                // Nobody answers for what a custom group does not serve.
                let built_in = |resource: &Arc<Resource>| resource.group == *name && !resource.is_custom();
                let is_custom = !catalogue.resources().iter().any(built_in);
                let refusal = || respond::status(&Status::no_such_resource(), self.wanted_or_json(head));
                (!is_custom).then(refusal)
            }
            _ => None,
        }
    }

    fn aggregated(
        &self,
        catalogue: &Arc<Catalogue>,
        core: bool,
        form: Format,
        headers: &HeaderMap,
    ) -> Response<Body> {
        let media_type = match form {
            Format::Json => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            Format::Yaml => "application/yaml;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            Format::Protobuf => {
                "application/vnd.kubernetes.protobuf;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
            }
        };
        let mut documents = self.discovery.0.lock();
        let encoded = match documents.get(&(media_type, core)) {
            Some((number, encoded)) if *number == catalogue.number() => encoded.clone(),
            _ => {
                let list = aggregated(catalogue, core);
                let body = match form {
                    Format::Protobuf => aggregated_protobuf::write(&list),
                    format => output::encode(&list, Wanted { format, ..Wanted::JSON }),
                };
                // One tag for all forms.
                let text = output::encode(&list, Wanted::JSON);
                let tag: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02X}")).collect();
                let encoded = Arc::new((body, format!("\"{tag}\"")));
                documents.insert((media_type, core), (catalogue.number(), encoded.clone()));
                encoded
            }
        };
        drop(documents);
        let matches = headers
            .get_all(IF_NONE_MATCH)
            .iter()
            .any(|value| value.to_str().is_ok_and(|tags| tags.contains(&encoded.1)));
        let mut response = if matches {
            respond::plain(304, media_type, Vec::new())
        } else {
            respond::plain(200, media_type, encoded.0.clone())
        };
        if let Ok(tag) = HeaderValue::from_str(&encoded.1) {
            response.headers_mut().insert(ETAG, tag);
        }
        response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public"));
        response
    }
}

/// A discovery document in the format that the client wants.
fn document(value: &Value, head: &Head, routed: bool, refused: Wanted) -> Response<Body> {
    let answer = negotiate::Answer::Document;
    let served = negotiate::Served { answer, protobuf: true, table: false, routed };
    match negotiate::accept(&head.headers, served) {
        Ok(wanted) => {
            let wanted = Wanted { pretty: wanted.pretty || is_pretty(head), ..wanted };
            let media_type = output::media_type(wanted.format, false);
            // These kinds of the old form lie in group "", version v1.
            let mut shown = value.clone();
            if wanted.format == Format::Protobuf {
                shown.set("apiVersion", "v1");
            }
            respond::plain(200, media_type, output::encode(&shown, wanted))
        }
        Err(status) => respond::status(&status, refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_versions_hash_as_upstream() {
        assert_eq!(storage_version_hash("v1", "ConfigMap"), "qFsyl6wFWjQ=");
        assert_eq!(storage_version_hash("apiregistration.k8s.io/v1", "APIService"), "InPBPD7+PqM=");
        assert_eq!(storage_version_hash("resource.k8s.io/v1", "ResourceClaim"), "wgAZaHcZxUg=");
        assert_eq!(storage_version_hash("resource.k8s.io/v1", "DeviceTaintRule"), "i+85+TcIKpA=");
        assert_eq!(storage_version_hash("certificates.k8s.io/v1", "ClusterTrustBundle"), "v5yhuVertL4=");
    }

    #[test]
    fn newer_and_stabler_versions_come_first() {
        let mut versions = vec!["v1alpha1", "v1", "foo", "v2beta1", "v2", "v1beta2"];
        versions.sort_by_key(|version| std::cmp::Reverse(version_rank(version)));
        assert_eq!(versions, ["v2", "v1", "v2beta1", "v1beta2", "v1alpha1", "foo"]);
    }
}
