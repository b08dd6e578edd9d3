//! OpenAPI 2.0 (Swagger): one document for everything.

use std::collections::BTreeMap;

use apimachinery::{Value, json};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::operations::{self, Operation};
use super::{Facts, v3};

const OLD: &str = "#/components/schemas/";
const REFERENCE: &str = "#/definitions/";
/// How references to what all groups have begin.
const GENERIC: &str = "#/definitions/io.k8s.apimachinery";
/// What answers come in; those of lists also as streams of changes.
const ANSWERS: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
const LISTS: [&str; 5] = [
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf;stream=watch",
];
/// What patches come in, in the order of the router.
const PATCHES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

pub(super) fn document(facts: &Facts) -> Value {
    let mut definitions = Value::object();
    for (name, _) in facts.schemas.members() {
        definitions.set(name.to_owned(), schema(v3::described(facts, name)));
    }
    let mut parameters = Shared::default();
    let mut paths = Value::object();
    for (path, item) in facts.paths.members() {
        paths.set(path.to_owned(), path_item(path, &operations::of(facts, path, item), &mut parameters));
    }
    let mut token = Value::object();
    token.set("description", "Bearer Token authentication");
    token.set("type", "apiKey");
    token.set("name", "authorization");
    token.set("in", "header");
    let mut security = Value::object();
    security.set("BearerToken", Value::Array(Vec::new()));
    let mut document = Value::object();
    document.set("swagger", "2.0");
    document.set_at(&["info", "title"], "Kubernetes");
    document.set_at(&["info", "version"], super::minor_version());
    document.set("paths", paths);
    document.set("definitions", definitions);
    document.set("parameters", parameters.written());
    document.set_at(&["securityDefinitions", "BearerToken"], token);
    document.set("security", vec![security]);
    document
}

/// A schema as version 2 writes it: plain references, no defaults, one type.
fn schema(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut made = Value::object();
            for (name, member) in object {
                match &*name {
                    "default" | "nullable" => {}
                    "allOf" => {
                        if let Some(reference) = member[0]["$ref"].as_str() {
                            made.set("$ref", reference.replace(OLD, REFERENCE));
                        }
                    }
                    // The two-typed scalars are texts here.
                    "oneOf" => made.set("type", "string"),
                    "$ref" => made.set("$ref", member.text().replace(OLD, REFERENCE)),
                    "properties" => {
                        let mut properties = Value::object();
                        if let Value::Object(fields) = member {
                            for (field, property) in fields {
                                properties.set(field, schema(property));
                            }
                        }
                        made.set("properties", properties);
                    }
                    _ => made.set(name, schema(member)),
                }
            }
            made
        }
        Value::Array(items) => Value::Array(items.into_iter().map(schema).collect()),
        other => other,
    }
}

/// Parameters that many methods have, each written once and referred to by its name and a hash of
/// what it says.
#[derive(Default)]
struct Shared(BTreeMap<String, Value>);

impl Shared {
    /// The parameter, or a reference to it.
    fn refer(&mut self, parameter: Value) -> Value {
        let (name, place) = (parameter["name"].text(), parameter["in"].text());
        // Some stay where they are: the object's name, what clients of old look for, and bodies
        // of one kind alone.
        let stays = match (place, name) {
            (_, "name") | ("query", "fieldValidation" | "dryRun") => true,
            ("body", _) => !parameter["schema"]["$ref"].text().starts_with(GENERIC),
            _ => false,
        };
        if stays {
            return parameter;
        }
        let told = format!("{name}-{}", hash(&json::to_string(&parameter)));
        let mut reference = Value::object();
        reference.set("$ref", format!("#/parameters/{told}"));
        self.0.entry(told).or_insert(parameter);
        reference
    }

    fn written(self) -> Value {
        let mut written = Value::object();
        for (name, parameter) in self.0 {
            written.set(name, parameter);
        }
        written
    }
}

/// The first six bytes of FNV-1, in letters of URLs.
fn hash(text: &str) -> String {
    let step = |hash: u64, byte: u8| hash.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte);
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    URL_SAFE_NO_PAD.encode(&hash.to_be_bytes()[..6])
}

fn path_item(path: &str, operations: &[Operation<'_>], parameters: &mut Shared) -> Value {
    let mut item = Value::object();
    let shared = operations::shared(path, operations);
    for operation in operations {
        item.set(operation.method.to_owned(), one(operation, &shared, parameters));
    }
    let shared: Vec<Value> =
        shared.into_iter().map(|(name, place)| parameters.refer(parameter(name, place))).collect();
    if !shared.is_empty() {
        item.set("parameters", shared);
    }
    item
}

fn one(operation: &Operation<'_>, shared: &[(&str, &str)], shared_parameters: &mut Shared) -> Value {
    let mut made = Value::object();
    made.set("description", operation.description.as_str());
    let texts = |texts: &[&str]| texts.iter().map(|text| Value::from(*text)).collect::<Vec<_>>();
    let consumes: &[&str] = match operation.action {
        // Pages take nothing, but for the version, which says that it could.
        "" if !operation.produces.is_empty() => {
            if operation.answer.is_some() {
                operation.produces
            } else {
                &[]
            }
        }
        "" => &ANSWERS,
        "patch" if operation.consumes.contains(&PATCHES[2]) => &PATCHES,
        "patch" => &operation.consumes,
        _ if operation.consumes.is_empty() => &["*/*"],
        _ => &operation.consumes,
    };
    if !consumes.is_empty() {
        made.set("consumes", texts(consumes));
    }
    let produces: &[&str] = match operation.action {
        _ if !operation.produces.is_empty() => operation.produces,
        "connect" => &["*/*"],
        "list" | "watch" | "watchlist" => &LISTS,
        _ => &ANSWERS,
    };
    made.set("produces", texts(produces));
    made.set("schemes", texts(&["https"]));
    made.set("tags", texts(&[&operation.tag]));
    made.set("operationId", operation.id.as_str());
    let mut parameters: Vec<Value> =
        operations::own(operation, shared).into_iter().map(|name| parameter(name, "query")).collect();
    if let Some(body) = &operation.body {
        let mut sent = Value::object();
        sent.set("name", "body");
        sent.set("in", "body");
        if matches!(operation.action, "post" | "put" | "patch") {
            sent.set("required", true);
        }
        sent.set_at(&["schema", "$ref"], format!("{REFERENCE}{body}"));
        parameters.insert(0, sent);
    }
    if !parameters.is_empty() {
        let refer = |parameter| shared_parameters.refer(parameter);
        made.set("parameters", parameters.into_iter().map(refer).collect::<Vec<_>>());
    }
    let is_text = operation.action == "connect" || !operation.produces.is_empty();
    let mut responses = Value::object();
    for code in &operation.responses {
        let mut response = Value::object();
        response.set("description", v3::meaning(code));
        match &operation.answer {
            _ if *code == "401" => {}
            Some(schema) => response.set_at(&["schema", "$ref"], format!("{REFERENCE}{schema}")),
            None if is_text => response.set_at(&["schema", "type"], "string"),
            None => {}
        }
        responses.set((*code).to_owned(), response);
    }
    made.set("responses", responses);
    if !operation.action.is_empty() {
        made.set("x-kubernetes-action", operation.action);
    }
    if !operation.gvk.is_null() {
        made.set("x-kubernetes-group-version-kind", operation.gvk.clone());
    }
    made
}

fn parameter(name: &str, place: &str) -> Value {
    let (kind, description) = operations::parameter(name);
    let mut made = Value::object();
    made.set("uniqueItems", true);
    made.set("type", kind);
    made.set("description", description);
    made.set("name", name);
    made.set("in", place);
    if place == "path" {
        made.set("required", true);
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_parameters_are_named_by_upstreams_hash() {
        let body = r##"{"name":"body","in":"body","schema":{"$ref":"#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"}}"##;
        assert_eq!(hash(body), "2Y1dVQaQ");
        let mut shared = Shared::default();
        let parameter = json::parse_ordered(body.as_bytes()).unwrap();
        assert_eq!(shared.refer(parameter.clone())["$ref"].text(), "#/parameters/body-2Y1dVQaQ");
        let mut own = parameter;
        own.set_at(&["schema", "$ref"], "#/definitions/io.k8s.api.core.v1.Pod");
        assert_eq!(shared.refer(own.clone()), own);
        assert_eq!(shared.written().members().count(), 1);
    }
}
