//! Outcomes out: stored bytes as they are, or made into another version,
//! protobuf, YAML, a table or bare metadata.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use api::facts;
use apimachinery::schema::{self, Strictness, TypeId};
use apimachinery::table;
use apimachinery::{Status, Value, json, protobuf, yaml};
use bytes::Bytes;
use client::WatchKind;
use edge::Clock;
use jiff::Timestamp;
use smallvec::SmallVec;

use crate::catalogue::Resource;
use crate::generic::{Change, Item, Listed, Published, Watching, is_old, scale, write_json};
use crate::negotiate::{Format, Shape, Wanted};
use crate::recent::{Form, Recent};
use crate::{Header, Storage, Version};

/// About how much of a list goes out at once.
const CHUNK: usize = 64 * 1024;

/// An encoded answer's media type.
pub(crate) fn media_type(format: Format, is_watch: bool) -> &'static str {
    match (format, is_watch) {
        (Format::Json, _) => "application/json",
        (Format::Yaml, false) => "application/yaml",
        (Format::Yaml, true) => "application/yaml;stream=watch",
        (Format::Protobuf, false) => "application/vnd.kubernetes.protobuf",
        (Format::Protobuf, true) => "application/vnd.kubernetes.protobuf;stream=watch",
    }
}

/// A tree with its kind, in the format.
pub(crate) fn encode(value: &Value, wanted: Wanted) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    match wanted.format {
        Format::Json if wanted.pretty => {
            let text = serde_json::to_string_pretty(&Pretty(value)).unwrap_or_default();
            out.extend_from_slice(text.as_bytes());
        }
        Format::Json => {
            json::encode(value, &mut out);
            out.push(b'\n');
        }
        Format::Yaml => out.extend_from_slice(yaml::to_string(value).unwrap_or_default().as_bytes()),
        Format::Protobuf => match type_of(value) {
            Some(schema) => protobuf::encode_object(facts::types(), schema, value, &mut out),
            None => {
                json::encode(value, &mut out);
                out.push(b'\n');
            }
        },
    }
    out
}

struct Pretty<'a>(&'a Value);

impl serde::Serialize for Pretty<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde::Serialize::serialize(self.0, serializer)
    }
}

fn type_of(value: &Value) -> Option<TypeId> {
    let (api_version, kind) = (value["apiVersion"].text(), value["kind"].text());
    if api_version.starts_with("meta.k8s.io/") {
        // One shape for all versions, registered in none.
        return facts::types().by_name(&format!("apimachinery/pkg/apis/meta/v1.{kind}"));
    }
    facts::types().kind_of(api_version, kind).or_else(|| facts::types().kind_of("v1", kind))
}

/// Whether stored bytes are what the client wants.
fn as_stored(resource: &Resource, version: usize, wanted: Wanted) -> bool {
    wanted.format == Format::Json
        && wanted.shape == Shape::Object
        && !wanted.pretty
        && is_stored_version(resource, version)
}

pub(crate) fn is_stored_version(resource: &Resource, version: usize) -> bool {
    let version = &resource.versions[version];
    version.conversion.is_none()
        && match &resource.storage {
            Storage::Stored { api_version, .. } => *api_version == resource.api_version(&version.name),
            Storage::Virtual(_) => false,
        }
}

/// The tree of an object in the version of the request.
pub(crate) fn in_version(resource: &Resource, version: usize, mut tree: Value) -> Result<Value, Status> {
    if is_stored_version(resource, version) {
        return Ok(tree);
    }
    let served = &resource.versions[version];
    match &served.conversion {
        Some(conversion) => {
            conversion.from_storage(&mut tree)?;
            // What this version always writes, the stored one may leave out.
            if let Some(schema) = served.schema {
                schema::normalize(facts::types(), schema, &mut tree, Strictness::Ignore)
                    .map_err(|error| Status::internal(error.to_string()))?;
            }
        }
        None => tree.set("apiVersion", resource.api_version(&served.name)),
    }
    Ok(tree)
}

/// One object.
pub(crate) fn object(
    object: &Published,
    version: usize,
    wanted: Wanted,
    now: Timestamp,
) -> Result<Vec<u8>, Status> {
    if as_stored(&object.resource, version, wanted) && !is_old(&object.resource, object.revision) {
        let mut out = Vec::with_capacity(object.bytes.len() + 64);
        object.write_json(&mut out);
        out.push(b'\n');
        return Ok(out);
    }
    let tree = in_version(&object.resource, version, object.tree())?;
    Ok(encode(&shaped(&object.resource, version, tree, wanted.shape, now, true), wanted))
}

/// A tree as the object, a table of it, or its metadata.
fn shaped(
    resource: &Resource,
    version: usize,
    tree: Value,
    shape: Shape,
    now: Timestamp,
    with_columns: bool,
) -> Value {
    match shape {
        Shape::Object => tree,
        Shape::Metadata(meta) => table::partial_object_metadata(meta, &tree),
        Shape::Table(meta, include) => {
            let metadata = list_metadata(&tree);
            let cells = cells(resource, &resource.versions[version], &tree, now);
            let conditions = resource.strategy.row_conditions(&tree);
            let rows = vec![table::row(meta, cells, conditions, &tree, include)];
            let columns = with_columns.then(|| columns(resource, version));
            table::table(meta, metadata, columns.as_deref(), rows)
        }
    }
}

fn columns(resource: &Resource, version: usize) -> Vec<table::Column> {
    let column = |column: &crate::Column| table::Column {
        name: column.name.to_string(),
        ty: column.kind.to_string(),
        format: column.format.to_string(),
        description: column.description.to_string(),
        priority: column.priority,
    };
    resource.versions[version].columns.iter().map(column).collect()
}

/// What precedes the items of a list in JSON.
fn list_head(listed: &Listed) -> Value {
    let mut metadata = Value::object();
    metadata.set("resourceVersion", listed.revision.to_string());
    if !listed.continue_token.is_empty() {
        metadata.set("continue", listed.continue_token.as_str());
    }
    if let Some(remaining) = listed.remaining {
        metadata.set("remainingItemCount", remaining as i64);
    }
    metadata
}

/// The metadata of a list of custom resources, which are maps: in the order of the names, and with
/// a token that may be empty.
fn custom_list_head(head: &Value) -> Value {
    let mut metadata = Value::object();
    metadata.set("continue", head["continue"].text());
    for name in ["remainingItemCount", "resourceVersion"] {
        if !head[name].is_null() {
            metadata.set(name, head[name].clone());
        }
    }
    metadata
}

/// A list, as chunks that are made when they are asked for. `Err` before the
/// first byte only.
pub(crate) fn list(
    listed: Listed,
    wanted: Wanted,
    now: Timestamp,
) -> Result<Box<dyn Iterator<Item = Bytes> + Send>, Status> {
    let has_old =
        |listed: &Listed| listed.entries.iter().any(|entry| is_old(&listed.resource, entry.revision));
    if as_stored(&listed.resource, listed.version, wanted)
        && (listed.resource.since == 0 || !has_old(&listed))
    {
        return Ok(Box::new(StoredList::new(listed)));
    }
    let resource = listed.resource.clone();
    let trees = listed.entries.iter().map(|entry| {
        let tree = Published::of(&resource, entry).tree();
        in_version(&resource, listed.version, tree)
    });
    let metadata = list_head(&listed);
    let whole = list_of(&resource, listed.version, metadata, trees, wanted.shape, now)?;
    Ok(Box::new(std::iter::once(Bytes::from(encode(&whole, wanted)))))
}

/// Trees as a list, a table of them, or a list of their metadata.
fn list_of(
    resource: &Resource,
    version: usize,
    metadata: Value,
    trees: impl Iterator<Item = Result<Value, Status>>,
    shape: Shape,
    now: Timestamp,
) -> Result<Value, Status> {
    let served = &resource.versions[version];
    Ok(match shape {
        Shape::Table(meta, include) => {
            let row = |tree: Value| {
                let conditions = resource.strategy.row_conditions(&tree);
                table::row(meta, cells(resource, served, &tree, now), conditions, &tree, include)
            };
            let rows: Result<Vec<Value>, Status> = match resource.strategy.arrange() {
                None => trees.map(|tree| tree.map(row)).collect(),
                Some(arrange) => {
                    let mut trees = trees.collect::<Result<Vec<_>, _>>()?;
                    let default = arrange(&mut trees);
                    let mut rows: Vec<Value> = trees.into_iter().map(row).collect();
                    if let Some(default) = default {
                        mark_default(&mut rows[default]);
                    }
                    Ok(rows)
                }
            };
            let columns = columns(resource, version);
            let mut made = table::table(meta, metadata, Some(&columns), rows?);
            // What no printer is written for has no list of rows at all.
            let has_printer = !matches!(columns.as_slice(), [_, created] if created.name == "Created At");
            if made["rows"].items().is_empty() && !has_printer {
                made.set("rows", Value::Null);
            }
            made
        }
        Shape::Metadata(meta) => {
            let trees: Vec<Value> = trees.collect::<Result<_, _>>()?;
            table::partial_object_metadata_list(meta, metadata, &trees)
        }
        Shape::Object => {
            let items: Vec<Value> = trees
                .map(|tree| {
                    tree.map(|mut tree| {
                        // Items of built-in lists do not repeat their kind.
                        if served.schema.is_some() {
                            tree.remove("kind");
                            tree.remove("apiVersion");
                        }
                        tree
                    })
                })
                .collect::<Result<_, _>>()?;
            let mut list = Value::object();
            list.set("kind", &*resource.list_kind);
            list.set("apiVersion", resource.api_version(&served.name));
            list.set("metadata", if resource.is_custom() { custom_list_head(&metadata) } else { metadata });
            list.set("items", items);
            list
        }
    })
}

/// Says at the name, which is the first cell, that this one is the default.
fn mark_default(row: &mut Value) {
    let cells = row.get_mut("cells").and_then(Value::as_array_mut);
    if let Some(name) = cells.and_then(|cells| cells.first_mut()) {
        *name = format!("{} (default)", name.text()).into();
    }
}

/// What came of a request about `resource` and is not stored as it is: a Scale,
/// a Status, what a handler made. A Status has one form.
pub(crate) fn tree(
    resource: &Resource,
    version: usize,
    mut tree: Value,
    wanted: Wanted,
    now: Timestamp,
) -> Result<Vec<u8>, Status> {
    let kind = tree["kind"].text().to_owned();
    let kind = kind.as_str();
    let shown = match wanted.shape {
        Shape::Object => tree,
        _ if kind == "Status" => tree,
        _ if kind == resource.list_kind => {
            let metadata = tree["metadata"].clone();
            let items = match tree.remove("items") {
                Some(Value::Array(items)) => items,
                _ => Vec::new(),
            };
            list_of(resource, version, metadata, items.into_iter().map(Ok), wanted.shape, now)?
        }
        Shape::Table(meta, include) if kind == "Scale" => {
            let row = table::row(meta, scale::cells(&tree, now), Vec::new(), &tree, include);
            table::table(meta, list_metadata(&tree), Some(&scale::columns()), vec![row])
        }
        shape => shaped(resource, version, tree, shape, now, true),
    };
    Ok(encode(&shown, wanted))
}

/// The metadata of a table of one object.
fn list_metadata(tree: &Value) -> Value {
    let mut metadata = Value::object();
    if let Some(revision) = tree["metadata"]["resourceVersion"].as_str() {
        metadata.set("resourceVersion", revision);
    }
    metadata
}

/// A list in the stored version: slices of what is there, 64 KiB at a time.
struct StoredList {
    listed: Listed,
    next: usize,
    is_built_in: bool,
    /// How stored objects of a built-in kind begin: `{"kind":…,"apiVersion":…,`.
    prefix: Vec<u8>,
    done: bool,
}

impl StoredList {
    fn new(listed: Listed) -> Self {
        let is_built_in = listed.resource.versions[listed.version].schema.is_some();
        let mut prefix = Vec::new();
        if is_built_in {
            let resource = &listed.resource;
            prefix.extend_from_slice(b"{\"kind\":");
            json::write_string(&resource.kind, &mut prefix);
            prefix.extend_from_slice(b",\"apiVersion\":");
            json::write_string(&resource.api_version(&resource.versions[listed.version].name), &mut prefix);
            prefix.push(b',');
        }
        Self { listed, next: 0, is_built_in, prefix, done: false }
    }
}

impl Iterator for StoredList {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.done {
            return None;
        }
        let rest = self.listed.entries.len() - self.next;
        let mut out = Vec::with_capacity(if rest > 8 { CHUNK + 8192 } else { 8192 });
        if self.next == 0 {
            let resource = &self.listed.resource;
            let api_version = resource.api_version(&resource.versions[self.listed.version].name);
            if self.is_built_in {
                out.extend_from_slice(b"{\"kind\":");
                json::write_string(&resource.list_kind, &mut out);
                out.extend_from_slice(b",\"apiVersion\":");
                json::write_string(&api_version, &mut out);
                out.extend_from_slice(b",\"metadata\":");
                json::encode(&list_head(&self.listed), &mut out);
                out.extend_from_slice(b",\"items\":[");
            } else {
                out.extend_from_slice(b"{\"apiVersion\":");
                json::write_string(&api_version, &mut out);
                out.extend_from_slice(b",\"items\":[");
            }
        }
        while let Some(entry) = self.listed.entries.get(self.next) {
            if self.next > 0 {
                out.push(b',');
            }
            self.next += 1;
            write_item(entry, &self.prefix, &mut out);
            if out.len() >= CHUNK {
                return Some(Bytes::from(out));
            }
        }
        if self.is_built_in {
            out.extend_from_slice(b"]}\n");
        } else {
            let resource = &self.listed.resource;
            out.extend_from_slice(b"],\"kind\":");
            json::write_string(&resource.list_kind, &mut out);
            out.extend_from_slice(b",\"metadata\":");
            json::encode(&custom_list_head(&list_head(&self.listed)), &mut out);
            out.extend_from_slice(b"}\n");
        }
        self.done = true;
        Some(Bytes::from(out))
    }
}

/// Appends an item of a list: the stored object without the kind that stands
/// at its beginning (`prefix`), since lists do not repeat it.
fn write_item(entry: &store::Entry, prefix: &[u8], out: &mut Vec<u8>) {
    let mut splice = entry.header::<Header>().map(|header| header.splice).unwrap_or_default();
    match entry.value.strip_prefix(prefix) {
        Some(rest) if !prefix.is_empty() => {
            out.push(b'{');
            splice.at -= prefix.len();
            write_json(rest, splice, entry.revision, out);
        }
        _ => write_json(&entry.value, splice, entry.revision, out),
    }
}

/// How many events are put into one chunk at most.
const TOGETHER: usize = 64;

/// Events of a watch as a stream of chunks.
pub(crate) fn watch(
    watching: Box<Watching>,
    wanted: Wanted,
    clock: Arc<dyn Clock>,
    recent: Arc<Recent>,
    told: Arc<AtomicU64>,
) -> impl futures::Stream<Item = Bytes> + Send {
    let written = Box::new(Written { watching, wanted, clock, recent, told, is_first: true });
    futures::stream::unfold(written, |mut written| async move {
        let chunk = written.next().await?;
        Some((chunk, written))
    })
}

/// A watch in the form that its client wants.
struct Written {
    watching: Box<Watching>,
    wanted: Wanted,
    clock: Arc<dyn Clock>,
    recent: Arc<Recent>,
    /// Counts the events of all watches of the kind.
    told: Arc<AtomicU64>,
    /// Nothing was told yet: tables have columns in their first event only.
    is_first: bool,
}

impl Written {
    /// What is to be told next, as much of it as is there.
    async fn next(&mut self) -> Option<Bytes> {
        let mut item = Some(self.watching.next().await?);
        let mut changes = SmallVec::<[Change; 4]>::new();
        while let Some(Item::Change(change)) = item {
            changes.push(change);
            item = if changes.len() < TOGETHER { self.watching.try_next() } else { None };
        }
        self.told.fetch_add(changes.len() as u64 + u64::from(item.is_some()), Ordering::Relaxed);
        let is_first = std::mem::replace(&mut self.is_first, false);
        let Some(last) = item else { return Some(self.chunk(&changes, is_first)) };
        let mut out = Vec::with_capacity(4096);
        write_changes(self.form(&changes), &*self.clock, is_first, &mut out);
        self.write(&last, is_first && changes.is_empty(), &mut out);
        Some(Bytes::from(out))
    }

    /// Changes as somebody else was told of them, if possible.
    fn chunk(&self, changes: &[Change], is_first: bool) -> Bytes {
        let form = self.form(changes);
        let encode = || {
            let mut out =
                Vec::with_capacity(changes.iter().map(|change| change.entry.value.len() + 128).sum());
            write_changes(form, &*self.clock, is_first, &mut out);
            out
        };
        // A table has ages, and columns in its first event.
        let is_table = matches!(self.wanted.shape, Shape::Table(..));
        if is_table { encode().into() } else { self.recent.get_or_encode(form, encode) }
    }

    fn form<'f>(&'f self, changes: &'f [Change]) -> Form<'f> {
        let watching = &self.watching;
        Form { resource: &watching.resource, version: watching.version, changes, wanted: self.wanted }
    }

    fn write(&self, item: &Item, is_first: bool, out: &mut Vec<u8>) {
        match item {
            Item::Change(change) => {
                write_changes(self.form(std::slice::from_ref(change)), &*self.clock, is_first, out);
            }
            Item::Bookmark { revision, ends_initial_events } => {
                let (resource, version) = (&self.watching.resource, self.watching.version);
                let object = bookmark(resource, version, *revision, *ends_initial_events);
                let shown = shaped(resource, version, object, self.wanted.shape, self.clock.now(), is_first);
                write_event("BOOKMARK", &shown, self.wanted, out);
            }
            Item::Error(status) => write_event("ERROR", &status.to_value(), self.wanted, out),
        }
    }
}

/// Appends what became of objects, as events; `is_first` where they begin the
/// watch.
fn write_changes(form: Form<'_>, clock: &dyn Clock, mut is_first: bool, out: &mut Vec<u8>) {
    let Form { resource, version, changes, wanted } = form;
    for change in changes {
        let kind = match change.kind {
            WatchKind::Added => "ADDED",
            WatchKind::Modified => "MODIFIED",
            WatchKind::Deleted => "DELETED",
            WatchKind::Bookmark => "BOOKMARK",
        };
        let published = Published { revision: change.revision, ..Published::of(resource, &change.entry) };
        if as_stored(resource, version, wanted) && !is_old(resource, change.revision) {
            out.extend_from_slice(b"{\"type\":\"");
            out.extend_from_slice(kind.as_bytes());
            out.extend_from_slice(b"\",\"object\":");
            published.write_json(out);
            out.extend_from_slice(b"}\n");
            continue;
        }
        match in_version(resource, version, published.tree()) {
            Ok(tree) => {
                let shown = shaped(resource, version, tree, wanted.shape, clock.now(), is_first);
                write_event(kind, &shown, wanted, out);
            }
            Err(status) => write_event("ERROR", &status.to_value(), wanted, out),
        }
        is_first = false;
    }
}

/// Appends an event.
fn write_event(kind: &str, tree: &Value, wanted: Wanted, out: &mut Vec<u8>) {
    match wanted.format {
        Format::Protobuf => protobuf::write_watch_event(kind, &encode(tree, wanted), out),
        Format::Json | Format::Yaml => {
            out.extend_from_slice(b"{\"type\":\"");
            out.extend_from_slice(kind.as_bytes());
            out.extend_from_slice(b"\",\"object\":");
            json::encode(tree, out);
            out.extend_from_slice(b"}\n");
        }
    }
}

/// An object of the kind that has a revision and nothing else.
fn bookmark(resource: &Resource, version: usize, revision: u64, ends: bool) -> Value {
    let mut metadata = Value::object();
    metadata.set("resourceVersion", revision.to_string());
    if ends {
        metadata.set_at(&["annotations", "k8s.io/initial-events-end"], "true");
    }
    let mut object = resource.zero(version).clone();
    object.set("metadata", metadata);
    object
}
/// The cells of a row; those of a built-in kind are of its stored form.
fn cells(resource: &Resource, served: &Version, tree: &Value, now: Timestamp) -> Vec<Value> {
    let mut stored = None;
    if let Some(conversion) = served.conversion.as_ref().filter(|_| served.schema.is_some()) {
        let mut made = tree.clone();
        if conversion.to_storage(&mut made).is_ok() {
            stored = Some(made);
        }
    }
    resource.strategy.cells(served, stored.as_ref().unwrap_or(tree), now)
}
