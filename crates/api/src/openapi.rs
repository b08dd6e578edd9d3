//! The OpenAPI documents of the built-in kinds, made at build time (`build/`).
//!
//! They lie compressed in the program and are decompressed on demand; whoever
//! serves them keeps what is asked for often.

use std::io::Read;

/// Path, start, compressed length, length.
static TABLE: &[(&str, usize, usize, usize)] = &include!(concat!(env!("OUT_DIR"), "/openapi.rs"));
static BYTES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapi.bin"));

/// Places under /openapi/v3/, such as `apis/apps/v1`, in order.
pub fn v3_places() -> impl Iterator<Item = &'static str> {
    TABLE.iter().filter_map(|(path, ..)| path.strip_prefix("v3/"))
}

/// The v3 document at a place, as JSON text.
pub fn v3(place: &str) -> Option<Vec<u8>> {
    document(|path| path.strip_prefix("v3/") == Some(place))
}

/// The compressed v3 document at a place: what a hash of it can be made from.
pub fn v3_compressed(place: &str) -> Option<&'static [u8]> {
    let (_, start, length, _) = TABLE.iter().find(|(path, ..)| path.strip_prefix("v3/") == Some(place))?;
    Some(&BYTES[*start..start + length])
}

/// The v2 document, as JSON text.
pub fn v2() -> Vec<u8> {
    document(|path| path == "v2").expect("the build makes one")
}

fn document(wanted: impl Fn(&str) -> bool) -> Option<Vec<u8>> {
    let (_, start, compressed, length) = TABLE.iter().find(|(path, ..)| wanted(path))?;
    let mut text = Vec::with_capacity(*length);
    let mut decoder = flate2::read::DeflateDecoder::new(&BYTES[*start..start + compressed]);
    decoder.read_to_end(&mut text).expect("compressed at build time");
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn parse(text: Vec<u8>) -> Value {
        serde_json::from_slice(&text).unwrap()
    }

    #[test]
    fn a_group_version_has_its_paths_and_described_schemas() {
        let apps = parse(v3("apis/apps/v1").unwrap());
        let schemas = &apps["components"]["schemas"];
        let replicas = &schemas["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["replicas"]["description"];
        assert!(replicas.as_str().unwrap().starts_with("Number of desired pods."), "{replicas}");
        assert!(schemas["io.k8s.api.core.v1.Container"].is_object());
        let status = &apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/status"]["put"];
        assert_eq!(status["operationId"], "replaceAppsV1NamespacedDeploymentStatus");
        assert!(v3("apis/apps/v7").is_none());
        assert!(v3_places().any(|place| place == "version"));
    }

    #[test]
    fn operations_are_named_as_upstream_names_them() {
        let all = parse(v2());
        for (path, method, id) in [
            ("/api/v1/namespaces/{namespace}/pods", "get", "listCoreV1NamespacedPod"),
            ("/api/v1/pods", "get", "listCoreV1PodForAllNamespaces"),
            ("/api/v1/nodes", "get", "listCoreV1Node"),
            ("/api/v1/namespaces/{namespace}/pods/{name}/exec", "post", "connectCoreV1PostNamespacedPodExec"),
            ("/api/v1/namespaces/{namespace}/pods/{name}/log", "get", "readCoreV1NamespacedPodLog"),
            (
                "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale",
                "get",
                "readAppsV1NamespacedDeploymentScale",
            ),
            (
                "/apis/rbac.authorization.k8s.io/v1/clusterroles",
                "post",
                "createRbacAuthorizationV1ClusterRole",
            ),
        ] {
            assert_eq!(all["paths"][path][method]["operationId"], id, "{path}");
        }
    }
}
