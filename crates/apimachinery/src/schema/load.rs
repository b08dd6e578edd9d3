//! Text of the facts → [`Types`].
//!
//! The text is static, so that every name is a slice of it and nothing is copied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::{Field, ListType, Or, ProtoField, ProtoTarget, Struct, Type, TypeId, Types, hash};

/// What is wrong with the facts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    #[error("line {line} of the type facts is malformed: {text:?}")]
    Malformed { line: usize, text: String },
    #[error("the type facts name {name:?}, which they do not describe")]
    UnknownType { name: String },
    #[error("the type {name} has more fields than the engine can mark ({fields})")]
    TooManyFields { name: &'static str, fields: usize },
}

/// A field as it stands in the text.
struct Line {
    json: &'static str,
    ty: &'static str,
    number: u32,
    flags: &'static str,
}

/// A line behind `F`.
fn line(text: &'static str) -> Option<Line> {
    let mut parts = text.splitn(5, '\t').skip(1);
    let (json, ty, number) = (parts.next()?, parts.next()?, parts.next()?.parse().ok()?);
    Some(Line { json, ty, number, flags: parts.next().unwrap_or("") })
}

/// The name of a type without pointers, lists and maps around it.
fn bare(name: &str) -> &str {
    let name = name.trim_start_matches('*');
    match name.strip_prefix("[]").or_else(|| name.strip_prefix("map[string]")) {
        Some(item) => bare(item),
        None => name,
    }
}

/// Types whose JSON is not that of their fields.
fn special(name: &str) -> Option<Type> {
    Some(match name {
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "bool" => Type::Bool,
        "int32" => Type::Int32,
        "int64" => Type::Int64,
        "float64" => Type::Float,
        "interface" => Type::Any,
        "apimachinery/pkg/api/resource.Quantity" => Type::Quantity,
        "apimachinery/pkg/apis/meta/v1.Time" | "time.Time" => Type::Time,
        "apimachinery/pkg/apis/meta/v1.MicroTime" => Type::MicroTime,
        "apimachinery/pkg/apis/meta/v1.Duration" => Type::Duration,
        "apimachinery/pkg/util/intstr.IntOrString" => Type::IntOrString,
        "apimachinery/pkg/runtime.RawExtension" => Type::RawExtension,
        "apimachinery/pkg/apis/meta/v1.FieldsV1" => Type::FieldsV1,
        "apiextensions-apiserver/pkg/apis/apiextensions/v1.JSON" => Type::Json,
        _ => return None,
    })
}

/// The struct types with two faces, and the face that is no struct.
fn two_faced(name: &str) -> Option<(&'static str, Or)> {
    const SCHEMA: &str = "apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaProps";
    let or = match name.strip_prefix(SCHEMA)? {
        "OrBool" => Or::Bool,
        "OrArray" => Or::Array,
        "OrStringArray" => Or::StringArray,
        _ => return None,
    };
    Some((SCHEMA, or))
}

impl Types {
    /// Reads the facts; their form is told in `crates/api/facts/compact.py`.
    ///
    /// Structs are made when first asked for, since a server uses a part of
    /// them; here everything is checked that could go wrong then.
    pub fn load(text: &'static str) -> Result<Self, LoadError> {
        let mut kinds = Vec::new();
        let mut places: Vec<Place> = Vec::new();
        let mut by_name = BTreeMap::new();
        let mut used = BTreeSet::new();
        let mut start = 0;
        for (at, text_line) in text.lines().enumerate() {
            let malformed = || LoadError::Malformed { line: at + 1, text: text_line.to_owned() };
            let end = start + text_line.len();
            match text_line.as_bytes().first() {
                Some(b'K') => {
                    let mut parts = text_line.split('\t').skip(1);
                    match (parts.next(), parts.next(), parts.next(), parts.next()) {
                        (Some(group), Some(version), Some(kind), Some(name)) => {
                            kinds.push((group, version, kind, name))
                        }
                        _ => return Err(malformed()),
                    }
                }
                Some(b'S') => {
                    let name = text_line.split('\t').nth(1).ok_or_else(malformed)?;
                    by_name.insert(name, TypeId(places.len() as u16));
                    places.push(Place { name, lines: &text[start..end], fields: 0 });
                }
                Some(b'F') => {
                    let line = line(text_line).ok_or_else(malformed)?;
                    let place = places.last_mut().ok_or_else(malformed)?;
                    let from = place.lines.as_ptr() as usize - text.as_ptr() as usize;
                    place.lines = &text[from..end];
                    place.fields += 1;
                    used.insert(bare(line.ty));
                }
                _ => return Err(malformed()),
            }
            start = end + 1;
        }
        let id = |name: &str| {
            by_name.get(name).copied().ok_or_else(|| LoadError::UnknownType { name: name.to_owned() })
        };
        for name in used {
            if special(name).is_none() {
                id(two_faced(name).map_or(name, |(schema, _)| schema))?;
            }
        }
        // Far below the most that can be marked, embedded structs included.
        if let Some(place) = places.iter().find(|place| place.fields > MOST_FIELDS) {
            return Err(LoadError::TooManyFields { name: place.name, fields: place.fields });
        }
        let kinds = kinds
            .into_iter()
            .map(|(group, version, kind, name)| Ok(((group, version, kind), id(name)?)))
            .collect::<Result<_, LoadError>>()?;
        let structs = places.iter().map(|_| OnceLock::new()).collect();
        let lines = places.iter().map(|place| place.lines).collect();
        Ok(Types { structs, lines, by_name, kinds, items: Mutex::default() })
    }

    /// Makes a struct of its lines.
    #[cold]
    pub(super) fn make(&self, id: TypeId) -> Struct {
        Loader { lines: &self.lines, by_name: &self.by_name, items: &self.items }.structure(id)
    }
}

/// Fields are marked in 128 bits; embedding doubles them at most.
const MOST_FIELDS: usize = 64;

/// Where a struct stands in the text.
struct Place {
    name: &'static str,
    lines: &'static str,
    fields: usize,
}

/// Item types, each leaked once: they live as long as the program.
pub(super) type Items = Mutex<BTreeMap<&'static str, &'static Type>>;

struct Loader<'a> {
    lines: &'a [&'static str],
    by_name: &'a BTreeMap<&'static str, TypeId>,
    items: &'a Items,
}

impl Loader<'_> {
    fn id(&self, name: &str) -> TypeId {
        self.by_name.get(name).copied().expect("loading checks that every type is described")
    }

    /// The fields of a struct as they stand in the text.
    fn lines(&self, id: TypeId) -> impl Iterator<Item = Line> + use<> {
        self.lines[usize::from(id.0)].lines().skip(1).filter_map(line)
    }

    fn ty(&self, name: &'static str) -> Type {
        if let Some(item) = name.strip_prefix("[]") {
            return Type::List(self.item(item));
        }
        if let Some(item) = name.strip_prefix("map[string]") {
            return Type::Map(self.item(item));
        }
        if let Some(special) = special(name) {
            return special;
        }
        match two_faced(name) {
            Some((schema, or)) => Type::SchemaOr(self.id(schema), or),
            None => Type::Struct(self.id(name)),
        }
    }

    fn item(&self, name: &'static str) -> &'static Type {
        let known = |items: &Items| items.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied();
        if let Some(item) = known(self.items) {
            return item;
        }
        let item: &'static Type = Box::leak(Box::new(self.ty(name)));
        self.items.lock().unwrap_or_else(PoisonError::into_inner).insert(name, item);
        item
    }

    fn structure(&self, id: TypeId) -> Struct {
        let head = self.lines[usize::from(id.0)].lines().next().unwrap_or("");
        let mut head = head.split('\t').skip(1);
        let name = head.next().unwrap_or("");
        let mut fields = Vec::new();
        let mut proto = Vec::new();
        // Types with JSON of their own are not read field by field.
        if special(name).is_none() && two_faced(name).is_none() {
            self.fields(id, &mut fields, Some(&mut proto), true, &[]);
        }
        proto.sort_by_key(|field: &ProtoField| field.number);
        let always =
            fields.iter().enumerate().filter(|(_, field)| !super::normalize::omitted_when_zero(field));
        Struct {
            name,
            go_name: name.rsplit('/').next().unwrap_or(name),
            lookup: lookup(&fields),
            always: always.map(|(at, _)| at as u16).collect(),
            fields: fields.into(),
            atomic: head.next() == Some("m"),
            proto: proto.into(),
        }
    }

    /// The fields of a struct with those of embedded structs in their place.
    fn fields(
        &self,
        id: TypeId,
        fields: &mut Vec<Field>,
        mut proto: Option<&mut Vec<ProtoField>>,
        in_protobuf: bool,
        embedded: &'static [&'static str],
    ) {
        for line in self.lines(id) {
            let in_protobuf = in_protobuf && line.number > 0;
            match line.json {
                // Members that JSON does not have (runtime.Unknown).
                "-" => {}
                "" if special(line.ty).is_some() => {}
                "" => {
                    let name = line.ty.trim_start_matches('*');
                    let id = self.id(name);
                    let go_name = name.rsplit('.').next().unwrap_or(name);
                    let within = leak(embedded.iter().copied().chain([go_name]));
                    self.fields(id, fields, None, in_protobuf, within);
                    if let Some(proto) = proto.as_deref_mut().filter(|_| line.number > 0) {
                        proto.push(ProtoField { number: line.number, target: ProtoTarget::Embedded(id) });
                    }
                }
                _ => {
                    if let Some(proto) = proto.as_deref_mut().filter(|_| line.number > 0) {
                        let target = ProtoTarget::Field(fields.len() as u16);
                        proto.push(ProtoField { number: line.number, target });
                    }
                    fields.push(Field { in_protobuf, embedded, ..self.field(&line) });
                }
            }
        }
    }

    fn field(&self, line: &Line) -> Field {
        let pointer = line.ty.starts_with('*');
        let mut field = Field {
            json: line.json,
            ty: self.ty(line.ty.trim_start_matches('*')),
            go_type: "",
            embedded: &[],
            pointer,
            omit_empty: false,
            omit_zero: false,
            keeps_empty: false,
            required: false,
            patch_merge: false,
            patch_retain_keys: false,
            patch_replace: false,
            patch_merge_key: "",
            list_type: ListType::Atomic,
            list_keys: &[],
            atomic: false,
            granular: false,
            values: &[],
            format: "",
            in_protobuf: true,
            wrapped: false,
        };
        for flag in line.flags.split('\t') {
            match flag.split_once('=') {
                None => match flag {
                    "e" => field.omit_empty = true,
                    "z" => field.omit_zero = true,
                    "n" => field.keeps_empty = true,
                    "r" => field.required = true,
                    "m" => field.atomic = true,
                    "M" => field.granular = true,
                    "w" => field.wrapped = true,
                    _ => {}
                },
                Some(("p", strategies)) => {
                    for strategy in strategies.split(',') {
                        field.patch_merge |= strategy == "merge";
                        field.patch_retain_keys |= strategy == "retainKeys";
                        field.patch_replace |= strategy == "replace";
                    }
                }
                Some(("k", key)) => field.patch_merge_key = key,
                Some(("l", "set")) => field.list_type = ListType::Set,
                Some(("l", list)) => {
                    field.list_type = ListType::Map;
                    field.list_keys = leak(list.trim_start_matches("map:").split(','));
                }
                Some(("v", values)) => field.values = leak(values.split('|')),
                Some(("f", format)) => field.format = format,
                Some(("g", name)) => field.go_type = name,
                Some(_) => {}
            }
        }
        let always_written = !field.omit_empty && !field.omit_zero;
        field.keeps_empty |= always_written && matches!(field.ty, Type::List(_));
        field
    }
}

/// Names that live as long as the program, as the text does.
fn leak(names: impl Iterator<Item = &'static str>) -> &'static [&'static str] {
    Box::leak(names.collect::<Box<[_]>>())
}

/// The open-addressed table behind [`Struct::index`], at most half full.
fn lookup(fields: &[Field]) -> Box<[u16]> {
    if fields.is_empty() {
        return Box::default();
    }
    let mut table = vec![0u16; (fields.len() * 2).next_power_of_two()];
    let mask = table.len() - 1;
    for (at, field) in fields.iter().enumerate() {
        let mut slot = hash(field.json) & mask;
        while table[slot] != 0 {
            slot = (slot + 1) & mask;
        }
        table[slot] = at as u16 + 1;
    }
    table.into()
}
