//! Tells other API servers by which authority clients' certificates are signed:
//! the ConfigMap `extension-apiserver-authentication`, which the role
//! `extension-apiserver-authentication-reader` lets them read.
//!
//! Authorities that others wrote there stay. Nothing of proxies is said, since
//! nothing is passed on to other servers.

use apimachinery::{Value, value};
use apiserver::{Companion, View};

use super::ensure;

const NAMESPACE: &str = "kube-system";
const NAME: &str = "extension-apiserver-authentication";
const KEY: &str = "client-ca-file";

pub(super) fn plan(view: &View, authority: &str) -> Option<Companion> {
    let map = value!({
        "kind": "ConfigMap", "apiVersion": "v1",
        "metadata": {"namespace": NAMESPACE, "name": NAME},
        "data": {"client-ca-file": (authority)}
    });
    ensure(view, "", "configmaps", map, |stored, _| completed(stored, authority))
}

/// With the authority, where it is not there yet.
fn completed(mut map: Value, authority: &str) -> Option<Value> {
    let told = map["data"][KEY].text();
    if told.contains(authority.trim()) {
        return None;
    }
    let others = told.trim();
    let bundle = if others.is_empty() { authority.to_owned() } else { format!("{others}\n{authority}") };
    map.set_at(&["data", KEY], bundle);
    Some(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_added_once_and_others_stay() {
        for (told, wanted) in [
            (value!({"client-ca-file": "OWN\n"}), None),
            (value!({"client-ca-file": "OTHER\nOWN\n"}), None),
            (value!({"client-ca-file": "OTHER\n", "x": "y"}), Some("OTHER\nOWN\n")),
            (value!({"client-ca-file": ""}), Some("OWN\n")),
            (Value::Null, Some("OWN\n")),
        ] {
            let map = value!({"kind": "ConfigMap", "data": (told.clone())});
            let made = completed(map, "OWN\n");
            assert_eq!(made.as_ref().map(|map| map["data"][KEY].text()), wanted, "{told:?}");
            if let Some(made) = made {
                assert_eq!(made["data"]["x"], told["x"]);
            }
        }
    }
}
