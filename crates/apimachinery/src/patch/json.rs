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
    path: Member,
    from: Member,
    /// `None` where the operation has none.
    value: Option<Value>,
}

/// A text of an operation.
#[derive(Clone, Debug)]
enum Member {
    Text(String),
    Missing,
    /// The decoder's words on what is no text.
    Wrong(String),
}

impl Member {
    fn read(value: Value) -> Self {
        match value {
            Value::String(text) => Member::Text(text),
            Value::Null => Member::Missing,
            other => Member::Wrong(format!(
                "json: cannot unmarshal {} into Go value of type string",
                go_shape(&other)
            )),
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Member::Text(text) => Some(text),
            Member::Missing | Member::Wrong(_) => None,
        }
    }

    /// The text, or the words of `operation` for want of it.
    fn or_fail(&self, operation: &str, member: &str, missing: &str) -> Result<&str, Error> {
        let fail = |why: &str| {
            Err(Error::DoesNotApply(format!("{operation} operation failed to decode {member}: {why}")))
        };
        match self {
            Member::Text(text) => Ok(text),
            Member::Missing => fail(missing),
            Member::Wrong(why) => fail(why),
        }
    }
}

/// The library's name of an operation without a name.
const UNKNOWN: &str = "unknown";
const MISSING: &str = "missing value";
const NO_PATH: &str = "operation missing path field: missing value";
const NO_FROM: &str = "operation, missing from field: missing value";

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

    /// Reads a patch that is no request: as the library alone reads it.
    ///
    /// # Errors
    /// The decoder's words.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let wrong = |value: &Value, target: &str| {
            Err(format!(
                "json: cannot unmarshal {} into Go value of type jsonpatch.{target}",
                go_shape(value)
            ))
        };
        let items = match crate::json::parse(bytes).map_err(|error| error.to_string())? {
            Value::Array(items) => items,
            Value::Null => Vec::new(),
            other => return wrong(&other, "Patch"),
        };
        let mut operations = Vec::with_capacity(items.len());
        for item in items {
            let members = match item {
                Value::Object(members) => members,
                Value::Null => Object::new(),
                other => return wrong(&other, "Operation"),
            };
            let mut operation = Operation::default();
            for (name, value) in members {
                match name.as_ref() {
                    "op" => operation.op = value.as_str().unwrap_or(UNKNOWN).to_owned(),
                    "path" => operation.path = Member::read(value),
                    "from" => operation.from = Member::read(value),
                    "value" => operation.value = Some(value),
                    _ => {}
                }
            }
            operations.push(operation);
        }
        Ok(Patch { operations, problems: Vec::new() })
    }

    /// Whether it does nothing, for it has no operations.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
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
            for path in [&operation.path, &operation.from].into_iter().filter_map(Member::text) {
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
    let mut operation = Operation::default();
    for (name, value) in members {
        let text = |value: Value| match value {
            text @ (Value::String(_) | Value::Null) => Ok(Member::read(text)),
            other => Err(wrong(&other, &format!("struct field jsonPatchOp.{name} of type string"))),
        };
        match name.as_ref() {
            "op" => operation.op = text(value)?.text().unwrap_or(UNKNOWN).to_owned(),
            "path" => operation.path = text(value)?,
            "from" => operation.from = text(value)?,
            "value" => operation.value = Some(value),
            _ => problems.push(format!("json patch unknown field \"[{at}].{name}\"")),
        }
    }
    Ok(operation)
}

impl Default for Operation {
    fn default() -> Self {
        Self { op: UNKNOWN.to_owned(), path: Member::Missing, from: Member::Missing, value: None }
    }
}

impl Operation {
    fn apply(&self, object: &mut Value, copied: &mut usize) -> Result<(), Error> {
        match self.op.as_str() {
            "add" => add(object, self.path.or_fail("add", "path", MISSING)?, self.given()),
            "remove" => self.remove(object),
            "replace" => self.replace(object),
            "move" => self.relocate(object),
            "copy" => self.copy(object, copied),
            "test" => self.test(object),
            other => Err(Error::DoesNotApply(format!("Unexpected kind: {other}"))),
        }
    }

    /// No value is null, to the library.
    fn given(&self) -> Value {
        self.value.clone().unwrap_or_default()
    }

    fn remove(&self, object: &mut Value) -> Result<(), Error> {
        let path = self.path.or_fail("remove", "path", MISSING)?;
        let Some((holder, key)) = holder(object, path) else {
            return Err(fails("remove", &format!("doc is missing path: \"{path}\": missing value")));
        };
        take(holder, &key).map_err(|why| error_in("remove", "path", path, &why))
    }

    fn replace(&self, object: &mut Value) -> Result<(), Error> {
        let path = self.path.or_fail("replace", "path", NO_PATH)?;
        if path.is_empty() {
            return match self.given() {
                whole @ (Value::Object(_) | Value::Array(_)) => {
                    *object = whole;
                    Ok(())
                }
                // The library wraps an error that is none.
                _ => Err(Error::DoesNotApply(
                    "replace operation value must be object or array: %!w(<nil>)".into(),
                )),
            };
        }
        let missing =
            |what: &str| Err(fails("replace", &format!("doc is missing {what}: {path}: missing value")));
        match holder(object, path) {
            // The library looks the member up and takes "not there" for a null one.
            Some((Value::Object(members), key)) => {
                members.insert(key, self.given());
                Ok(())
            }
            Some((Value::Array(items), key)) => match index(&key, items.len()) {
                Ok(at) => {
                    items[at] = self.given();
                    Ok(())
                }
                Err(_) => missing("key"),
            },
            _ => missing("path"),
        }
    }

    fn relocate(&self, object: &mut Value) -> Result<(), Error> {
        let from = self.from.or_fail("move", "from", NO_FROM)?;
        let Some((holder_of_source, key)) = holder(object, from) else {
            return Err(fails("move", &format!("doc is missing from path: {from}: missing value")));
        };
        let in_source = |why: String| error_in("move", "path", &key, &why);
        let value = look(holder_of_source, &key).map_err(in_source)?.cloned().unwrap_or_default();
        take(holder_of_source, &key).map_err(in_source)?;
        let path = self.path.or_fail("move", "path", NO_PATH)?;
        let Some((holder, key)) = holder(object, path) else {
            return Err(fails("move", &format!("doc is missing destination path: {path}: missing value")));
        };
        put(holder, key, value).map_err(|why| error_in("move", "path", path, &why))
    }

    fn copy(&self, object: &mut Value, copied: &mut usize) -> Result<(), Error> {
        let from = self.from.or_fail("copy", "from", NO_FROM)?;
        let Some((source, key)) = holder(object, from) else {
            return Err(fails("copy", &format!("doc is missing from path: {from}: missing value")));
        };
        let found = look(source, &key).map_err(|why| error_in("copy", "from", from, &why))?;
        // What is not there is null.
        let value = found.cloned().unwrap_or_default();
        let path = self.path.or_fail("copy", "path", MISSING)?;
        let Some((holder, key)) = holder(object, path) else {
            return Err(fails("copy", &format!("doc is missing destination path: {path}: missing value")));
        };
        *copied += size(&value);
        if *copied > MAX_COPIED {
            return Err(fails("copy", "the copied values exceed the limit of 3 MiB"));
        }
        put(holder, key, value)
            .map_err(|why| Error::DoesNotApply(format!("error while adding value during copy: {why}")))
    }

    fn test(&self, object: &mut Value) -> Result<(), Error> {
        let path = self.path.or_fail("test", "path", NO_PATH)?;
        let expected = self.value.as_ref().unwrap_or(&crate::value::NULL);
        let found = if path.is_empty() {
            &*object
        } else {
            let Some((holder, key)) = holder(object, path) else {
                return Err(fails("test", &format!("is missing path: {path}: missing value")));
            };
            // A missing member of an object counts as null.
            look(holder, &key)
                .map_err(|why| error_in("test", "path", path, &why))?
                .unwrap_or(&crate::value::NULL)
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

fn error_in(op: &str, member: &str, path: &str, why: &str) -> Error {
    Error::DoesNotApply(format!("error in {op} for {member}: '{path}': {why}"))
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

/// An item's place below `length`; negative indexes count from the end.
fn index(token: &str, length: usize) -> Result<usize, String> {
    let at = number(token)?;
    let from_end = if at < 0 { i64::try_from(length).unwrap_or(i64::MAX) } else { 0 };
    usize::try_from(at + from_end)
        .ok()
        .filter(|&at| at < length)
        .ok_or_else(|| format!("Unable to access invalid index: {at}: invalid index detected"))
}

/// A number in Go's words where it is none.
fn number(token: &str) -> Result<i64, String> {
    let digits = token.strip_prefix(['-', '+']).unwrap_or(token);
    let why = match token.parse() {
        Ok(number) => return Ok(number),
        Err(_) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            "value out of range"
        }
        Err(_) => "invalid syntax",
    };
    Err(format!("strconv.Atoi: parsing {}: {why}", crate::field::quote(token)))
}

/// The tokens of a path: what stands before the first slash counts for nothing.
fn tokens(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').skip(1)
}

/// What holds the last token of `path`, and that token; `None` where nothing
/// can, or the path has no slash.
fn holder<'a>(object: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (parent, last) = split(path)?;
    let mut at = object;
    for token in tokens(parent) {
        at = match at {
            Value::Object(members) => members.get_mut(&unescape(token))?,
            Value::Array(items) => {
                index(&unescape(token), items.len()).ok().and_then(|at| items.get_mut(at))?
            }
            _ => return None,
        };
    }
    matches!(at, Value::Object(_) | Value::Array(_)).then(|| (at, unescape(last)))
}

/// A member that is not there is none; an item that is not there is an error.
fn look<'a>(holder: &'a Value, key: &str) -> Result<Option<&'a Value>, String> {
    match holder {
        Value::Array(items) => index(key, items.len()).map(|at| Some(&items[at])),
        holder => Ok(holder.as_object().and_then(|members| members.get(key))),
    }
}

fn take(holder: &mut Value, key: &str) -> Result<(), String> {
    match holder {
        Value::Array(items) => index(key, items.len()).map(|at| drop(items.remove(at))),
        Value::Object(members) if members.contains(key) => {
            members.remove(key);
            Ok(())
        }
        _ => Err(format!("Unable to remove nonexistent key: {key}: {MISSING}")),
    }
}

fn put(holder: &mut Value, key: String, value: Value) -> Result<(), String> {
    match holder {
        Value::Array(items) => {
            let at = match key.as_str() {
                "-" => items.len(),
                token => {
                    number(token)
                        .map_err(|why| format!("value was not a proper array index: '{token}': {why}"))?;
                    index(token, items.len() + 1)?
                }
            };
            items.insert(at, value);
        }
        holder => holder.set(key, value),
    }
    Ok(())
}

fn add(object: &mut Value, path: &str, value: Value) -> Result<(), Error> {
    let Some((holder, key)) = holder(object, path) else {
        return Err(fails("add", &format!("doc is missing path: \"{path}\": missing value")));
    };
    put(holder, key, value).map_err(|why| error_in("add", "path", path, &why))
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
            (r#"[{"op":"replace","path":"","value":{"z":1}}]"#, value!({"z": 1})),
            (
                r#"[{"op":"copy","from":"/none","path":"/b"},{"op":"remove","path":"/m"}]"#,
                value!({"a": [1, 2], "b": null}),
            ),
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
    fn errors_are_the_librarys() {
        for (patch, why) in [
            (r#"[{"op":"add"}]"#, "add operation failed to decode path: missing value"),
            (
                r#"[{"op":"test","path":5}]"#,
                "test operation failed to decode path: json: cannot unmarshal number into Go value of type string",
            ),
            (r#"[{"path":"/a"}]"#, "Unexpected kind: unknown"),
            (r#"[{"op":"","path":"/a"}]"#, "Unexpected kind: "),
            (
                r#"[{"op":"add","path":"","value":{}}]"#,
                "add operation does not apply: doc is missing path: \"\": missing value",
            ),
            (
                r#"[{"op":"add","path":"/a/x","value":1}]"#,
                "error in add for path: '/a/x': value was not a proper array index: 'x': strconv.Atoi: parsing \"x\": invalid syntax",
            ),
            (
                r#"[{"op":"add","path":"/a/9","value":1}]"#,
                "error in add for path: '/a/9': Unable to access invalid index: 9: invalid index detected",
            ),
            (
                r#"[{"op":"remove","path":"/none"}]"#,
                "error in remove for path: '/none': Unable to remove nonexistent key: none: missing value",
            ),
            (
                r#"[{"op":"remove","path":""}]"#,
                "remove operation does not apply: doc is missing path: \"\": missing value",
            ),
            (
                r#"[{"op":"replace","path":"/a/7","value":1}]"#,
                "replace operation does not apply: doc is missing key: /a/7: missing value",
            ),
            (
                r#"[{"op":"replace","path":"","value":1}]"#,
                "replace operation value must be object or array: %!w(<nil>)",
            ),
            (
                r#"[{"op":"move","path":"/b"}]"#,
                "move operation failed to decode from: operation, missing from field: missing value",
            ),
            (
                r#"[{"op":"move","from":"/none","path":"/b"}]"#,
                "error in move for path: 'none': Unable to remove nonexistent key: none: missing value",
            ),
            (
                r#"[{"op":"copy","from":"/a/5","path":"/b"}]"#,
                "error in copy for from: '/a/5': Unable to access invalid index: 5: invalid index detected",
            ),
            (
                r#"[{"op":"test","path":"/n/o","value":1}]"#,
                "test operation does not apply: is missing path: /n/o: missing value",
            ),
            (r#"[{"op":"test","path":"/a","value":1}]"#, "testing value /a failed: test failed"),
        ] {
            let patch = Patch::decode(patch.as_bytes()).expect(patch);
            assert_eq!(patch.apply(value!({"a": [1, 2]})).expect_err(why).to_string(), why);
        }
        for (patch, why) in [
            ("not json", "invalid character 'o' in literal null (expecting 'u')"),
            ("{}", "json: cannot unmarshal object into Go value of type jsonpatch.Patch"),
            ("[5]", "json: cannot unmarshal number into Go value of type jsonpatch.Operation"),
        ] {
            assert_eq!(Patch::decode(patch.as_bytes()).expect_err(patch), why);
        }
        assert!(Patch::decode(b"null").expect("a patch").is_empty());
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
