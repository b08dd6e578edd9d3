//! OpenAPI 2.0 (Swagger): one document for everything.

use apimachinery::Value;

use super::operations::{self, Operation};
use super::{Facts, v3};

const OLD: &str = "#/components/schemas/";
const REFERENCE: &str = "#/definitions/";

pub(super) fn document(facts: &Facts) -> Value {
    let mut definitions = Value::object();
    for (name, _) in facts.schemas.members() {
        definitions.set(name.to_owned(), schema(v3::described(facts, name)));
    }
    let mut paths = Value::object();
    for (path, item) in facts.paths.members() {
        paths.set(path.to_owned(), path_item(path, &operations::of(facts, path, item)));
    }
    let mut token = Value::object();
    token.set("description", "Bearer Token authentication");
    token.set("type", "apiKey");
    token.set("name", "authorization");
    token.set("in", "header");
    let mut security = Value::object();
    security.set("BearerToken", Value::Array(Vec::new()));
    let mut parameters = Value::object();
    for name in ["name", "namespace", "pretty"] {
        parameters.set(name, parameter(name, if name == "pretty" { "query" } else { "path" }));
    }
    let mut document = Value::object();
    document.set("swagger", "2.0");
    document.set_at(&["info", "title"], "Kubernetes");
    document.set_at(&["info", "version"], api::facts::version()["gitVersion"].clone());
    document.set("paths", paths);
    document.set("definitions", definitions);
    document.set("parameters", parameters);
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

fn path_item(path: &str, operations: &[Operation<'_>]) -> Value {
    let mut item = Value::object();
    for operation in operations {
        item.set(operation.method.to_owned(), one(operation));
    }
    let shared: Vec<Value> = ["name", "namespace", "path"]
        .into_iter()
        .filter(|name| path.contains(&format!("{{{name}}}")))
        .map(|name| parameter(name, "path"))
        .collect();
    if !shared.is_empty() {
        item.set("parameters", shared);
    }
    item
}

fn one(operation: &Operation<'_>) -> Value {
    let mut made = Value::object();
    made.set("description", operation.description.as_str());
    let texts = |texts: &[&str]| texts.iter().map(|text| Value::from(*text)).collect::<Vec<_>>();
    made.set("consumes", texts(if operation.consumes.is_empty() { &["*/*"] } else { &operation.consumes }));
    made.set(
        "produces",
        texts(&["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"]),
    );
    made.set("schemes", texts(&["https"]));
    made.set("tags", texts(&[&operation.tag]));
    made.set("operationId", operation.id.as_str());
    let mut parameters: Vec<Value> =
        operation.parameters.iter().map(|name| parameter(name, "query")).collect();
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
        made.set("parameters", parameters);
    }
    let mut responses = Value::object();
    for code in &operation.responses {
        let mut response = Value::object();
        response.set("description", v3::meaning(code));
        if *code != "401"
            && let Some(schema) = &operation.answer
        {
            response.set_at(&["schema", "$ref"], format!("{REFERENCE}{schema}"));
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
