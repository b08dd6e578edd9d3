//! Questions to the API about users and rights: objects that are answered and
//! never stored.

pub mod access;
pub mod identity;
pub mod rules;
pub mod token;

use std::collections::BTreeMap;

use apimachinery::{Status, Value, field, value};
use apiserver::UserInfo;

/// A 422 of a review. Upstream leaves the kind out.
fn invalid(errors: &field::Errors) -> Status {
    let kind = apimachinery::status::GroupKind { group: "authorization.k8s.io", kind: "" };
    Status::invalid(kind, "", errors)
}

/// authentication/v1 UserInfo.
fn user_info(user: &UserInfo) -> Value {
    let mut info = value!({"username": user.name.as_str()});
    if !user.uid.is_empty() {
        info.set("uid", user.uid.as_str());
    }
    if !user.groups.is_empty() {
        info.set("groups", user.groups.iter().map(Value::from).collect::<Vec<_>>());
    }
    if !user.extra.is_empty() {
        let mut extra = Value::object();
        for (key, values) in &user.extra {
            extra.set(key.clone(), values.iter().map(Value::from).collect::<Vec<_>>());
        }
        info.set("extra", extra);
    }
    info
}

/// The user that a spec describes (`user`, `groups`, `uid`, `extra`).
fn described_user(spec: &Value) -> UserInfo {
    let texts = |list: &Value| list.items().iter().map(|item| item.text().to_owned()).collect::<Vec<_>>();
    let extra: BTreeMap<String, Vec<String>> =
        spec["extra"].members().map(|(key, values)| (key.to_lowercase(), texts(values))).collect();
    UserInfo {
        name: spec["user"].text().to_owned(),
        uid: spec["uid"].text().to_owned(),
        groups: texts(&spec["groups"]),
        extra,
    }
}
