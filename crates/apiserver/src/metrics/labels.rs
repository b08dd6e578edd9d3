//! By which labels a request is counted, as upstream cleans them: whatever a
//! client makes up, the series stay few.

use http::Method;

use super::Counted;
use crate::query::Query;
use crate::route::Route;

/// What counts as a connection, whatever its method.
const CONNECTIONS: [&str; 5] = ["log", "exec", "portforward", "attach", "proxy"];

/// What a request asks for, beside its path.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub method: &'a Method,
    /// That of the rights it needs.
    pub verb: &'a str,
    pub is_apply: bool,
    pub query: &'a Query,
}

impl<'a> Counted<'a> {
    /// A request of a resource.
    fn of_resource(route: &'a Route, Asked { verb, is_apply, query, .. }: Asked<'_>) -> Self {
        Self {
            verb: match verb {
                _ if CONNECTIONS.contains(&&*route.subresource) => "CONNECT",
                "get" => "GET",
                "list" => "LIST",
                "watch" => "WATCH",
                "create" => "POST",
                "update" => "PUT",
                "patch" if is_apply => "APPLY",
                "patch" => "PATCH",
                "delete" => "DELETE",
                "deletecollection" => "DELETECOLLECTION",
                _ => "other",
            },
            component: "apiserver",
            group: &route.group,
            version: &route.version,
            resource: &route.resource,
            subresource: &route.subresource,
            scope: match (&*route.name, &*route.namespace) {
                ("", _) if verb == "create" => "resource",
                ("", "") => "cluster",
                ("", _) => "namespace",
                _ => "resource",
            },
            dry_run: dry_run(query),
        }
    }

    /// A request of a path of no resource, where those are counted.
    fn of_path(path: &'a str, Asked { method, query, .. }: Asked<'_>) -> Option<Self> {
        let (component, resource, subresource) = match path {
            "/healthz" | "/livez" | "/readyz" => ("", "", path),
            "/openapi/v3" => ("", "", "openapi/v3"),
            "/api" | "/apis" => ("apiserver", "", &path[1..]),
            "/statusz" | "/flagz" => ("apiserver", &path[1..], ""),
            _ if path.starts_with("/openapi/v3/") => ("", "", "openapi/v3/"),
            _ => return None,
        };
        Some(Self {
            verb: verb_of(method),
            component,
            group: "",
            version: "",
            resource,
            subresource,
            scope: "",
            dry_run: dry_run(query),
        })
    }

    /// A request that was served, where such are counted.
    pub fn served(route: Option<&'a Route>, path: &'a str, asked: Asked<'_>) -> Option<Self> {
        match route {
            Some(route) => Some(Self::of_resource(route, asked)),
            None => Self::of_path(path, asked),
        }
    }

    /// A request that was given up for want of time or place, whatever it is of.
    pub fn given_up(route: Option<&'a Route>, path: &'a str, asked: Asked<'_>) -> Self {
        Self::served(route, path, asked).unwrap_or_else(|| Self {
            verb: verb_of(asked.method),
            component: "apiserver",
            group: "",
            version: "",
            resource: "",
            // Its own path could be any.
            subresource: "",
            scope: "",
            dry_run: "",
        })
    }
}

fn verb_of(method: &Method) -> &'static str {
    match *method {
        Method::GET | Method::HEAD => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

fn dry_run(query: &Query) -> &'static str {
    match query.get("dryRun") {
        None => "",
        Some(_) if query.all("dryRun").all(|value| value == "All") => "All",
        Some(_) => "invalid",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_those_of_upstream() {
        for (path, verb, told) in [
            ("/api/v1/namespaces/a/pods", "create", "POST resource pods"),
            ("/api/v1/namespaces/a/pods", "list", "LIST namespace pods"),
            ("/api/v1/pods", "watch", "WATCH cluster pods"),
            ("/api/v1/namespaces/a/pods/p", "patch", "APPLY resource pods"),
            ("/api/v1/namespaces/a/pods/p/log", "get", "CONNECT resource pods/log"),
            ("/api/v1/namespaces/a/pods/p/status", "update", "PUT resource pods/status"),
        ] {
            let route = crate::route::parse(path).expect("a resource");
            let query = Query::default();
            let asked = Asked { method: &Method::PATCH, verb, is_apply: true, query: &query };
            let counted = Counted::served(Some(&route), path, asked).expect("counted");
            let subresource = if counted.subresource.is_empty() { "" } else { "/" };
            let line = format!(
                "{} {} {}{subresource}{}",
                counted.verb, counted.scope, counted.resource, counted.subresource
            );
            assert_eq!(line, told);
        }
    }

    #[test]
    fn few_paths_are_counted() {
        for (path, told) in [
            ("/readyz", Some(("", "", "/readyz"))),
            ("/readyz/etcd", None),
            ("/apis", Some(("apiserver", "", "apis"))),
            ("/apis/apps", None),
            ("/openapi/v3/apis/apps/v1", Some(("", "", "openapi/v3/"))),
            ("/statusz", Some(("apiserver", "statusz", ""))),
            ("/made/up", None),
        ] {
            let query = Query::default();
            let asked = Asked { method: &Method::GET, verb: "get", is_apply: false, query: &query };
            let counted = Counted::served(None, path, asked);
            let labels = counted.map(|counted| (counted.component, counted.resource, counted.subresource));
            assert_eq!(labels, told, "{path}");
        }
    }

    #[test]
    fn dry_runs_are_told_apart() {
        for (query, told) in
            [("", ""), ("dryRun=All", "All"), ("dryRun=All&dryRun=All", "All"), ("dryRun=x", "invalid")]
        {
            assert_eq!(dry_run(&Query::parse(query)), told, "{query}");
        }
    }
}
