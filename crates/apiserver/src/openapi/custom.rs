//! What OpenAPI documents say of kinds whose strategy publishes a schema, as
//! custom resources do: the same facts that there are of built-in kinds, made
//! of their definitions.

use apimachinery::{Value, json};
use sha2::{Digest, Sha256};

use super::Facts;
use super::operations::{LIST_OPTIONS, WRITE_OPTIONS};
use crate::{Definition, SubresourceKind, Version, View};

const LIST_META: &str = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const LIST_METADATA: &str = "Standard list metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";
const DELETE_OPTIONS: [&str; 5] = [
    "dryRun",
    "gracePeriodSeconds",
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "orphanDependents",
    "propagationPolicy",
];
const BODIES: [&str; 2] = ["application/json", "application/yaml"];
const PATCHES: [&str; 3] =
    ["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"];

/// Adds what the view has of them; for OpenAPI v2 with `v2`.
pub(super) fn add(facts: &mut Facts, view: &View, v2: bool) {
    for resource in view.catalogue().resources() {
        for version in &resource.versions {
            let Some(schema) = resource.strategy.published(view, v2) else { continue };
            add_schemas(facts, resource, version, schema);
            add_paths(facts, resource, version);
        }
    }
}

/// Names the state of these kinds, apart for each document.
pub(super) fn hash(view: &View, document: &str) -> Option<String> {
    let mut digest = Sha256::new();
    let mut found = false;
    for resource in view.catalogue().resources() {
        for version in &resource.versions {
            let Some(schema) = resource.strategy.published(view, false) else { continue };
            if !document.is_empty() && document != format!("apis/{}/{}", resource.group, version.name) {
                continue;
            }
            found = true;
            digest.update(format!("{}/{}/{}", resource.group, version.name, resource.resource));
            for part in &resource.subresources {
                digest.update(&*part.name);
            }
            digest.update(json::to_string(&schema));
        }
    }
    found.then(|| digest.finalize().iter().map(|byte| format!("{byte:02X}")).collect())
}

/// `com.ex.found.v1.Gadget`.
fn schema_name(definition: &Definition, version: &Version, kind: &str) -> String {
    let mut parts: Vec<&str> = definition.group.split('.').rev().collect();
    parts.push(&version.name);
    parts.push(kind);
    parts.join(".")
}

fn gvk(definition: &Definition, version: &Version, kind: &str) -> Value {
    let mut gvk = Value::object();
    gvk.set("group", &*definition.group);
    gvk.set("kind", kind);
    gvk.set("version", &*version.name);
    gvk
}

fn add_schemas(facts: &mut Facts, definition: &Definition, version: &Version, mut schema: Value) {
    const GVK: &str = "x-kubernetes-group-version-kind";
    let name = schema_name(definition, version, &definition.kind);
    schema.set(GVK, vec![gvk(definition, version, &definition.kind)]);
    let text = |description: &str| {
        let mut property = Value::object();
        property.set("description", description);
        property.set("type", "string");
        property
    };
    let mut list = Value::object();
    list.set("description", format!("{} is a list of {}", definition.list_kind, definition.kind));
    list.set("type", "object");
    list.set("required", vec![Value::from("items")]);
    let mut reference = Value::object();
    reference.set("$ref", format!("#/components/schemas/{name}"));
    let mut items = Value::object();
    items.set(
        "description",
        format!("List of {}. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md", definition.resource),
    );
    items.set("type", "array");
    items.set("items", reference);
    let mut metadata = Value::object();
    metadata.set("description", LIST_METADATA);
    let mut reference = Value::object();
    reference.set("$ref", LIST_META);
    metadata.set("allOf", vec![reference]);
    let properties = list.entry("properties");
    properties.set("apiVersion", text(super::API_VERSION));
    properties.set("items", items);
    properties.set("kind", text(super::KIND));
    properties.set("metadata", metadata);
    list.set(GVK, vec![gvk(definition, version, &definition.list_kind)]);
    facts.schemas.set(name, schema);
    facts.schemas.set(schema_name(definition, version, &definition.list_kind), list);
}

fn add_paths(facts: &mut Facts, definition: &Definition, version: &Version) {
    let kind = gvk(definition, version, &definition.kind);
    let root = format!("/apis/{}/{}", definition.group, version.name);
    let all = format!("{root}/{}", definition.resource);
    let (collection, namespaced) = if definition.is_namespaced() {
        (format!("{root}/namespaces/{{namespace}}/{}", definition.resource), "Namespaced")
    } else {
        (all.clone(), "")
    };
    let group: String = definition
        .group
        .split('.')
        .map(|part| {
            let mut letters = part.chars();
            letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
        })
        .chain([version.name[..1].to_uppercase() + &version.name[1..]])
        .collect();
    let operation = |verb: &str, action: &str, params: &[&str], suffix: &str| {
        let texts = |texts: &[&str]| texts.iter().map(|text| Value::from(*text)).collect::<Vec<_>>();
        let (consumes, responses): (&[&str], &[&str]) = match action {
            "post" => (&BODIES, &["200", "201", "202", "401"]),
            "put" => (&BODIES, &["200", "201", "401"]),
            "patch" => (&PATCHES, &["200", "401"]),
            "delete" => (&BODIES, &["200", "202", "401"]),
            _ => (&[], &["200", "401"]),
        };
        let mut made = Value::object();
        made.set("action", action);
        made.set("consumes", texts(consumes));
        made.set("params", texts(params));
        made.set("responses", texts(responses));
        made.set("gvk", kind.clone());
        made.set("id", format!("{verb}{group}{namespaced}{}{suffix}", definition.kind));
        made
    };
    let item = |operations: Vec<(&'static str, &str, Value)>| {
        let mut item = Value::object();
        for (method, verb, operation) in operations {
            if definition.has_verb(verb) {
                item.set(method, operation);
            }
        }
        item
    };
    if definition.is_namespaced() {
        let mut list = operation("list", "list", &LIST_OPTIONS, "ForAllNamespaces");
        list.set("id", format!("list{group}{}ForAllNamespaces", definition.kind));
        facts.paths.set(all, item(vec![("get", "list", list)]));
    }
    let delete_collection: Vec<&str> = LIST_OPTIONS
        .iter()
        .copied()
        .filter(|name| !matches!(*name, "watch" | "allowWatchBookmarks"))
        .collect();
    facts.paths.set(
        collection.clone(),
        item(vec![
            (
                "delete",
                "deletecollection",
                operation("deleteCollection", "deletecollection", &delete_collection, ""),
            ),
            ("get", "list", operation("list", "list", &LIST_OPTIONS, "")),
            ("post", "create", operation("create", "post", &WRITE_OPTIONS, "")),
        ]),
    );
    let patch_options = [&WRITE_OPTIONS[..], &["force"]].concat();
    let object = format!("{collection}/{{name}}");
    facts.paths.set(
        object.clone(),
        item(vec![
            ("delete", "delete", operation("delete", "delete", &DELETE_OPTIONS, "")),
            ("get", "get", operation("read", "get", &["resourceVersion"], "")),
            ("patch", "patch", operation("patch", "patch", &patch_options, "")),
            ("put", "update", operation("replace", "put", &WRITE_OPTIONS, "")),
        ]),
    );
    for part in &definition.subresources {
        let is_scale = matches!(part.kind, SubresourceKind::Scale(_));
        let suffix = if is_scale { "Scale" } else { "Status" };
        let operation = |verb: &str, action: &str, params: &[&str]| {
            let mut made = operation(verb, action, params, suffix);
            if is_scale {
                made.set_at(&["answer"], "io.k8s.api.autoscaling.v1.Scale");
            }
            made
        };
        facts.paths.set(
            format!("{object}/{}", part.name),
            item(vec![
                ("get", "get", operation("read", "get", &["resourceVersion"])),
                ("patch", "patch", operation("patch", "patch", &patch_options)),
                ("put", "update", operation("replace", "put", &WRITE_OPTIONS)),
            ]),
        );
    }
}
