//! The types that expressions are checked against.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A type.
#[derive(Clone, Debug)]
pub enum Type {
    /// Anything, decided when the expression runs.
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Duration,
    Timestamp,
    List(Arc<ListType>),
    Map(Arc<MapType>),
    Object(Arc<ObjectType>),
    Optional(Arc<Type>),
    /// The type of a type: what `type(x)` gives.
    Kind(Arc<Type>),
    /// A type of a library, by its name (`kubernetes.Quantity`).
    Opaque(&'static str),
    /// A parameter of an overload, or one instance of it.
    Param(u32),
}

#[derive(Debug)]
pub struct ListType {
    pub element: Type,
    pub kind: ListKind,
}

/// What makes two lists equal (`x-kubernetes-list-type`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListKind {
    #[default]
    Atomic,
    Set,
    /// Items with the same values of these members are the same item.
    Map(Vec<String>),
}

#[derive(Debug)]
pub struct MapType {
    pub key: Type,
    pub value: Type,
}

#[derive(Debug)]
pub struct ObjectType {
    pub name: String,
    /// By their names in expressions (escaped).
    pub fields: BTreeMap<String, FieldType>,
}

#[derive(Clone, Debug)]
pub struct FieldType {
    /// The member's name in the tree.
    pub member: String,
    pub ty: Type,
}

impl Type {
    pub fn list(element: Type) -> Type {
        Type::List(Arc::new(ListType { element, kind: ListKind::Atomic }))
    }

    pub fn map(key: Type, value: Type) -> Type {
        Type::Map(Arc::new(MapType { key, value }))
    }

    pub fn optional(of: Type) -> Type {
        Type::Optional(Arc::new(of))
    }

    /// An object whose fields need no escaping.
    pub fn object<'a>(name: &str, fields: impl IntoIterator<Item = (&'a str, Type)>) -> Type {
        let fields = fields
            .into_iter()
            .map(|(name, ty)| (name.to_owned(), FieldType { member: name.to_owned(), ty }))
            .collect();
        Type::Object(Arc::new(ObjectType { name: name.to_owned(), fields }))
    }

    pub fn is_dyn(&self) -> bool {
        matches!(self, Type::Dyn)
    }

    /// The name as the runtime gives it: `null_type`, `list`.
    pub fn runtime_name(&self) -> String {
        match self {
            Type::Null => "null_type".to_owned(),
            Type::Duration => "google.protobuf.Duration".to_owned(),
            Type::Timestamp => "google.protobuf.Timestamp".to_owned(),
            Type::List(_) => "list".to_owned(),
            Type::Map(_) => "map".to_owned(),
            Type::Optional(_) => "optional_type".to_owned(),
            Type::Kind(_) => "type".to_owned(),
            other => other.to_string(),
        }
    }

    /// The name in sentences such as "must evaluate to bool but got …".
    pub fn sentence_name(&self) -> String {
        match self {
            Type::Null | Type::Duration | Type::Timestamp => self.runtime_name(),
            other => other.to_string(),
        }
    }

    /// Whether both are the same type, sizes apart.
    pub fn is_same(&self, other: &Type) -> bool {
        match (self, other) {
            (Type::List(a), Type::List(b)) => a.element.is_same(&b.element),
            (Type::Map(a), Type::Map(b)) => a.key.is_same(&b.key) && a.value.is_same(&b.value),
            (Type::Object(a), Type::Object(b)) => a.name == b.name,
            (Type::Optional(a), Type::Optional(b)) | (Type::Kind(a), Type::Kind(b)) => a.is_same(b),
            (Type::Opaque(a), Type::Opaque(b)) => a == b,
            (Type::Param(a), Type::Param(b)) => a == b,
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        }
    }
}

impl ObjectType {
    /// A field by its name in expressions. Words of the language need not be
    /// escaped where they can only be a field.
    pub fn field(&self, name: &str) -> Option<&FieldType> {
        self.fields.get(name).or_else(|| {
            let is_word = RESERVED.contains(&name);
            is_word.then(|| self.fields.get(&format!("__{name}__"))).flatten()
        })
    }
}

/// As the checker's messages name types: `map(string, dyn)`.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Dyn => f.write_str("dyn"),
            Type::Null => f.write_str("null"),
            Type::Bool => f.write_str("bool"),
            Type::Int => f.write_str("int"),
            Type::Uint => f.write_str("uint"),
            Type::Double => f.write_str("double"),
            Type::String => f.write_str("string"),
            Type::Bytes => f.write_str("bytes"),
            Type::Duration => f.write_str("duration"),
            Type::Timestamp => f.write_str("timestamp"),
            Type::List(list) => write!(f, "list({})", list.element),
            Type::Map(map) => write!(f, "map({}, {})", map.key, map.value),
            Type::Object(object) => f.write_str(&object.name),
            Type::Optional(of) => write!(f, "optional_type({of})"),
            Type::Kind(of) => write!(f, "type({of})"),
            Type::Opaque(name) => f.write_str(name),
            Type::Param(number) => write!(f, "_var{number}"),
        }
    }
}

/// The words of the language that no field may be called by.
const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// A member's name as expressions write it; None where they cannot.
/// (apiserver/pkg/cel.Escape.)
pub fn escape(name: &str) -> Option<String> {
    if RESERVED.contains(&name) {
        return Some(format!("__{name}__"));
    }
    let first = name.chars().next()?;
    if first.is_ascii_digit() {
        return None;
    }
    let mut escaped = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(next) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("__") {
            escaped.push_str("__underscores__");
            rest = after;
            continue;
        }
        match next {
            '.' => escaped.push_str("__dot__"),
            '-' => escaped.push_str("__dash__"),
            '/' => escaped.push_str("__slash__"),
            '_' => escaped.push('_'),
            letter if letter.is_ascii_alphanumeric() => escaped.push(letter),
            _ => return None,
        }
        rest = &rest[next.len_utf8()..];
    }
    Some(escaped)
}

/// What an expression may name beside its own variables.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: Vec<(String, Type)>,
    /// Types that expressions may make values of (`Object{…}`), or None where
    /// any name that begins with `Object` will do, unchecked.
    structs: Vec<Arc<ObjectType>>,
    open_structs: bool,
    /// Whether there is `cel.bind`.
    pub(crate) binds: bool,
}

impl Environment {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn with(mut self, name: &str, ty: Type) -> Self {
        self.declare(name, ty);
        self
    }

    /// Declares a variable; a later one of the same name takes its place.
    pub fn declare(&mut self, name: &str, ty: Type) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), ty));
    }

    /// Lets expressions make values of a type by its name.
    pub fn with_struct(mut self, ty: Arc<ObjectType>) -> Self {
        self.structs.push(ty);
        self
    }

    /// Lets expressions make `Object{…}`, `Object.spec{…}` and so on of any fields.
    pub fn with_open_objects(mut self) -> Self {
        self.open_structs = true;
        self
    }

    /// Lets expressions name values (`cel.bind`), as those that choose devices may.
    pub fn with_bindings(mut self) -> Self {
        self.binds = true;
        self
    }

    pub(crate) fn variable(&self, name: &str) -> Option<&Type> {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, ty)| ty)
    }

    pub(crate) fn named_struct(&self, name: &str) -> Option<Arc<ObjectType>> {
        if let Some(known) = self.structs.iter().find(|known| known.name == name) {
            return Some(known.clone());
        }
        let is_open = self.open_structs && (name == "Object" || name.starts_with("Object."));
        is_open.then(|| Arc::new(ObjectType { name: name.to_owned(), fields: BTreeMap::new() }))
    }

    /// Whether fields of `object` are taken as they come.
    pub(crate) fn is_open(&self, object: &ObjectType) -> bool {
        self.open_structs && (object.name == "Object" || object.name.starts_with("Object."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_upstream_does() {
        for (name, escaped) in [
            ("namespace", Some("__namespace__")),
            ("a.b", Some("a__dot__b")),
            ("a-b", Some("a__dash__b")),
            ("a/b", Some("a__slash__b")),
            ("a__b", Some("a__underscores__b")),
            ("a_b", Some("a_b")),
            ("$ref", None),
            ("1a", None),
        ] {
            assert_eq!(escape(name).as_deref(), escaped, "{name}");
        }
    }

    #[test]
    fn types_read_as_upstream_prints_them() {
        let ty = Type::map(Type::String, Type::list(Type::optional(Type::Int)));
        assert_eq!(ty.to_string(), "map(string, list(optional_type(int)))");
    }
}
