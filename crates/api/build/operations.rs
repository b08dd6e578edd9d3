//! Operations: names, tags, descriptions and parameters that both versions of
//! OpenAPI share.

use serde::Deserialize;
use serde_json::{Value, json};

/// One method of one path, as measured.
#[derive(Deserialize)]
pub struct Operation {
    pub action: Option<String>,
    pub consumes: Vec<String>,
    pub gvk: Option<Gvk>,
    pub params: Vec<String>,
    pub responses: Vec<String>,
}

#[derive(Clone, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gvk {
    pub group: String,
    pub version: String,
    pub kind: String,
}

impl Gvk {
    pub fn extension(&self) -> Value {
        json!({"group": self.group, "kind": self.kind, "version": self.version})
    }
}

/// `apps_v1`, `core_v1`, `rbacAuthorization_v1`, or `apis` for what has no version.
pub fn tag(path: &str) -> String {
    let parts: Vec<_> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["api", version, ..] => format!("core_{version}"),
        ["apis", group, version, ..] => {
            let name = group_words(group);
            let mut letters = name.chars();
            let first = letters.next().map(|letter| letter.to_ascii_lowercase());
            format!("{}{}_{version}", first.into_iter().collect::<String>(), letters.as_str())
        }
        ["api"] => "core".into(),
        ["apis", group] => tag(&format!("apis/{group}/x")).trim_end_matches("_x").to_owned(),
        [first, ..] => first.trim_start_matches('.').replace('-', ""),
        [] => "apis".into(),
    }
}

/// `RbacAuthorization` of `rbac.authorization.k8s.io`.
fn group_words(group: &str) -> String {
    group.trim_end_matches(".k8s.io").split('.').map(capital).collect()
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

/// What a path leads to.
struct Target {
    namespaced: bool,
    all_namespaces: bool,
    group_version: String,
    subresource: String,
    with_path: bool,
}

fn target(path: &str, gvk: Option<&Gvk>) -> Target {
    let parts: Vec<_> = path.trim_matches('/').split('/').filter(|part| *part != "watch").collect();
    let (group_version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => (format!("Core{}", capital(version)), rest),
        ["apis", group, version, rest @ ..] => (format!("{}{}", group_words(group), capital(version)), rest),
        _ => (String::new(), &[] as &[&str]),
    };
    let namespaced = matches!(rest, ["namespaces", "{namespace}", _, ..]);
    let rest = if namespaced { &rest[2..] } else { rest };
    let kind = gvk.map(|gvk| gvk.kind.as_str()).unwrap_or_default();
    let (subresource, with_path) = match rest {
        [_, "{name}", subresource, "{path}"] => (capital(subresource), true),
        [_, "{name}", subresource] => (capital(subresource), false),
        _ => (String::new(), false),
    };
    let cluster_scoped = ["Node", "Namespace", "PersistentVolume", "ComponentStatus"];
    Target {
        namespaced,
        all_namespaces: !namespaced && rest.len() == 1 && !cluster_scoped.contains(&kind),
        group_version,
        subresource,
        with_path,
    }
}

/// Such as `replaceAppsV1NamespacedDeploymentScale`. `namespaced_elsewhere`:
/// the resource has namespaced paths too, so that a list here is of all.
pub fn id(path: &str, method: &str, operation: &Operation, namespaced_elsewhere: bool) -> String {
    let Some(gvk) = &operation.gvk else {
        let words: String = path.trim_matches('/').split(['/', '.', '-']).map(capital).collect();
        return format!("get{words}");
    };
    let target = target(path, Some(gvk));
    let verb = match operation.action.as_deref() {
        Some("get") => "read".to_owned(),
        Some("post") => "create".to_owned(),
        Some("put") => "replace".to_owned(),
        Some("deletecollection") => "deleteCollection".to_owned(),
        Some("watchlist") => "watch".to_owned(),
        Some("connect") => "connect".to_owned(),
        Some(other) => other.to_owned(),
        None => "get".to_owned(),
    };
    let scope = if target.namespaced { "Namespaced" } else { "" };
    // A connection's kind is its options; the path names the resource.
    let kind = if verb == "connect" {
        let options = gvk.kind.trim_end_matches("Options");
        options.trim_end_matches(target.subresource.as_str()).trim_end_matches("Proxy").to_owned()
    } else if !target.subresource.is_empty() && gvk.kind == "Scale"
        || gvk.kind == "Eviction"
        || gvk.kind == "TokenRequest"
    {
        resource_kind(path)
    } else {
        gvk.kind.clone()
    };
    let list = if operation.action.as_deref() == Some("watchlist") { "List" } else { "" };
    let with_path = if target.with_path { "WithPath" } else { "" };
    let everywhere = if target.all_namespaces && namespaced_elsewhere { "ForAllNamespaces" } else { "" };
    let method = if verb == "connect" { capital(method) } else { String::new() };
    format!(
        "{verb}{}{method}{scope}{kind}{}{list}{with_path}{everywhere}",
        target.group_version, target.subresource
    )
}

/// The kind of the resource that a subresource's path passes.
fn resource_kind(path: &str) -> String {
    let parts: Vec<_> = path.split('/').collect();
    let plural = parts.iter().position(|part| *part == "{name}").map_or("", |at| parts[at - 1]);
    match plural {
        "deployments" => "Deployment",
        "replicasets" => "ReplicaSet",
        "statefulsets" => "StatefulSet",
        "replicationcontrollers" => "ReplicationController",
        "pods" => "Pod",
        "serviceaccounts" => "ServiceAccount",
        _ => "",
    }
    .to_owned()
}

pub fn description(path: &str, method: &str, operation: &Operation) -> String {
    let Some(gvk) = &operation.gvk else {
        return match path.trim_matches('/') {
            "version" => "get the version information for this server".into(),
            "openid/v1/jwks" => {
                "get service account issuer OpenID JSON Web Key Set (contains public token verification keys)"
                    .into()
            }
            path if path.matches('/').count() == 0 => "get available API versions".into(),
            path if path.starts_with("apis/") && path.matches('/').count() == 1 => {
                "get information of a group".into()
            }
            _ => "get available resources".into(),
        };
    };
    let kind = &gvk.kind;
    let subresource = target(path, Some(gvk)).subresource.to_lowercase();
    let of = if subresource.is_empty() { String::new() } else { format!("{subresource} of ") };
    match operation.action.as_deref() {
        Some("list") => format!("list or watch objects of kind {kind}"),
        Some("get") => format!("read {of}the specified {kind}"),
        Some("post") => format!("create {of}a{} {kind}", if "AEIOU".contains(&kind[..1]) { "n" } else { "" }),
        Some("put") => format!("replace {of}the specified {kind}"),
        Some("patch") => format!("partially update {of}the specified {kind}"),
        Some("delete") => format!("delete a{} {kind}", if "AEIOU".contains(&kind[..1]) { "n" } else { "" }),
        Some("deletecollection") => format!("delete collection of {kind}"),
        Some("watch") => format!(
            "watch changes to an object of kind {kind}. deprecated: use the 'watch' parameter with a list operation instead, filtered to a single item with the 'fieldSelector' parameter."
        ),
        Some("watchlist") => format!(
            "watch individual changes to a list of {kind}. deprecated: use the 'watch' parameter with a list operation instead."
        ),
        _ => format!("connect {} requests to {of}{kind}", method.to_uppercase()),
    }
}

/// A query parameter's type.
pub fn parameter_type(name: &str) -> &'static str {
    match name {
        "limit" | "timeoutSeconds" | "gracePeriodSeconds" => "integer",
        "watch"
        | "allowWatchBookmarks"
        | "sendInitialEvents"
        | "force"
        | "orphanDependents"
        | "ignoreStoreReadErrorWithClusterBreakingPotential" => "boolean",
        _ => "string",
    }
}

/// What a query parameter does, in short.
pub fn parameter_description(name: &str) -> &'static str {
    match name {
        "allowWatchBookmarks" => "Asks for watch events with type \"BOOKMARK\".",
        "continue" => "Where the previous page of the list ended.",
        "dryRun" => "Whether the request is only tried: All, or nothing.",
        "fieldManager" => "The name under which changed fields are owned.",
        "fieldSelector" => "Restricts the objects by their fields.",
        "fieldValidation" => "What happens to unknown or duplicate fields: Ignore, Warn or Strict.",
        "force" => "Takes fields over from other owners in an apply.",
        "gracePeriodSeconds" => "Seconds before the object is deleted.",
        "labelSelector" => "Restricts the objects by their labels.",
        "limit" => "The most objects of a page.",
        "orphanDependents" => "Deprecated: use propagationPolicy.",
        "propagationPolicy" => "What becomes of dependents: Orphan, Background or Foreground.",
        "resourceVersion" => "The revision that is asked for.",
        "resourceVersionMatch" => "How resourceVersion is applied: Exact or NotOlderThan.",
        "sendInitialEvents" => "Begins a watch with the objects that are there.",
        "timeoutSeconds" => "Ends a list or watch after so many seconds.",
        "watch" => "Watches for changes instead of listing.",
        _ => "",
    }
}
