//! The schema engine: Go's types as data, and trees that behave as if Go had
//! decoded and encoded them (design rule 6).
//!
//! [`Types`] is loaded once from text that the crate `api` owns; nothing here
//! names a kind. Custom resources do not come here: they follow the rules for
//! unstructured objects (`crate::json`).

mod context;
mod decode;
mod defaults;
mod load;
mod normalize;
mod scalar;
mod unstructured;

use std::collections::BTreeMap;
use std::sync::OnceLock;

pub use decode::{Decoded, Strictness, decode_json};
pub use defaults::{DefaultRow, Defaults, DefaultsTable, round_up};
pub use load::LoadError;
pub(crate) use normalize::{Empties, Members, assemble, finish, item_or_zero};
pub use normalize::{forget_empties, normalize, normalize_stored, zero};
pub use scalar::ScalarError;
pub use unstructured::{narrow, why_not};

/// A struct type: an index into [`Types`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub(crate) u16);

/// What a value is, as Go declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    String,
    /// `[]byte`: base64 text in JSON.
    Bytes,
    Bool,
    Int32,
    Int64,
    Float,
    /// `resource.Quantity`: text, canonicalised.
    Quantity,
    /// `meta/v1.Time`: RFC 3339 in whole seconds, UTC; null is the zero time.
    Time,
    /// `meta/v1.MicroTime`: with six fractional digits.
    MicroTime,
    /// `meta/v1.Duration`: Go's duration text.
    Duration,
    IntOrString,
    /// `runtime.RawExtension`: any JSON, kept as it is.
    RawExtension,
    /// `meta/v1.FieldsV1`: any JSON, kept as it is.
    FieldsV1,
    /// `apiextensions/v1.JSON`: any JSON, kept as it is.
    Json,
    /// `interface{}`.
    Any,
    /// A struct or a boolean, list or string list beside it
    /// (`JSONSchemaPropsOrBool`, `…OrArray`, `…OrStringArray`).
    SchemaOr(TypeId, Or),
    Struct(TypeId),
    List(&'static Type),
    Map(&'static Type),
}

/// The other side of a [`Type::SchemaOr`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Or {
    Bool,
    Array,
    StringArray,
}

/// How server-side apply merges a list (`x-kubernetes-list-type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListType {
    #[default]
    Atomic,
    Set,
    /// With [`Field::list_keys`].
    Map,
}

/// One JSON member of a struct, those of embedded structs included.
#[derive(Debug)]
pub struct Field {
    /// The name in JSON.
    pub json: &'static str,
    pub ty: Type,
    /// Go's name for the type in decode errors, such as `v1.Protocol`, where
    /// it is not that of `ty` ("" elsewhere).
    pub go_type: &'static str,
    /// Go's names of the embedded structs that the field lies in, outermost
    /// first: decode errors write them into the path.
    pub embedded: &'static [&'static str],
    /// Declared as a pointer: absent and zero differ.
    pub pointer: bool,
    /// `omitempty`: not written where empty.
    pub omit_empty: bool,
    /// `omitzero`: not written where the zero value.
    pub omit_zero: bool,
    /// A list in which `[]` and nothing differ until the object is stored:
    /// those that are always written, and those that a default or a check of
    /// Kubernetes compares with nil.
    pub keeps_empty: bool,
    /// The schema lists it under `required`.
    pub required: bool,
    /// Strategic merge patch: `merge` is among the strategies.
    pub patch_merge: bool,
    /// Strategic merge patch: `retainKeys` is among the strategies.
    pub patch_retain_keys: bool,
    /// Strategic merge patch: `replace` is the strategy.
    pub patch_replace: bool,
    /// Strategic merge patch: the key of a merged list, or "".
    pub patch_merge_key: &'static str,
    /// Apply: how a list merges; [`ListType::Atomic`] for what is no list.
    pub list_type: ListType,
    /// Apply: keys of a list of type map, such as `["containerPort", "protocol"]`.
    pub list_keys: &'static [&'static str],
    /// Apply: a map or struct that is owned whole (`x-kubernetes-map-type: atomic`).
    pub atomic: bool,
    /// Apply: owned member by member though its type is owned whole.
    pub granular: bool,
    /// Allowed values (`enum`), sorted; empty where the schema lists none.
    pub values: &'static [&'static str],
    /// The schema's `format`, such as `int32` or `date-time`, or "".
    pub format: &'static str,
    /// A message carries it: `kind` and `apiVersion` stand in the envelope,
    /// and a Table has no protobuf.
    pub in_protobuf: bool,
    /// A list that is a message of its own, with `items`, and not a repeated field.
    pub wrapped: bool,
}

impl Field {
    /// The struct behind this field, directly or as the item of a list or map.
    pub fn item_struct(&self) -> Option<TypeId> {
        self.ty.item_struct()
    }
}

impl Type {
    /// The struct that this type is or holds (item of a list, value of a map).
    pub fn item_struct(self) -> Option<TypeId> {
        match self {
            Type::Struct(id) | Type::SchemaOr(id, _) => Some(id),
            Type::List(item) | Type::Map(item) => item.item_struct(),
            _ => None,
        }
    }

    /// The item of a list or value of a map.
    pub fn item(self) -> Option<Type> {
        match self {
            Type::List(item) | Type::Map(item) => Some(*item),
            _ => None,
        }
    }
}

/// A member of a protobuf message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProtoField {
    pub number: u32,
    pub target: ProtoTarget,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum ProtoTarget {
    /// An index into [`Struct::fields`].
    Field(u16),
    /// An embedded struct: a message of its own whose members lie in the same object.
    Embedded(TypeId),
}

/// A Go struct.
#[derive(Debug)]
pub struct Struct {
    /// `api/core/v1.PodSpec`.
    pub name: &'static str,
    /// As decode errors name it: `v1.PodSpec`.
    pub go_name: &'static str,
    /// In Go's order, which is the order of canonical JSON.
    pub fields: Box<[Field]>,
    /// The type is owned whole wherever it stands (LabelSelector and the like).
    pub atomic: bool,
    /// Open-addressed: hash of a name → index + 1 into `fields`.
    pub(crate) lookup: Box<[u16]>,
    /// Fields which are written even where the source does not have them.
    pub(crate) always: Box<[u16]>,
    /// By number, ascending.
    pub(crate) proto: Box<[ProtoField]>,
}

impl Struct {
    /// The field called `name`, case-sensitively.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.index(name).map(|at| &self.fields[at])
    }

    /// Where the field called `name` stands in [`Struct::fields`].
    #[inline]
    pub fn index(&self, name: &str) -> Option<usize> {
        let mask = self.lookup.len().wrapping_sub(1);
        if self.lookup.is_empty() {
            return None;
        }
        let mut at = hash(name) & mask;
        loop {
            match self.lookup[at] {
                0 => return None,
                found if self.fields[found as usize - 1].json == name => return Some(found as usize - 1),
                _ => at = (at + 1) & mask,
            }
        }
    }

    /// As decode errors name the struct of a field: `PodSpec`.
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit_once('.').map_or(self.name, |(_, name)| name)
    }
}

/// A cheap hash of a short name: its length and up to eight bytes of both ends.
#[inline]
pub(crate) fn hash(name: &str) -> usize {
    let bytes = name.as_bytes();
    let (head, tail) = match bytes.len() {
        8.. => {
            let head = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
            let tail = u64::from_le_bytes(bytes[bytes.len() - 8..].try_into().expect("eight bytes"));
            (head, tail)
        }
        4.. => {
            let head = u32::from_le_bytes(bytes[..4].try_into().expect("four bytes"));
            let tail = u32::from_le_bytes(bytes[bytes.len() - 4..].try_into().expect("four bytes"));
            (head.into(), tail.into())
        }
        0 => (0, 0),
        length => (bytes[0].into(), bytes[length - 1].into()),
    };
    let mixed =
        (head ^ tail.rotate_left(29) ^ (bytes.len() as u64) << 56).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 40) as usize
}

/// Every built-in type. Loaded once, see [`Types::load`].
#[derive(Debug)]
pub struct Types {
    /// Made when first asked for.
    structs: Box<[OnceLock<Struct>]>,
    /// What the facts say of each.
    lines: Box<[&'static str]>,
    items: load::Items,
    by_name: BTreeMap<&'static str, TypeId>,
    /// `(group, version, kind)`.
    kinds: BTreeMap<(&'static str, &'static str, &'static str), TypeId>,
}

impl Types {
    /// The type of a kind; `group` is "" for the core.
    pub fn kind(&self, group: &str, version: &str, kind: &str) -> Option<TypeId> {
        self.kinds.get(&(group, version, kind)).copied()
    }

    /// The type of a kind by `apiVersion` (`v1`, `apps/v1`).
    pub fn kind_of(&self, api_version: &str, kind: &str) -> Option<TypeId> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        self.kind(group, version, kind)
    }

    /// All kinds, sorted by group, version and kind.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, &'static str, &'static str, TypeId)> + '_ {
        self.kinds.iter().map(|(&(group, version, kind), &id)| (group, version, kind, id))
    }

    /// A type by its name in the facts, such as `api/core/v1.PodSpec`.
    pub fn by_name(&self, name: &str) -> Option<TypeId> {
        self.by_name.get(name).copied()
    }

    /// meta/v1 ObjectMeta.
    pub fn object_meta(&self) -> Option<TypeId> {
        self.by_name("apimachinery/pkg/apis/meta/v1.ObjectMeta")
    }

    #[inline]
    pub fn get(&self, id: TypeId) -> &Struct {
        self.structs[usize::from(id.0)].get_or_init(|| self.make(id))
    }

    /// The field at the end of a path of names through structs, lists and maps
    /// (`["spec", "containers", "ports"]`: items are stepped into silently).
    pub fn field_at(&self, root: TypeId, path: &[&str]) -> Option<&Field> {
        let (last, before) = path.split_last()?;
        let mut at = root;
        for name in before {
            at = self.get(at).field(name)?.item_struct()?;
        }
        self.get(at).field(last)
    }
}

impl std::ops::Index<TypeId> for Types {
    type Output = Struct;

    fn index(&self, id: TypeId) -> &Struct {
        self.get(id)
    }
}

#[cfg(test)]
mod tests;
