//! Operations of a path: names, parameters, bodies and answers, as data that
//! both versions of OpenAPI write in their own way.

use apimachinery::Value;

use super::Facts;

/// One method of a path.
pub(super) struct Operation<'a> {
    pub method: &'a str,
    /// `get`, `list`, `post`, …; "" for paths of no resource.
    pub action: &'a str,
    pub gvk: &'a Value,
    pub id: String,
    pub tag: String,
    pub description: String,
    pub parameters: Vec<&'a str>,
    pub consumes: Vec<&'a str>,
    pub responses: Vec<&'a str>,
    /// The schema of the body, where it has one.
    pub body: Option<String>,
    /// The schema of the answer, where it is known.
    pub answer: Option<String>,
    /// What a path of no resource, or the log of a pod, is answered in; empty for what all
    /// answers come in.
    pub produces: &'static [&'static str],
}

/// The operations of `path`.
pub(super) fn of<'a>(facts: &'a Facts, path: &str, item: &'a Value) -> Vec<Operation<'a>> {
    item.members().map(|(method, operation)| one(facts, path, method, operation)).collect()
}

fn one<'a>(facts: &'a Facts, path: &str, method: &'a str, operation: &'a Value) -> Operation<'a> {
    let texts = |name: &str| operation[name].items().iter().map(Value::text).collect::<Vec<_>>();
    let action = operation["action"].text();
    let is_alone = operation["params"].items().is_empty();
    let gvk = &operation["gvk"];
    let kind = gvk["kind"].text();
    let own = match operation["answer"].as_str() {
        Some(schema) => Some(schema.to_owned()),
        None => facts.schema_of(gvk, kind).map(str::to_owned),
    };
    let answer = match action {
        "list" => facts.schema_of(gvk, &format!("{kind}List")).map(str::to_owned),
        "deletecollection" => Some(STATUS.to_owned()),
        "delete" => match own.as_deref() {
            // Kinds that a deletion gives back; others answer with a Status.
            Some(schema) if RETURNED.iter().any(|kind| schema.ends_with(kind)) => own.clone(),
            _ => Some(STATUS.to_owned()),
        },
        "watch" | "watchlist" => Some(WATCH_EVENT.to_owned()),
        "connect" => None,
        "" => discovery(path).map(str::to_owned),
        // Lines of text.
        "get" if path.ends_with("/log") => None,
        _ => own.clone(),
    };
    let body = match action {
        "post" | "put" => own,
        "patch" => Some(PATCH.to_owned()),
        "delete" | "deletecollection" => Some(DELETE_OPTIONS.to_owned()),
        _ => None,
    };
    Operation {
        method,
        action,
        gvk,
        id: match operation["id"].as_str() {
            Some(id) => id.to_owned(),
            None => id(path, method, action, kind),
        },
        tag: tag(path),
        description: description(action, kind),
        parameters: match (options(path, kind), action) {
            (Some(of), _) => [texts("params"), of].concat(),
            // The facts have nothing of what is said of a path that has one method.
            (None, "list" | "watch" | "watchlist") if is_alone => LIST_OPTIONS.to_vec(),
            (None, "post" | "put") if is_alone => WRITE_OPTIONS.to_vec(),
            _ => texts("params"),
        },
        consumes: texts("consumes"),
        responses: texts("responses"),
        body,
        answer,
        produces: produces(path),
    }
}

/// What all methods of a path take, which is said of the path: names and places (path or query), in
/// order.
pub(super) fn shared<'a>(path: &str, operations: &[Operation<'a>]) -> Vec<(&'a str, &'static str)> {
    let mut shared: Vec<(&'a str, &'static str)> = ["name", "namespace", "path"]
        .into_iter()
        .filter(|name| path.contains(&format!("{{{name}}}")))
        .map(|name| (name, "path"))
        .collect();
    if operations.iter().any(|operation| !operation.action.is_empty() && operation.action != "connect") {
        shared.push(("pretty", "query"));
    }
    let common = operations.first().into_iter().flat_map(|first| &first.parameters);
    let by_all = |name: &&&str| operations.iter().all(|other| other.parameters.contains(name));
    shared.extend(common.filter(by_all).map(|name| (*name, "query")));
    shared.sort_unstable();
    shared
}

/// What a method takes beside what all methods of its path do.
pub(super) fn own<'a>(operation: &Operation<'a>, shared: &[(&str, &str)]) -> Vec<&'a str> {
    let own = operation.parameters.iter().filter(|name| !shared.contains(&(**name, "query")));
    own.copied().collect()
}

/// The schema of a discovery document.
fn discovery(path: &str) -> Option<&'static str> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["api"] => Some("io.k8s.apimachinery.pkg.apis.meta.v1.APIVersions"),
        ["apis"] => Some("io.k8s.apimachinery.pkg.apis.meta.v1.APIGroupList"),
        ["apis", _] => Some("io.k8s.apimachinery.pkg.apis.meta.v1.APIGroup"),
        ["api", _] | ["apis", _, _] => Some("io.k8s.apimachinery.pkg.apis.meta.v1.APIResourceList"),
        ["version"] => Some(VERSION),
        _ => None,
    }
}

/// See [`Operation::produces`].
fn produces(path: &str) -> &'static [&'static str] {
    match path {
        "/version/" | "/.well-known/openid-configuration/" => &["application/json"],
        "/openid/v1/jwks/" => &["application/jwk-set+json"],
        path if path.ends_with("/log") => {
            &["text/plain", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"]
        }
        _ => &[],
    }
}

/// The parameters of a stream or of a log: the fields of its options.
fn options(path: &str, kind: &str) -> Option<Vec<&'static str>> {
    let kind = if path.ends_with("/log") { "PodLogOptions" } else { kind };
    if !kind.ends_with("Options") || kind.starts_with("Delete") {
        return None;
    }
    let types = api::facts::types();
    let fields = &types.get(types.kind("", "v1", kind)?).fields;
    // A query has no form for a time.
    let told = |name: &&str| !matches!(*name, "kind" | "apiVersion" | "sinceTime");
    Some(fields.iter().map(|field| field.json).filter(told).collect())
}

/// What `/version` answers.
pub(super) const VERSION: &str = "io.k8s.apimachinery.pkg.version.Info";
pub(super) const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
const WATCH_EVENT: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent";
const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
const RETURNED: [&str; 16] = [
    "core.v1.PodTemplate",
    "resource.v1.DeviceClass",
    "resource.v1.ResourceClaim",
    "resource.v1.ResourceClaimTemplate",
    "resource.v1.ResourceSlice",
    "storage.v1.CSIDriver",
    "storage.v1.CSINode",
    "storage.v1.StorageClass",
    "storage.v1.VolumeAttachment",
    "storage.v1.VolumeAttributesClass",
    "core.v1.Pod",
    "core.v1.Service",
    "core.v1.ServiceAccount",
    "core.v1.PersistentVolume",
    "core.v1.PersistentVolumeClaim",
    "core.v1.ResourceQuota",
];

/// What a list may be asked for.
pub(super) const LIST_OPTIONS: [&str; 11] = [
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "shardSelector",
    "timeoutSeconds",
    "watch",
];
/// What a write may be asked for.
pub(super) const WRITE_OPTIONS: [&str; 3] = ["dryRun", "fieldManager", "fieldValidation"];

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Group and version of a path as operation ids write them: `CoreV1`, `RbacAuthorizationV1`.
fn camel(path: &str) -> String {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (group, version) = match parts.as_slice() {
        ["api", version, ..] => ("core", *version),
        ["api"] => ("core", ""),
        ["apis", group, version, ..] => (*group, *version),
        ["apis", group] => (*group, ""),
        ["apis"] => ("", ""),
        _ => ("", ""),
    };
    let group = group.trim_end_matches(".k8s.io");
    group.split('.').map(capital).collect::<String>() + &capital(version)
}

/// `readCoreV1NamespacedConfigMap`.
fn id(path: &str, method: &str, action: &str, kind: &str) -> String {
    let group = camel(path);
    if action.is_empty() {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        return match parts.as_slice() {
            ["api" | "apis", _, _] | ["api", _] => format!("get{group}APIResources"),
            ["api"] => "getCoreAPIVersions".into(),
            ["apis"] => "getAPIVersions".into(),
            ["apis", _] => format!("get{group}APIGroup"),
            ["version"] => "getCodeVersion".into(),
            [".well-known", ..] => "getServiceAccountIssuerOpenIDConfiguration".into(),
            ["openid", ..] => "getServiceAccountIssuerOpenIDKeyset".into(),
            other => format!("get{}", other.iter().map(|part| capital(part)).collect::<String>()),
        };
    }
    let verb = match action {
        "get" => "read",
        "list" => "list",
        "post" => "create",
        "put" => "replace",
        "deletecollection" => {
            let namespaced = if path.contains("/{namespace}/") { "Namespaced" } else { "" };
            return format!("delete{group}Collection{namespaced}{kind}");
        }
        "watch" | "watchlist" => "watch",
        "connect" => return connect_id(path, method, &group, kind),
        other => other,
    };
    let namespaced = if path.contains("/{namespace}/") { "Namespaced" } else { "" };
    let subresource = path.split("/{name}/").nth(1).map(capital).unwrap_or_default();
    // A subresource is told of its owner, whatever its own kind.
    let owner = if subresource.is_empty() { None } else { owner(path) };
    let mut id = format!("{verb}{group}{namespaced}{}{subresource}", owner.as_deref().unwrap_or(kind));
    if action == "watchlist" {
        id.push_str("List");
    }
    if matches!(action, "list" | "watchlist") && namespaced.is_empty() && is_of_all_namespaces(path) {
        id.push_str("ForAllNamespaces");
    }
    id
}

fn connect_id(path: &str, method: &str, group: &str, kind: &str) -> String {
    let namespaced = if path.contains("/{namespace}/") { "Namespaced" } else { "" };
    let method = capital(method);
    let owner = match kind.trim_end_matches("Options") {
        "PodPortForward" => "PodPortforward",
        owner => owner,
    };
    let with_path = if path.ends_with("/{path}") { "WithPath" } else { "" };
    format!("connect{group}{method}{namespaced}{owner}{with_path}")
}

/// The kind of the object that a path leads through.
fn owner(path: &str) -> Option<String> {
    let plural = path.split("/{name}/").next()?.rsplit('/').next()?;
    let version: Vec<&str> = path.trim_matches('/').split('/').collect();
    let group = if version.first() == Some(&"api") { "" } else { version.get(1).copied()? };
    let found = api::facts::discovery()
        .iter()
        .find(|resource| (&*resource.group, &*resource.resource) == (group, plural));
    found.map(|resource| resource.kind.clone())
}

/// Whether a list without a namespace in its path is of a namespaced kind.
fn is_of_all_namespaces(path: &str) -> bool {
    let plural = path.rsplit('/').next().unwrap_or("");
    api::facts::discovery()
        .iter()
        .any(|resource| resource.resource == plural && resource.scope == api::facts::Scope::Namespaced)
}

/// `core_v1`.
fn tag(path: &str) -> String {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let short = |group: &str| {
        let words: Vec<String> = group.trim_end_matches(".k8s.io").split('.').map(capital).collect();
        let joined = words.concat();
        let mut letters = joined.chars();
        letters
            .next()
            .map(|first| first.to_lowercase().chain(letters).collect::<String>())
            .unwrap_or_default()
    };
    match parts.as_slice() {
        [".well-known", ..] => "WellKnown".into(),
        ["api"] => "core".into(),
        ["api", version, ..] => format!("core_{version}"),
        ["apis"] => "apis".into(),
        ["apis", group] => short(group),
        ["apis", group, version, ..] => format!("{}_{version}", short(group)),
        _ => parts.first().copied().unwrap_or("").trim_start_matches('.').to_owned(),
    }
}

fn description(action: &str, kind: &str) -> String {
    match action {
        "get" => format!("read the specified {kind}"),
        "list" => format!("list or watch objects of kind {kind}"),
        "post" => format!("create a {kind}"),
        "put" => format!("replace the specified {kind}"),
        "patch" => format!("partially update the specified {kind}"),
        "delete" => format!("delete a {kind}"),
        "deletecollection" => format!("delete collection of {kind}"),
        "watch" => format!("watch changes to an object of kind {kind}"),
        "watchlist" => format!("watch individual changes to a list of {kind}"),
        "connect" => format!("connect requests to {kind}"),
        _ => "get available resources".into(),
    }
}

/// A parameter's type and what it is for.
pub(super) fn parameter(name: &str) -> (&'static str, &'static str) {
    match name {
        "allowWatchBookmarks" => ("boolean", "whether the watch also sends events of type BOOKMARK"),
        "continue" => ("string", "the token of the page before, to go on after it"),
        "dryRun" => ("string", "All: do everything but store the result"),
        "fieldManager" => ("string", "the name of the program or person that makes the change"),
        "fieldSelector" => ("string", "chooses objects by their fields"),
        "fieldValidation" => {
            ("string", "what to do about unknown and duplicate fields: Ignore, Warn or Strict")
        }
        "force" => ("boolean", "takes over fields that other managers own; only for apply"),
        "gracePeriodSeconds" => ("integer", "the seconds before the object is deleted; 0 is at once"),
        "ignoreStoreReadErrorWithClusterBreakingPotential" => {
            ("boolean", "deletes the object even where it can no longer be read")
        }
        "labelSelector" => ("string", "chooses objects by their labels"),
        "limit" => ("integer", "the most objects that one answer holds"),
        "orphanDependents" => ("boolean", "deprecated: use propagationPolicy"),
        "pretty" => ("string", "writes the answer with indentation"),
        "propagationPolicy" => ("string", "what becomes of dependents: Orphan, Background or Foreground"),
        "resourceVersion" => ("string", "the revision that the answer is of or starts from"),
        "resourceVersionMatch" => ("string", "how resourceVersion is meant: Exact or NotOlderThan"),
        "sendInitialEvents" => ("boolean", "whether a watch begins with what there is"),
        "timeoutSeconds" => ("integer", "how long a list or watch may take"),
        "watch" => ("boolean", "sends changes instead of a list"),
        "name" => ("string", "the object's name"),
        "namespace" => ("string", "the namespace"),
        "path" => ("string", "the path behind the proxy"),
        "command" => ("string", "what to run, and its arguments"),
        "container" => ("string", "the container of the pod"),
        "follow" => ("boolean", "goes on with what is logged from now on"),
        "insecureSkipTLSVerifyBackend" => ("boolean", "takes any certificate of the node"),
        "limitBytes" => ("integer", "the most bytes of the log"),
        "ports" => ("integer", "the ports of the pod to forward"),
        "previous" => ("boolean", "of the container that ran before"),
        "shardSelector" => ("string", "chooses a share of the objects"),
        "sinceSeconds" => ("integer", "how far back the log goes, in seconds"),
        "sinceTime" => ("string", "from when on the log is told"),
        "stderr" => ("boolean", "passes on what is written as an error"),
        "stdin" => ("boolean", "passes on what is sent"),
        "stdout" => ("boolean", "passes on what is written"),
        "stream" => ("string", "which of the streams of the log"),
        "tailLines" => ("integer", "the last lines of the log alone"),
        "timestamps" => ("boolean", "puts the time before each line"),
        "tty" => ("boolean", "gives the command a terminal"),
        _ => ("string", ""),
    }
}
