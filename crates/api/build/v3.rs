//! OpenAPI v3: one document for each group and version.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::Facts;
use crate::operations::{Gvk, Operation, description, id, parameter_description, parameter_type, tag};
use crate::schemas::{V3, reachable};

/// Documents by their place under /openapi/v3/.
pub fn documents(facts: &Facts) -> BTreeMap<String, Value> {
    let mut grouped: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for (path, methods) in &facts.paths {
        grouped.entry(place(path)).or_default().insert(path.clone(), item(facts, path, methods));
    }
    grouped
        .into_iter()
        .map(|(place, paths)| (format!("v3/{place}"), document(facts, &place, Value::Object(paths))))
        .collect()
}

/// `apis/apps/v1` of a path below it.
fn place(path: &str) -> String {
    let parts: Vec<_> = path.trim_matches('/').split('/').collect();
    let depth = match parts.as_slice() {
        ["api", _, ..] => 2,
        ["apis", _, _, ..] => 3,
        _ => parts.len(),
    };
    parts[..depth].join("/")
}

fn document(facts: &Facts, place: &str, paths: Value) -> Value {
    let mut names = reachable(&paths, &facts.schemas);
    // Kinds of this version that no path mentions belong to it too.
    for ((group, version, _), name) in &facts.kinds {
        let own = if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
        if own == place && name.contains(".api.") {
            names.insert(name.clone());
            names.extend(reachable(&facts.schemas[name], &facts.schemas));
        }
    }
    let schemas: Map<_, _> = names
        .into_iter()
        .filter_map(|name| facts.schemas.get(&name).map(|schema| (name, schema.clone())))
        .collect();
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.37.2"},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"BearerToken": {
                "type": "apiKey", "description": "Bearer Token authentication", "name": "authorization", "in": "header"
            }},
        },
    })
}

fn item(facts: &Facts, path: &str, methods: &BTreeMap<String, Operation>) -> Value {
    let mut item = Map::new();
    for (method, operation) in methods {
        item.insert(method.clone(), self::operation(facts, path, method, operation));
    }
    let mut shared: Vec<Value> = ["namespace", "name", "path"]
        .into_iter()
        .filter(|name| path.contains(&format!("{{{name}}}")))
        .map(|name| {
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "uniqueItems": true}})
        })
        .collect();
    if methods.values().any(|operation| operation.gvk.is_some()) {
        shared.push(
            json!({"name": "pretty", "in": "query", "schema": {"type": "string", "uniqueItems": true}}),
        );
        item.insert("parameters".into(), shared.into());
    }
    Value::Object(item)
}

fn operation(facts: &Facts, path: &str, method: &str, operation: &Operation) -> Value {
    let namespaced = is_namespaced(facts, operation.gvk.as_ref());
    let mut out = json!({
        "tags": [tag(path)],
        "description": description(path, method, operation),
        "operationId": id(path, method, operation, namespaced),
        "responses": responses(facts, operation),
    });
    if !operation.params.is_empty() {
        out["parameters"] = operation
            .params
            .iter()
            .map(|name| {
                json!({
                    "name": name, "in": "query", "description": parameter_description(name),
                    "schema": {"type": parameter_type(name), "uniqueItems": true},
                })
            })
            .collect();
    }
    if let Some(body) = request_body(facts, operation) {
        out["requestBody"] = body;
    }
    if let Some(gvk) = &operation.gvk {
        out["x-kubernetes-group-version-kind"] = gvk.extension();
    }
    if let Some(action) = &operation.action {
        out["x-kubernetes-action"] = action.clone().into();
    }
    out
}

pub fn is_namespaced(facts: &Facts, gvk: Option<&Gvk>) -> bool {
    let Some(gvk) = gvk else { return false };
    facts.paths.iter().any(|(path, methods)| {
        path.contains("/namespaces/{namespace}/")
            && methods.values().any(|operation| {
                operation.gvk.as_ref() == Some(gvk) && operation.action.as_deref() == Some("list")
            })
    })
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("{V3}{name}")})
}

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// The schema's name of what an operation answers with.
pub fn answer(facts: &Facts, operation: &Operation) -> Option<String> {
    let gvk = operation.gvk.as_ref()?;
    let kind =
        |kind: &str| facts.kinds.get(&(gvk.group.clone(), gvk.version.clone(), kind.to_owned())).cloned();
    match operation.action.as_deref()? {
        "list" => kind(&format!("{}List", gvk.kind)),
        "watch" | "watchlist" => Some(format!("{META}WatchEvent")),
        // These are deleted with grace or answered as they were.
        "delete"
            if matches!(
                gvk.kind.as_str(),
                "Pod"
                    | "PersistentVolume"
                    | "PersistentVolumeClaim"
                    | "PodTemplate"
                    | "ResourceQuota"
                    | "Service"
                    | "ServiceAccount"
                    | "PodSecurityPolicy"
                    | "StorageClass"
                    | "VolumeAttachment"
                    | "CSIDriver"
                    | "CSINode"
            ) =>
        {
            kind(&gvk.kind)
        }
        "delete" | "deletecollection" => Some(format!("{META}Status")),
        "connect" => None,
        _ => kind(&gvk.kind),
    }
}

/// The schema's name of what an operation takes.
pub fn body(facts: &Facts, operation: &Operation) -> Option<String> {
    let gvk = operation.gvk.as_ref()?;
    match operation.action.as_deref()? {
        "post" | "put" => {
            facts.kinds.get(&(gvk.group.clone(), gvk.version.clone(), gvk.kind.clone())).cloned()
        }
        "patch" => Some(format!("{META}Patch")),
        "delete" | "deletecollection" => Some(format!("{META}DeleteOptions")),
        _ => None,
    }
}

fn responses(facts: &Facts, operation: &Operation) -> Value {
    let mut out = Map::new();
    for code in &operation.responses {
        let description = match code.as_str() {
            "200" => "OK",
            "201" => "Created",
            "202" => "Accepted",
            "401" => "Unauthorized",
            _ => "",
        };
        let mut response = json!({"description": description});
        if let Some(name) = answer(facts, operation).filter(|_| code != "401") {
            let mut types = vec![
                "application/cbor",
                "application/json",
                "application/vnd.kubernetes.protobuf",
                "application/yaml",
            ];
            if matches!(operation.action.as_deref(), Some("list" | "watch" | "watchlist")) {
                types.extend([
                    "application/cbor-seq",
                    "application/json;stream=watch",
                    "application/vnd.kubernetes.protobuf;stream=watch",
                ]);
            }
            response["content"] = types
                .into_iter()
                .map(|kind| (kind.to_owned(), json!({"schema": reference(&name)})))
                .collect::<Map<_, _>>()
                .into();
        } else if operation.action.as_deref() == Some("connect") && code != "401" {
            response["content"] = json!({"*/*": {"schema": {"type": "string"}}});
        }
        out.insert(code.clone(), response);
    }
    Value::Object(out)
}

fn request_body(facts: &Facts, operation: &Operation) -> Option<Value> {
    let schema = json!({"schema": reference(&body(facts, operation)?)});
    let content: Map<_, _> = operation.consumes.iter().map(|kind| (kind.clone(), schema.clone())).collect();
    let mut body = json!({"content": content});
    if !matches!(operation.action.as_deref(), Some("delete" | "deletecollection")) {
        body["required"] = true.into();
    }
    Some(body)
}
