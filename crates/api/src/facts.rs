//! The measured facts of Kubernetes v1.37.2's wire.
//!
//! Types and defaults are loaded once, on first use; the rest is parsed when
//! asked for and not kept, since it is needed at start only. The files are made
//! by `facts/compact.py`; they are compiled in, so that they are right or the
//! tests fail.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use apimachinery::Value;
use apimachinery::json;
use apimachinery::schema::{DefaultRow, Defaults, DefaultsTable, TypeId, Types};
use serde::Deserialize;

static TYPES: LazyLock<Types> = LazyLock::new(|| {
    Types::load(include_str!("../facts/types.txt")).expect("the facts are compiled in and loaded by a test")
});

static DEFAULTS: LazyLock<DefaultsTable> = LazyLock::new(|| {
    let (table, _) = load_defaults();
    table
});

static DISCOVERY: LazyLock<Vec<Resource>> = LazyLock::new(|| {
    let entries = include_str!("../facts/discovery.json");
    serde_json::from_str(entries).expect("the facts are compiled in and loaded by a test")
});

/// Every built-in type.
pub fn types() -> &'static Types {
    &TYPES
}

/// The unconditional defaults of a kind; none for kinds without any.
pub fn defaults(kind: TypeId) -> Option<&'static Defaults> {
    DEFAULTS.get(kind)
}

/// Every resource with its kind, verbs and subresources, as discovery tells them.
pub fn discovery() -> &'static [Resource] {
    &DISCOVERY
}

/// A resource as discovery tells it (meta/v1 APIResource).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// "" for the core group.
    pub group: String,
    pub version: String,
    /// The plural, such as `pods`.
    pub resource: String,
    pub kind: String,
    pub scope: Scope,
    pub singular: String,
    #[serde(default, deserialize_with = "nullable")]
    pub short_names: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub categories: Vec<String>,
    pub verbs: Vec<String>,
    pub subresources: Vec<Subresource>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Scope {
    Namespaced,
    Cluster,
}

/// A part of a resource, such as `pods/exec`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Subresource {
    /// Without the resource: `exec`.
    pub name: String,
    pub kind: String,
    /// With `version`: where the kind is another group's; both "" where it is the resource's own.
    pub group: String,
    pub version: String,
    pub verbs: Vec<String>,
}

/// A column of a Table (meta/v1 TableColumnDefinition).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub format: String,
    /// 0 is shown always, more only in wide output.
    pub priority: i32,
    /// "" where it is not known.
    #[serde(skip)]
    pub description: String,
}

fn nullable<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::<Vec<String>>::deserialize(source)?.unwrap_or_default())
}

/// The texts of column-descriptions.json, and which of them are whose.
#[derive(Deserialize)]
struct Descriptions {
    texts: Vec<String>,
    columns: BTreeMap<String, Vec<usize>>,
}

impl Descriptions {
    fn load() -> Self {
        serde_json::from_str(include_str!("../facts/column-descriptions.json"))
            .expect("the facts are compiled in and loaded by a test")
    }

    fn of(&self, place: &str) -> Vec<String> {
        let own = self.columns.get(place).into_iter().flatten();
        own.filter_map(|at| self.texts.get(*at).cloned()).collect()
    }
}

/// What the columns of `group/version/resource` say of themselves, in order;
/// of "" what the name and the time of creation of any object say.
pub fn column_descriptions(place: &str) -> Vec<String> {
    Descriptions::load().of(place)
}

/// The columns of every resource that has some: `(group, version, resource)`
/// and the columns in order.
pub fn table_columns() -> Vec<((String, String, String), Vec<Column>)> {
    let table: BTreeMap<String, Vec<Column>> =
        serde_json::from_str(include_str!("../facts/table-columns.json"))
            .expect("the facts are compiled in and loaded by a test");
    let key = |path: &str| {
        let mut parts = path.splitn(3, '/').map(str::to_owned);
        let mut part = || parts.next().unwrap_or_default();
        (part(), part(), part())
    };
    let descriptions = Descriptions::load();
    let described = |(path, mut columns): (String, Vec<Column>)| {
        for (column, description) in columns.iter_mut().zip(descriptions.of(&path)) {
            column.description = description;
        }
        (key(&path), columns)
    };
    table.into_iter().map(described).collect()
}

/// The objects that a fresh API server makes: the path of the collection, such
/// as `/apis/rbac.authorization.k8s.io/v1/clusterroles`, and the objects.
pub fn bootstrap_objects() -> Vec<(String, Vec<Value>)> {
    let Value::Object(paths) = parsed(include_bytes!("../facts/bootstrap-objects.json")) else {
        return Vec::new();
    };
    let objects = |value| match value {
        Value::Array(objects) => objects,
        _ => Vec::new(),
    };
    paths.into_iter().map(|(path, value)| (path.into_owned(), objects(value))).collect()
}

/// The answer of `/version` (version.Info).
pub fn version() -> Value {
    parsed(include_bytes!("../facts/version.json"))["version"].clone()
}

fn parsed(bytes: &[u8]) -> Value {
    json::parse_ordered(bytes).expect("the facts are compiled in and loaded by a test")
}

/// Rows which hold only under a condition, that the kind's strategy decides:
/// completions unless parallelism is set, a policy unless the type is ExternalName, …
const CONDITIONAL: &[(&str, &str)] = &[
    ("batch/v1/Job", ".spec.completions"),
    ("/v1/Service", ".spec.internalTrafficPolicy"),
    ("resource.k8s.io/v1/ResourceClaim", ".spec.devices.requests[].exactly.count"),
    ("resource.k8s.io/v1/ResourceClaim", ".spec.devices.requests[].firstAvailable[].count"),
    ("resource.k8s.io/v1/ResourceClaimTemplate", ".spec.spec.devices.requests[].exactly.count"),
    ("resource.k8s.io/v1/ResourceClaimTemplate", ".spec.spec.devices.requests[].firstAvailable[].count"),
    // The time of the write.
    ("resource.k8s.io/v1/DeviceTaintRule", ".spec.taint.timeAdded"),
    ("resource.k8s.io/v1/ResourceSlice", ".spec.devices[].taints[].timeAdded"),
];

/// All unconditional defaults, and the other rows: measured with a condition
/// (`… (where its parent is absent)`) or of items of a list of scalars. Those
/// are the strategies' matter.
fn load_defaults() -> (DefaultsTable, Vec<DefaultRow>) {
    let mut table = DefaultsTable::default();
    let mut unknown = Vec::new();
    let Value::Object(kinds) = parsed(include_bytes!("../facts/defaults.json")) else {
        return (table, unknown);
    };
    for (name, rows) in kinds {
        let rows: Vec<DefaultRow> = rows
            .members()
            .filter(|(path, _)| !CONDITIONAL.contains(&(name.as_ref(), *path)))
            .map(|(path, value)| DefaultRow { path: path.to_owned(), value: value.clone() })
            .collect();
        let Some((api_version, kind)) = name.rsplit_once('/') else { continue };
        let Some(kind) = types().kind_of(api_version.trim_start_matches('/'), kind) else {
            unknown.extend(rows);
            continue;
        };
        let (defaults, misfits) = Defaults::compile(types(), kind, &rows);
        unknown.extend(misfits.into_iter().cloned());
        table.insert(kind, defaults);
    }
    for (name, paths) in parsed(include_bytes!("../facts/amounts.json")).members() {
        let kind = name
            .rsplit_once('/')
            .and_then(|(api_version, kind)| types().kind_of(api_version.trim_start_matches('/'), kind));
        let Some(kind) = kind else { continue };
        for path in paths.items() {
            let known = table.entry(kind).round(types(), kind, path.text());
            debug_assert!(known.is_some(), "{name} has no {}", path.text());
        }
    }
    (table, unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_facts_load_and_fit_each_other() {
        assert_eq!(types().kinds().count(), 349);
        let (_, others) = load_defaults();
        assert_eq!(others.len(), 8);
        for row in others {
            assert!(row.path.ends_with(')') || row.path.ends_with("[]"), "{row:?}");
        }
        assert_eq!(discovery().len(), 72);
        assert!(
            table_columns()
                .iter()
                .any(|((group, _, resource), _)| group == "apps" && resource == "deployments")
        );
        assert_eq!(bootstrap_objects().len(), 11);
        assert_eq!(version()["gitVersion"].text(), "v1.37.2");
    }

    #[test]
    fn conditional_rows_were_measured() {
        let measured = parsed(include_bytes!("../facts/defaults.json"));
        for (kind, path) in CONDITIONAL {
            assert!(!measured[*kind][*path].is_null(), "{kind} {path}");
        }
    }

    #[test]
    fn every_served_kind_has_a_type() {
        for resource in discovery() {
            assert!(
                types().kind(&resource.group, &resource.version, &resource.kind).is_some(),
                "{}/{} {}",
                resource.group,
                resource.version,
                resource.kind
            );
        }
    }
}
