//! Strategic merge patches on a pod: whatever comes of one is a pod or a refusal.

use api::facts::types;
use apimachinery::patch::strategic;
use apimachinery::schema::{Strictness, normalize};

use super::{POD, pod};
use crate::Target;

pub const TARGET: Target = Target { name: "strategic_patch", seeds, check };

fn seeds() -> Vec<Vec<u8>> {
    [
        r#"{"spec":{"containers":[{"name":"a","image":"j"},{"$patch":"delete","name":"b"}]}}"#,
        r#"{"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"a"}],"containers":[{"name":"b","image":"k"}]}}"#,
        r#"{"metadata":{"$deleteFromPrimitiveList/finalizers":["x/y"],"labels":{"$patch":"replace","c":"d"}}}"#,
        r#"{"spec":{"volumes":[{"$retainKeys":["name","hostPath"],"name":"v","hostPath":{"path":"/"}}]}}"#,
        r#"{"spec":{"tolerations":[{"$patch":"replace"},{"key":"n"}],"containers":[{"name":"a","ports":[{"containerPort":80,"$patch":"delete"}]}]}}"#,
        POD,
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

fn check(input: &[u8]) -> String {
    let patch = match strategic::parse(input) {
        Ok(patch) => patch,
        Err(error) => return error.to_string(),
    };
    let (id, before) = pod();
    let mut patched = match strategic::apply(types(), id, before, patch.value) {
        Ok(patched) => patched,
        Err(error) => return error.to_string(),
    };
    match normalize(types(), id, &mut patched, Strictness::Report) {
        Ok(problems) => problems.into_iter().next().unwrap_or_else(|| "applied".into()),
        Err(error) => error.to_string(),
    }
}
