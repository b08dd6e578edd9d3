//! What a path names.

use crate::query::decode;

/// A path as the API reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Route {
    pub group: String,
    pub version: String,
    /// "" for all, or for what is cluster-scoped.
    pub namespace: String,
    /// The plural; "" where the path is of no resource (discovery, health).
    pub resource: String,
    pub name: String,
    pub subresource: String,
    /// What follows a subresource (the path behind a proxy), with its slash.
    pub rest: String,
    /// `/api/v1/watch/…`, the old form of a watch.
    pub is_watch: bool,
}

/// Reads a path; None where it is of no resource. An escaped slash parts as a
/// plain one does, but behind a proxy, whose path stays as it was written.
pub(crate) fn parse(path: &str) -> Option<Route> {
    let (named, behind) = apart(path.strip_prefix('/')?);
    let named = decode(named, false);
    let mut parts: Vec<&str> = named.split('/').collect();
    // A trailing slash names nothing more.
    while parts.last() == Some(&"") {
        parts.pop();
    }
    let mut route = Route::default();
    let mut rest = match parts.as_slice() {
        ["api", version, rest @ ..] => {
            route.version = (*version).to_owned();
            rest
        }
        ["apis", group, version, rest @ ..] => {
            (route.group, route.version) = ((*group).to_owned(), (*version).to_owned());
            rest
        }
        _ => return None,
    };
    if let ["watch", more @ ..] = rest {
        route.is_watch = true;
        rest = more;
    }
    if let ["namespaces", namespace, more @ ..] = rest {
        route.namespace = (*namespace).to_owned();
        match more {
            // The namespace itself and its subresources.
            [] | ["status" | "finalize"] => {
                route.resource = "namespaces".into();
                route.name = (*namespace).to_owned();
                route.subresource = more.first().copied().unwrap_or("").into();
                return Some(route);
            }
            _ => rest = more,
        }
    }
    let [resource, more @ ..] = rest else { return None };
    if resource.is_empty() {
        return None;
    }
    route.resource = (*resource).to_owned();
    if let [name, more @ ..] = more {
        route.name = (*name).to_owned();
        if let [subresource, more @ ..] = more {
            route.subresource = (*subresource).to_owned();
            route.rest = more.iter().flat_map(|part| ["/", part]).chain([behind]).collect();
        }
    }
    Some(route)
}

/// A path up to the subresource `proxy`, and what lies behind that.
fn apart(path: &str) -> (&str, &str) {
    let resource = if path.starts_with("apis/") { 3 } else { 2 };
    let mut end = 0;
    for (at, part) in path.split('/').enumerate() {
        end += part.len() + usize::from(at > 0);
        if part == "proxy" && (at == resource + 2 || at == resource + 4) {
            return path.split_at(end);
        }
    }
    (path, "")
}

/// What is said of a path that has a verb and nothing behind it; None for others.
pub(crate) fn no_place(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let verb = match parts.as_slice() {
        ["api", _, verb] | ["apis", _, _, verb] => *verb,
        _ => return None,
    };
    matches!(verb, "watch" | "proxy").then(|| {
        let place = path.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        format!(
            "Internal Server Error: {}: failed to create RequestInfo: unable to determine kind and namespace from \
             url, {place}\n",
            apimachinery::field::quote(&place)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_alone_is_no_place() {
        for path in ["/api/v1/watch", "/api/v1/watch/", "/apis/apps/v1/proxy"] {
            assert!(no_place(path).is_some_and(|text| text.contains(path)), "{path}");
        }
        for path in ["/api/v1/watch/pods", "/api/watch", "/watch", "/api/v1/pods"] {
            assert_eq!(no_place(path), None, "{path}");
        }
    }

    #[test]
    fn paths_name_resources() {
        let cases = [
            ("/api/v1/pods", Some(("", "v1", "", "pods", "", "", ""))),
            ("/api/v1/namespaces/n/pods/p/log", Some(("", "v1", "n", "pods", "p", "log", ""))),
            ("/api/v1/namespaces/n", Some(("", "v1", "n", "namespaces", "n", "", ""))),
            ("/api/v1/namespaces/n/finalize", Some(("", "v1", "n", "namespaces", "n", "finalize", ""))),
            ("/api/v1/namespaces", Some(("", "v1", "", "namespaces", "", "", ""))),
            (
                "/apis/apps/v1/namespaces/n/deployments/d",
                Some(("apps", "v1", "n", "deployments", "d", "", "")),
            ),
            ("/api/v1/nodes/a/proxy/x/y", Some(("", "v1", "", "nodes", "a", "proxy", "/x/y"))),
            ("/api/v1/namespaces/n/pods/p/proxy/", Some(("", "v1", "n", "pods", "p", "proxy", "/"))),
            ("/api/v1/namespaces/n/pods/p/log/", Some(("", "v1", "n", "pods", "p", "log", ""))),
            ("/api/v1/nodes/a/proxy/x%2Fy", Some(("", "v1", "", "nodes", "a", "proxy", "/x%2Fy"))),
            ("/api/v1/nodes/a%2Fb", Some(("", "v1", "", "nodes", "a", "b", ""))),
            ("/api/v1/nodes/a%252Fb", Some(("", "v1", "", "nodes", "a%2Fb", "", ""))),
            ("/api/v1/namespaces/n/pods//", Some(("", "v1", "n", "pods", "", "", ""))),
            ("/api/v1/services/a%3Ab/x", Some(("", "v1", "", "services", "a:b", "x", ""))),
            ("/api/v1", None),
            ("/apis/apps", None),
            ("/healthz", None),
        ];
        for (path, expected) in cases {
            let read = parse(path);
            let read = read.as_ref().map(|route| {
                (
                    route.group.as_str(),
                    route.version.as_str(),
                    route.namespace.as_str(),
                    route.resource.as_str(),
                    route.name.as_str(),
                    route.subresource.as_str(),
                    route.rest.as_str(),
                )
            });
            assert_eq!(read, expected, "{path}");
        }
        assert!(parse("/api/v1/watch/namespaces/n/pods").is_some_and(|route| route.is_watch));
    }
}
