//! Which FlowSchema a request belongs to: the first that matches, in the order
//! of their precedence. Compiled once for each state of the schemas and levels.
//! Pure but for the reading of the view.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::Value;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::route::Route;
use crate::{Derived, UserInfo, View};

const GROUP: &str = "flowcontrol.apiserver.k8s.io";
const SCHEMAS: &str = "flowschemas";
const LEVELS: &str = "prioritylevelconfigurations";
/// What takes whatever matches nothing else.
const CATCH_ALL: &str = "catch-all";

const SCHEMA_UID: HeaderName = HeaderName::from_static("x-kubernetes-pf-flowschema-uid");
const LEVEL_UID: HeaderName = HeaderName::from_static("x-kubernetes-pf-prioritylevel-uid");

/// What is asked for.
pub(crate) struct Asked<'a> {
    /// None for a path of no resource.
    pub route: Option<&'a Route>,
    /// The verb on the resource.
    pub verb: &'a str,
    pub method: &'a str,
    pub path: &'a str,
}

/// Where a request was put.
pub(crate) struct Flowing {
    schema: HeaderValue,
    level: HeaderValue,
}

impl Flowing {
    /// Names the schema and its level.
    pub fn mark(&self, headers: &mut HeaderMap) {
        headers.insert(SCHEMA_UID, self.schema.clone());
        headers.insert(LEVEL_UID, self.level.clone());
    }
}

/// All schemas, in the order in which they are asked.
pub(crate) struct Schemas {
    schemas: Vec<Schema>,
    fallback: Arc<Flowing>,
}

struct Schema {
    precedence: i64,
    name: String,
    rules: Vec<Rule>,
    flowing: Arc<Flowing>,
}

struct Rule {
    subjects: Vec<Subject>,
    resources: Vec<ResourceRule>,
    paths: Vec<PathRule>,
}

enum Subject {
    /// `*` is every user.
    User(String),
    /// `*` is every group.
    Group(String),
    /// How the names of a namespace's service accounts begin.
    Accounts(String),
}

struct ResourceRule {
    verbs: Vec<String>,
    groups: Vec<String>,
    resources: Vec<String>,
    cluster: bool,
    namespaces: Vec<String>,
}

struct PathRule {
    verbs: Vec<String>,
    paths: Vec<String>,
}

impl Derived for Schemas {
    const SOURCES: &'static [(&'static str, &'static str)] = &[(GROUP, SCHEMAS), (GROUP, LEVELS)];

    fn derive(view: &View) -> Self {
        let trees = |plural| view.list(GROUP, plural, "").map(|stored| stored.tree()).collect::<Vec<_>>();
        Self::of_trees(&trees(SCHEMAS), &trees(LEVELS))
    }
}

impl Schemas {
    /// A schema whose level is not there does not count.
    fn of_trees(schemas: &[Value], levels: &[Value]) -> Self {
        let uid = |object: &Value| HeaderValue::from_str(apimachinery::meta::uid(object)).ok();
        let levels: BTreeMap<&str, HeaderValue> =
            levels.iter().filter_map(|level| Some((apimachinery::meta::name(level), uid(level)?))).collect();
        let mut compiled: Vec<Schema> = schemas
            .iter()
            .filter_map(|schema| {
                let spec = &schema["spec"];
                let level = levels.get(spec["priorityLevelConfiguration"]["name"].text())?.clone();
                Some(Schema {
                    precedence: spec["matchingPrecedence"].as_i64().unwrap_or(0),
                    name: apimachinery::meta::name(schema).to_owned(),
                    rules: spec["rules"].items().iter().map(Rule::read).collect(),
                    flowing: Arc::new(Flowing { schema: uid(schema)?, level }),
                })
            })
            .collect();
        compiled.sort_by(|a, b| (a.precedence, &a.name).cmp(&(b.precedence, &b.name)));
        let catch_all = compiled.iter().find(|schema| schema.name == CATCH_ALL);
        let nothing = HeaderValue::from_static("");
        let fallback = match catch_all {
            Some(schema) => schema.flowing.clone(),
            None => Arc::new(Flowing { schema: nothing.clone(), level: nothing }),
        };
        Self { schemas: compiled, fallback }
    }

    /// Where a request of `user` belongs.
    pub fn of(&self, user: &UserInfo, asked: &Asked<'_>) -> Arc<Flowing> {
        let matching = |schema: &&Schema| schema.rules.iter().any(|rule| rule.matches(user, asked));
        let found = self.schemas.iter().find(matching).map(|schema| &schema.flowing);
        found.unwrap_or(&self.fallback).clone()
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.items().iter().map(|item| item.text().to_owned()).collect()
}

/// Whether `one` is in the list, which may be `*` alone.
fn contains(list: &[String], one: &str) -> bool {
    matches!(list, [all] if all == "*") || list.iter().any(|have| have == one)
}

impl Rule {
    fn read(rule: &Value) -> Self {
        let each = |name: &str| rule[name].items().iter();
        Self {
            subjects: each("subjects").filter_map(Subject::read).collect(),
            resources: each("resourceRules")
                .map(|rule| ResourceRule {
                    verbs: texts(&rule["verbs"]),
                    groups: texts(&rule["apiGroups"]),
                    resources: texts(&rule["resources"]),
                    cluster: rule["clusterScope"].as_bool().unwrap_or(false),
                    namespaces: texts(&rule["namespaces"]),
                })
                .collect(),
            paths: each("nonResourceRules")
                .map(|rule| PathRule { verbs: texts(&rule["verbs"]), paths: texts(&rule["nonResourceURLs"]) })
                .collect(),
        }
    }

    fn matches(&self, user: &UserInfo, asked: &Asked<'_>) -> bool {
        if !self.subjects.iter().any(|subject| subject.is(user)) {
            return false;
        }
        match asked.route {
            Some(route) => self.resources.iter().any(|rule| rule.matches(route, asked.verb)),
            None => self.paths.iter().any(|rule| rule.matches(asked)),
        }
    }
}

impl Subject {
    fn read(subject: &Value) -> Option<Self> {
        let name = |of: &str| subject[of]["name"].text().to_owned();
        match subject["kind"].text() {
            "User" => Some(Self::User(name("user"))),
            "Group" => Some(Self::Group(name("group"))),
            "ServiceAccount" => {
                let namespace = subject["serviceAccount"]["namespace"].text();
                Some(match name("serviceAccount").as_str() {
                    "*" => Self::Accounts(format!("system:serviceaccount:{namespace}:")),
                    name => Self::User(format!("system:serviceaccount:{namespace}:{name}")),
                })
            }
            _ => None,
        }
    }

    fn is(&self, user: &UserInfo) -> bool {
        match self {
            Self::User(name) => name == "*" || *name == user.name,
            Self::Group(name) => name == "*" || user.is_in(name),
            Self::Accounts(prefix) => user.name.starts_with(prefix),
        }
    }
}

impl ResourceRule {
    fn matches(&self, route: &Route, verb: &str) -> bool {
        let of_resource = match &self.resources[..] {
            [all] if all == "*" => true,
            resources if route.subresource.is_empty() => contains(resources, &route.resource),
            resources => resources.iter().any(|have| {
                have.split_once('/') == Some((route.resource.as_str(), route.subresource.as_str()))
            }),
        };
        of_resource
            && contains(&self.verbs, verb)
            && contains(&self.groups, &route.group)
            && match route.namespace.as_str() {
                "" => self.cluster,
                namespace => contains(&self.namespaces, namespace),
            }
    }
}

impl PathRule {
    fn matches(&self, asked: &Asked<'_>) -> bool {
        let verb = self.verbs.iter().any(|verb| verb == "*" || verb.eq_ignore_ascii_case(asked.method));
        verb && self.paths.iter().any(|path| {
            let prefix = path.strip_suffix('*').unwrap_or(path);
            let below = asked.path.strip_prefix(prefix);
            path == "*"
                || path == asked.path
                || below.is_some_and(|rest| prefix.ends_with('/') || rest.starts_with('/'))
        })
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;
    use crate::route;

    fn schema(name: &str, precedence: i64, level: &str, rules: Value) -> Value {
        value!({"metadata": {"name": name, "uid": name}, "spec": {
            "matchingPrecedence": precedence, "priorityLevelConfiguration": {"name": level}, "rules": rules}})
    }

    fn schemas() -> Schemas {
        let everything = value!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"],
            "clusterScope": true, "namespaces": ["*"]}]);
        let of = |kind: &str, field: &str, subject: Value| {
            let mut named = value!({"kind": kind});
            named.set(field.to_owned(), subject);
            value!({"subjects": [named], "resourceRules": everything.clone()})
        };
        Schemas::of_trees(
            &[
                schema(
                    "catch-all",
                    10_000,
                    "low",
                    Value::Array(vec![of("Group", "group", value!({"name": "nobody"}))]),
                ),
                schema("dangling", 1, "gone", Value::Array(vec![of("User", "user", value!({"name": "*"}))])),
                schema(
                    "accounts",
                    200,
                    "low",
                    Value::Array(vec![of(
                        "ServiceAccount",
                        "serviceAccount",
                        value!({"name": "*", "namespace": "a"}),
                    )]),
                ),
                schema(
                    "leases",
                    100,
                    "high",
                    value!([{"subjects": [{"kind": "Group", "group": {"name": "g"}}],
                        "resourceRules": [{"verbs": ["get", "create"], "apiGroups": ["coordination.k8s.io"],
                            "resources": ["leases"], "namespaces": ["n"]}]}]),
                ),
                schema(
                    "probes",
                    100,
                    "high",
                    value!([{"subjects": [{"kind": "User", "user": {"name": "*"}}],
                        "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/x/*"]}]}]),
                ),
            ],
            &[
                value!({"metadata": {"name": "low", "uid": "low"}}),
                value!({"metadata": {"name": "high", "uid": "high"}}),
            ],
        )
    }

    #[test]
    fn a_request_belongs_to_the_first_schema_that_matches() {
        let schemas = schemas();
        let cases = [
            ("u", "g", "get", "/apis/coordination.k8s.io/v1/namespaces/n/leases/l", "leases"),
            ("u", "g", "get", "/apis/coordination.k8s.io/v1/namespaces/m/leases/l", "catch-all"),
            ("u", "g", "get", "/apis/coordination.k8s.io/v1/leases", "catch-all"),
            ("u", "g", "get", "/apis/coordination.k8s.io/v1/namespaces/n/leases/l/status", "catch-all"),
            ("u", "g", "delete", "/apis/coordination.k8s.io/v1/namespaces/n/leases/l", "catch-all"),
            ("system:serviceaccount:a:b", "", "get", "/api/v1/pods", "accounts"),
            ("system:serviceaccount:ab:c", "", "get", "/api/v1/pods", "catch-all"),
            ("u", "", "GET", "/healthz", "probes"),
            ("u", "", "GET", "/healthz/ping", "probes"),
            ("u", "", "GET", "/healthzz", "catch-all"),
            ("u", "", "GET", "/x/y", "probes"),
            ("u", "", "POST", "/healthz", "catch-all"),
        ];
        for (user, group, verb, path, expected) in cases {
            let route = route::parse(path);
            let asked = Asked { route: route.as_ref(), verb, method: verb, path };
            let flowing = schemas.of(&UserInfo::new(user, &[group]), &asked);
            assert_eq!(flowing.schema.to_str().unwrap(), expected, "{user} {verb} {path}");
        }
    }
}
