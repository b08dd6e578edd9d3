//! A container's environment from all its sources. Pure: the objects that it
//! refers to are handed in.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVarSource, FileKeySelector, Pod};

use super::env_file::{self, EnvFiles};
use super::expand::expand;
use super::fields::{self, Facts};
use crate::pod::spec::PodExt;
use crate::references::{Kind, Payloads};
use crate::services::Service;

/// The variables in the order in which upstream sets them. An error is the
/// message of a CreateContainerConfigError.
pub fn environment(
    pod: &Pod,
    container: &Container,
    facts: &Facts,
    payloads: &Payloads,
    files: &EnvFiles,
    services: &[Service],
) -> Result<Vec<(String, String)>, String> {
    let mut own: Vec<(String, String)> = Vec::new();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let (kind, name, optional) = if let Some(one) = &source.config_map_ref {
            (Kind::ConfigMap, one.name.as_str(), one.optional)
        } else if let Some(one) = &source.secret_ref {
            (Kind::Secret, one.name.as_str(), one.optional)
        } else {
            continue;
        };
        let Some(payload) = payloads.get(kind, name, optional == Some(true))? else { continue };
        for (key, value) in &payload.data {
            let name = format!("{prefix}{key}");
            // Names that no environment can hold are left out, as upstream does.
            if !name.is_empty() && !name.contains(['=', '\0']) {
                set(&mut own, name, String::from_utf8_lossy(value).into_owned());
            }
        }
    }
    let mut of_services: BTreeMap<String, String> = BTreeMap::new();
    for service in services {
        of_services.extend(service_variables(service));
    }
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (Some(text), _) if !text.is_empty() => expand(text, |name| {
                let known = own.iter().rev().find(|(one, _)| one == name).map(|(_, value)| value.clone());
                known.or_else(|| of_services.get(name).cloned())
            }),
            (_, Some(EnvVarSource { file_key_ref: Some(file), .. })) => match from_file(files, file)? {
                Some(value) => value,
                None => continue,
            },
            (_, Some(source)) => match from_source(pod, container, facts, payloads, source)? {
                Some(value) => value,
                None => continue,
            },
            _ => String::new(),
        };
        set(&mut own, variable.name.clone(), value);
    }
    let mut all: Vec<(String, String)> =
        of_services.into_iter().filter(|(name, _)| !own.iter().any(|(one, _)| one == name)).collect();
    all.splice(0..0, own);
    Ok(all)
}

fn set(list: &mut Vec<(String, String)>, name: String, value: String) {
    match list.iter_mut().find(|(one, _)| *one == name) {
        Some(entry) => entry.1 = value,
        None => list.push((name, value)),
    }
}

/// None for an optional source that is not there.
fn from_source(
    pod: &Pod,
    container: &Container,
    facts: &Facts,
    payloads: &Payloads,
    source: &EnvVarSource,
) -> Result<Option<String>, String> {
    if let Some(reference) = &source.field_ref {
        return fields::field(pod, facts, &reference.field_path).map(Some);
    }
    if let Some(reference) = &source.resource_field_ref {
        return fields::resource(pod, Some(container), facts, reference).map(Some);
    }
    let (kind, name, key, optional) = if let Some(one) = &source.config_map_key_ref {
        (Kind::ConfigMap, &one.name, &one.key, one.optional == Some(true))
    } else if let Some(one) = &source.secret_key_ref {
        (Kind::Secret, &one.name, &one.key, one.optional == Some(true))
    } else {
        return Ok(None);
    };
    let Some(payload) = payloads.get(kind, name, optional)? else { return Ok(None) };
    match payload.data.get(key) {
        Some(value) => Ok(Some(String::from_utf8_lossy(value).into_owned())),
        None if optional => Ok(None),
        None => Err(format!("couldn't find key {key} in {} {}/{name}", kind.as_str(), pod.namespace())),
    }
}

/// None where the file does not have an optional key.
fn from_file(files: &EnvFiles, wanted: &FileKeySelector) -> Result<Option<String>, String> {
    let FileKeySelector { key, path, volume_name, optional } = wanted;
    let file = files.get(&(volume_name.clone(), path.clone()));
    let text = match file {
        Some(Ok(text)) => text,
        Some(Err(why)) => return Err(why.clone()),
        None => return Err(format!("cannot find the volume {volume_name:?} referenced by FileKeyRef")),
    };
    let value = env_file::value(text, key).map_err(|why| format!("couldn't parse env file: {why}"))?;
    match value.is_empty() {
        false => Ok(Some(value)),
        true if *optional == Some(true) => Ok(None),
        true => Err(format!("environment variable key {key:?} not found in file {path:?}")),
    }
}

/// The variables by which programs found services before DNS.
fn service_variables(service: &Service) -> Vec<(String, String)> {
    let upper = |text: &str| text.to_uppercase().replace('-', "_");
    let name = upper(&service.name);
    let Some((first, ip)) = service.ports.first().zip(service.cluster_ip) else { return Vec::new() };
    let host = ip.to_string();
    let bracketed = if ip.is_ipv6() { format!("[{host}]") } else { host.clone() };
    let mut list = vec![
        (format!("{name}_SERVICE_HOST"), host.clone()),
        (format!("{name}_SERVICE_PORT"), first.port.to_string()),
    ];
    for port in service.ports.iter().filter(|port| !port.name.is_empty()) {
        list.push((format!("{name}_SERVICE_PORT_{}", upper(&port.name)), port.port.to_string()));
    }
    for (index, port) in service.ports.iter().enumerate() {
        let protocol = port.protocol.to_lowercase();
        let url = format!("{protocol}://{bracketed}:{}", port.port);
        if index == 0 {
            list.push((format!("{name}_PORT"), url.clone()));
        }
        let prefix = format!("{name}_PORT_{}_{}", port.port, port.protocol.to_uppercase());
        list.push((prefix.clone(), url));
        list.push((format!("{prefix}_PROTO"), protocol));
        list.push((format!("{prefix}_PORT"), port.port.to_string()));
        list.push((format!("{prefix}_ADDR"), host.clone()));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::references::Payload;
    use crate::services::Port;
    use serde_json::json;

    fn payloads() -> Payloads {
        let mut all = Payloads::default();
        let data = |pairs: &[(&str, &str)]| Payload {
            data: pairs.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect(),
            ..Payload::default()
        };
        all.insert(Kind::ConfigMap, "cm", Some(data(&[("k", "v"), ("bad=name", "x"), ("other", "o")])));
        all.insert(Kind::Secret, "s", Some(data(&[("password", "hush")])));
        all.insert(Kind::ConfigMap, "gone", None);
        all
    }

    fn run(container: serde_json::Value, services: &[Service]) -> Result<Vec<(String, String)>, String> {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns"}, "spec": {"containers": [container]},
        }))
        .unwrap();
        let container = &pod.spec.as_ref().unwrap().containers[0];
        let files = [
            (("v".to_owned(), "env".to_owned()), Ok("K='from a file'\nE=''".to_owned())),
            (("v".to_owned(), "none".to_owned()), Err("couldn't parse env file: no such file".to_owned())),
        ];
        environment(&pod, container, &Facts::default(), &payloads(), &files.into(), services)
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn sources_in_their_order() {
        let container = json!({
            "name": "c",
            "envFrom": [{"prefix": "P_", "configMapRef": {"name": "cm"}}, {"configMapRef": {"name": "gone", "optional": true}}],
            "env": [
                {"name": "A", "value": "1"},
                {"name": "B", "value": "$(A)-$(P_k)-$(NOPE)"},
                {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "PW", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}},
                {"name": "OPT", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "none", "optional": true}}},
                {"name": "A", "value": "2"},
                {"name": "FILE", "valueFrom": {"fileKeyRef": {"volumeName": "v", "path": "env", "key": "K"}}},
                {"name": "NONE", "valueFrom": {"fileKeyRef": {"volumeName": "v", "path": "env", "key": "N", "optional": true}}},
                {"name": "EMPTY"},
            ],
        });
        assert_eq!(
            run(container, &[]).unwrap(),
            pairs(&[
                ("P_k", "v"),
                ("P_other", "o"),
                ("A", "2"),
                ("B", "1-v-$(NOPE)"),
                ("NAME", "p"),
                ("PW", "hush"),
                ("FILE", "from a file"),
                ("EMPTY", ""),
            ])
        );
    }

    #[test]
    fn what_is_missing_is_said() {
        let rows = [
            (
                json!({"name": "c", "envFrom": [{"configMapRef": {"name": "gone"}}]}),
                "configmap \"gone\" not found",
            ),
            (
                json!({"name": "c", "env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "none"}}}]}),
                "couldn't find key none in ConfigMap ns/cm",
            ),
            (
                json!({"name": "c", "env": [{"name": "X", "valueFrom": {"fileKeyRef": {"volumeName": "v", "path": "env", "key": "E"}}}]}),
                "environment variable key \"E\" not found in file \"env\"",
            ),
            (
                json!({"name": "c", "env": [{"name": "X", "valueFrom": {"fileKeyRef": {"volumeName": "v", "path": "none", "key": "E"}}}]}),
                "couldn't parse env file: no such file",
            ),
            (
                json!({"name": "c", "env": [{"name": "X", "valueFrom": {"fileKeyRef": {"volumeName": "w", "path": "env", "key": "E"}}}]}),
                "cannot find the volume \"w\" referenced by FileKeyRef",
            ),
        ];
        for (container, expected) in rows {
            assert_eq!(run(container, &[]).unwrap_err(), expected);
        }
    }

    #[test]
    fn services_are_variables_that_the_pod_may_override() {
        let service = Service {
            namespace: "ns".into(),
            name: "my-db".into(),
            cluster_ip: Some("10.96.0.7".parse().unwrap()),
            ports: vec![
                Port { name: "sql".into(), port: 5432, protocol: "TCP".into() },
                Port { name: "stats".into(), port: 9000, protocol: "UDP".into() },
            ],
        };
        let container = json!({"name": "c", "env": [
            {"name": "MY_DB_SERVICE_PORT", "value": "1"}, {"name": "URL", "value": "$(MY_DB_PORT)"},
        ]});
        let all: BTreeMap<_, _> = run(container, &[service]).unwrap().into_iter().collect();
        let rows = [
            ("MY_DB_SERVICE_HOST", "10.96.0.7"),
            ("MY_DB_SERVICE_PORT", "1"),
            ("MY_DB_SERVICE_PORT_SQL", "5432"),
            ("MY_DB_PORT", "tcp://10.96.0.7:5432"),
            ("MY_DB_PORT_9000_UDP", "udp://10.96.0.7:9000"),
            ("MY_DB_PORT_9000_UDP_PROTO", "udp"),
            ("MY_DB_PORT_5432_TCP_ADDR", "10.96.0.7"),
            ("URL", "tcp://10.96.0.7:5432"),
        ];
        for (name, value) in rows {
            assert_eq!(all[name], value, "{name}");
        }
    }
}
