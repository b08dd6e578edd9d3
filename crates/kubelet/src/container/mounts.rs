//! What is mounted into a container: its volumes and the files that the
//! kubelet keeps for the pod. Pure: where each volume lies is handed in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, VolumeMount};
use runtime::{Mount, Propagation};

/// A mount of a part of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubPath {
    pub volume: String,
    /// Relative, without `..`.
    pub path: String,
    /// Index among the container's mounts.
    pub index: usize,
}

/// The sub paths that must be opened before the container is made. `lookup`
/// gives variables for subPathExpr. The error is the message of a
/// CreateContainerConfigError.
pub fn sub_paths(
    container: &Container,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Vec<SubPath>, String> {
    let mut list = Vec::new();
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let path = match (mount.sub_path.as_deref(), mount.sub_path_expr.as_deref()) {
            (Some(path), _) if !path.is_empty() => path.to_owned(),
            (_, Some(expression)) if !expression.is_empty() => {
                let path = super::expand(expression, &lookup);
                if path.contains("$(") {
                    return Err(format!("missing value for {expression:?}"));
                }
                path
            }
            _ => continue,
        };
        let relative = Path::new(&path);
        if relative.is_absolute() {
            return Err(format!("error SubPath `{path}` must not be an absolute path"));
        }
        if relative.components().any(|part| part == std::path::Component::ParentDir) {
            return Err(format!("unable to provision SubPath `{path}`: must not contain '..'"));
        }
        list.push(SubPath { volume: mount.name.clone(), path, index });
    }
    Ok(list)
}

/// Where things lie on the node.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Directories or files of the pod's volumes.
    pub volumes: BTreeMap<String, PathBuf>,
    /// What was opened for each sub path, by the mount's index.
    pub sub_paths: BTreeMap<usize, PathBuf>,
    pub hosts: Option<PathBuf>,
    pub resolv_conf: Option<PathBuf>,
    pub hostname: Option<PathBuf>,
    pub termination_log: Option<PathBuf>,
    pub shm: Option<PathBuf>,
}

/// The mounts of `container`; those of its own win over the kubelet's files.
pub fn mounts(container: &Container, places: &Places) -> Result<Vec<Mount>, String> {
    let mut list = Vec::new();
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let source = match places.sub_paths.get(&index) {
            Some(path) => path,
            None => places.volumes.get(&mount.name).ok_or_else(|| {
                format!("cannot find volume {:?} to mount into container {:?}", mount.name, container.name)
            })?,
        };
        list.push(volume_mount(mount, source));
    }
    let termination = container.termination_message_path.as_deref().unwrap_or("/dev/termination-log");
    let files = [
        (&places.hosts, "/etc/hosts"),
        (&places.resolv_conf, "/etc/resolv.conf"),
        (&places.hostname, "/etc/hostname"),
        (&places.shm, "/dev/shm"),
        (&places.termination_log, termination),
    ];
    for (source, target) in files {
        if let Some(source) = source
            && !list.iter().any(|mount: &Mount| mount.target == Path::new(target))
        {
            list.push(Mount { source: source.clone(), target: target.into(), ..Mount::default() });
        }
    }
    Ok(list)
}

fn volume_mount(mount: &VolumeMount, source: &Path) -> Mount {
    let readonly = mount.read_only == Some(true);
    let target = if mount.mount_path.starts_with('/') {
        PathBuf::from(&mount.mount_path)
    } else {
        Path::new("/").join(&mount.mount_path)
    };
    Mount {
        source: source.to_owned(),
        target,
        readonly,
        recursive_readonly: readonly
            && matches!(mount.recursive_read_only.as_deref(), Some("Enabled" | "IfPossible")),
        propagation: match mount.mount_propagation.as_deref() {
            Some("HostToContainer") => Propagation::HostToContainer,
            Some("Bidirectional") => Propagation::Bidirectional,
            _ => Propagation::Private,
        },
        tmpfs_size: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn container(mounts: serde_json::Value) -> Container {
        serde_json::from_value(json!({"name": "c", "volumeMounts": mounts})).unwrap()
    }

    #[test]
    fn own_mounts_win_over_the_kubelets_files() {
        let places = Places {
            volumes: [("v".to_owned(), PathBuf::from("/vol/v"))].into(),
            hosts: Some("/pod/hosts".into()),
            termination_log: Some("/pod/log".into()),
            ..Places::default()
        };
        let one = container(json!([{"name": "v", "mountPath": "/etc/hosts", "readOnly": true}]));
        let list = mounts(&one, &places).unwrap();
        let seen: Vec<_> = list
            .iter()
            .map(|one| (one.source.to_str().unwrap(), one.target.to_str().unwrap(), one.readonly))
            .collect();
        assert_eq!(seen, [("/vol/v", "/etc/hosts", true), ("/pod/log", "/dev/termination-log", false)]);
        assert!(mounts(&container(json!([{"name": "none", "mountPath": "/x"}])), &places).is_err());
    }

    #[test]
    fn sub_paths_stay_inside() {
        let lookup = |name: &str| (name == "POD").then(|| "p-0".to_owned());
        let one = container(json!([
            {"name": "v", "mountPath": "/a"},
            {"name": "v", "mountPath": "/b", "subPath": "x/y"},
            {"name": "v", "mountPath": "/c", "subPathExpr": "logs/$(POD)"},
        ]));
        let paths: Vec<_> =
            sub_paths(&one, lookup).unwrap().into_iter().map(|one| (one.index, one.path)).collect();
        assert_eq!(paths, [(1, "x/y".to_owned()), (2, "logs/p-0".to_owned())]);
        for bad in ["/abs", "../up", "a/../../b"] {
            assert!(
                sub_paths(&container(json!([{"name": "v", "mountPath": "/a", "subPath": bad}])), lookup)
                    .is_err()
            );
        }
        assert!(
            sub_paths(
                &container(json!([{"name": "v", "mountPath": "/a", "subPathExpr": "$(NONE)"}])),
                lookup
            )
            .is_err()
        );
    }
}
