//! OpenAPI v2: one document for all.

use serde_json::{Map, Value, json};

use crate::Facts;
use crate::operations::{Operation, description, id, parameter_description, parameter_type, tag};
use crate::schemas::{V2, to_v2};
use crate::v3::{answer, body, is_namespaced};

pub fn document(facts: &Facts) -> Value {
    let mut paths = Map::new();
    for (path, methods) in &facts.paths {
        let mut item = Map::new();
        for (method, operation) in methods {
            item.insert(method.clone(), self::operation(facts, path, method, operation));
        }
        let parameters: Vec<Value> = ["namespace", "name", "path"]
            .into_iter()
            .filter(|name| path.contains(&format!("{{{name}}}")))
            .map(|name| json!({"name": name, "in": "path", "required": true, "type": "string", "uniqueItems": true}))
            .collect();
        if !parameters.is_empty() {
            item.insert("parameters".into(), parameters.into());
        }
        paths.insert(path.clone(), Value::Object(item));
    }
    let definitions: Map<_, _> =
        facts.schemas.iter().map(|(name, schema)| (name.clone(), to_v2(schema))).collect();
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "v1.37.2"},
        "paths": paths,
        "definitions": definitions,
        "parameters": {},
        "securityDefinitions": {"BearerToken": {
            "description": "Bearer Token authentication", "type": "apiKey", "name": "authorization", "in": "header"
        }},
        "security": [{"BearerToken": []}],
    })
}

fn operation(facts: &Facts, path: &str, method: &str, operation: &Operation) -> Value {
    let reference = |name: String| json!({"$ref": format!("{V2}{name}")});
    let mut parameters: Vec<Value> = operation
        .params
        .iter()
        .map(|name| {
            json!({
                "name": name, "in": "query", "description": parameter_description(name),
                "type": parameter_type(name), "uniqueItems": true,
            })
        })
        .collect();
    if let Some(name) = body(facts, operation) {
        let required = !matches!(operation.action.as_deref(), Some("delete" | "deletecollection"));
        parameters.insert(
            0,
            json!({"name": "body", "in": "body", "required": required, "schema": reference(name)}),
        );
    }
    let responses: Map<_, _> = operation
        .responses
        .iter()
        .map(|code| match answer(facts, operation).filter(|_| code != "401") {
            Some(name) => (code.clone(), json!({"description": "OK", "schema": reference(name)})),
            None => (code.clone(), json!({"description": if code == "401" { "Unauthorized" } else { "OK" }})),
        })
        .collect();
    let consumes =
        if operation.consumes.is_empty() { vec!["*/*".to_owned()] } else { operation.consumes.clone() };
    let mut out = json!({
        "tags": [tag(path)],
        "description": description(path, method, operation),
        "operationId": id(path, method, operation, is_namespaced(facts, operation.gvk.as_ref())),
        "consumes": consumes,
        "produces": ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"],
        "schemes": ["https"],
        "responses": responses,
    });
    if !parameters.is_empty() {
        out["parameters"] = parameters.into();
    }
    if let Some(gvk) = &operation.gvk {
        out["x-kubernetes-group-version-kind"] = gvk.extension();
    }
    if let Some(action) = &operation.action {
        out["x-kubernetes-action"] = action.clone().into();
    }
    out
}
