//! JSON patch, RFC 6902, as the API server applies it (evanphx/json-patch with
//! its defaults).
//!
//! Where that library is laxer than the RFC, so is this: `replace` of a missing
//! member of an object adds it, and negative indexes count from the end.

use super::{Error, MAX_JSON_PATCH_OPERATIONS, go_shape};
use crate::json::Parsed;
use crate::{Key, Object, Value};

/// A patch that was read; see [`Patch::apply`].
#[derive(Clone, Debug)]
pub struct Patch {
    operations: Vec<Operation>,
    problems: Vec<String>,
}

#[derive(Clone, Debug)]
struct Operation {
    op: String,
    path: Option<String>,
    from: Option<String>,
    /// `None` where the operation has none.
    value: Option<Value>,
}

impl Patch {
    /// Reads the body of an `application/json-patch+json` request.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let Parsed { value, problems } = super::parse(bytes)?;
        let mut problems: Vec<String> =
            problems.into_iter().map(|problem| format!("json patch {problem}")).collect();
        let items = match value {
            Value::Array(items) => items,
            Value::Null => Vec::new(),
            other => return Err(wrong(&other, "value of type []handlers.jsonPatchOp")),
        };
        if items.len() > MAX_JSON_PATCH_OPERATIONS {
            return Err(Error::TooManyOperations(items.len()));
        }
        let operations = items
            .into_iter()
            .enumerate()
            .map(|(at, item)| read(at, item, &mut problems))
            .collect::<Result<_, _>>()?;
        Ok(Patch { operations, problems })
    }

    /// What strict field validation reports: `json patch unknown field "[0].foo"`.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The objects and lists that the operations reach into, as a tree of
    /// objects: what the library takes apart, and so writes in its own order.
    /// A value that an operation puts there is whole again.
    pub fn reached(&self) -> Value {
        let mut reached = Value::object();
        for operation in &self.operations {
            for path in [&operation.path, &operation.from].into_iter().flatten() {
                let Some((parent, last)) = split(path) else {
                    if operation.op == "replace" || operation.op == "add" {
                        reached = Value::object();
                    }
                    continue;
                };
                let below = tokens(parent).fold(&mut reached, |at, token| {
                    let below = at.entry(Key::from(unescape(token)));
                    if below.is_null() {
                        *below = Value::object();
                    }
                    below
                });
                // An item that is added moves the others on.
                let is_item = last == "-" || last.bytes().all(|byte| byte.is_ascii_digit());
                if operation.op == "replace" || (operation.op == "add" && !is_item) {
                    below.remove(&unescape(last));
                }
            }
        }
        reached
    }

    /// Applies the operations in order. On an error nothing is returned: half
    /// a patch is no patch.
    pub fn apply(&self, mut object: Value) -> Result<Value, Error> {
        // Copies may not blow the object up beyond what a body may hold.
        let mut copied = 0;
        for operation in &self.operations {
            operation.apply(&mut object, &mut copied)?;
        }
        Ok(object)
    }
}

/// Bytes that copy operations of one patch may add in all (the API server's
/// limit of a body, 3 MiB).
const MAX_COPIED: usize = 3 << 20;

fn wrong(value: &Value, target: &str) -> Error {
    Error::Malformed(format!(
        "error decoding patch: json: cannot unmarshal {} into Go {target}",
        go_shape(value)
    ))
}

fn read(at: usize, item: Value, problems: &mut Vec<String>) -> Result<Operation, Error> {
    let members = match item {
        Value::Object(members) => members,
        Value::Null => Object::new(),
        other => return Err(wrong(&other, "value of type handlers.jsonPatchOp")),
    };
    let mut operation = Operation { op: String::new(), path: None, from: None, value: None };
    for (name, value) in members {
        let text = |value: Value| match value {
            Value::String(text) => Ok(Some(text)),
            Value::Null => Ok(None),
            other => Err(wrong(&other, &format!("struct field jsonPatchOp.{name} of type string"))),
        };
        match name.as_ref() {
            "op" => operation.op = text(value)?.unwrap_or_default(),
            "path" => operation.path = text(value)?,
            "from" => operation.from = text(value)?,
            "value" => operation.value = Some(value),
            _ => problems.push(format!("json patch unknown field \"[{at}].{name}\"")),
        }
    }
    Ok(operation)
}

impl Operation {
    fn apply(&self, object: &mut Value, copied: &mut usize) -> Result<(), Error> {
        let path = self.path.as_deref().ok_or_else(|| fails(&self.op, "missing path"))?;
        match self.op.as_str() {
            "add" => add(object, path, self.given()),
            "remove" => remove(object, path).map(drop),
            "replace" => replace(object, path, self.given()),
            "move" => {
                let value = remove(object, self.source()?)?;
                add(object, path, value)
            }
            "copy" => {
                let value = find(object, self.source()?)?.clone();
                *copied += size(&value);
                if *copied > MAX_COPIED {
                    return Err(fails("copy", "the copied values exceed the limit of 3 MiB"));
                }
                add(object, path, value)
            }
            "test" => self.test(object, path),
            other => Err(Error::DoesNotApply(format!("Unexpected kind: {other}"))),
        }
    }

    /// No value is null, to the library.
    fn given(&self) -> Value {
        self.value.clone().unwrap_or_default()
    }

    fn source(&self) -> Result<&str, Error> {
        let from = self.from.as_deref().ok_or_else(|| fails(&self.op, "missing from"))?;
        if from.is_empty() || from.contains('/') {
            Ok(from)
        } else {
            Err(fails(&self.op, &format!("doc is missing from path: {from:?}")))
        }
    }

    fn test(&self, object: &Value, path: &str) -> Result<(), Error> {
        let expected = self.value.as_ref().unwrap_or(&crate::value::NULL);
        // A missing member of an object counts as null.
        let found = match split(path) {
            Some((parent, last)) => match find(object, parent)? {
                Value::Object(members) => members.get(&unescape(last)).unwrap_or(&crate::value::NULL),
                _ => find(object, path)?,
            },
            None => object,
        };
        if same(found, expected) {
            Ok(())
        } else {
            Err(Error::TestFailed(format!("testing value {path} failed: test failed")))
        }
    }
}

/// Equality by value: 1 and 1.0 are the same number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(name, value)| b.get(name).is_some_and(|other| same(value, other)))
        }
        (Value::Int(_) | Value::Float(_), Value::Int(_) | Value::Float(_)) => a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

fn fails(op: &str, why: &str) -> Error {
    Error::DoesNotApply(format!("{op} operation does not apply: {why}"))
}

/// Roughly the bytes of a value in JSON.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| size(item) + 1).sum::<usize>() + 2,
        Value::Object(members) => {
            members.iter().map(|(name, value)| name.len() + 4 + size(value)).sum::<usize>() + 2
        }
        _ => 8,
    }
}

/// The parent's path and the last token; `None` for the whole document.
fn split(path: &str) -> Option<(&str, &str)> {
    path.rsplit_once('/')
}

fn unescape(token: &str) -> String {
    if token.contains('~') { token.replace("~1", "/").replace("~0", "~") } else { token.to_owned() }
}

/// An existing item's place; negative indexes count from the end.
fn index(token: &str, length: usize) -> Option<usize> {
    let at: i64 = token.parse().ok()?;
    let at = if at < 0 { at.checked_add(i64::try_from(length).ok()?)? } else { at };
    usize::try_from(at).ok().filter(|&at| at < length)
}

/// The tokens of a path: what stands before the first slash counts for nothing.
fn tokens(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').skip(1)
}

/// The parent that `op` needs at `path`, whole in the error.
fn parent_of<'a>(op: &str, object: &'a mut Value, parent: &str, path: &str) -> Result<&'a mut Value, Error> {
    find_mut(object, parent).map_err(|_| fails(op, &format!("doc is missing path: {path:?}: missing value")))
}

fn find<'a>(object: &'a Value, path: &str) -> Result<&'a Value, Error> {
    let missing = || fails("path", &format!("doc is missing path: {path:?}"));
    let mut at = object;
    for token in tokens(path) {
        at = match at {
            Value::Object(members) => members.get(&unescape(token)),
            Value::Array(items) => index(token, items.len()).map(|at| &items[at]),
            _ => None,
        }
        .ok_or_else(missing)?;
    }
    Ok(at)
}

fn find_mut<'a>(object: &'a mut Value, path: &str) -> Result<&'a mut Value, Error> {
    let missing = || fails("path", &format!("doc is missing path: {path:?}"));
    let mut at = object;
    for token in tokens(path) {
        at = match at {
            Value::Object(members) => members.get_mut(&unescape(token)),
            Value::Array(items) => index(token, items.len()).and_then(|at| items.get_mut(at)),
            _ => None,
        }
        .ok_or_else(missing)?;
    }
    Ok(at)
}

fn add(object: &mut Value, path: &str, value: Value) -> Result<(), Error> {
    let Some((parent, last)) = split(path) else {
        return if path.is_empty() {
            *object = value;
            Ok(())
        } else {
            Err(fails("add", &format!("doc is missing path: {path:?}: missing value")))
        };
    };
    match parent_of("add", object, parent, path)? {
        Value::Object(members) => {
            members.insert(unescape(last), value);
            Ok(())
        }
        Value::Array(items) => {
            let at = if last == "-" { Some(items.len()) } else { index(last, items.len() + 1) };
            let at = at.ok_or_else(|| fails("add", &format!("unable to access invalid index: {last}")))?;
            items.insert(at, value);
            Ok(())
        }
        _ => Err(fails("add", &format!("doc is missing path: {path:?}: missing value"))),
    }
}

fn remove(object: &mut Value, path: &str) -> Result<Value, Error> {
    let missing = || {
        let key = unescape(split(path).map_or("", |(_, last)| last));
        Error::DoesNotApply(format!(
            "error in remove for path: '{path}': Unable to remove nonexistent key: {key}: missing value"
        ))
    };
    let (parent, last) = split(path).ok_or_else(missing)?;
    match parent_of("remove", object, parent, path)? {
        Value::Object(members) => members.remove(&unescape(last)).ok_or_else(missing),
        Value::Array(items) => {
            let at = index(last, items.len()).ok_or_else(missing)?;
            Ok(items.remove(at))
        }
        _ => Err(missing()),
    }
}

fn replace(object: &mut Value, path: &str, value: Value) -> Result<(), Error> {
    let missing = || fails("replace", &format!("doc is missing path: {path}"));
    let Some((parent, last)) = split(path) else {
        return add(object, path, value);
    };
    match parent_of("replace", object, parent, path)? {
        // The library looks the member up and takes "not there" for a null one.
        Value::Object(members) => {
            members.insert(unescape(last), value);
            Ok(())
        }
        Value::Array(items) => {
            let at = index(last, items.len()).ok_or_else(missing)?;
            items[at] = value;
            Ok(())
        }
        _ => Err(missing()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    fn patched(object: Value, patch: &str) -> Result<Value, Error> {
        Patch::parse(patch.as_bytes())?.apply(object)
    }

    #[test]
    fn operations() {
        let object = || value!({"a": [1, 2], "m": {"x/y": 1, "t~": "v"}});
        let cases = [
            (
                r#"[{"op":"add","path":"/a/-","value":3}]"#,
                value!({"a": [1, 2, 3], "m": {"x/y": 1, "t~": "v"}}),
            ),
            (
                r#"[{"op":"add","path":"/a/0","value":0}]"#,
                value!({"a": [0, 1, 2], "m": {"x/y": 1, "t~": "v"}}),
            ),
            (r#"[{"op":"remove","path":"/m/x~1y"}]"#, value!({"a": [1, 2], "m": {"t~": "v"}})),
            (
                r#"[{"op":"replace","path":"/m/t~0","value":null}]"#,
                value!({"a": [1, 2], "m": {"x/y": 1, "t~": null}}),
            ),
            (
                r#"[{"op":"replace","path":"/m/new","value":1}]"#,
                value!({"a": [1, 2], "m": {"x/y": 1, "t~": "v", "new": 1}}),
            ),
            (
                r#"[{"op":"move","from":"/a/0","path":"/b"}]"#,
                value!({"a": [2], "b": 1, "m": {"x/y": 1, "t~": "v"}}),
            ),
            (
                r#"[{"op":"copy","from":"/a","path":"/m/a"}]"#,
                value!({"a": [1, 2], "m": {"x/y": 1, "t~": "v", "a": [1, 2]}}),
            ),
            (
                r#"[{"op":"test","path":"/a/-1","value":2.0},{"op":"test","path":"/none","value":null}]"#,
                object(),
            ),
            (r#"[{"op":"add","path":"","value":{"z":1}}]"#, value!({"z": 1})),
            (r#"[{"op":"add","path":"/x"}]"#, value!({"a": [1, 2], "m": {"x/y": 1, "t~": "v"}, "x": null})),
            (
                r#"[{"op":"add","path":"m/x","value":1}]"#,
                value!({"a": [1, 2], "m": {"x/y": 1, "t~": "v"}, "x": 1}),
            ),
            ("[]", object()),
        ];
        for (patch, expected) in cases {
            assert_eq!(patched(object(), patch), Ok(expected), "{patch}");
        }
    }

    #[test]
    fn what_does_not_fit_has_one_answer() {
        for patch in [
            r#"[{"op":"test","path":"/a/0","value":"1"}]"#,
            r#"[{"op":"remove","path":"/none"}]"#,
            r#"[{"op":"remove","path":"/a/2"}]"#,
            r#"[{"op":"add","path":"/a/3","value":1}]"#,
            r#"[{"op":"add","path":"/none/deeper","value":1}]"#,
            r#"[{"op":"replace","path":"/a/7","value":1}]"#,
            r#"[{"op":"grow","path":"/a"}]"#,
            r#"[{"path":"/a","value":1}]"#,
            r#"[{"op":"move","path":"/b"}]"#,
            r#"[{"op":"add","path":"a","value":1}]"#,
            r#"[{"op":"remove"}]"#,
        ] {
            let status = patched(value!({"a": [1, 2]}), patch).expect_err(patch).status();
            assert_eq!(
                (status.code, status.reason, status.message.as_str()),
                (422, "Invalid", "the server rejected our request due to an error in our request"),
                "{patch}"
            );
        }
    }

    #[test]
    fn what_is_reached_into() {
        let patch = r#"[{"op":"add","path":"/a/0/b","value":1},{"op":"move","from":"/x~1y/z","path":"/q"}]"#;
        let patch = Patch::parse(patch.as_bytes()).expect("a patch");
        assert_eq!(patch.reached(), value!({"a": {"0": {}}, "x/y": {}}));
        let patch = r#"[{"op":"add","path":"/a/b/c","value":1},{"op":"replace","path":"/a/b","value":{}}]"#;
        let patch = Patch::parse(patch.as_bytes()).expect("a patch");
        assert_eq!(patch.reached(), value!({"a": {}}));
        let twice = Patch::parse(br#"[{"op":"add","op":"test","path":"/a","value":1}]"#).expect("a patch");
        assert_eq!(twice.problems(), [r#"json patch duplicate field "[0].op""#]);
    }

    #[test]
    fn malformed_patches() {
        for (patch, code, message) in [
            (
                r#"{"op":"add"}"#,
                400,
                "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
            ),
            (
                "[1]",
                400,
                "error decoding patch: json: cannot unmarshal number into Go value of type handlers.jsonPatchOp",
            ),
            (
                r#"[{"op":1}]"#,
                400,
                "error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.op of type string",
            ),
            ("[{", 400, "invalid JSON patch"),
        ] {
            let status = patched(value!({}), patch).expect_err(patch).status();
            assert_eq!((status.code, status.message.as_str()), (code, message));
        }
        let long = format!("[{}]", vec![r#"{"op":"remove","path":"/a"}"#; 10_001].join(","));
        let status = patched(value!({}), &long).expect_err("too many").status();
        assert_eq!((status.code, status.reason), (413, "RequestEntityTooLarge"));
        assert_eq!(
            status.message,
            "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001"
        );
    }

    #[test]
    fn copies_are_bounded() {
        let mut operations =
            vec![r#"{"op":"copy","from":"/a","path":"/a/b"}"#, r#"{"op":"copy","from":"/a","path":"/a/c"}"#];
        for _ in 0..6 {
            operations.extend_from_within(..);
        }
        let patch = format!("[{}]", operations.join(","));
        assert!(matches!(patched(value!({"a": {"k": "v"}}), &patch), Err(Error::DoesNotApply(_))));
    }
}
