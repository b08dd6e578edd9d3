//! Bodies in: JSON, YAML, protobuf or a tree becomes a canonical tree of the
//! kind that is expected, or the refusal that Kubernetes would send.

use api::facts;
use apimachinery::json::{self, DecodeError};
use apimachinery::protobuf;
use apimachinery::schema::{self, Strictness, TypeId};
use apimachinery::structural::{self, Schema};
use apimachinery::{Key, Object, Status, Value, value};
use bytes::Bytes;

use crate::generic::FieldValidation;

/// A body as it came.
#[derive(Clone, Debug, Default)]
pub(crate) enum Input {
    #[default]
    Nothing,
    Json(Bytes),
    Yaml(Bytes),
    Protobuf(Bytes),
    /// In process.
    Tree(Value),
}

/// What kind a body should be.
#[derive(Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub group: &'a str,
    pub version: &'a str,
    pub kind: &'a str,
    /// None for custom resources.
    pub schema: Option<TypeId>,
    /// Of custom resources.
    pub structural: Option<&'a Schema>,
    /// Further apiVersions in which the body may come, of the same shape.
    pub twins: &'a [&'a str],
}

impl Expected<'_> {
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `X in version "v1" cannot be handled as a Y: why`.
    fn refuse(&self, kind: &str, version: &str, why: &str) -> Status {
        Status::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {}: {why}",
            self.kind
        ))
    }

    /// `the object provided is unrecognized …`.
    fn unrecognized(&self, why: &str, body: &[u8]) -> Status {
        Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): {why} ({})",
            self.kind,
            summary(body)
        ))
    }
}

/// The beginning of a body, as messages show it.
fn summary(body: &[u8]) -> String {
    const MOST: usize = 30;
    let shown = &body[..body.len().min(MOST)];
    let mut text = match body.first() {
        None => return "<empty>".to_owned(),
        Some(b'{') => String::from_utf8_lossy(shown).into_owned(),
        Some(_) => shown.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    if body.len() > MOST {
        text.push_str(" ...");
    }
    text
}

/// Decodes `input`. Unknown and duplicate fields are dropped, refused or left
/// in `warnings` as `validation` says.
pub(crate) fn decode(
    input: Input,
    expected: &Expected<'_>,
    validation: FieldValidation,
    warnings: &mut Vec<String>,
) -> Result<Value, Status> {
    let strictness =
        if validation == FieldValidation::Ignore { Strictness::Ignore } else { Strictness::Report };
    let (mut value, problems) = match input {
        Input::Nothing => return Err(expected.unrecognized("EOF", &[])),
        Input::Json(bytes) => decode_json(&bytes, expected, strictness)?,
        Input::Yaml(bytes) => {
            let (bytes, mut yaml_problems) = yaml_to_json(&bytes, expected)?;
            let (value, problems) = decode_json(&bytes, expected, strictness)?;
            yaml_problems.extend(problems);
            (value, yaml_problems)
        }
        Input::Protobuf(bytes) => (decode_protobuf(&bytes, expected)?, Vec::new()),
        Input::Tree(value) => decode_tree(value, expected, strictness)?,
    };
    complete(&mut value, expected);
    report(problems, expected, &value, validation, warnings)?;
    Ok(value)
}

/// Strict problems become an error, warnings or nothing.
fn report(
    problems: Vec<String>,
    expected: &Expected<'_>,
    value: &Value,
    validation: FieldValidation,
    warnings: &mut Vec<String>,
) -> Result<(), Status> {
    if problems.is_empty() {
        return Ok(());
    }
    match validation {
        FieldValidation::Ignore => {}
        FieldValidation::Warn => warnings.extend(problems.iter().flat_map(|problem| each_problem(problem))),
        FieldValidation::Strict => {
            let why = format!("strict decoding error: {}", problems.join(", "));
            return Err(expected.refuse(value["kind"].text(), expected.version, &why));
        }
    }
    Ok(())
}

/// What the YAML reader says at once is warned about one by one.
fn each_problem(problem: &str) -> impl Iterator<Item = String> {
    let lines = problem.strip_prefix("yaml: unmarshal errors:\n").unwrap_or(problem);
    lines.split('\n').map(|line| line.trim().to_owned()).collect::<Vec<_>>().into_iter()
}

fn decode_json(
    bytes: &[u8],
    expected: &Expected<'_>,
    strictness: Strictness,
) -> Result<(Value, Vec<String>), Status> {
    let Some(schema) = expected.schema else {
        return decode_custom(bytes, expected, strictness);
    };
    let decoded = match schema::decode_json(facts::types(), schema, bytes, strictness) {
        Ok(decoded) if is_expected(&decoded.value, expected) => return Ok((decoded.value, decoded.problems)),
        other => other,
    };
    // Upstream reads version and kind first, so that their errors go before.
    let meta = json::type_meta(bytes).map_err(|error| {
        expected.unrecognized(&format!("couldn't get version/kind; json parse error: {error}"), bytes)
    })?;
    check_group_version(&meta.api_version).map_err(|why| expected.unrecognized(&why, bytes))?;
    check_kind(&meta.api_version, &meta.kind, expected)?;
    match decoded {
        Ok(decoded) => Ok((decoded.value, decoded.problems)),
        Err(error) => {
            let kind = if meta.kind.is_empty() { expected.kind } else { &meta.kind };
            Err(expected.refuse(kind, expected.version, &error.to_string()))
        }
    }
}

fn decode_custom(
    bytes: &[u8],
    expected: &Expected<'_>,
    strictness: Strictness,
) -> Result<(Value, Vec<String>), Status> {
    let meta = json::type_meta(bytes).map_err(|error| {
        expected.unrecognized(&format!("couldn't get version/kind; json parse error: {error}"), bytes)
    })?;
    if meta.kind.is_empty() {
        let why = format!("Object 'Kind' is missing in '{}'", String::from_utf8_lossy(bytes));
        return Err(expected.unrecognized(&why, bytes));
    }
    if meta.api_version.is_empty() {
        return Err(wrong_version("", expected));
    }
    check_kind(&meta.api_version, &meta.kind, expected)?;
    let refuse = |error: DecodeError| expected.refuse(&meta.kind, expected.version, &error.to_string());
    let (mut value, mut problems) = if strictness == Strictness::Report {
        let parsed = json::parse_reporting(bytes).map_err(refuse)?;
        (parsed.value, parsed.problems)
    } else {
        (json::parse(bytes).map_err(refuse)?, Vec::new())
    };
    problems.extend(coerce_custom(&mut value, expected, strictness).map_err(refuse)?);
    Ok((value, problems))
}

/// Brings a custom object into the form of its schema. One that says it is of
/// another kind is left alone: validation refuses it.
pub(crate) fn coerce_custom(
    value: &mut Value,
    expected: &Expected<'_>,
    strictness: Strictness,
) -> Result<Vec<String>, DecodeError> {
    match expected.structural {
        Some(schema) if value["kind"].is_null() || value["kind"].text() == expected.kind => {
            structural::coerce(facts::types(), schema, value, strictness)
        }
        _ => Ok(Vec::new()),
    }
}

fn decode_tree(
    mut value: Value,
    expected: &Expected<'_>,
    strictness: Strictness,
) -> Result<(Value, Vec<String>), Status> {
    let text = |name: &str| value[name].text().to_owned();
    check_kind(&text("apiVersion"), &text("kind"), expected)?;
    let Some(schema) = expected.schema else {
        json::sort_deep(&mut value);
        let problems = coerce_custom(&mut value, expected, strictness)
            .map_err(|error| expected.refuse(expected.kind, expected.version, &error.to_string()))?;
        return Ok((value, problems));
    };
    let problems = schema::normalize(facts::types(), schema, &mut value, strictness)
        .map_err(|error| expected.refuse(expected.kind, expected.version, &error.to_string()))?;
    Ok((value, problems))
}

fn decode_protobuf(bytes: &[u8], expected: &Expected<'_>) -> Result<Value, Status> {
    let Some(schema) = expected.schema else {
        return Err(Status::unsupported_media_type());
    };
    let envelope = protobuf::open(bytes).map_err(|error| expected.unrecognized(&error.to_string(), bytes))?;
    check_kind(&envelope.api_version, &envelope.kind, expected)?;
    let kind = if envelope.kind.is_empty() { expected.kind } else { &envelope.kind };
    let body = protobuf::decode(facts::types(), schema, envelope.raw)
        .map_err(|error| expected.refuse(kind, expected.version, &error.to_string()))?;
    Ok(body)
}

fn yaml_to_json(bytes: &[u8], expected: &Expected<'_>) -> Result<(Bytes, Vec<String>), Status> {
    match apimachinery::yaml::to_json(bytes) {
        Ok(converted) => Ok((Bytes::from(converted.json), converted.problem.into_iter().collect())),
        Err(error) => Err(expected.unrecognized(&format!("error converting YAML to JSON: {error}"), bytes)),
    }
}

fn is_expected(value: &Value, expected: &Expected<'_>) -> bool {
    value["kind"].text() == expected.kind && {
        let api_version = value["apiVersion"].text();
        match api_version.split_once('/') {
            Some((group, version)) => group == expected.group && version == expected.version,
            None => expected.group.is_empty() && api_version == expected.version,
        }
    }
}

/// Whether an apiVersion is a group and a version.
fn check_group_version(api_version: &str) -> Result<(), String> {
    match api_version.matches('/').count() {
        0 | 1 => Ok(()),
        _ => Err(format!("unexpected GroupVersion string: {api_version}")),
    }
}

/// Whether a body that says it is `kind` of `api_version` can be taken.
fn check_kind(api_version: &str, kind: &str, expected: &Expected<'_>) -> Result<(), Status> {
    let (group, version) = match api_version.split_once('/') {
        Some((group, version)) => (group, version),
        None if api_version.is_empty() => (expected.group, expected.version),
        None => ("", api_version),
    };
    let kind = if kind.is_empty() { expected.kind } else { kind };
    if (group, version, kind) == (expected.group, expected.version, expected.kind) {
        return Ok(());
    }
    let full = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    if kind == expected.kind && expected.twins.contains(&full.as_str()) {
        return Ok(());
    }
    if expected.schema.is_none() {
        // Custom resources are decoded as what they say; their kind is checked by validation.
        if (group, version) == (expected.group, expected.version) {
            return Ok(());
        }
        return Err(wrong_version(&full, expected));
    }
    if facts::types().kind(group, version, kind).is_none() && !was_served(group, version) {
        return Err(expected.refuse(
            kind,
            version,
            &format!(
                "no kind {kind:?} is registered for version {full:?} in scheme \"pkg/runtime/scheme.go:111\""
            ),
        ));
    }
    if kind == expected.kind {
        return Err(wrong_version(&full, expected));
    }
    let package = go_package(expected.group);
    Err(expected.refuse(
        kind,
        version,
        &format!("converting ({version}.{kind}) to ({package}.{}): unknown conversion", expected.kind),
    ))
}

/// By which names a patched tree is read.
#[derive(Debug, PartialEq)]
pub(crate) enum Names {
    /// Those of the version that it says it is of.
    Served,
    /// Those of the version without a name, which are no names of a body's
    /// fields: only what all objects have is found, and not below `metadata`.
    Internal,
}

/// How a patched tree is read: as what it says it is.
///
/// # Errors
/// The decoder's words where that is another kind, or none.
pub(crate) fn check_patched(patched: &Value, expected: &Expected<'_>) -> Result<Names, String> {
    if is_expected(patched, expected) {
        return Ok(Names::Served);
    }
    let text = json::to_string(patched);
    let meta = json::type_meta(text.as_bytes())
        .map_err(|error| format!("couldn't get version/kind; json parse error: {error}"))?;
    check_group_version(&meta.api_version)?;
    let api_version = meta.api_version.as_str();
    let kind = if meta.kind.is_empty() { expected.kind } else { meta.kind.as_str() };
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let types = facts::types();
    let unregistered = |of: &str| {
        Err(format!("no kind {kind:?} is registered for {of} in scheme \"pkg/runtime/scheme.go:111\""))
    };
    let converting = |from: &str| {
        let to = go_package(expected.group);
        Err(format!("converting ({from}.{kind}) to ({to}.{}): unknown conversion", expected.kind))
    };
    if version.is_empty() {
        if !group.is_empty() && group != expected.group {
            return Err(format!("Object 'apiVersion' is missing in '{text}'"));
        }
        if kind == expected.kind {
            return Ok(Names::Internal);
        }
        if !types.kinds().any(|(of, _, name, _)| (of, name) == (expected.group, kind)) {
            return unregistered(&format!("the internal version of group {:?}", expected.group));
        }
        return converting(go_package(expected.group));
    }
    let Some(schema) = types.kind_of(api_version, kind) else {
        return unregistered(&format!("version {api_version:?}"));
    };
    let mut read = patched.clone();
    schema::normalize(types, schema, &mut read, Strictness::Ignore).map_err(|error| error.to_string())?;
    if kind == expected.kind {
        // Another version of it, which would be converted.
        return Ok(Names::Served);
    }
    converting(version)
}

/// What is found of a tree by the names of [`Names::Internal`], and what is not.
pub(crate) fn read_internally(tree: Value) -> (Value, Vec<String>) {
    let types = facts::types();
    let known = types.object_meta().map(|id| types.get(id));
    let mut metadata = Object::new();
    let mut problems = Vec::new();
    if let Value::Object(members) = tree {
        for (name, member) in members {
            if known.is_some_and(|known| known.field(&name).is_some()) {
                metadata.insert(name, member);
            } else if !matches!(&*name, "kind" | "apiVersion") {
                problems.push(format!("unknown field {name:?}"));
            }
        }
    }
    (value!({"metadata": metadata}), problems)
}

/// The package of a group's internal types; events have one for both groups.
fn go_package(group: &str) -> &str {
    match group.split('.').next() {
        None | Some("" | "events") => "core",
        Some(first) => first,
    }
}

/// Groups that Kubernetes still reads but no longer serves.
fn was_served(group: &str, version: &str) -> bool {
    matches!(group, "extensions" | "apiextensions.k8s.io") && version == "v1beta1"
}

fn wrong_version(full: &str, expected: &Expected<'_>) -> Status {
    Status::bad_request(format!(
        "the API version in the data ({full}) does not match the expected API version ({})",
        expected.api_version()
    ))
}

/// Puts kind and apiVersion where canonical trees have them: first.
pub(crate) fn complete(value: &mut Value, expected: &Expected<'_>) {
    if is_expected(value, expected) {
        return;
    }
    let Value::Object(object) = value else { return };
    if expected.schema.is_none() {
        if object.get("apiVersion").is_none_or(Value::is_null) {
            object.insert("apiVersion", expected.api_version());
        }
        if object.get("kind").is_none_or(Value::is_null) {
            object.insert("kind", expected.kind);
        }
        object.sort();
        return;
    }
    object.remove("kind");
    object.remove("apiVersion");
    let members = object.raw_mut();
    members.insert(0, (Key::Borrowed("kind"), Value::from(expected.kind)));
    members.insert(1, (Key::Borrowed("apiVersion"), Value::from(expected.api_version())));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patched_tree_is_read_as_what_it_says() {
        let map = Expected {
            group: "",
            version: "v1",
            kind: "ConfigMap",
            schema: facts::types().kind("", "v1", "ConfigMap"),
            structural: None,
            twins: &[],
        };
        let unregistered = |of: &str| {
            Err(format!("no kind \"Foo\" is registered for {of} in scheme \"pkg/runtime/scheme.go:111\""))
        };
        for (tree, expected) in [
            (value!({"apiVersion": "v1", "kind": "ConfigMap"}), Ok(Names::Served)),
            (value!({"apiVersion": "v1"}), Ok(Names::Served)),
            (value!({"kind": "ConfigMap"}), Ok(Names::Internal)),
            (value!({}), Ok(Names::Internal)),
            (value!({"apiVersion": "", "kind": "Foo"}), unregistered("the internal version of group \"\"")),
            (value!({"apiVersion": "v1", "kind": "Foo"}), unregistered("version \"v1\"")),
            (
                value!({"apiVersion": "apps/"}),
                Err("Object 'apiVersion' is missing in '{\"apiVersion\":\"apps/\"}'".into()),
            ),
            (value!({"apiVersion": "a/b/c"}), Err("unexpected GroupVersion string: a/b/c".into())),
            (
                value!({"apiVersion": 1}),
                Err("couldn't get version/kind; json parse error: json: cannot unmarshal number into Go struct field \
                     .apiVersion of type string"
                    .into()),
            ),
            (
                value!({"apiVersion": "v1", "kind": "Secret"}),
                Err("converting (v1.Secret) to (core.ConfigMap): unknown conversion".into()),
            ),
        ] {
            assert_eq!(check_patched(&tree, &map), expected, "{tree:?}");
        }
    }

    #[test]
    fn internal_names_are_those_of_all_objects() {
        let tree = value!({"kind": "ConfigMap", "name": "a", "metadata": {"name": "b"}, "data": {}});
        let (read, problems) = read_internally(tree);
        assert_eq!(read, value!({"metadata": {"name": "a"}}));
        assert_eq!(problems, ["unknown field \"metadata\"", "unknown field \"data\""]);
    }
}
