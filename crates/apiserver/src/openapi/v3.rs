//! OpenAPI 3.0: an index and a document for each group and version.

use std::collections::BTreeSet;

use apimachinery::Value;

use super::operations::{self, Operation};
use super::{Facts, document_of};

const REFERENCE: &str = "#/components/schemas/";
/// What answers come in; those of lists also as streams of changes.
const ANSWERS: [&str; 3] = ["application/json", "application/vnd.kubernetes.protobuf", "application/yaml"];
const LISTS: [&str; 5] = [
    "application/json",
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf",
    "application/vnd.kubernetes.protobuf;stream=watch",
    "application/yaml",
];

/// `/openapi/v3`: where the documents are.
pub(super) fn index(facts: &Facts, hash: &dyn Fn(&str) -> String) -> Value {
    let names: BTreeSet<String> = facts.paths.members().map(|(path, _)| document_of(path)).collect();
    let mut paths = Value::object();
    for name in names {
        let mut link = Value::object();
        link.set("serverRelativeURL", format!("/openapi/v3/{name}?hash={}", hash(&name)));
        paths.set(name, link);
    }
    let mut index = Value::object();
    index.set("paths", paths);
    index
}

/// One document; None where no path belongs to it. That of custom resources
/// (`is_custom`) holds nothing but what its paths need.
pub(super) fn document(facts: &Facts, name: &str, is_custom: bool) -> Option<Value> {
    let mut paths = Value::object();
    let mut wanted = BTreeSet::new();
    for (path, item) in facts.paths.members().filter(|(path, _)| document_of(path) == name) {
        paths.set(path.to_owned(), path_item(path, &operations::of(facts, path, item), &mut wanted));
    }
    paths.members().next()?;
    let mut info = Value::object();
    info.set("title", if is_custom { "Kubernetes CRD Swagger" } else { "Kubernetes" });
    info.set("version", if is_custom { "v0.1.0".to_owned() } else { super::minor_version() });
    let mut token = Value::object();
    token.set("type", "apiKey");
    token.set("description", "Bearer Token authentication");
    token.set("name", "authorization");
    token.set("in", "header");
    let mut components = Value::object();
    let mut schemas = schemas(facts, wanted);
    if let Some(group_version) = name.strip_prefix("apis/").or_else(|| name.strip_prefix("api/")) {
        own_kinds(&mut schemas, group_version.split_once('/').unwrap_or(("", group_version)));
    }
    if schemas.members().next().is_some() {
        components.set("schemas", schemas);
    }
    components.set_at(&["securitySchemes", "BearerToken"], token);
    let mut document = Value::object();
    document.set("openapi", "3.0.0");
    document.set("info", info);
    document.set("paths", paths);
    document.set("components", components);
    Some(document)
}

/// The schemas that are wanted and all that they refer to.
fn schemas(facts: &Facts, wanted: BTreeSet<String>) -> Value {
    let mut waiting: Vec<String> = wanted.into_iter().collect();
    let mut taken = BTreeSet::new();
    while let Some(name) = waiting.pop() {
        if facts.schemas[&*name].is_null() || !taken.insert(name.clone()) {
            continue;
        }
        references(&facts.schemas[&*name], &mut waiting);
    }
    let mut schemas = Value::object();
    for name in taken {
        let described = described(facts, &name);
        schemas.set(name, described);
    }
    schemas
}

/// Types that every group has (DeleteOptions, WatchEvent) are told as those of
/// the core group and of the document's own version.
fn own_kinds(schemas: &mut Value, (group, version): (&str, &str)) {
    let Value::Object(schemas) = schemas else { return };
    for (_, schema) in schemas.iter_mut() {
        let known = schema["x-kubernetes-group-version-kind"].items();
        let [first, _, ..] = known else { continue };
        let (mut core, mut own) = (first.clone(), first.clone());
        core.set("group", "");
        core.set("version", "v1");
        own.set("group", group);
        own.set("version", version);
        let kinds = if core == own { vec![core] } else { vec![core, own] };
        schema.set("x-kubernetes-group-version-kind", kinds);
    }
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (name, member) in object.iter() {
                match member.as_str().and_then(|text| text.strip_prefix(REFERENCE)) {
                    Some(target) if name == "$ref" => found.push(target.to_owned()),
                    _ => references(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

/// A schema with what is said of it and of its fields.
pub(super) fn described(facts: &Facts, name: &str) -> Value {
    let mut schema = facts.schemas[name].clone();
    if let Some(text) = facts.description(name, "") {
        schema.set("description", text);
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for (field, property) in properties.iter_mut() {
            if let Some(text) = facts.description(name, field) {
                property.set("description", text);
            }
        }
    }
    schema
}

fn path_item(path: &str, operations: &[Operation<'_>], wanted: &mut BTreeSet<String>) -> Value {
    let mut item = Value::object();
    let shared = operations::shared(path, operations);
    for operation in operations {
        let mut made = Value::object();
        made.set("tags", vec![Value::from(operation.tag.as_str())]);
        made.set("description", operation.description.as_str());
        made.set("operationId", operation.id.as_str());
        let parameters: Vec<Value> =
            operations::own(operation, &shared).into_iter().map(|name| parameter(name, "query")).collect();
        if !parameters.is_empty() {
            made.set("parameters", parameters);
        }
        if let Some(body) = &operation.body {
            wanted.insert(body.clone());
            let consumes: Vec<&str> = operation.consumes.clone();
            let mut request = Value::object();
            request.set("content", content(&consumes, body));
            if operation.action == "patch" || matches!(operation.action, "post" | "put") {
                request.set("required", true);
            }
            made.set("requestBody", request);
        }
        made.set("responses", responses(operation, wanted));
        if !operation.action.is_empty() {
            made.set("x-kubernetes-action", operation.action);
        }
        if !operation.gvk.is_null() {
            made.set("x-kubernetes-group-version-kind", operation.gvk.clone());
        }
        item.set(operation.method.to_owned(), made);
    }
    let shared: Vec<Value> = shared.into_iter().map(|(name, place)| parameter(name, place)).collect();
    if !shared.is_empty() {
        item.set("parameters", shared);
    }
    item
}

fn parameter(name: &str, place: &str) -> Value {
    let (kind, description) = operations::parameter(name);
    let mut schema = Value::object();
    schema.set("type", kind);
    schema.set("uniqueItems", true);
    let mut made = Value::object();
    made.set("name", name);
    made.set("in", place);
    made.set("description", description);
    if place == "path" {
        made.set("required", true);
    }
    made.set("schema", schema);
    made
}

fn content(media_types: &[&str], schema: &str) -> Value {
    let mut content = Value::object();
    for media_type in media_types {
        let mut entry = Value::object();
        entry.set_at(&["schema", "$ref"], format!("{REFERENCE}{schema}"));
        content.set((*media_type).to_owned(), entry);
    }
    content
}

fn responses(operation: &Operation<'_>, wanted: &mut BTreeSet<String>) -> Value {
    let mut responses = Value::object();
    for code in &operation.responses {
        let mut response = Value::object();
        response.set("description", meaning(code));
        if *code != "401"
            && let Some(schema) = &operation.answer
        {
            wanted.insert(schema.clone());
            let forms = match operation.action {
                _ if !operation.produces.is_empty() => operation.produces,
                "list" | "watch" | "watchlist" => &LISTS[..],
                _ => &ANSWERS[..],
            };
            response.set("content", content(forms, schema));
        } else if *code != "401" && !operation.produces.is_empty() {
            for form in operation.produces {
                response.set_at(&["content", form, "schema", "type"], "string");
            }
        } else if *code != "401" && operation.action == "connect" {
            response.set_at(&["content", "*/*", "schema", "type"], "string");
        }
        responses.set((*code).to_owned(), response);
    }
    responses
}

pub(super) fn meaning(code: &str) -> &'static str {
    match code {
        "201" => "Created",
        "202" => "Accepted",
        "401" => "Unauthorized",
        _ => "OK",
    }
}
