//! APIGroupDiscoveryList (apidiscovery.k8s.io/v2) as protobuf. Its types are of no resource, and
//! so the facts have none of them. As Go does, texts are written though they are empty.

use api::facts;
use apimachinery::Value;
use apimachinery::protobuf::{encode, wrap, write_bytes, write_message};

/// The list (see `aggregated`), in its envelope.
pub(super) fn write(list: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(32 << 10);
    wrap(list, &mut out, |out| {
        write_message(1, out, |out| metadata("ListMeta", &list["metadata"], out));
        for group in list["items"].items() {
            write_message(2, out, |out| {
                write_message(1, out, |out| metadata("ObjectMeta", &group["metadata"], out));
                for served in group["versions"].items() {
                    write_message(2, out, |out| version(served, out));
                }
            });
        }
    });
    out
}

fn metadata(kind: &str, metadata: &Value, out: &mut Vec<u8>) {
    let types = facts::types();
    if let Some(schema) = types.by_name(&format!("apimachinery/pkg/apis/meta/v1.{kind}")) {
        encode(types, schema, metadata, out);
    }
}

fn text(number: u32, value: &Value, out: &mut Vec<u8>) {
    write_bytes(number, value.text().as_bytes(), out);
}

fn texts(number: u32, list: &Value, out: &mut Vec<u8>) {
    list.items().iter().for_each(|item| text(number, item, out));
}

fn kind(number: u32, kind: &Value, out: &mut Vec<u8>) {
    write_message(number, out, |out| {
        text(1, &kind["group"], out);
        text(2, &kind["version"], out);
        text(3, &kind["kind"], out);
    });
}

fn version(version: &Value, out: &mut Vec<u8>) {
    text(1, &version["version"], out);
    for resource in version["resources"].items() {
        write_message(2, out, |out| {
            text(1, &resource["resource"], out);
            kind(2, &resource["responseKind"], out);
            text(3, &resource["scope"], out);
            text(4, &resource["singularResource"], out);
            texts(5, &resource["verbs"], out);
            texts(6, &resource["shortNames"], out);
            texts(7, &resource["categories"], out);
            for part in resource["subresources"].items() {
                write_message(8, out, |out| {
                    text(1, &part["subresource"], out);
                    kind(2, &part["responseKind"], out);
                    texts(4, &part["verbs"], out);
                });
            }
        });
    }
    text(3, &version["freshness"], out);
}

#[cfg(test)]
mod tests {
    use apimachinery::{protobuf, value};

    use super::*;

    #[test]
    fn members_have_upstreams_numbers() {
        let list = value!({
            "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {},
            "items": [{"metadata": {"name": "g"}, "versions": [{"version": "v1", "freshness": "Current",
                "resources": [{"resource": "things", "scope": "Cluster", "verbs": ["get"]}]}]}]
        });
        let bytes = write(&list);
        let envelope = protobuf::open(&bytes).unwrap();
        let mut version = Vec::new();
        write_bytes(1, b"v1", &mut version);
        write_message(2, &mut version, |out| {
            write_bytes(1, b"things", out);
            write_message(2, out, |out| (1..=3).for_each(|number| write_bytes(number, b"", out)));
            write_bytes(3, b"Cluster", out);
            write_bytes(4, b"", out);
            write_bytes(5, b"get", out);
        });
        write_bytes(3, b"Current", &mut version);
        let found = envelope.raw.windows(version.len()).any(|window| window == version);
        assert!(found, "{:?} in {:?}", version, envelope.raw);
    }
}
