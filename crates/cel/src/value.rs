//! Values while an expression runs. Trees are read where they lie: a member is
//! looked up when it is asked for.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use apimachinery::quantity::Quantity;
use apimachinery::url::Url;
use apimachinery::{Key as Member, Object, Value, json};
use base64::Engine;

use crate::authorizer::Asked;
use crate::error::Error;
use crate::functions::format::{NamedFormat, shown};
use crate::functions::ip::Cidr;
use crate::functions::time::{self, Moment};
use crate::types::{ListKind, ObjectType, Type, escape};

/// A value. `'a` is how long the trees and the program live.
#[derive(Clone, Debug)]
pub enum Val<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Cow<'a, str>),
    Bytes(Rc<[u8]>),
    /// Nanoseconds.
    Duration(i64),
    Timestamp(Moment),
    List(Rc<Vec<Val<'a>>>),
    Map(Rc<BTreeMap<Key<'a>, Val<'a>>>),
    /// A list or an object of a tree, and its type.
    Tree(&'a Value, &'a Type),
    /// A value of a named type that the expression made.
    Struct(Rc<Made<'a>>),
    Optional(Option<Rc<Val<'a>>>),
    /// A type, by the name that `type(x)` has.
    Type(Cow<'a, str>),
    /// Fields that are computed when they are asked for.
    Lazy(Rc<dyn Fields<'a> + 'a>),
    Quantity(Quantity),
    Url(Rc<Url>),
    Ip(std::net::IpAddr),
    Cidr(Cidr),
    Semver(Rc<semver::Version>),
    Format(&'static NamedFormat),
    Authorizer(Asked<'a>),
}

/// A value such as `Object.spec{replicas: 1}`.
#[derive(Debug)]
pub struct Made<'a> {
    pub name: Cow<'a, str>,
    pub fields: Vec<(Cow<'a, str>, Val<'a>)>,
}

impl Made<'_> {
    /// Whether what stands in its fields is named by the way to it:
    /// `Object.spec` in `spec` of an `Object`. The check of types cannot tell.
    ///
    /// # Errors
    /// What is named otherwise, one a line, in upstream's words.
    pub fn check_names(&self) -> Result<(), String> {
        let mut wrong = Vec::new();
        self.find_misnamed(&self.name, &mut wrong);
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }

    fn find_misnamed(&self, path: &str, wrong: &mut Vec<String>) {
        if self.name != path {
            wrong.push(format!(
                "unexpected type name {:?}, expected {path:?}, which matches field name path from root Object type",
                self.name
            ));
        }
        for (name, value) in &self.fields {
            value.find_misnamed(&format!("{path}.{name}"), wrong);
        }
    }
}

impl Val<'_> {
    fn find_misnamed(&self, path: &str, wrong: &mut Vec<String>) {
        match self {
            Val::Struct(made) => made.find_misnamed(path, wrong),
            Val::List(items) => items.iter().for_each(|item| item.find_misnamed(path, wrong)),
            Val::Map(map) => map.values().for_each(|value| value.find_misnamed(path, wrong)),
            _ => {}
        }
    }
}

/// See [`Val::Lazy`].
pub trait Fields<'a> {
    /// The field, or None where there is none.
    ///
    /// # Errors
    /// What went wrong when it was computed.
    fn field(&self, name: &str) -> Result<Option<Val<'a>>, Error>;
}

impl std::fmt::Debug for dyn Fields<'_> + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("fields")
    }
}

/// A map's key. Numbers that are equal are one key, whatever their type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key<'a> {
    Bool(bool),
    Int(i64),
    /// Of those that no Int holds.
    Uint(u64),
    String(Cow<'a, str>),
}

impl<'a> Key<'a> {
    /// A value as a key, or None where it cannot be one.
    pub fn of(value: &Val<'a>) -> Option<Self> {
        Some(match value {
            Val::Bool(truth) => Key::Bool(*truth),
            Val::Int(number) => Key::Int(*number),
            Val::Uint(number) => i64::try_from(*number).map_or(Key::Uint(*number), Key::Int),
            Val::Double(number) if number.fract() == 0.0 && number.abs() < 9.0e18 => Key::Int(*number as i64),
            Val::String(text) => Key::String(text.clone()),
            _ => return None,
        })
    }

    pub fn value(&self) -> Val<'a> {
        match self {
            Key::Bool(truth) => Val::Bool(*truth),
            Key::Int(number) => Val::Int(*number),
            Key::Uint(number) => Val::Uint(*number),
            Key::String(text) => Val::String(text.clone()),
        }
    }
}

static UNTYPED: Type = Type::Dyn;

impl<'a> Val<'a> {
    pub fn string(text: impl Into<Cow<'a, str>>) -> Self {
        Val::String(text.into())
    }

    pub fn list(items: Vec<Val<'a>>) -> Self {
        Val::List(Rc::new(items))
    }

    pub fn some(value: Val<'a>) -> Self {
        Val::Optional(Some(Rc::new(value)))
    }

    /// A tree of which no type is known.
    pub fn untyped(value: &'a Value) -> Self {
        Self::typed(value, &UNTYPED)
    }

    /// A tree as its schema means it: a string of format date-time is a moment.
    pub fn typed(value: &'a Value, ty: &'a Type) -> Self {
        match (value, ty) {
            (Value::Null, _) => Val::Null,
            (Value::Bool(truth), _) => Val::Bool(*truth),
            (Value::Int(number), Type::Double) => Val::Double(*number as f64),
            (Value::Int(number), _) => Val::Int(*number),
            (Value::Float(number), Type::Int) => Val::Int(*number as i64),
            (Value::Float(number), _) => Val::Double(*number),
            (Value::String(text), Type::Timestamp) => {
                time::parse_moment(text).map_or(Val::string(text.as_str()), Val::Timestamp)
            }
            (Value::String(text), Type::Duration) => {
                time::parse_duration(text).map_or(Val::string(text.as_str()), Val::Duration)
            }
            (Value::String(text), Type::Bytes) => {
                let decoded = base64::engine::general_purpose::STANDARD.decode(text);
                decoded.map_or(Val::string(text.as_str()), |bytes| Val::Bytes(bytes.into()))
            }
            (Value::String(text), _) => Val::string(text.as_str()),
            (Value::Array(_) | Value::Object(_), _) => Val::Tree(value, ty),
        }
    }

    /// The name of the value's type, as `type(x)` has it.
    pub fn type_name(&self) -> Cow<'a, str> {
        Cow::Borrowed(match self {
            Val::Null => "null_type",
            Val::Bool(_) => "bool",
            Val::Int(_) => "int",
            Val::Uint(_) => "uint",
            Val::Double(_) => "double",
            Val::String(_) => "string",
            Val::Bytes(_) => "bytes",
            Val::Duration(_) => "google.protobuf.Duration",
            Val::Timestamp(_) => "google.protobuf.Timestamp",
            Val::List(_) | Val::Tree(Value::Array(_), _) => "list",
            Val::Map(_) | Val::Tree(_, _) => "map",
            Val::Struct(made) => return made.name.clone(),
            Val::Optional(_) => "optional_type",
            Val::Type(_) => "type",
            Val::Lazy(_) => "kubernetes.variables",
            Val::Quantity(_) => "kubernetes.Quantity",
            Val::Url(_) => "kubernetes.URL",
            Val::Ip(_) => "net.IP",
            Val::Cidr(_) => "net.CIDR",
            Val::Semver(_) => "kubernetes.Semver",
            Val::Format(_) => "kubernetes.NamedFormat",
            Val::Authorizer(asked) => asked.type_name(),
        })
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Val::String(text) => Some(text),
            _ => None,
        }
    }

    /// Characters, bytes or elements; 1 for what has no size.
    pub fn size(&self) -> u64 {
        match self {
            Val::String(text) => text.chars().count() as u64,
            Val::Bytes(bytes) => bytes.len() as u64,
            Val::List(items) => items.len() as u64,
            Val::Map(map) => map.len() as u64,
            Val::Tree(Value::Array(items), _) => items.len() as u64,
            Val::Tree(Value::Object(object), _) => object.len() as u64,
            Val::Cidr(cidr) => cidr.bytes(),
            Val::Ip(address) => {
                if address.is_ipv4() {
                    4
                } else {
                    16
                }
            }
            _ => 1,
        }
    }

    /// The elements of a list, or None for anything else.
    pub fn items(&self) -> Option<Vec<Val<'a>>> {
        match self {
            Val::List(items) => Some(items.to_vec()),
            Val::Tree(Value::Array(items), ty) => {
                let element = element_type(ty);
                Some(items.iter().map(|item| Val::typed(item, element)).collect())
            }
            _ => None,
        }
    }

    /// An element of a list, or None where the index leads nowhere.
    pub fn item(&self, index: usize) -> Option<Val<'a>> {
        match self {
            Val::List(items) => items.get(index).cloned(),
            Val::Tree(Value::Array(items), ty) => {
                items.get(index).map(|item| Val::typed(item, element_type(ty)))
            }
            _ => None,
        }
    }

    /// A map's keys and values in their order, or None for anything else.
    pub fn entries(&self) -> Option<Vec<(Val<'a>, Val<'a>)>> {
        match self {
            Val::Map(map) => Some(map.iter().map(|(key, value)| (key.value(), value.clone())).collect()),
            Val::Tree(Value::Object(object), ty) => Some(
                object
                    .iter()
                    .filter_map(|(name, value)| {
                        let (name, ty) = named_member(ty, name)?;
                        Some((Val::string(name), Val::typed(value, ty)))
                    })
                    .collect(),
            ),
            _ => None,
        }
    }

    /// What is under a key of a map, or None where nothing is.
    pub fn lookup(&self, key: &Val<'a>) -> Option<Val<'a>> {
        match self {
            Val::Map(map) => map.get(&Key::of(key)?).cloned(),
            Val::Tree(Value::Object(_), _) => self.member(key.as_str()?),
            _ => None,
        }
    }

    /// A member of an object by its name in expressions.
    pub fn member(&self, field: &str) -> Option<Val<'a>> {
        match self {
            Val::Tree(Value::Object(object), Type::Object(ty)) => {
                let known = ty.field(field)?;
                // A field that is null counts as left out.
                let value = object.get(&known.member).filter(|value| !value.is_null())?;
                Some(Val::typed(value, &known.ty))
            }
            Val::Tree(Value::Object(object), Type::Map(ty)) => {
                object.get(field).map(|value| Val::typed(value, &ty.value))
            }
            Val::Tree(Value::Object(object), _) => object.get(field).map(Val::untyped),
            Val::Map(map) => map.get(&Key::String(Cow::Owned(field.to_owned()))).cloned(),
            Val::Struct(made) => {
                made.fields.iter().find(|(name, _)| name == field).map(|(_, value)| value.clone())
            }
            _ => None,
        }
    }

    /// What an empty list adds up to.
    pub(crate) fn empty_sum(&self) -> Val<'a> {
        match self {
            Val::Tree(_, Type::List(list)) => match list.element {
                Type::Double => Val::Double(0.0),
                Type::Duration => Val::Duration(0),
                _ => Val::Int(0),
            },
            _ => Val::Int(0),
        }
    }

    /// A text that only an equal item of a set has.
    fn mark(&self) -> String {
        match self {
            Val::Int(number) => format!("int {number}"),
            Val::Double(number) => format!("double {number:?}"),
            Val::String(text) => format!("string {text}"),
            Val::Timestamp(moment) => format!("timestamp {}", moment.at().as_nanosecond()),
            Val::Duration(nanos) => format!("duration {nanos}"),
            Val::Bytes(bytes) => format!("bytes {bytes:?}"),
            Val::Tree(value, _) => json::to_string(value),
            other => format!("{} {}", other.type_name(), shown(other)),
        }
    }

    /// The marks of an item's keys.
    fn key_mark(&self, keys: &[String]) -> String {
        let marks = keys.iter().map(|key| self.member(key).map_or_else(String::new, |value| value.mark()));
        marks.map(|mark| format!("{} {mark}", mark.len())).collect()
    }

    fn list_kind(&self) -> Option<&'a ListKind> {
        match self {
            Val::Tree(_, Type::List(ty)) if ty.kind != ListKind::Atomic => Some(&ty.kind),
            _ => None,
        }
    }

    /// Equality across types of numbers; lists that are sets or maps
    /// disregard the order.
    pub fn equals(&self, other: &Val<'a>) -> bool {
        if let Some(ordering) = self.compare_numbers(other) {
            return ordering == Some(Ordering::Equal);
        }
        match (self, other) {
            (Val::Null, Val::Null) => true,
            (Val::Bool(a), Val::Bool(b)) => a == b,
            (Val::String(a), Val::String(b)) | (Val::Type(a), Val::Type(b)) => a == b,
            (Val::Bytes(a), Val::Bytes(b)) => a == b,
            (Val::Duration(a), Val::Duration(b)) => a == b,
            (Val::Timestamp(a), Val::Timestamp(b)) => a.at() == b.at(),
            (Val::Optional(a), Val::Optional(b)) => match (a, b) {
                (None, None) => true,
                (Some(a), Some(b)) => a.equals(b),
                _ => false,
            },
            (Val::Quantity(a), Val::Quantity(b)) => a == b,
            (Val::Url(a), Val::Url(b)) => a == b,
            (Val::Ip(a), Val::Ip(b)) => a == b,
            (Val::Cidr(a), Val::Cidr(b)) => a == b,
            (Val::Semver(a), Val::Semver(b)) => a.cmp_precedence(b) == Ordering::Equal,
            (Val::Format(a), Val::Format(b)) => std::ptr::eq(*a, *b),
            (Val::Struct(a), Val::Struct(b)) => {
                a.name == b.name
                    && a.fields.len() == b.fields.len()
                    && a.fields.iter().all(|(name, value)| {
                        b.fields.iter().any(|(known, other)| known == name && other.equals(value))
                    })
            }
            _ => self.equals_in_parts(other),
        }
    }

    fn equals_in_parts(&self, other: &Val<'a>) -> bool {
        if let (Some(a), Some(b)) = (self.items(), other.items()) {
            if a.len() != b.len() {
                return false;
            }
            return match self.list_kind().or_else(|| other.list_kind()) {
                None | Some(ListKind::Atomic) => a.iter().zip(&b).all(|(a, b)| a.equals(b)),
                Some(ListKind::Set) => {
                    let marks = |items: &[Val<'a>]| items.iter().map(Val::mark).collect::<BTreeSet<_>>();
                    marks(&a) == marks(&b)
                }
                Some(ListKind::Map(keys)) => {
                    let keyed: BTreeMap<String, &Val<'a>> =
                        a.iter().map(|item| (item.key_mark(keys), item)).collect();
                    let mut seen = BTreeSet::new();
                    let same = b.iter().all(|item| {
                        let key = item.key_mark(keys);
                        let known = keyed.get(&key).is_some_and(|own| own.equals(item));
                        seen.insert(key);
                        known
                    });
                    same && seen.len() == keyed.len()
                }
            };
        }
        if let (Val::Tree(Value::Object(a), Type::Object(ty)), Val::Tree(Value::Object(b), Type::Object(_))) =
            (self, other)
        {
            return a.len() == b.len() && a.iter().all(|(name, own)| ty.is_equal(name, own, b.get(name)));
        }
        let (Some(a), Some(_)) = (self.entries(), other.entries()) else { return false };
        self.size() == other.size()
            && a.iter().all(|(key, value)| other.lookup(key).is_some_and(|theirs| value.equals(&theirs)))
    }

    /// Of two numbers their order (None with NaN); None where one is no number.
    fn compare_numbers(&self, other: &Val<'a>) -> Option<Option<Ordering>> {
        Some(match (self, other) {
            (Val::Int(a), Val::Int(b)) => Some(a.cmp(b)),
            (Val::Uint(a), Val::Uint(b)) => Some(a.cmp(b)),
            (Val::Double(a), Val::Double(b)) => a.partial_cmp(b),
            (Val::Int(a), Val::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (Val::Uint(a), Val::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (Val::Int(a), Val::Double(b)) => (*a as f64).partial_cmp(b),
            (Val::Double(a), Val::Int(b)) => a.partial_cmp(&(*b as f64)),
            (Val::Uint(a), Val::Double(b)) => (*a as f64).partial_cmp(b),
            (Val::Double(a), Val::Uint(b)) => a.partial_cmp(&(*b as f64)),
            _ => return None,
        })
    }

    /// The order of two values of an ordered type, or None where they have none.
    pub fn compare(&self, other: &Val<'a>) -> Option<Ordering> {
        if let Some(ordering) = self.compare_numbers(other) {
            return ordering;
        }
        match (self, other) {
            (Val::Bool(a), Val::Bool(b)) => Some(a.cmp(b)),
            (Val::String(a), Val::String(b)) => Some(a.cmp(b)),
            (Val::Bytes(a), Val::Bytes(b)) => Some(a.cmp(b)),
            (Val::Duration(a), Val::Duration(b)) => Some(a.cmp(b)),
            (Val::Timestamp(a), Val::Timestamp(b)) => Some(a.at().cmp(&b.at())),
            _ => None,
        }
    }

    /// Two lists in one: sets without what both have, keyed lists with the
    /// second's items in the place of the first's.
    pub fn concatenated(&self, other: &Val<'a>) -> Option<Val<'a>> {
        let (mut all, more) = (self.items()?, other.items()?);
        match self.list_kind() {
            None | Some(ListKind::Atomic) => all.extend(more),
            Some(ListKind::Set) => {
                let mut known: BTreeSet<String> = all.iter().map(Val::mark).collect();
                all.extend(more.into_iter().filter(|item| known.insert(item.mark())));
            }
            Some(ListKind::Map(keys)) => {
                let places: BTreeMap<String, usize> =
                    all.iter().enumerate().map(|(at, item)| (item.key_mark(keys), at)).collect();
                for item in more {
                    match places.get(&item.key_mark(keys)) {
                        Some(&at) => all[at] = item,
                        None => all.push(item),
                    }
                }
            }
        }
        Some(Val::list(all))
    }

    /// The value as a tree, or None where a tree cannot hold it.
    pub fn tree(&self) -> Option<Value> {
        Some(match self {
            Val::Null => Value::Null,
            Val::Bool(truth) => Value::Bool(*truth),
            Val::Int(number) => Value::Int(*number),
            Val::Uint(number) => i64::try_from(*number).map_or(Value::Float(*number as f64), Value::Int),
            Val::Double(number) => Value::Float(*number),
            Val::String(text) => Value::String(text.clone().into_owned()),
            Val::Bytes(bytes) => Value::String(base64::engine::general_purpose::STANDARD.encode(bytes)),
            Val::Duration(nanos) => Value::String(time::show_duration(*nanos)),
            Val::Timestamp(moment) => Value::String(moment.to_string()),
            Val::Tree(value, _) => (*value).clone(),
            Val::List(items) => Value::Array(items.iter().map(Val::tree).collect::<Option<_>>()?),
            Val::Map(map) => {
                let mut object = Object::with_capacity(map.len());
                for (key, value) in map.iter() {
                    let Key::String(key) = key else { return None };
                    object.insert(Member::Owned(key.clone().into_owned()), value.tree()?);
                }
                Value::Object(object)
            }
            Val::Struct(made) => {
                let mut object = Object::with_capacity(made.fields.len());
                for (name, value) in &made.fields {
                    object.insert(Member::Owned(name.clone().into_owned()), value.tree()?);
                }
                Value::Object(object)
            }
            Val::Quantity(quantity) => Value::String(quantity.to_string()),
            Val::Optional(Some(value)) => value.tree()?,
            _ => return None,
        })
    }
}

impl ObjectType {
    /// Whether a member is the same in two objects. Of what is not declared,
    /// upstream only compares what both have.
    fn is_equal(&self, name: &str, own: &Value, other: Option<&Value>) -> bool {
        let field = escape(name).and_then(|name| self.fields.get(&name));
        let Some(field) = field else { return other.is_none_or(|other| own == other) };
        match (own, other.unwrap_or(&Value::Null)) {
            (Value::Null, Value::Null) => true,
            (Value::Null, _) | (_, Value::Null) => false,
            (own, other) => Val::typed(own, &field.ty).equals(&Val::typed(other, &field.ty)),
        }
    }
}

fn element_type(ty: &Type) -> &Type {
    match ty {
        Type::List(list) => &list.element,
        _ => &UNTYPED,
    }
}

/// A member's name in expressions, and its type; None where they cannot see it.
fn named_member<'a>(ty: &'a Type, member: &'a str) -> Option<(&'a str, &'a Type)> {
    match ty {
        Type::Object(object) => object
            .fields
            .iter()
            .find(|(_, field)| field.member == member)
            .map(|(name, field)| (name.as_str(), &field.ty)),
        Type::Map(map) => Some((member, &map.value)),
        _ => Some((member, &UNTYPED)),
    }
}
