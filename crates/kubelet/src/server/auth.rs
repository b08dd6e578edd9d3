//! Who asks, and may they: delegated to the API by TokenReview and
//! SubjectAccessReview (upstream: webhook authentication and authorization).

use client::{Request, Resource, Verb, WriteOptions};
use http::{HeaderMap, Method, StatusCode, header};
use serde_json::json;

use super::Refusal;
use crate::context::Context;

/// Who sends a request, as far as the connection tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The API server of this very process, which has authorised the request.
    ApiServer,
    /// A client certificate that the cluster's authority has signed.
    Certificate { user: String, groups: Vec<String> },
    /// No certificate; maybe a bearer token.
    Unknown,
}

pub(super) async fn check(
    context: &Context,
    method: &Method,
    headers: &HeaderMap,
    path: &str,
    caller: &Caller,
) -> Result<(), Refusal> {
    let (user, groups) = match caller {
        Caller::ApiServer => return Ok(()),
        Caller::Certificate { user, groups } => (user.clone(), groups.clone()),
        Caller::Unknown => by_token(context, headers).await?,
    };
    if groups.iter().any(|group| group == "system:masters") {
        return Ok(());
    }
    let verb = verb(method);
    let node = &context.config.node_name;
    let subresources = subresources(path);
    for subresource in &subresources {
        if may(context, &user, &groups, verb, subresource).await? {
            return Ok(());
        }
    }
    let asked = subresources.first().copied().unwrap_or("proxy");
    Err(Refusal(
        StatusCode::FORBIDDEN,
        format!(
            "Forbidden (user={user}, verb={verb}, resource=nodes, subresource(s)=[{asked}], node={node})"
        ),
    ))
}

fn verb(method: &Method) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "get",
    }
}

/// The subresources of the node, any of which lets the request pass; the
/// fine-grained ones come before `proxy` (KEP-2862).
fn subresources(path: &str) -> Vec<&'static str> {
    let first = path.split('/').nth(1).unwrap_or_default();
    match first {
        "stats" => vec!["stats"],
        "metrics" => vec!["metrics"],
        "logs" => vec!["log"],
        "pods" | "runningpods" => vec!["pods", "proxy"],
        "healthz" => vec!["healthz", "proxy"],
        "configz" => vec!["configz", "proxy"],
        _ => vec!["proxy"],
    }
}

async fn review(
    context: &Context,
    group: &'static str,
    plural: &'static str,
    body: serde_json::Value,
) -> Result<serde_json::Value, Refusal> {
    let failed = |why: String| Refusal(StatusCode::INTERNAL_SERVER_ERROR, why);
    let object = apimachinery::Value::from_serialize(&body).map_err(|error| failed(error.to_string()))?;
    let request = Request {
        resource: Resource::new(group, "v1", plural),
        namespace: None,
        name: None,
        subresource: None,
        verb: Verb::Create { object, options: WriteOptions::default() },
    };
    let answer = context.drivers.transport.call(request).await;
    let answer =
        answer.map_err(|error| failed(format!("the API could not be asked about the caller: {error}")))?;
    answer.decode_part().map_err(|error| failed(error.to_string()))
}

async fn by_token(context: &Context, headers: &HeaderMap) -> Result<(String, Vec<String>), Refusal> {
    let unauthorized = || Refusal(StatusCode::UNAUTHORIZED, "Unauthorized".into());
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(unauthorized)?;
    let body = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token.trim()},
    });
    let answer = review(context, "authentication.k8s.io", "tokenreviews", body).await?;
    let status = &answer["status"];
    if status["authenticated"] != true {
        return Err(unauthorized());
    }
    let groups = status["user"]["groups"].as_array().into_iter().flatten();
    let groups = groups.filter_map(|group| group.as_str().map(str::to_owned)).collect();
    Ok((status["user"]["username"].as_str().unwrap_or_default().to_owned(), groups))
}

async fn may(
    context: &Context,
    user: &str,
    groups: &[String],
    verb: &str,
    subresource: &str,
) -> Result<bool, Refusal> {
    let body = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": user, "groups": groups, "resourceAttributes": {
            "verb": verb, "version": "v1", "resource": "nodes", "subresource": subresource,
            "name": context.config.node_name,
        }},
    });
    let answer = review(context, "authorization.k8s.io", "subjectaccessreviews", body).await?;
    Ok(answer["status"]["allowed"] == true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_subresources_of_the_node() {
        let rows = [
            ("/stats/summary", "stats"),
            ("/metrics/resource", "metrics"),
            ("/pods", "pods"),
            ("/exec/ns/p/c", "proxy"),
            ("/containerLogs/ns/p/c", "proxy"),
        ];
        for (path, expected) in rows {
            assert_eq!(subresources(path)[0], expected, "{path}");
        }
        assert_eq!((verb(&Method::GET), verb(&Method::POST)), ("get", "create"));
    }
}
