//! From a definition that is established to what the API server serves: one
//! resource for each served version, all over the same objects.

use std::cmp::Ordering;
use std::sync::Arc;

use api::facts;
use apimachinery::managed_fields::Structure;
use apimachinery::structural::{self, Schema};
use apimachinery::{Value, meta};
use apiserver::{
    Definition, Scale, ScaleSelector, Scope, Selectable, Storage, Subresource, SubresourceKind, Text, Version,
};

use super::columns::columns;
use super::custom_resource::{CustomResource, OtherVersion, StorageForm, path_of};
use super::rules::Rules;
use crate::conditions::is_true;

/// The resources of a definition; none where it is not established. Objects
/// stored before `since` are brought into its form when they are read.
pub fn definitions(definition: &Value, since: u64) -> Vec<Definition> {
    if !is_true(definition, "Established") {
        return Vec::new();
    }
    let spec = &definition["spec"];
    let group = spec["group"].text();
    let versions = spec["versions"].items();
    let schemas: Vec<(String, Arc<Schema>)> = versions
        .iter()
        .map(|version| {
            let mut schema = structural::load(&version["schema"]["openAPIV3Schema"]);
            structural::prune_defaults(facts::types(), &mut schema);
            (format!("{group}/{}", version["name"].text()), Arc::new(schema))
        })
        .collect();
    let stored = versions.iter().position(|version| version["storage"].is_true());
    let Some((api_version, schema)) = stored.map(|at| schemas[at].clone()) else { return Vec::new() };
    let storage = Arc::new(StorageForm { api_version, schema, versions: schemas.clone() });
    versions
        .iter()
        .zip(&schemas)
        .filter(|(version, _)| version["served"].is_true())
        .map(|(version, (api_version, schema))| {
            served(definition, version, api_version, schema, &storage, since)
        })
        .collect()
}

fn served(
    definition: &Value,
    version: &Value,
    api_version: &str,
    schema: &Arc<Schema>,
    storage: &Arc<StorageForm>,
    since: u64,
) -> Definition {
    let spec = &definition["spec"];
    let names = &definition["status"]["acceptedNames"];
    let text = |value: &Value| -> Text { value.text().to_owned().into() };
    let texts = |value: &Value| value.items().iter().map(text).collect::<Vec<Text>>();
    let (group, plural) = (text(&spec["group"]), text(&names["plural"]));
    let is_terminating = is_true(definition, "Terminating");
    let (shown, filled) = columns(version);
    let scale = scale(&version["subresources"]["scale"]);
    let has_status = !version["subresources"]["status"].is_null();
    let strategy = CustomResource {
        definition: format!("{plural}.{group}"),
        version: version["name"].text().to_owned(),
        schema: schema.clone(),
        status_schema: schema.property("status").map(|status| Arc::new(status.clone())),
        scale: scale.clone(),
        structure: Structure::of_resource(facts::types(), &version["schema"]["openAPIV3Schema"]),
        rules: Rules::compile(&version["schema"]["openAPIV3Schema"], schema, true),
        columns: filled,
        storage: storage.clone(),
        terminating: is_terminating || meta::is_terminating(definition),
    };
    let conversion = (*api_version != storage.api_version).then(|| {
        let (api_version, schema, storage) = (api_version.to_owned(), schema.clone(), storage.clone());
        Arc::new(OtherVersion { api_version, schema, storage }) as Arc<dyn apiserver::Conversion>
    });
    let verbs: &[&'static str] = if is_terminating {
        &["delete", "deletecollection", "get", "list", "watch"]
    } else {
        &["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]
    };
    Definition {
        resource: plural.clone(),
        singular: text(&names["singular"]),
        kind: text(&names["kind"]),
        list_kind: text(&names["listKind"]),
        short_names: texts(&names["shortNames"]),
        categories: texts(&names["categories"]),
        scope: if spec["scope"].text() == "Cluster" { Scope::Cluster } else { Scope::Namespaced },
        verbs: verbs.iter().map(|verb| Text::Borrowed(verb)).collect(),
        versions: vec![Version {
            name: text(&version["name"]),
            schema: None,
            structural: Some(schema.clone()),
            columns: shown,
            deprecation: deprecation(spec, version).map(Text::Owned),
            conversion,
        }],
        storage: Storage::Stored {
            prefix: format!("/registry/{group}/{plural}/").into(),
            api_version: storage.api_version.clone().into(),
            schema: None,
        },
        subresources: subresources(has_status, scale),
        selectable: selectable(spec, version),
        ineffective: &[],
        strategy: Arc::new(strategy),
        since,
        group,
    }
}

fn scale(source: &Value) -> Option<Scale> {
    (!source.is_null()).then(|| Scale {
        replicas: path_of(source["specReplicasPath"].text()),
        status_replicas: path_of(source["statusReplicasPath"].text()),
        selector: match source["labelSelectorPath"].text() {
            "" => ScaleSelector::None,
            path => ScaleSelector::Text(path_of(path)),
        },
    })
}

fn subresources(has_status: bool, scale: Option<Scale>) -> Vec<Subresource> {
    let subresource = |name: &'static str, kind: SubresourceKind| Subresource {
        name: name.into(),
        kind,
        verbs: ["get", "patch", "update"].map(Text::Borrowed).to_vec(),
        body: None,
    };
    let mut found = Vec::new();
    if has_status {
        found.push(subresource("status", SubresourceKind::Status));
    }
    if let Some(scale) = scale {
        found.push(subresource("scale", SubresourceKind::Scale(scale)));
    }
    found
}

/// The fields of all versions, so that every version reads the same headers;
/// those of others are hidden.
fn selectable(spec: &Value, version: &Value) -> Vec<Selectable> {
    let paths = |version: &Value| -> Vec<String> {
        version["selectableFields"].items().iter().map(|field| field["jsonPath"].text().to_owned()).collect()
    };
    let own = paths(version);
    let mut all: Vec<String> = spec["versions"].items().iter().flat_map(paths).collect();
    all.sort();
    all.dedup();
    all.into_iter()
        .map(|text| Selectable {
            name: text.trim_start_matches('.').to_owned().into(),
            path: path_of(&text),
            fallback: Vec::new(),
            alias: "",
            absent: "",
            trigger: false,
            hidden: !own.contains(&text),
        })
        .collect()
}

/// The warning of a deprecated version, which names the best one that is not.
fn deprecation(spec: &Value, version: &Value) -> Option<String> {
    if !version["deprecated"].is_true() {
        return None;
    }
    if let Some(text) = version["deprecationWarning"].as_str() {
        return Some(text.to_owned());
    }
    let (group, kind, name) = (spec["group"].text(), spec["names"]["kind"].text(), version["name"].text());
    let better = spec["versions"]
        .items()
        .iter()
        .filter(|other| other["served"].is_true() && !other["deprecated"].is_true())
        .map(|other| other["name"].text())
        .filter(|other| compare(other, name).is_gt())
        .max_by(|a, b| compare(a, b));
    let mut warning = format!("{group}/{name} {kind} is deprecated");
    if let Some(better) = better {
        warning.push_str(&format!("; use {group}/{better} {kind}"));
    }
    Some(warning)
}

/// v2 is more than v1, v1 more than v1beta2, that more than v1alpha1 and any of
/// them more than other names.
fn compare(a: &str, b: &str) -> Ordering {
    let rank = |name: &str| -> Option<(u8, u32, u32)> {
        let rest = name.strip_prefix('v')?;
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        let major = rest[..digits].parse().ok()?;
        match &rest[digits..] {
            "" => Some((3, major, 0)),
            stage => [("beta", 2), ("alpha", 1)].into_iter().find_map(|(word, rank)| {
                let minor = stage.strip_prefix(word)?;
                Some((rank, major, if minor.is_empty() { 0 } else { minor.parse().ok()? }))
            }),
        }
    };
    match (rank(a), rank(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => Ordering::Greater,
        (None, Some(_)) => Ordering::Less,
        (None, None) => b.cmp(a),
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    fn definition() -> Value {
        let schema = value!({"openAPIV3Schema": {"type": "object", "properties": {
            "spec": {"type": "object", "properties": {"a": {"type": "string"}}}
        }}});
        value!({
            "spec": {
                "group": "ex.com", "scope": "Namespaced", "names": {"kind": "Gadget"},
                "versions": [
                    {"name": "v1", "served": true, "storage": true, "schema": schema.clone(),
                     "selectableFields": [{"jsonPath": ".spec.a"}]},
                    {"name": "v2", "served": true, "storage": false, "schema": schema.clone()},
                    {"name": "v1beta1", "served": true, "deprecated": true, "schema": schema.clone()},
                    {"name": "v0", "served": false, "schema": schema}
                ]
            },
            "status": {
                "acceptedNames": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget", "listKind": "GadgetList"},
                "conditions": [{"type": "Established", "status": "True"}]
            }
        })
    }

    #[test]
    fn defaults_lose_what_metadata_does_not_have() {
        let source = value!({"type": "object", "properties": {"pod": {
            "type": "object", "x-kubernetes-embedded-resource": true,
            "properties": {"metadata": {"type": "object", "default": {"name": "a", "unknown": 42},
                "properties": {"odd": {"type": "string", "default": "b"}}}}
        }, "plain": {"type": "object", "default": {"unknown": 42}}}});
        let mut schema = structural::load(&source);
        structural::prune_defaults(facts::types(), &mut schema);
        let default = |path: &[&str]| {
            let found = path.iter().fold(&schema, |at, name| at.property(name).expect("declared"));
            found.default.clone()
        };
        assert_eq!(default(&["pod", "metadata"]), Some(value!({"name": "a"})));
        assert_eq!(default(&["pod", "metadata", "odd"]), None);
        assert_eq!(default(&["plain"]), Some(Value::object()));
    }

    #[test]
    fn every_served_version_is_a_resource_over_the_same_objects() {
        let made = definitions(&definition(), 7);
        let names: Vec<&str> = made.iter().map(|made| &*made.versions[0].name).collect();
        assert_eq!(names, ["v1", "v2", "v1beta1"]);
        assert!(
            made.iter().all(|made| made.prefix() == Some("/registry/ex.com/gadgets/") && made.since == 7)
        );
        assert!(made[0].versions[0].conversion.is_none());
        assert!(made[1].versions[0].conversion.is_some());
        assert!(!made[0].selectable[0].hidden && made[1].selectable[0].hidden);
        assert_eq!(
            made[2].versions[0].deprecation.as_deref(),
            Some("ex.com/v1beta1 Gadget is deprecated; use ex.com/v2 Gadget")
        );
        let mut unknown = definition();
        unknown.set_at(&["status", "conditions"], Value::Null);
        assert!(definitions(&unknown, 7).is_empty());
    }
}
