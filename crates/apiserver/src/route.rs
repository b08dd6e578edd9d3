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

/// Reads a path; None where it is of no resource.
pub(crate) fn parse(path: &str) -> Option<Route> {
    let mut parts = path.strip_prefix('/')?.split('/');
    let mut route = Route::default();
    match parts.next()? {
        "api" => route.version = parts.next()?.to_owned(),
        "apis" => {
            route.group = parts.next()?.to_owned();
            route.version = parts.next()?.to_owned();
        }
        _ => return None,
    }
    let parts: Vec<&str> = parts.collect();
    let mut rest = parts.as_slice();
    // A trailing slash names nothing more.
    while let [before @ .., ""] = rest {
        if before.len() > 3 {
            break;
        }
        rest = before;
    }
    if let ["watch", more @ ..] = rest {
        route.is_watch = true;
        rest = more;
    }
    if let ["namespaces", namespace, more @ ..] = rest {
        let namespace = decode(namespace, false).into_owned();
        match more {
            // The namespace itself and its subresources.
            [] | ["status" | "finalize"] => {
                route.resource = "namespaces".into();
                route.name.clone_from(&namespace);
                route.namespace = namespace;
                route.subresource = more.first().copied().unwrap_or("").into();
                return Some(route);
            }
            _ => {
                route.namespace = namespace;
                rest = more;
            }
        }
    }
    let [resource, more @ ..] = rest else { return None };
    if resource.is_empty() {
        return None;
    }
    route.resource = decode(resource, false).into_owned();
    if let [name, more @ ..] = more {
        route.name = decode(name, false).into_owned();
        if let [subresource, more @ ..] = more {
            route.subresource = decode(subresource, false).into_owned();
            if !more.is_empty() {
                route.rest = format!("/{}", more.join("/"));
            }
        }
    }
    Some(route)
}

#[cfg(test)]
mod tests {
    use super::*;

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
