//! YAML: whatever is read is JSON, and what is written as YAML is read the same.

use apimachinery::{json, yaml};

use super::bodies;
use crate::Target;

pub const TARGET: Target = Target { name: "yaml", seeds, check };

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = bodies();
    for text in [
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a # said\ndata:\n  k: |\n    two\n    lines\n  f: >-\n    one\n",
        "a: &x {b: [1, 0x10, 0o17, 017, 1_000, .5, 1e3, .inf, ~, y, no, on]}\nc: *x\nd:\n  <<: *x\n",
        "- 'a''b'\n- \"\\x41\\u00e9\\n\"\n- ? k\n  : v\n- 2026-01-01\n- 12:30:45\n- !!binary YQ==\n",
        "---\na: 1\na: 2\n---\nb: 3\n",
        "%YAML 1.1\n---\n[a, {b: c}, ]\n...\n",
        "a: &a [*a]\n",
        "a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: [*c,*c,*c,*c]\n",
    ] {
        seeds.push(text.as_bytes().to_vec());
    }
    seeds
}

fn check(input: &[u8]) -> String {
    let converted = match yaml::to_json(input) {
        Ok(converted) => converted,
        Err(error) => return error.to_string(),
    };
    let value = json::parse(&converted.json).expect("YAML becomes JSON");
    let written = yaml::to_string(&value).expect("what was read is written");
    let again = yaml::to_json(written.as_bytes()).expect("what was written is read");
    let (again, first) = (String::from_utf8_lossy(&again.json), String::from_utf8_lossy(&converted.json));
    assert_eq!(again, first, "in YAML: {written}");
    converted.problem.unwrap_or_else(|| "read".into())
}
