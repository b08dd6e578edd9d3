//! Everything put together: the configuration of one instance. Pure.

use std::path::PathBuf;

use image::Image;
use k8s_openapi::api::core::v1::{Container, Pod};
use runtime::{ContainerConfig, ContainerId, Mount, SecurityContext, User};

use super::expand;
use super::resources;
use crate::pod::spec::PodExt;

/// Labels by which an adopted container is recognised.
pub mod labels {
    pub const POD_NAME: &str = "io.kubernetes.pod.name";
    pub const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
    pub const POD_UID: &str = "io.kubernetes.pod.uid";
    pub const CONTAINER_NAME: &str = "io.kubernetes.container.name";
    /// `imageID` of the status.
    pub const IMAGE_ID: &str = "corten.dev/image-id";
}

/// What was resolved for an instance beforehand.
pub struct Resolved<'a> {
    pub pod: &'a Pod,
    pub container: &'a Container,
    pub attempt: u32,
    pub id: ContainerId,
    pub image: &'a Image,
    pub image_id: String,
    pub rootfs: PathBuf,
    pub env: Vec<(String, String)>,
    pub user: User,
    /// Whose processes the container sees beside its own.
    pub target: Option<ContainerId>,
    pub rights: SecurityContext,
    pub mounts: Vec<Mount>,
    /// Bytes of the node's memory.
    pub memory_capacity: i64,
}

pub fn config(resolved: Resolved<'_>) -> ContainerConfig {
    let Resolved {
        pod,
        container,
        attempt,
        id,
        image,
        image_id,
        rootfs,
        env,
        user,
        target,
        rights,
        mounts,
        memory_capacity,
    } = resolved;
    let lookup = |name: &str| env.iter().find(|(one, _)| one == name).map(|(_, value)| value.clone());
    let expanded = |list: &Option<Vec<String>>| -> Vec<String> {
        list.iter().flatten().map(|text| expand(text, lookup)).collect()
    };
    let (mut command, mut args) = (expanded(&container.command), expanded(&container.args));
    // An own command leaves the image's arguments out, too.
    if command.is_empty() {
        command = image.config.entrypoint.clone();
        if args.is_empty() {
            args = image.config.cmd.clone();
        }
    }
    let of_image = image
        .config
        .env
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .filter(|(name, _)| !env.iter().any(|(one, _)| one == name));
    let mut all: Vec<(String, String)> =
        of_image.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    if !pod.is_host_network() && !env.iter().any(|(name, _)| name == "HOSTNAME") {
        all.push(("HOSTNAME".into(), crate::sandbox::hostname(pod)));
    }
    let working_dir = container.working_dir.clone().filter(|dir| !dir.is_empty());
    let stop_signal = container
        .lifecycle
        .as_ref()
        .and_then(|lifecycle| lifecycle.stop_signal.clone())
        .or_else(|| Some(image.config.stop_signal.clone()))
        .filter(|signal| !signal.is_empty());
    ContainerConfig {
        name: container.name.clone(),
        attempt,
        id: Some(id),
        rootfs,
        image: container.image.clone().unwrap_or_default(),
        image_id: image.id.as_str().to_owned(),
        command,
        args,
        env: {
            all.extend(env);
            all
        },
        working_dir: working_dir.unwrap_or_else(|| image.config.working_dir.clone()),
        user,
        process_namespace_of: target,
        mounts,
        devices: Vec::new(),
        security: rights,
        resources: resources::of_container(pod, container, memory_capacity),
        tty: container.tty == Some(true),
        stdin: container.stdin == Some(true),
        stdin_once: container.stdin_once == Some(true),
        log_path: format!("{}/{attempt}.log", container.name).into(),
        stop_signal,
        labels: [
            (labels::POD_NAME.to_owned(), pod.name().to_owned()),
            (labels::POD_NAMESPACE.to_owned(), pod.namespace().to_owned()),
            (labels::POD_UID.to_owned(), pod.uid().to_owned()),
            (labels::CONTAINER_NAME.to_owned(), container.name.clone()),
            (labels::IMAGE_ID.to_owned(), image_id),
        ]
        .into(),
        annotations: std::collections::BTreeMap::new(),
    }
}

/// `image` and `imageID` of the status: the name by which the image is known
/// and, where it came from a registry, its digest there.
pub fn image_names(image: &Image, asked: &str) -> (String, String) {
    let reference = image::Reference::parse(asked).ok();
    let repository = reference.as_ref().map(image::Reference::name);
    let tagged = reference.as_ref().and_then(image::Reference::tagged);
    let name = tagged
        .filter(|tagged| image.repo_tags.contains(tagged))
        .or_else(|| image.repo_tags.first().cloned())
        .unwrap_or_else(|| asked.to_owned());
    let digest = image
        .repo_digests
        .iter()
        .find(|digest| repository.as_ref().is_some_and(|name| digest.split('@').next() == Some(name)))
        .or_else(|| image.repo_digests.first());
    (name, digest.cloned().unwrap_or_else(|| image.id.as_str().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::json;

    fn run(container: serde_json::Value, env: &[(&str, &str)]) -> ContainerConfig {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": {"containers": [container]},
        }))
        .unwrap();
        config(Resolved {
            pod: &pod,
            container: &pod.spec.as_ref().unwrap().containers[0],
            attempt: 2,
            id: ContainerId::parse(&"c".repeat(64)).unwrap(),
            image: &testing::image(),
            image_id: "sha256:1".into(),
            rootfs: "/root".into(),
            env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            user: User::default(),
            target: None,
            rights: SecurityContext::default(),
            mounts: vec![],
            memory_capacity: 1 << 30,
        })
    }

    #[test]
    fn commands_and_arguments_as_the_table_of_the_documentation_has_them() {
        let rows = [
            (json!({"name": "c"}), vec!["/bin/run"], vec!["serve"]),
            (json!({"name": "c", "command": ["/x"]}), vec!["/x"], vec![]),
            (json!({"name": "c", "args": ["$(A)"]}), vec!["/bin/run"], vec!["1"]),
            (json!({"name": "c", "command": ["/x"], "args": ["y", "$$(A)"]}), vec!["/x"], vec!["y", "$(A)"]),
        ];
        for (container, command, args) in rows {
            let config = run(container.clone(), &[("A", "1")]);
            assert_eq!(
                (config.command, config.args),
                (
                    command.iter().map(ToString::to_string).collect(),
                    args.iter().map(ToString::to_string).collect()
                ),
                "{container}"
            );
        }
    }

    #[test]
    fn the_pods_environment_wins_over_the_images() {
        let config = run(json!({"name": "c"}), &[("PATH", "/own")]);
        let paths: Vec<_> = config.env.iter().filter(|(name, _)| name == "PATH").collect();
        assert_eq!(paths, [&("PATH".to_owned(), "/own".to_owned())]);
        assert!(config.env.contains(&("HOSTNAME".into(), "p".into())));
        assert_eq!(config.log_path, PathBuf::from("c/2.log"));
    }

    #[test]
    fn image_names_prefer_the_asked_repository() {
        let mut image = testing::image();
        assert_eq!(image_names(&image, "x").0, "docker.io/library/x:latest");
        assert_eq!(image_names(&image, "x").1, image.id.as_str());
        image.repo_digests = vec!["example.org/y@sha256:2".into(), "docker.io/library/x@sha256:3".into()];
        assert_eq!(image_names(&image, "x:latest").1, "docker.io/library/x@sha256:3");
    }
}
