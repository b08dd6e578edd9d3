//! Text of the facts → [`Types`].
//!
//! The text is static, so that every name is a slice of it and nothing is copied.

use std::collections::BTreeMap;

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

struct Raw {
    name: &'static str,
    atomic: bool,
    lines: Vec<Line>,
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
    pub fn load(text: &'static str) -> Result<Self, LoadError> {
        let mut kinds = Vec::new();
        let mut raw: Vec<Raw> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let malformed = || LoadError::Malformed { line: at + 1, text: line.to_owned() };
            let mut parts = line.splitn(5, '\t');
            let mut part = || parts.next();
            match part() {
                Some("K") => match (part(), part(), part(), part()) {
                    (Some(group), Some(version), Some(kind), Some(name)) => kinds.push((group, version, kind, name)),
                    _ => return Err(malformed()),
                },
                Some("S") => {
                    let name = part().ok_or_else(malformed)?;
                    raw.push(Raw { name, atomic: part() == Some("m"), lines: Vec::new() });
                }
                Some("F") => match (part(), part(), part(), raw.last_mut()) {
                    (Some(json), Some(ty), Some(number), Some(owner)) => {
                        let number = number.parse().map_err(|_| malformed())?;
                        owner.lines.push(Line { json, ty, number, flags: part().unwrap_or("") });
                    }
                    _ => return Err(malformed()),
                },
                _ => return Err(malformed()),
            }
        }
        Loader::new(&raw).load(kinds)
    }
}

struct Loader<'a> {
    raw: &'a [Raw],
    by_name: BTreeMap<&'static str, TypeId>,
    /// Item types, each leaked once: they live as long as the program.
    items: BTreeMap<&'static str, &'static Type>,
}

impl<'a> Loader<'a> {
    fn new(raw: &'a [Raw]) -> Self {
        let by_name = raw.iter().enumerate().map(|(at, raw)| (raw.name, TypeId(at as u16))).collect();
        Self { raw, by_name, items: BTreeMap::new() }
    }

    fn load(
        mut self,
        kinds: Vec<(&'static str, &'static str, &'static str, &'static str)>,
    ) -> Result<Types, LoadError> {
        let mut structs = Vec::with_capacity(self.raw.len());
        for raw in self.raw {
            structs.push(self.structure(raw)?);
        }
        let kinds = kinds
            .into_iter()
            .map(|(group, version, kind, name)| Ok(((group, version, kind), self.id(name)?)))
            .collect::<Result<_, LoadError>>()?;
        let object_meta = self.by_name.get("apimachinery/pkg/apis/meta/v1.ObjectMeta").copied();
        let mut types = Types { structs, by_name: self.by_name, kinds, object_meta };
        types.mark_always();
        Ok(types)
    }

    fn id(&self, name: &str) -> Result<TypeId, LoadError> {
        self.by_name.get(name).copied().ok_or_else(|| LoadError::UnknownType { name: name.to_owned() })
    }

    fn ty(&mut self, name: &'static str) -> Result<Type, LoadError> {
        if let Some(item) = name.strip_prefix("[]") {
            return Ok(Type::List(self.item(item)?));
        }
        if let Some(item) = name.strip_prefix("map[string]") {
            return Ok(Type::Map(self.item(item)?));
        }
        if let Some(special) = special(name) {
            return Ok(special);
        }
        if let Some((schema, or)) = two_faced(name) {
            return Ok(Type::SchemaOr(self.id(schema)?, or));
        }
        Ok(Type::Struct(self.id(name)?))
    }

    fn item(&mut self, name: &'static str) -> Result<&'static Type, LoadError> {
        if let Some(item) = self.items.get(name) {
            return Ok(item);
        }
        let item: &'static Type = Box::leak(Box::new(self.ty(name)?));
        self.items.insert(name, item);
        Ok(item)
    }

    fn structure(&mut self, raw: &Raw) -> Result<Struct, LoadError> {
        let mut fields = Vec::with_capacity(raw.lines.len());
        let mut proto = Vec::with_capacity(raw.lines.len());
        // Types with JSON of their own are not read field by field.
        if special(raw.name).is_none() && two_faced(raw.name).is_none() {
            self.fields(raw, &mut fields, Some(&mut proto), true)?;
        }
        if fields.len() > 128 {
            return Err(LoadError::TooManyFields { name: raw.name, fields: fields.len() });
        }
        proto.sort_by_key(|field: &ProtoField| field.number);
        Ok(Struct {
            name: raw.name,
            go_name: raw.name.rsplit('/').next().unwrap_or(raw.name),
            lookup: lookup(&fields),
            fields: fields.into(),
            atomic: raw.atomic,
            always: Box::default(),
            proto: proto.into(),
        })
    }

    /// The fields of a struct with those of embedded structs in their place.
    fn fields(
        &mut self,
        raw: &Raw,
        fields: &mut Vec<Field>,
        mut proto: Option<&mut Vec<ProtoField>>,
        in_protobuf: bool,
    ) -> Result<(), LoadError> {
        for line in &raw.lines {
            match line.json {
                // Members that JSON does not have (runtime.Unknown).
                "-" => {}
                "" if special(line.ty).is_some() => {}
                "" => {
                    let id = self.id(line.ty.trim_start_matches('*'))?;
                    let all: &'a [Raw] = self.raw;
                    self.fields(&all[id.0 as usize], fields, None, in_protobuf && line.number > 0)?;
                    if let Some(proto) = proto.as_deref_mut().filter(|_| line.number > 0) {
                        proto.push(ProtoField { number: line.number, target: ProtoTarget::Embedded(id) });
                    }
                }
                _ => {
                    if let Some(proto) = proto.as_deref_mut().filter(|_| line.number > 0) {
                        let target = ProtoTarget::Field(fields.len() as u16);
                        proto.push(ProtoField { number: line.number, target });
                    }
                    let in_protobuf = in_protobuf && line.number > 0;
                    fields.push(Field { in_protobuf, ..self.field(line)? });
                }
            }
        }
        Ok(())
    }

    fn field(&mut self, line: &Line) -> Result<Field, LoadError> {
        let pointer = line.ty.starts_with('*');
        let mut field = Field {
            json: line.json,
            ty: self.ty(line.ty.trim_start_matches('*'))?,
            go_type: "",
            pointer,
            omit_empty: false,
            omit_zero: false,
            required: false,
            patch_merge: false,
            patch_retain_keys: false,
            patch_replace: false,
            patch_merge_key: "",
            list_type: ListType::Atomic,
            list_keys: &[],
            atomic: false,
            values: &[],
            format: "",
            in_protobuf: true,
        };
        for flag in line.flags.split('\t') {
            match flag.split_once('=') {
                None => match flag {
                    "e" => field.omit_empty = true,
                    "z" => field.omit_zero = true,
                    "r" => field.required = true,
                    "m" => field.atomic = true,
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
        Ok(field)
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

impl Types {
    /// Notes which fields are written even where they are zero.
    fn mark_always(&mut self) {
        for at in 0..self.structs.len() {
            let always = self.structs[at]
                .fields
                .iter()
                .enumerate()
                .filter(|(_, field)| !super::normalize::omitted_when_zero(field))
                .map(|(at, _)| at as u16)
                .collect();
            self.structs[at].always = always;
        }
    }
}
