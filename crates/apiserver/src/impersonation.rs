//! Acting as another user: what the `Impersonate-` headers ask for, and which
//! rights allow it.
//!
//! A way may be narrow: the right to be someone (`impersonate:user-info`) with
//! the right to do this one thing as someone else
//! (`impersonate-on:user-info:list`). Who has not that needs the wide right of
//! old (`impersonate`); the refusal speaks of the narrow one. Never says what
//! the user made may do.

use std::sync::Arc;

use apimachinery::Status;
use http::HeaderValue;

use crate::extend::identity::service_account;
use crate::pipeline::{Head, with_group};
use crate::route::Route;
use crate::{Action, ApiServer, UserInfo, View};

/// What the headers ask for.
struct Wanted {
    name: String,
    uid: String,
    groups: Vec<String>,
    /// Keys and values as they came, a key once for each of its values.
    extra: Vec<(String, String)>,
}

/// A right to be someone: group, resource, subresource, namespace, name.
type Right<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str);

impl ApiServer {
    /// Acts as another user where the headers ask for it and rights allow it.
    pub(crate) fn impersonate(
        &self,
        head: &Head,
        route: Option<&Route>,
        verb: &str,
        user: Arc<UserInfo>,
        view: &View,
    ) -> Result<Arc<UserInfo>, Status> {
        let wanted = wanted(head);
        if wanted.name.is_empty() {
            if !wanted.groups.is_empty() || !wanted.extra.is_empty() || !wanted.uid.is_empty() {
                return Err(Status::bad_request(nobody(&wanted.uid, &wanted.groups, &wanted.extra)));
            }
            return Ok(user);
        }
        let mut refused = None;
        for (mode, rights) in narrow_ways(&wanted, &user) {
            let how = format!("impersonate-on:{mode}:");
            let allowed = self
                .may(&how, head, route, verb, &user, view)
                .and_then(|()| self.may_be(&format!("impersonate:{mode}"), &rights, &user, view));
            match allowed {
                Ok(()) => return Ok(made(&wanted, mode.ends_with("-node"))),
                Err(status) => refused = refused.or(Some(status)),
            }
        }
        match self.may_be("impersonate", &wide_rights(&wanted), &user, view) {
            Ok(()) => Ok(made(&wanted, false)),
            Err(status) => Err(refused.unwrap_or(status)),
        }
    }

    /// Whether the user has all these rights.
    fn may_be(
        &self,
        verb: &str,
        rights: &[Right<'_>],
        user: &Arc<UserInfo>,
        view: &View,
    ) -> Result<(), Status> {
        for &(group, resource, subresource, namespace, name) in rights {
            let version = if group.is_empty() { "" } else { "v1" };
            let action =
                Action { version, subresource, namespace, name, ..Action::on(user, verb, group, resource) };
            self.allow(&action, view)?;
        }
        Ok(())
    }
}

fn wanted(head: &Head) -> Wanted {
    let text = |name: &str| head.headers.get(name).map(told).unwrap_or_default();
    let groups = head.headers.get_all("impersonate-group").iter();
    let extra = head.headers.iter().filter_map(|(header, value)| {
        let key = header.as_str().strip_prefix("impersonate-extra-")?;
        Some((crate::query::decode(key, false).into_owned(), told(value)))
    });
    Wanted {
        name: text("impersonate-user"),
        uid: text("impersonate-uid"),
        groups: groups.map(told).collect(),
        extra: extra.collect(),
    }
}

/// What a header says, whatever its bytes: one that counted as nothing would leave the client
/// its own rights.
fn told(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// The narrow ways to be whom the headers name, in the order in which they are
/// tried.
fn narrow_ways<'a>(wanted: &'a Wanted, user: &UserInfo) -> Vec<(&'static str, Vec<Right<'a>>)> {
    const GROUP: &str = "authentication.k8s.io";
    let is_name_alone = wanted.uid.is_empty() && wanted.groups.is_empty() && wanted.extra.is_empty();
    if let Some(node) = wanted.name.strip_prefix("system:node:") {
        let mut ways = Vec::new();
        if is_name_alone {
            if user.node_of_account() == Some(node) {
                ways.push(("associated-node", vec![(GROUP, "nodes", "", "", "*")]));
            }
            ways.push(("arbitrary-node", vec![(GROUP, "nodes", "", "", node)]));
        }
        return ways;
    }
    if let Some((namespace, name)) = service_account(&wanted.name) {
        return match is_name_alone {
            true => vec![("serviceaccount", vec![(GROUP, "serviceaccounts", "", namespace, name)])],
            false => Vec::new(),
        };
    }
    if wanted.groups.iter().any(|group| group == "system:masters") {
        return Vec::new();
    }
    let mut rights = vec![(GROUP, "users", "", "", wanted.name.as_str())];
    rights.extend(wanted.groups.iter().map(|group| (GROUP, "groups", "", "", group.as_str())));
    rights.extend(further_rights(wanted));
    vec![("user-info", rights)]
}

/// The rights of old.
fn wide_rights(wanted: &Wanted) -> Vec<Right<'_>> {
    let mut rights = vec![match service_account(&wanted.name) {
        Some((namespace, name)) => ("", "serviceaccounts", "", namespace, name),
        None => ("", "users", "", "", wanted.name.as_str()),
    }];
    rights.extend(wanted.groups.iter().map(|group| ("", "groups", "", "", group.as_str())));
    rights.extend(further_rights(wanted));
    rights
}

/// The rights to a UID and extra values, which are the same in every way.
fn further_rights(wanted: &Wanted) -> impl Iterator<Item = Right<'_>> {
    const GROUP: &str = "authentication.k8s.io";
    let uid = (!wanted.uid.is_empty()).then_some((GROUP, "uids", "", "", wanted.uid.as_str()));
    let extra =
        wanted.extra.iter().map(|(key, value)| (GROUP, "userextras", key.as_str(), "", value.as_str()));
    uid.into_iter().chain(extra)
}

/// The user that the request is served as.
fn made(wanted: &Wanted, is_node: bool) -> Arc<UserInfo> {
    let mut made = UserInfo {
        name: wanted.name.clone(),
        uid: wanted.uid.clone(),
        groups: wanted.groups.clone(),
        ..UserInfo::default()
    };
    if wanted.groups.is_empty() {
        if let Some((namespace, _)) = service_account(&wanted.name) {
            made.groups =
                vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")];
        } else if is_node {
            made.groups = vec!["system:nodes".into()];
        }
    }
    for (key, value) in &wanted.extra {
        made.extra.entry(key.clone()).or_default().push(value.clone());
    }
    let mut made = Arc::new(made);
    if wanted.name == "system:anonymous" {
        with_group(&mut made, "system:unauthenticated");
    } else if !made.is_in("system:unauthenticated") {
        with_group(&mut made, "system:authenticated");
    }
    made
}

/// Impersonation of nobody, as Go prints what was asked for.
fn nobody(uid: &str, groups: &[String], extra: &[(String, String)]) -> String {
    let quoted = |texts: &[&str]| texts.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", ");
    let list = |texts: &[&str]| {
        if texts.is_empty() { "[]string(nil)".to_owned() } else { format!("[]string{{{}}}", quoted(texts)) }
    };
    let mut by_key: std::collections::BTreeMap<&str, Vec<&str>> = std::collections::BTreeMap::new();
    for (key, value) in extra {
        by_key.entry(key).or_default().push(value);
    }
    let extra = if by_key.is_empty() {
        "map[string][]string(nil)".to_owned()
    } else {
        let entries: Vec<String> =
            by_key.iter().map(|(key, values)| format!("{key:?}:{}", list(values))).collect();
        format!("map[string][]string{{{}}}", entries.join(", "))
    };
    format!(
        "requested &user.DefaultInfo{{Name:\"\", UID:{uid:?}, Groups:{}, Extra:{extra}}} without impersonating a user name",
        list(&groups.iter().map(String::as_str).collect::<Vec<_>>())
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extend::identity::NODE_OF_TOKEN;

    fn ways(name: &str, groups: &[&str], by: &UserInfo) -> Vec<String> {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        let wanted = Wanted { name: name.into(), uid: String::new(), groups, extra: Vec::new() };
        let described = |(mode, rights): (&str, Vec<Right<'_>>)| {
            let rights: Vec<_> = rights.iter().map(|right| format!("{}/{}", right.1, right.4)).collect();
            format!("{mode} {}", rights.join(" "))
        };
        narrow_ways(&wanted, by).into_iter().map(described).collect()
    }

    #[test]
    fn each_kind_of_user_has_its_narrow_way() {
        let jane = UserInfo::new("jane", &[]);
        let mut agent = UserInfo::new("system:serviceaccount:a:agent", &[]);
        agent.extra.insert(NODE_OF_TOKEN.into(), vec!["n".into()]);
        assert_eq!(ways("x", &["g"], &jane), ["user-info users/x groups/g"]);
        assert_eq!(ways("system:serviceaccount:a:b", &[], &jane), ["serviceaccount serviceaccounts/b"]);
        assert_eq!(ways("system:node:n", &[], &jane), ["arbitrary-node nodes/n"]);
        assert_eq!(ways("system:node:n", &[], &agent), ["associated-node nodes/*", "arbitrary-node nodes/n"]);
        assert!(ways("system:node:n", &["g"], &agent).is_empty());
        assert!(ways("x", &["system:masters"], &jane).is_empty());
    }
}
