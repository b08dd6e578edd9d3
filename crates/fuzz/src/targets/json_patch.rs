//! JSON patches on a pod: applied whole or refused.

use apimachinery::patch::json::Patch;

use super::pod;
use crate::Target;

pub const TARGET: Target = Target { name: "json_patch", seeds, check };

fn seeds() -> Vec<Vec<u8>> {
    [
        r#"[{"op":"add","path":"/metadata/labels/x","value":"y"},{"op":"test","path":"/spec/hostNetwork","value":true}]"#,
        r#"[{"op":"remove","path":"/spec/containers/0"},{"op":"replace","path":"/spec/containers/0/name","value":"z"}]"#,
        r#"[{"op":"move","from":"/spec/volumes","path":"/spec/other"},{"op":"copy","from":"/spec","path":"/status/a"}]"#,
        r#"[{"op":"add","path":"/spec/containers/-","value":{"name":"c"}},{"op":"add","path":"","value":{}}]"#,
        r#"[{"op":"copy","from":"","path":"/a"},{"op":"copy","from":"","path":"/b"},{"op":"copy","from":"","path":"/c"}]"#,
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

fn check(input: &[u8]) -> String {
    let patch = match Patch::parse(input) {
        Ok(patch) => patch,
        Err(error) => return error.to_string(),
    };
    let _ = patch.problems();
    match patch.apply(pod().1) {
        Ok(_) => "applied".into(),
        Err(error) => error.to_string(),
    }
}
