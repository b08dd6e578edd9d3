//! The functions that expressions call: the operators and the standard library
//! here, Kubernetes' libraries one a file.

pub(crate) mod cost;
pub(crate) mod format;
pub(crate) mod ip;
mod lists;
mod numbers;
pub(crate) mod quantity;
pub(crate) mod regex;
mod semver;
mod strings;
pub(crate) mod time;
mod url;

use std::rc::Rc;

use crate::error::Error;
use crate::value::{Key, Val};

/// Calls `function`; of a call on a target, `args[0]` is the target.
///
/// # Errors
/// The function's own refusal, or that no overload takes these values.
pub(crate) fn call<'a>(function: &str, args: Vec<Val<'a>>) -> Result<Val<'a>, Error> {
    // Operators but these two ask the value, which does not know who asks.
    let is_named = matches!(function, "!_" | "-_") || !function.starts_with(['_', '@']);
    if !is_named {
        return dispatch(function, args);
    }
    let types: Vec<String> = args.iter().map(|arg| arg.type_name().into_owned()).collect();
    dispatch(function, args).map_err(|error| match error {
        error if error != Error::no_overload() => error,
        _ => Error::failed(format!("no such overload: {function}({})", types.join(", "))),
    })
}

fn dispatch<'a>(function: &str, args: Vec<Val<'a>>) -> Result<Val<'a>, Error> {
    use Val::{Bool, Int, Optional, String};
    if let (Some(Val::Authorizer(asked)), rest) = (args.first(), args.get(1..).unwrap_or(&[]))
        && !function.starts_with('_')
    {
        return asked.call(function, rest);
    }
    match (function, args.as_slice()) {
        ("_==_", [a, b]) => Ok(Bool(a.equals(b))),
        ("_!=_", [a, b]) => Ok(Bool(!a.equals(b))),
        ("_<_" | "_<=_" | "_>_" | "_>=_", [a, b]) => compare(function, a, b),
        ("!_", [Bool(truth)]) => Ok(Bool(!truth)),
        ("_+_" | "_-_" | "_*_" | "_/_" | "_%_", [a, b]) => numbers::calculate(function, a, b),
        ("-_", [a]) => numbers::negate(a),
        ("@in", [item, within]) => contains(item, within),
        ("_[_]", [of, index]) => index_of(of, index),
        ("_[?_]", [of, index]) => match of {
            Optional(None) => Ok(Optional(None)),
            Optional(Some(inner)) => Ok(Optional(at(inner, index)?.map(Rc::new))),
            _ => Ok(Optional(at(of, index)?.map(Rc::new))),
        },
        ("cel.@mapInsert", [Val::Map(map), key, value]) => {
            insert(map.clone(), [(key.clone(), value.clone())])
        }
        ("cel.@mapInsert", [Val::Map(map), entries]) => {
            insert(map.clone(), entries.entries().ok_or_else(Error::no_overload)?)
        }
        ("size", [of]) => match of {
            String(_) | Val::Bytes(_) | Val::List(_) | Val::Map(_) | Val::Tree(..) => {
                Ok(Int(of.size() as i64))
            }
            _ => Err(Error::failed("no such overload: size")),
        },
        ("type", [of]) => Ok(Val::Type(of.type_name())),
        ("dyn", [of]) => Ok(of.clone()),
        ("bool" | "bytes" | "double" | "int" | "uint" | "string", [of]) => numbers::convert(function, of),
        ("optional.of", [of]) => Ok(Val::some(of.clone())),
        ("optional.none", []) => Ok(Optional(None)),
        ("optional.ofNonZeroValue", [of]) => {
            Ok(if is_zero(of) { Optional(None) } else { Val::some(of.clone()) })
        }
        ("hasValue", [Optional(of)]) => Ok(Bool(of.is_some())),
        ("value", [Optional(of)]) => match of {
            Some(of) => Ok((**of).clone()),
            None => Err(Error::failed("optional.none() dereference")),
        },
        ("optional.unwrap" | "unwrapOpt", [of]) => {
            let items = of.items().ok_or_else(Error::no_overload)?;
            let present = items.into_iter().filter_map(|item| match item {
                Optional(inner) => inner.map(|inner| (*inner).clone()),
                other => Some(other),
            });
            Ok(Val::list(present.collect()))
        }
        ("url" | "isURL", _) | (_, [Val::Url(_), ..]) => url::call(function, &args),
        ("ip" | "isIP" | "ip.isCanonical" | "cidr" | "isCIDR", _) | (_, [Val::Ip(_) | Val::Cidr(_), ..]) => {
            ip::call(function, &args)
        }
        ("quantity" | "isQuantity", _) | (_, [Val::Quantity(_), ..]) => quantity::call(function, &args),
        ("semver" | "isSemver", _) | (_, [Val::Semver(_), ..]) => semver::call(function, &args),
        ("duration" | "timestamp", _) | (_, [Val::Duration(_) | Val::Timestamp(_), ..]) => {
            time::call(function, &args)
        }
        ("find" | "findAll" | "matches", _) => regex::call(function, &args),
        (name, _) if name.starts_with("format.") => format::named(name, &args),
        ("validate", [Val::Format(format), String(text)]) => Ok(format.validated(text)),
        ("format", [String(text), values]) => {
            format::format(text, &values.items().ok_or_else(Error::no_overload)?).map(Val::string)
        }
        (_, [String(_), ..]) => strings::call(function, &args),
        _ => lists::call(function, &args),
    }
}

fn compare<'a>(function: &str, a: &Val<'a>, b: &Val<'a>) -> Result<Val<'a>, Error> {
    use std::cmp::Ordering::{Greater, Less};
    let Some(order) = a.compare(b) else {
        // NaN is in no order, which is no error.
        return match (a, b) {
            (Val::Double(_), _) | (_, Val::Double(_)) => Ok(Val::Bool(false)),
            _ => Err(Error::no_overload()),
        };
    };
    Ok(Val::Bool(match function {
        "_<_" => order == Less,
        "_<=_" => order != Greater,
        "_>_" => order == Greater,
        _ => order != Less,
    }))
}

fn contains<'a>(item: &Val<'a>, within: &Val<'a>) -> Result<Val<'a>, Error> {
    if let Some(items) = within.items() {
        return Ok(Val::Bool(items.iter().any(|have| have.equals(item))));
    }
    match within {
        Val::Map(_) | Val::Tree(..) => Ok(Val::Bool(within.lookup(item).is_some())),
        _ => Err(Error::no_overload()),
    }
}

/// `of[index]`.
fn index_of<'a>(of: &Val<'a>, index: &Val<'a>) -> Result<Val<'a>, Error> {
    match of {
        Val::Optional(None) => return Ok(Val::Optional(None)),
        Val::Optional(Some(inner)) => return Ok(Val::Optional(at(inner, index)?.map(Rc::new))),
        Val::Lazy(fields) => {
            let name = index.as_str().ok_or_else(Error::no_overload)?;
            return fields.field(name)?.ok_or_else(|| Error::no_such_key(name));
        }
        _ => {}
    }
    at(of, index)?.ok_or_else(|| match of {
        _ if of.items().is_some() => Error::failed(format!("index out of bounds: {}", format::shown(index))),
        _ => Error::no_such_key(format::shown(index)),
    })
}

/// What is at an index or key, if anything.
fn at<'a>(of: &Val<'a>, index: &Val<'a>) -> Result<Option<Val<'a>>, Error> {
    if matches!(of, Val::List(_)) || matches!(of, Val::Tree(apimachinery::Value::Array(_), _)) {
        return match index {
            Val::Int(index) => Ok(usize::try_from(*index).ok().and_then(|index| of.item(index))),
            Val::Uint(index) => Ok(usize::try_from(*index).ok().and_then(|index| of.item(index))),
            Val::Double(index) if index.fract() == 0.0 && *index >= 0.0 => Ok(of.item(*index as usize)),
            Val::Double(index) if index.fract() != 0.0 || !index.is_finite() => {
                Err(Error::failed(format!("unsupported index value {} in list", format::float(*index))))
            }
            Val::Double(_) => Ok(None),
            _ => Err(Error::failed(format!("unsupported index type '{}' in list", index.type_name()))),
        };
    }
    match of {
        // Keys of objects are texts.
        Val::Tree(..) if index.as_str().is_none() => Err(Error::no_overload()),
        Val::Map(_) | Val::Tree(..) => Ok(of.lookup(index)),
        Val::Struct(_) => Ok(index.as_str().and_then(|name| of.member(name))),
        _ => Err(Error::no_overload()),
    }
}

fn insert<'a>(
    mut map: Rc<std::collections::BTreeMap<Key<'a>, Val<'a>>>,
    entries: impl IntoIterator<Item = (Val<'a>, Val<'a>)>,
) -> Result<Val<'a>, Error> {
    let inner = Rc::make_mut(&mut map);
    for (key, value) in entries {
        let Some(key) = Key::of(&key) else { return Err(Error::no_overload()) };
        if inner.contains_key(&key) {
            let shown = format::shown(&key.value());
            return Err(Error::failed(format!("insert failed: key {shown} already exists")));
        }
        inner.insert(key, value);
    }
    Ok(Val::Map(map))
}

fn is_zero(value: &Val<'_>) -> bool {
    match value {
        Val::Null => true,
        Val::Bool(truth) => !truth,
        Val::Int(number) => *number == 0,
        Val::Uint(number) => *number == 0,
        Val::Double(number) => *number == 0.0,
        Val::Duration(nanos) => *nanos == 0,
        Val::Timestamp(moment) => {
            moment.at().as_second() == -62_135_596_800 && moment.at().subsec_nanosecond() == 0
        }
        Val::Optional(inner) => inner.is_none(),
        Val::String(_) | Val::Bytes(_) | Val::List(_) | Val::Map(_) | Val::Tree(..) => value.size() == 0,
        Val::Struct(made) => made.fields.is_empty(),
        _ => false,
    }
}
