//! securityContext of pod and container as the runtime's rights. Pure.

use k8s_openapi::api::core::v1::{Container, ContainerUser, LinuxContainerUser, Pod, SeccompProfile};
use runtime::{SecurityContext, User};

use crate::pod::spec::PodExt;

/// Which user the container asks for, before the image's files are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedUser {
    /// `uid`, `uid:gid`, or what the image says; "" is root.
    pub text: String,
    /// Groups beside those of the image's /etc/group.
    pub groups: Vec<u32>,
    /// supplementalGroupsPolicy Strict: the image's groups do not count.
    pub strict: bool,
}

/// `image_user` is the user that the image's configuration names.
pub fn wanted_user(pod: &Pod, container: &Container, image_user: &str) -> WantedUser {
    let own = container.security_context.as_ref();
    let whole = pod.spec().security_context.as_ref();
    let uid = own.and_then(|one| one.run_as_user).or_else(|| whole.and_then(|one| one.run_as_user));
    let gid = own.and_then(|one| one.run_as_group).or_else(|| whole.and_then(|one| one.run_as_group));
    let user = uid.map_or_else(|| image_user.to_owned(), |uid| uid.to_string());
    let text = match gid {
        None => user,
        Some(gid) => {
            let name = user.split(':').next().unwrap_or_default();
            format!("{}:{gid}", if name.is_empty() { "0" } else { name })
        }
    };
    let id = |group: &i64| u32::try_from(*group).ok();
    let mut groups: Vec<u32> = whole
        .and_then(|one| one.supplemental_groups.as_ref())
        .into_iter()
        .flatten()
        .chain(whole.and_then(|one| one.fs_group.as_ref()))
        .filter_map(id)
        .collect();
    groups.dedup();
    let strict = whole.and_then(|one| one.supplemental_groups_policy.as_deref()) == Some("Strict");
    WantedUser { text, groups, strict }
}

/// The user as resolved in the root file system, with the pod's groups.
pub fn with_groups(mut user: User, wanted: &WantedUser) -> User {
    if wanted.strict {
        user.additional_gids.clear();
    }
    for group in &wanted.groups {
        if !user.additional_gids.contains(group) {
            user.additional_gids.push(*group);
        }
    }
    user
}

/// `user` of the container's status.
pub fn status_user(user: &User) -> ContainerUser {
    let mut groups = vec![i64::from(user.gid)];
    groups.extend(
        user.additional_gids.iter().map(|gid| i64::from(*gid)).filter(|gid| *gid != i64::from(user.gid)),
    );
    ContainerUser {
        linux: Some(LinuxContainerUser {
            uid: i64::from(user.uid),
            gid: i64::from(user.gid),
            supplemental_groups: Some(groups),
        }),
    }
}

/// Refuses root where runAsNonRoot asks for it. `image_user` as above; the
/// error is the message of a CreateContainerConfigError.
pub fn check_non_root(pod: &Pod, container: &Container, image_user: &str) -> Result<(), String> {
    let own = container.security_context.as_ref();
    let whole = pod.spec().security_context.as_ref();
    let wanted =
        own.and_then(|one| one.run_as_non_root).or_else(|| whole.and_then(|one| one.run_as_non_root));
    if wanted != Some(true) {
        return Ok(());
    }
    let place = format!("(pod: {:?}, container: {})", pod.display(), container.name);
    let uid = own.and_then(|one| one.run_as_user).or_else(|| whole.and_then(|one| one.run_as_user));
    match uid {
        Some(0) => Err(format!("container's runAsUser breaks non-root policy {place}")),
        Some(_) => Ok(()),
        None => {
            let name = image_user.split(':').next().unwrap_or_default();
            match name.parse::<u32>() {
                Ok(0) => Err(format!("container has runAsNonRoot and image will run as root {place}")),
                Ok(_) => Ok(()),
                Err(_) if name.is_empty() => {
                    Err(format!("container has runAsNonRoot and image will run as root {place}"))
                }
                Err(_) => Err(format!(
                    "container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root {place}"
                )),
            }
        }
    }
}

/// Rights but for the user. `localhost` is the text of the profile that
/// [`localhost_profile`] names.
pub fn rights(pod: &Pod, container: &Container, localhost: Option<String>) -> SecurityContext {
    let own = container.security_context.clone().unwrap_or_default();
    let privileged = own.privileged == Some(true);
    let capabilities = own.capabilities.clone().unwrap_or_default();
    let unmasked = own.proc_mount.as_deref() == Some("Unmasked");
    // Whoever is or may become privileged keeps the way up.
    let adds_admin =
        capabilities.add.iter().flatten().any(|one| one == "SYS_ADMIN" || one == "CAP_SYS_ADMIN");
    let seccomp = match (privileged, profile(pod, container), localhost) {
        (false, Some(profile), text) => match (profile.type_.as_str(), text) {
            ("RuntimeDefault", _) => runtime::SeccompProfile::RuntimeDefault,
            ("Localhost", Some(text)) => runtime::SeccompProfile::Localhost(text),
            _ => runtime::SeccompProfile::Unconfined,
        },
        _ => runtime::SeccompProfile::Unconfined,
    };
    SecurityContext {
        privileged,
        add_capabilities: capabilities.add.unwrap_or_default(),
        drop_capabilities: capabilities.drop.unwrap_or_default(),
        no_new_privileges: own.allow_privilege_escalation == Some(false) && !privileged && !adds_admin,
        readonly_rootfs: own.read_only_root_filesystem == Some(true),
        seccomp,
        masked_paths: unmasked.then(Vec::new),
        readonly_paths: unmasked.then(Vec::new),
    }
}

fn profile<'a>(pod: &'a Pod, container: &'a Container) -> Option<&'a SeccompProfile> {
    let own = container.security_context.as_ref().and_then(|one| one.seccomp_profile.as_ref());
    own.or_else(|| pod.spec().security_context.as_ref().and_then(|one| one.seccomp_profile.as_ref()))
}

/// The profile below the kubelet's `seccomp` directory that the container wants.
pub fn localhost_profile<'a>(pod: &'a Pod, container: &'a Container) -> Option<&'a str> {
    profile(pod, container).filter(|one| one.type_ == "Localhost")?.localhost_profile.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(pod_context: serde_json::Value, context: serde_json::Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns", "uid": "u"},
            "spec": {"securityContext": pod_context, "containers": [{"name": "c", "securityContext": context}]},
        }))
        .unwrap()
    }

    fn container(pod: &Pod) -> &Container {
        &pod.spec.as_ref().unwrap().containers[0]
    }

    #[test]
    fn users_come_from_container_pod_and_image_in_this_order() {
        let rows = [
            (json!({}), json!({}), "www", "www"),
            (json!({"runAsUser": 5}), json!({}), "www", "5"),
            (json!({"runAsUser": 5}), json!({"runAsUser": 7}), "", "7"),
            (json!({"runAsGroup": 9}), json!({"runAsUser": 7}), "", "7:9"),
            (json!({}), json!({"runAsGroup": 9}), "www:web", "www:9"),
            (json!({}), json!({"runAsGroup": 9}), "", "0:9"),
        ];
        for (whole, own, image, expected) in rows {
            let pod = pod(whole.clone(), own.clone());
            assert_eq!(wanted_user(&pod, container(&pod), image).text, expected, "{whole} {own}");
        }
        let pod = pod(
            json!({"supplementalGroups": [3, 4], "fsGroup": 5, "supplementalGroupsPolicy": "Strict"}),
            json!({}),
        );
        let wanted = wanted_user(&pod, container(&pod), "");
        let user = with_groups(User { uid: 0, gid: 0, additional_gids: vec![10] }, &wanted);
        assert_eq!(user.additional_gids, [3, 4, 5]);
    }

    #[test]
    fn root_is_refused_where_it_must_not_be() {
        let rows = [
            (json!({}), "", true),
            (json!({"runAsNonRoot": true}), "", false),
            (json!({"runAsNonRoot": true}), "0:0", false),
            (json!({"runAsNonRoot": true}), "www", false),
            (json!({"runAsNonRoot": true}), "1000", true),
            (json!({"runAsNonRoot": true, "runAsUser": 0}), "1000", false),
            (json!({"runAsNonRoot": true, "runAsUser": 1}), "", true),
        ];
        for (own, image, allowed) in rows {
            let pod = pod(json!({"runAsNonRoot": false}), own.clone());
            assert_eq!(check_non_root(&pod, container(&pod), image).is_ok(), allowed, "{own} {image}");
        }
    }

    #[test]
    fn privilege_overrides_what_would_bind_it() {
        let restricted = json!({
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        });
        let pod1 = pod(json!({}), restricted);
        let rights1 = rights(&pod1, container(&pod1), None);
        assert!(rights1.no_new_privileges && rights1.readonly_rootfs);
        assert_eq!(rights1.seccomp, runtime::SeccompProfile::RuntimeDefault);
        let pod2 = pod(json!({"seccompProfile": {"type": "RuntimeDefault"}}), json!({"privileged": true}));
        assert_eq!(rights(&pod2, container(&pod2), None).seccomp, runtime::SeccompProfile::Unconfined);
    }
}
