//! Table columns of custom resources: name and what the definition asks for,
//! age where it asks for nothing.

use apimachinery::jsonpath::JsonPath;
use apimachinery::{Value, go, json, meta, table, time};
use apiserver::Column;
use jiff::Timestamp;

const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";
const CREATED: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

/// The columns of a version behind the name.
pub(super) struct Columns(Vec<(String, JsonPath)>);

/// The columns' definitions, and what fills them.
pub(super) fn columns(version: &Value) -> (Vec<Column>, Columns) {
    let column = |name: &str, kind: &str, format: &str, description: String, priority: i64| Column {
        name: name.to_owned().into(),
        kind: kind.to_owned().into(),
        format: format.to_owned().into(),
        description: description.into(),
        priority,
    };
    let mut shown = vec![column("Name", "string", "name", NAME.to_owned(), 0)];
    let mut filled = Vec::new();
    let asked = version["additionalPrinterColumns"].items();
    if asked.is_empty() {
        shown.push(column("Age", "date", "", CREATED.to_owned(), 0));
        filled.extend(JsonPath::parse(".metadata.creationTimestamp").map(|path| ("date".to_owned(), path)));
    }
    for definition in asked {
        let path = definition["jsonPath"].text();
        // What cannot be read is shown to nobody.
        let Some(parsed) = JsonPath::parse(path) else { continue };
        let description = match definition["description"].text() {
            "" => format!("Custom resource definition column (in JSONPath format): {path}"),
            text => text.to_owned(),
        };
        let kind = definition["type"].text();
        let priority = definition["priority"].as_i64().unwrap_or(0);
        let format = definition["format"].text();
        shown.push(column(definition["name"].text(), kind, format, description, priority));
        filled.push((kind.to_owned(), parsed));
    }
    (shown, Columns(filled))
}

impl Columns {
    pub fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let mut cells = Vec::with_capacity(self.0.len() + 1);
        cells.push(Value::from(meta::name(object)));
        cells.extend(self.0.iter().map(|(kind, path)| match path.first(object) {
            None => Value::Null,
            Some(value) => cell(kind, value, now),
        }));
        cells
    }
}

fn cell(kind: &str, value: &Value, now: Timestamp) -> Value {
    match (kind, value) {
        ("string", value) => text(value).into(),
        ("integer", Value::Int(_)) | ("number", Value::Float(_)) | ("boolean", Value::Bool(_)) => {
            value.clone()
        }
        #[allow(clippy::cast_possible_truncation)] // as Go converts
        ("integer", Value::Float(number)) => Value::Int(*number as i64),
        #[allow(clippy::cast_precision_loss)] // as Go converts
        ("number", Value::Int(number)) => Value::Float(*number as f64),
        ("date", Value::String(moment)) if matches!(&**moment, "" | "null") => "<unknown>".into(),
        ("date", Value::String(moment)) => match time::parse(moment) {
            None => "<invalid>".into(),
            Some(moment) => table::human_duration(now.duration_since(moment).as_secs()).into(),
        },
        _ => Value::Null,
    }
}

/// A value as kubectl's printer writes it.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".into(),
        Value::String(text) => text.clone(),
        Value::Float(number) => go::float(*number),
        other => json::to_string(other),
    }
}
