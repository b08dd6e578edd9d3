//! Schemas of custom resources, and objects under them: pruned and defaulted
//! once is as good as twice.

use api::facts::types;
use apimachinery::field::{Errors, Path};
use apimachinery::schema::Strictness;
use apimachinery::{Value, json, structural};

use crate::Target;

pub const TARGET: Target = Target { name: "structural", seeds, check };

/// A schema and an object.
fn seeds() -> Vec<Vec<u8>> {
    [
        r#"{"schema":{"type":"object","properties":{"a":{"type":"integer","default":1,"minimum":0},"b":{"type":"array",
"x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["n"],"items":{"type":"object","required":["n"],"properties":
{"n":{"type":"string","pattern":"^a"}}}}}},"object":{"a":2,"b":[{"n":"a1"},{"n":"a1"}],"c":1}}"#,
        r#"{"schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true,"properties":{"m":{"type":"object",
"additionalProperties":{"type":"string","format":"date-time","nullable":true}},"e":{"type":"object",
"x-kubernetes-embedded-resource":true}}},"object":{"m":{"x":null,"y":"2026-01-01T00:00:00Z"},"e":{"kind":"K","metadata":{}}}}"#,
        r#"{"schema":{"type":"object","properties":{"v":{"x-kubernetes-int-or-string":true,"anyOf":[{"type":"integer"},
{"type":"string"}]},"o":{"type":"string","oneOf":[{"pattern":"^a"},{"maxLength":3}],"not":{"enum":["x"]}}}},
"object":{"v":"25%","o":"abcd"}}"#,
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

fn check(input: &[u8]) -> String {
    let Ok(both) = json::parse(input) else { return "no JSON".into() };
    let (source, mut object) = (&both["schema"], both["object"].clone());
    if let Some(why) = structural::unsupported(source) {
        return why;
    }
    let errors = structural::check_structural(source, &Path::Root);
    if let Some(error) = errors.iter().next() {
        return error.to_string();
    }
    let mut schema = structural::load(source);
    structural::prune_defaults(types(), &mut schema);
    let _ = (structural::published_v3(source), structural::published_v2(source));
    if let Err(error) = structural::coerce(types(), &schema, &mut object, Strictness::Report) {
        return error.to_string();
    }
    structural::default(&mut object, &schema);
    structural::prune(&mut object, &schema, true);
    let once = json::to_string(&object);
    structural::default(&mut object, &schema);
    structural::prune(&mut object, &schema, true);
    assert_eq!(json::to_string(&object), once, "a second time changes nothing");
    let mut errors = Errors::new();
    structural::validate(&object, &schema, &Path::Root, &mut errors);
    structural::validate_lists(&object, &schema, &Path::Root, &mut errors);
    structural::validate_update(&object, &Value::Null, &schema, &Path::Root, &mut errors);
    errors.iter().next().map_or_else(|| "valid".into(), ToString::to_string)
}
