//! meta/v1 Table and PartialObjectMetadata as trees, and durations as people
//! read them (AGE columns).
//!
//! Which columns a kind has and what stands in them is its strategy's matter.

use crate::{Object, Value};

/// A column (TableColumnDefinition).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// An OpenAPI type: `string`, `integer`, …
    pub ty: String,
    /// `name` for the column that names the object; else "" mostly.
    pub format: String,
    pub description: String,
    /// 0 is always shown, more only when there is room.
    pub priority: i64,
}

/// What a row shows of its object (`includeObject`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IncludeObject {
    /// Its metadata.
    #[default]
    Metadata,
    /// All of it.
    Object,
    None,
}

impl IncludeObject {
    /// Reads the query parameter; an error is upstream's text.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" | "Metadata" => Ok(IncludeObject::Metadata),
            "Object" => Ok(IncludeObject::Object),
            "None" => Ok(IncludeObject::None),
            other => Err(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {}: must be 'Metadata', \
                 'Object', 'None', or empty",
                crate::field::quote(other)
            )),
        }
    }
}

/// The version of meta.k8s.io in which tables and partial objects are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetaVersion {
    #[default]
    V1,
    V1Beta1,
}

impl MetaVersion {
    fn api_version(self) -> &'static str {
        match self {
            MetaVersion::V1 => "meta.k8s.io/v1",
            MetaVersion::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

/// A Table. `metadata` is a ListMeta; `columns` are left out in all events of a
/// watch but the first.
pub fn table(version: MetaVersion, metadata: Value, columns: Option<&[Column]>, rows: Vec<Value>) -> Value {
    let mut table = Object::with_capacity(5);
    table.push_new("kind", "Table");
    table.push_new("apiVersion", version.api_version());
    table.push_new("metadata", metadata);
    let columns = columns.map(|columns| columns.iter().map(Column::to_value).collect::<Vec<_>>());
    table.push_new("columnDefinitions", columns.map_or(Value::Null, Value::Array));
    table.push_new("rows", rows);
    Value::Object(table)
}

/// A row of a Table: its cells, its conditions, and what it shows of `object`.
pub fn row(
    version: MetaVersion,
    cells: Vec<Value>,
    conditions: Vec<Value>,
    object: &Value,
    include: IncludeObject,
) -> Value {
    let mut row = Object::with_capacity(3);
    row.push_new("cells", cells);
    if !conditions.is_empty() {
        row.push_new("conditions", conditions);
    }
    let shown = match include {
        IncludeObject::Metadata => partial_object_metadata(version, object),
        IncludeObject::Object => object.clone(),
        IncludeObject::None => Value::Null,
    };
    row.push_new("object", shown);
    Value::Object(row)
}

impl Column {
    fn to_value(&self) -> Value {
        let mut column = Object::with_capacity(5);
        column.push_new("name", &self.name);
        column.push_new("type", &self.ty);
        column.push_new("format", &self.format);
        column.push_new("description", &self.description);
        column.push_new("priority", self.priority);
        Value::Object(column)
    }
}

/// The metadata of `object` alone, as its own kind.
pub fn partial_object_metadata(version: MetaVersion, object: &Value) -> Value {
    partial(version, "PartialObjectMetadata", object["metadata"].clone())
}

/// A list of metadata alone; `metadata` is a ListMeta.
pub fn partial_object_metadata_list<'a>(
    version: MetaVersion,
    metadata: Value,
    objects: impl IntoIterator<Item = &'a Value>,
) -> Value {
    let mut list = partial(version, "PartialObjectMetadataList", metadata);
    let items: Vec<Value> =
        objects.into_iter().map(|object| partial_object_metadata(version, object)).collect();
    // Upstream appends to Go's nil, and writes it where nothing was appended.
    list.set("items", if items.is_empty() { Value::Null } else { Value::Array(items) });
    list
}

fn partial(version: MetaVersion, kind: &str, metadata: Value) -> Value {
    let mut object = Object::with_capacity(4);
    object.push_new("kind", kind);
    object.push_new("apiVersion", version.api_version());
    object.push_new("metadata", if metadata.is_null() { Value::object() } else { metadata });
    Value::Object(object)
}

/// A duration with two units where they matter: `5m3s`, `2d4h`
/// (duration.HumanDuration). A little in the future is now.
pub fn human_duration(seconds: i64) -> String {
    let pair = |large: i64, unit: char, small: i64, rest: char| {
        if small == 0 { format!("{large}{unit}") } else { format!("{large}{unit}{small}{rest}") }
    };
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        i64::MIN..=-2 => "<invalid>".into(),
        -1 => "0s".into(),
        0..120 => format!("{seconds}s"),
        _ if minutes < 10 => pair(minutes, 'm', seconds % 60, 's'),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => pair(hours, 'h', minutes % 60, 'm'),
        _ if hours < 48 => format!("{hours}h"),
        _ if days < 8 => pair(days, 'd', hours % 24, 'h'),
        _ if days < 365 * 2 => format!("{days}d"),
        _ if days < 365 * 8 => pair(days / 365, 'y', days % 365, 'd'),
        _ => format!("{}y", days / 365),
    }
}

/// A duration in one unit (duration.ShortHumanDuration).
pub fn short_human_duration(seconds: i64) -> String {
    match seconds {
        i64::MIN..=-2 => "<invalid>".into(),
        -1 => "0s".into(),
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ if seconds < 86400 * 365 => format!("{}d", seconds / 86400),
        _ => format!("{}y", seconds / (86400 * 365)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn durations_read_as_upstreams() {
        const MINUTE: i64 = 60;
        const HOUR: i64 = 3600;
        const DAY: i64 = 86400;
        for (seconds, long, short) in [
            (-2, "<invalid>", "<invalid>"),
            (-1, "0s", "0s"),
            (0, "0s", "0s"),
            (119, "119s", "1m"),
            (120, "2m", "2m"),
            (5 * MINUTE + 3, "5m3s", "5m"),
            (10 * MINUTE + 3, "10m", "10m"),
            (179 * MINUTE, "179m", "2h"),
            (3 * HOUR, "3h", "3h"),
            (7 * HOUR + 59 * MINUTE, "7h59m", "7h"),
            (8 * HOUR + 59 * MINUTE, "8h", "8h"),
            (47 * HOUR, "47h", "1d"),
            (2 * DAY + 4 * HOUR, "2d4h", "2d"),
            (8 * DAY + 4 * HOUR, "8d", "8d"),
            (729 * DAY, "729d", "1y"),
            (730 * DAY, "2y", "2y"),
            (731 * DAY, "2y1d", "2y"),
            (365 * 8 * DAY + DAY, "8y", "8y"),
        ] {
            assert_eq!(
                (human_duration(seconds).as_str(), short_human_duration(seconds).as_str()),
                (long, short)
            );
        }
    }

    #[test]
    fn rows_show_what_was_asked_for() {
        let pod = value!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}, "spec": {"x": 1}});
        let metadata = value!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": {"name": "a"}});
        let cells = || vec![Value::from("a")];
        assert_eq!(
            row(MetaVersion::V1, cells(), Vec::new(), &pod, IncludeObject::Metadata),
            value!({"cells": ["a"], "object": (metadata.clone())})
        );
        assert_eq!(
            row(MetaVersion::V1, cells(), vec![value!({"type": "Completed"})], &pod, IncludeObject::None),
            value!({"cells": ["a"], "conditions": [{"type": "Completed"}], "object": null})
        );
        assert_eq!(
            partial_object_metadata(MetaVersion::V1Beta1, &pod)["apiVersion"].text(),
            "meta.k8s.io/v1beta1"
        );
        assert_eq!(
            partial_object_metadata_list(MetaVersion::V1, value!({"resourceVersion": "5"}), [&pod]),
            value!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                "metadata": {"resourceVersion": "5"}, "items": [metadata]})
        );
        assert!(IncludeObject::parse("Odd").is_err_and(|text| text.contains("Invalid value: \"Odd\"")));
    }
}
