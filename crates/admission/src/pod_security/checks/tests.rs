//! Each check by a table: pods that hold to it and pods that do not.

use apimachinery::{Value, value};

use super::*;

fn at(level: Level, version: Version) -> LevelVersion {
    LevelVersion { level, version }
}

/// `reason (detail)` of each violation.
fn told(level: LevelVersion, pod: &Value) -> Vec<String> {
    evaluate(level, PodView::of(pod))
        .into_iter()
        .map(|violation| format!("{} ({})", violation.reason, violation.detail))
        .collect()
}

fn baseline(spec: Value) -> Vec<String> {
    told(at(Level::Baseline, Version::Latest), &value!({"spec": spec}))
}

fn good() -> Value {
    value!({
        "containers": [{"name": "c", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}}],
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}
    })
}

#[test]
fn the_table_is_sorted_and_overrides_what_there_is() {
    let baseline: Vec<&str> =
        CHECKS.iter().filter(|check| check.level == Level::Baseline).map(|check| check.id).collect();
    let restricted: Vec<&str> =
        CHECKS.iter().filter(|check| check.level == Level::Restricted).map(|check| check.id).collect();
    assert!(baseline.is_sorted() && restricted.is_sorted());
    for check in CHECKS {
        assert!(check.revisions.is_sorted_by_key(|(from, _)| *from), "{}", check.id);
        assert!(check.overrides.iter().all(|id| baseline.contains(id)), "{}", check.id);
    }
}

#[test]
fn each_baseline_check_has_its_words() {
    let one = |context: Value| value!({"containers": [{"name": "c", "securityContext": context}]});
    for (spec, expected) in [
        (
            one(value!({"capabilities": {"add": ["NET_ADMIN", "CHOWN"]}})),
            "non-default capabilities (container \"c\" must not include \"NET_ADMIN\" in securityContext.capabilities.add)",
        ),
        (
            value!({"hostNetwork": true, "hostIPC": true, "containers": []}),
            "host namespaces (hostNetwork=true, hostIPC=true)",
        ),
        (
            value!({"volumes": [{"name": "a", "hostPath": {"path": "/"}}, {"name": "b", "hostPath": {"path": "/"}}]}),
            "hostPath volumes (volumes \"a\", \"b\")",
        ),
        (
            value!({"containers": [{"name": "c", "ports": [{"hostPort": 9}, {"hostPort": 80}]}, {"name": "d", "ports": [{"hostPort": 9}]}]}),
            "hostPort (containers \"c\", \"d\" use hostPorts 80, 9)",
        ),
        (
            value!({"containers": [{"name": "c", "livenessProbe": {"httpGet": {"host": "h"}}, "lifecycle": {"preStop": {"httpGet": {"host": "g"}}}}]}),
            "probe or lifecycle host (container \"c\" uses probe or lifecycle hosts \"g\", \"h\")",
        ),
        (
            value!({"initContainers": [{"name": "i", "securityContext": {"privileged": true}}], "containers": [{"name": "c", "securityContext": {"privileged": true}}]}),
            "privileged (containers \"i\", \"c\" must not set securityContext.privileged=true)",
        ),
        (
            one(value!({"procMount": "Unmasked"})),
            "procMount (container \"c\" must not set securityContext.procMount to \"Unmasked\")",
        ),
        (
            one(value!({"seLinuxOptions": {"role": "r"}})),
            "seLinuxOptions (container \"c\" set forbidden securityContext.seLinuxOptions: role may not be set)",
        ),
        (
            one(value!({"seccompProfile": {"type": "Unconfined"}})),
            "seccompProfile (container \"c\" must not set securityContext.seccompProfile.type to \"Unconfined\")",
        ),
        (
            value!({"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_notsent_lowat"}, {"name": "kernel.x"}]}}),
            "forbidden sysctls (kernel.x)",
        ),
        (
            value!({"securityContext": {"windowsOptions": {"hostProcess": true}}, "containers": []}),
            "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)",
        ),
        (
            value!({"securityContext": {"appArmorProfile": {"type": "Unconfined"}}, "containers": []}),
            "forbidden AppArmor profile (pod must not set AppArmor profile type to \"Unconfined\")",
        ),
    ] {
        assert_eq!(baseline(spec), [expected]);
    }
    assert!(baseline(value!({"containers": [{"name": "c"}]})).is_empty());
}

#[test]
fn annotations_of_app_armor_count_too() {
    let pod = value!({
        "metadata": {"annotations": {
            "container.apparmor.security.beta.kubernetes.io/c": "unconfined",
            "container.apparmor.security.beta.kubernetes.io/d": "localhost/x"}},
        "spec": {"containers": [{"name": "c", "securityContext": {"appArmorProfile": {"type": "Unconfined"}}}]}
    });
    assert_eq!(
        told(at(Level::Baseline, Version::Latest), &pod),
        [
            "forbidden AppArmor profiles (container \"c\" and annotation must not set AppArmor profile type to \
          \"Unconfined\", \"container.apparmor.security.beta.kubernetes.io/c=\"unconfined\"\")"
        ]
    );
}

#[test]
fn restricted_wants_things_said() {
    let latest = at(Level::Restricted, Version::Latest);
    assert_eq!(
        told(latest, &value!({"spec": {"containers": [{"name": "c"}]}})),
        [
            "allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false)",
            "unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"])",
            "runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true)",
            "seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \
             \"RuntimeDefault\" or \"Localhost\")"
        ]
    );
    assert!(told(latest, &value!({"spec": good()})).is_empty());
    let mut volumes = good();
    volumes.set(
        "volumes",
        value!([{"name": "n", "nfs": {"server": "s"}}, {"name": "h", "hostPath": {"path": "/"}}, {"name": "i", "image": {}}]),
    );
    assert_eq!(
        told(latest, &value!({"spec": volumes})),
        ["restricted volume types (volumes \"n\", \"h\" use restricted volume types \"hostPath\", \"nfs\")"]
    );
    let mut root = good();
    root.set_at(&["securityContext", "runAsUser"], 0i64);
    root.set_at(&["securityContext", "runAsNonRoot"], false);
    assert_eq!(
        told(latest, &value!({"spec": root})),
        [
            "runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)",
            "runAsUser=0 (pod must not set runAsUser=0)"
        ]
    );
}

#[test]
fn a_version_has_the_rules_of_its_time() {
    let probe =
        value!({"spec": {"containers": [{"name": "c", "livenessProbe": {"tcpSocket": {"host": "h"}}}]}});
    let sysctl = value!({"spec": {"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_rmem"}]}}});
    let unmasked = value!({"spec": {"hostUsers": false, "containers": [{"name": "c", "securityContext": {"procMount": "Unmasked"}}]}});
    let engine = value!({"spec": {"securityContext": {"seLinuxOptions": {"type": "container_engine_t"}}}});
    let annotated = value!({
        "metadata": {"annotations": {"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}}, "spec": {"containers": []}
    });
    for (pod, minor, count) in [
        (&probe, 33, 0),
        (&probe, 34, 1),
        (&sysctl, 31, 1),
        (&sysctl, 32, 0),
        (&unmasked, 34, 1),
        (&unmasked, 35, 0),
        (&unmasked, 99, 0),
        (&engine, 30, 1),
        (&engine, 31, 0),
        (&annotated, 18, 1),
        (&annotated, 19, 0),
    ] {
        assert_eq!(told(at(Level::Baseline, Version::Minor(minor)), pod).len(), count, "{minor} {pod:?}");
    }
    // Restricted masks /proc whoever the users are.
    let restricted = told(at(Level::Restricted, Version::Latest), &unmasked);
    assert!(restricted.iter().any(|text| text.starts_with("procMount (")), "{restricted:?}");
    // Before v1.22 only the baseline's rule on capabilities was there.
    let plain = value!({"spec": {"containers": [{"name": "c"}]}});
    assert_eq!(told(at(Level::Restricted, Version::Minor(7)), &plain).len(), 1);
}

#[test]
fn windows_has_no_linux_rules() {
    let pod = value!({"spec": {"os": {"name": "windows"}, "containers": [{"name": "c"}], "securityContext": {"runAsNonRoot": true}}});
    assert_eq!(told(at(Level::Restricted, Version::Minor(24)), &pod).len(), 3);
    assert!(told(at(Level::Restricted, Version::Latest), &pod).is_empty());
}
