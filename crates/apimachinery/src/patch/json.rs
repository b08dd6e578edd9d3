//! JSON patch, RFC 6902, as the API server applies it (evanphx/json-patch with
//! its defaults).
//!
//! Where that library is laxer than the RFC, so is this: `replace` of a missing
//! member of an object adds it, `copy` of one copies null, and negative indexes
//! count from the end. Where it is stricter, too: nothing but `replace` and
//! `test` takes the whole document.

use super::lazy::{Node, index, number};
use super::{Error, MAX_JSON_PATCH_OPERATIONS, go_shape};
use crate::json::Parsed;
use crate::{Object, Value};

/// A patch that was read; see [`Patch::apply`].
#[derive(Clone, Debug)]
pub struct Patch {
    operations: Result<Vec<Operation>, Error>,
    /// What strict field validation finds before the patch is looked at.
    strict: Result<Vec<String>, Error>,
}

/// One step.
#[derive(Clone, Debug)]
struct Operation {
    op: String,
    path: Member,
    from: Member,
    /// Null where the operation has none.
    value: Value,
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

impl Patch {
    /// Reads the body of an `application/json-patch+json` request.
    ///
    /// # Errors
    /// For what is no JSON. All else is told when the patch is used.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let Parsed { value, problems } = super::parse(bytes)?;
        let strict = strict(&value, problems);
        let operations = match value.items().len() {
            many if many > MAX_JSON_PATCH_OPERATIONS => Err(Error::TooManyOperations(many)),
            _ => operations(value).map_err(Error::Malformed),
        };
        Ok(Patch { operations, strict })
    }

    /// Reads a patch that is no request: as the library alone reads it.
    ///
    /// # Errors
    /// The decoder's words.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let value = crate::json::parse(bytes).map_err(|error| error.to_string())?;
        Ok(Patch { operations: Ok(operations(value)?), strict: Ok(Vec::new()) })
    }

    /// Whether it does nothing, for it has no operations.
    pub fn is_empty(&self) -> bool {
        self.operations.as_ref().is_ok_and(Vec::is_empty)
    }

    /// What strict field validation reports: `json patch unknown field "[0].foo"`.
    ///
    /// # Errors
    /// A member of another type than it has.
    pub fn problems(&self) -> Result<&[String], Error> {
        self.strict.as_deref().map_err(Clone::clone)
    }

    /// Applies the operations in order. On an error nothing is returned: half
    /// a patch is no patch. What was reached into comes out in the order of names.
    pub fn apply(&self, object: Value) -> Result<Value, Error> {
        let mut document = Node::from(object);
        document.members();
        // Copies may not blow the object up beyond what a body may hold.
        let mut copied = 0;
        for operation in self.operations.as_ref().map_err(Clone::clone)? {
            operation.apply(&mut document, &mut copied)?;
        }
        Ok(document.into())
    }
}

/// Bytes that copy operations of one patch may add in all (the API server's
/// limit of a body, 3 MiB).
const MAX_COPIED: usize = 3 << 20;

fn mismatch(value: &Value, target: &str) -> String {
    format!("json: cannot unmarshal {} into Go {target}", go_shape(value))
}

fn wrong(value: &Value, target: &str) -> Error {
    Error::Malformed(format!("error decoding patch: {}", mismatch(value, target)))
}

/// What the API server finds in the operations as values of its own type.
fn strict(patch: &Value, problems: Vec<String>) -> Result<Vec<String>, Error> {
    let items = match patch {
        Value::Array(items) => items.as_slice(),
        Value::Null => &[],
        other => return Err(wrong(other, "value of type []handlers.jsonPatchOp")),
    };
    let mut found: Vec<String> =
        problems.into_iter().map(|problem| format!("json patch {problem}")).collect();
    for (at, item) in items.iter().enumerate() {
        let members = match item {
            Value::Object(members) => members,
            Value::Null => continue,
            other => return Err(wrong(other, "value of type handlers.jsonPatchOp")),
        };
        for (name, value) in members.iter() {
            match name {
                "op" | "path" | "from" if !matches!(value, Value::String(_) | Value::Null) => {
                    let target = format!("struct field jsonPatchOp.{name} of type string");
                    return Err(wrong(value, &target));
                }
                "op" | "path" | "from" | "value" => {}
                _ => found.push(format!("json patch unknown field \"[{at}].{name}\"")),
            }
        }
    }
    Ok(found)
}

/// The operations as the library reads them.
fn operations(patch: Value) -> Result<Vec<Operation>, String> {
    match patch {
        Value::Array(items) => items.into_iter().map(read).collect(),
        Value::Null => Ok(Vec::new()),
        other => Err(mismatch(&other, "value of type jsonpatch.Patch")),
    }
}

fn read(item: Value) -> Result<Operation, String> {
    let mut members = match item {
        Value::Object(members) => members,
        Value::Null => Object::new(),
        other => return Err(mismatch(&other, "value of type jsonpatch.Operation")),
    };
    let mut take = |name: &str| members.remove(name).unwrap_or_default();
    Ok(Operation {
        op: take("op").as_str().unwrap_or("unknown").to_owned(),
        path: Member::read(take("path")),
        from: Member::read(take("from")),
        value: take("value"),
    })
}

const MISSING: &str = "missing value";
const NO_PATH: &str = "operation missing path field: missing value";
const NO_FROM: &str = "operation, missing from field: missing value";

impl Operation {
    fn apply(&self, document: &mut Node, copied: &mut usize) -> Result<(), Error> {
        match self.op.as_str() {
            "add" => self.add(document),
            "remove" => self.remove(document),
            "replace" => self.replace(document),
            "move" => self.relocate(document),
            "copy" => self.copy(document, copied),
            "test" => self.test(document),
            other => Err(Error::DoesNotApply(format!("Unexpected kind: {other}"))),
        }
    }

    fn add(&self, document: &mut Node) -> Result<(), Error> {
        let path = self.path.or_fail("add", "path", MISSING)?;
        let Some((holder, key)) = place(document, path) else {
            return Err(fails("add", &format!("doc is missing path: \"{path}\": {MISSING}")));
        };
        put(holder, key, self.value.clone().into()).map_err(|why| error_in("add", "path", path, &why))
    }

    fn remove(&self, document: &mut Node) -> Result<(), Error> {
        let path = self.path.or_fail("remove", "path", MISSING)?;
        let Some((holder, key)) = place(document, path) else {
            return Err(fails("remove", &format!("doc is missing path: \"{path}\": {MISSING}")));
        };
        take(holder, &key).map(drop).map_err(|why| error_in("remove", "path", path, &why))
    }

    fn replace(&self, document: &mut Node) -> Result<(), Error> {
        let path = self.path.or_fail("replace", "path", NO_PATH)?;
        let mut value = Node::from(self.value.clone());
        if path.is_empty() {
            if value.members().is_none() && value.items().is_none() {
                // The library wraps an error that is none.
                let why = "replace operation value must be object or array: %!w(<nil>)";
                return Err(Error::DoesNotApply(why.into()));
            }
            *document = value;
            return Ok(());
        }
        let missing = |what: &str| fails("replace", &format!("doc is missing {what}: {path}: {MISSING}"));
        match place(document, path).ok_or_else(|| missing("path"))? {
            // The library looks the member up and takes "not there" for a null one.
            (Node::Members(members), last) => _ = members.insert(last, value),
            (parent, last) => *parent.item(&last).map_err(|_| missing("key"))? = value,
        }
        Ok(())
    }

    fn relocate(&self, document: &mut Node) -> Result<(), Error> {
        let from = self.from.or_fail("move", "from", NO_FROM)?;
        let Some((source, key)) = place(document, from) else {
            return Err(fails("move", &format!("doc is missing from path: {from}: {MISSING}")));
        };
        let moved = take(source, &key).map_err(|why| error_in("move", "path", &key, &why))?;
        let path = self.path.or_fail("move", "path", NO_PATH)?;
        let Some((holder, key)) = place(document, path) else {
            return Err(fails("move", &format!("doc is missing destination path: {path}: {MISSING}")));
        };
        put(holder, key, moved).map_err(|why| error_in("move", "path", path, &why))
    }

    fn copy(&self, document: &mut Node, copied: &mut usize) -> Result<(), Error> {
        let from = self.from.or_fail("copy", "from", NO_FROM)?;
        let Some((source, key)) = place(document, from) else {
            return Err(fails("copy", &format!("doc is missing from path: {from}: {MISSING}")));
        };
        // A member that is not there is null.
        let found = look(source, &key).map_err(|why| error_in("copy", "from", from, &why))?;
        let copy = Value::from(found.map(|found| found.clone()).unwrap_or_default());
        let path = self.path.or_fail("copy", "path", MISSING)?;
        let Some((holder, key)) = place(document, path) else {
            return Err(fails("copy", &format!("doc is missing destination path: {path}: {MISSING}")));
        };
        *copied += size(&copy);
        if *copied > MAX_COPIED {
            return Err(fails("copy", "the copied values exceed the limit of 3 MiB"));
        }
        put(holder, key, copy.into())
            .map_err(|why| Error::DoesNotApply(format!("error while adding value during copy: {why}")))
    }

    fn test(&self, document: &mut Node) -> Result<(), Error> {
        let path = self.path.or_fail("test", "path", NO_PATH)?;
        let mut expected = Node::from(self.value.clone());
        let mut none = Node::Null;
        let found = if path.is_empty() {
            document
        } else {
            let Some((holder, key)) = place(document, path) else {
                return Err(fails("test", &format!("is missing path: {path}: {MISSING}")));
            };
            // A missing member of an object counts as null.
            let found = look(holder, &key).map_err(|why| error_in("test", "path", path, &why))?;
            found.unwrap_or(&mut none)
        };
        if found.equals(&mut expected) {
            Ok(())
        } else {
            Err(Error::TestFailed(format!("testing value {path} failed: test failed")))
        }
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

fn unescape(token: &str) -> String {
    if token.contains('~') { token.replace("~1", "/").replace("~0", "~") } else { token.to_owned() }
}

/// What holds the end of `path`, which is taken apart down to there, and the
/// last token; `None` where nothing can. What stands before the first slash
/// counts for nothing, and a path without one leads nowhere.
fn place<'a>(document: &'a mut Node, path: &str) -> Option<(&'a mut Node, String)> {
    let mut tokens: Vec<&str> = path.split('/').skip(1).collect();
    let last = tokens.pop()?;
    let mut at = document;
    for token in tokens {
        at = match at {
            Node::Members(members) => members.get_mut(&unescape(token)),
            at => at.item(&unescape(token)).ok(),
        }
        .and_then(|next| next.take_apart().then_some(next))?;
    }
    Some((at, unescape(last)))
}

/// A member that is not there is none; an item that is not there is an error.
fn look<'a>(holder: &'a mut Node, key: &str) -> Result<Option<&'a mut Node>, String> {
    match holder {
        Node::Members(members) => Ok(members.get_mut(key)),
        holder => holder.item(key).map(Some),
    }
}

fn take(holder: &mut Node, key: &str) -> Result<Node, String> {
    match holder {
        Node::Items(items) => index(key, items.len()).map(|at| items.remove(at)),
        holder => holder
            .members()
            .and_then(|members| members.remove(key))
            .ok_or_else(|| format!("Unable to remove nonexistent key: {key}: {MISSING}")),
    }
}

fn put(holder: &mut Node, key: String, value: Node) -> Result<(), String> {
    match holder {
        Node::Items(items) => {
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
        holder => _ = holder.members().map(|members| members.insert(key, value)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    fn patched(object: Value, patch: &str) -> Result<Value, Error> {
        let patch = Patch::parse(patch.as_bytes())?;
        patch.problems()?;
        patch.apply(object)
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
                r#"[{"op":"test","path":"/a/-1","value":2},{"op":"test","path":"/none","value":null}]"#,
                object(),
            ),
            (
                r#"[{"op":"test","path":"/m","value":{"t~":"v","x/y":1}},{"op":"test","path":"/none"}]"#,
                object(),
            ),
            (r#"[{"op":"replace","path":"","value":{"z":1}}]"#, value!({"z": 1})),
            (r#"[{"op":"replace","path":"","value":[1]}]"#, value!([1])),
            (
                r#"[{"op":"copy","from":"/none","path":"/a/-1"}]"#,
                value!({"a": [1, 2, null], "m": {"x/y": 1, "t~": "v"}}),
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
            r#"[{"op":"remove","path":""}]"#,
            r#"[{"op":"add","path":"","value":{}}]"#,
            r#"[{"op":"copy","from":"","path":"/b"}]"#,
            r#"[{"op":"copy","from":"/a/2","path":"/b"}]"#,
            r#"[{"op":"replace","path":"","value":"x"}]"#,
            r#"[{"op":"replace","path":""}]"#,
            // Compared as they are written.
            r#"[{"op":"test","path":"/a/0","value":1.0}]"#,
            r#"[{"op":"test","path":"/a","value":[1]}]"#,
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
    fn what_is_reached_into_is_written_by_name() {
        let object =
            || value!({"b": {"z": {"d": 1, "c": 2}, "y": [{"f": 1, "e": 2}]}, "a": {"h": 1, "g": 2}});
        for (patch, expected) in [
            ("[]", r#"{"a":{"h":1,"g":2},"b":{"z":{"d":1,"c":2},"y":[{"f":1,"e":2}]}}"#),
            (
                r#"[{"op":"add","path":"/b/y/0/x","value":{"m":2,"n":1}}]"#,
                r#"{"a":{"h":1,"g":2},"b":{"y":[{"e":2,"f":1,"x":{"m":2,"n":1}}],"z":{"d":1,"c":2}}}"#,
            ),
            // What is moved stays as it is, and what is copied is whole again.
            (
                r#"[{"op":"add","path":"/a/i","value":0},{"op":"move","from":"/a","path":"/c"}]"#,
                r#"{"b":{"z":{"d":1,"c":2},"y":[{"f":1,"e":2}]},"c":{"g":2,"h":1,"i":0}}"#,
            ),
            (
                r#"[{"op":"test","path":"/b/z","value":{"c":2,"d":1}}]"#,
                r#"{"a":{"h":1,"g":2},"b":{"y":[{"f":1,"e":2}],"z":{"c":2,"d":1}}}"#,
            ),
        ] {
            let made = patched(object(), patch).expect(patch);
            assert_eq!(crate::json::to_string(&made), expected, "{patch}");
        }
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
        let twice = Patch::parse(br#"[{"op":"add","op":"test","path":"/a","value":1}]"#).expect("a patch");
        assert_eq!(twice.problems().expect("problems"), [r#"json patch duplicate field "[0].op""#]);
        // Without field validation the library's own words are left.
        for (patch, code, message) in [
            ("{}", 400, "json: cannot unmarshal object into Go value of type jsonpatch.Patch"),
            ("[1]", 400, "json: cannot unmarshal number into Go value of type jsonpatch.Operation"),
            (r#"[{"op":1}]"#, 422, "the server rejected our request due to an error in our request"),
        ] {
            let read = Patch::parse(patch.as_bytes()).expect(patch);
            let status = read.apply(value!({})).expect_err(patch).status();
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
