//! ServiceAccount: every pod runs as a service account that exists, with its
//! token, root certificate and namespace mounted, and its pull secrets.
//! Mutates pods on create and checks them afterwards.

use apimachinery::{Status, Value, name, value};
use apiserver::{Admission, AdmissionPlugin, Notes, Operation};

use crate::default_toleration_seconds::push;

/// Where the token is mounted in every container.
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// An hour and seven seconds: recognisable as a token made here.
const TOKEN_SECONDS: i64 = 3607;
const VOLUME_PREFIX: &str = "kube-api-access-";
/// Makes the account allow only the secrets that it lists.
const ENFORCE_MOUNTABLE: &str = "kubernetes.io/enforce-mountable-secrets";
/// Marks the API's copy of a pod that a kubelet runs from a file.
pub(crate) const MIRROR: &str = "kubernetes.io/config.mirror";

/// Runs the pod as `default` where it names nobody.
pub(crate) fn name_account(pod: &mut Value) {
    if pod["spec"]["serviceAccountName"].text().is_empty() {
        let spec = pod.entry("spec");
        spec.set("serviceAccountName", "default");
        spec.set("serviceAccount", "default");
    }
}

/// Mounts the token and adds pull secrets, as the account and the pod want it.
pub(crate) fn equip(pod: &mut Value, account: &Value, suffix: &str) {
    let wanted = pod["spec"]["automountServiceAccountToken"]
        .as_bool()
        .or(account["automountServiceAccountToken"].as_bool())
        .unwrap_or(true);
    if wanted {
        mount_token(pod, suffix);
    }
    if pod["spec"]["imagePullSecrets"].items().is_empty() && !account["imagePullSecrets"].items().is_empty() {
        let secrets = account["imagePullSecrets"].items().iter();
        let secrets = secrets.map(|secret| value!({"name": secret["name"].text()})).collect::<Vec<_>>();
        pod.entry("spec").set("imagePullSecrets", secrets);
    }
}

fn mount_token(pod: &mut Value, suffix: &str) {
    let existing = pod["spec"]["volumes"]
        .items()
        .iter()
        .map(|volume| volume["name"].text())
        .find(|name| name.starts_with(VOLUME_PREFIX))
        .map(str::to_owned);
    let name = existing.clone().unwrap_or_else(|| format!("{VOLUME_PREFIX}{suffix}"));
    let mut needed = false;
    for list in ["initContainers", "containers"] {
        for container in pod.entry("spec").get_mut(list).map_or(&mut [][..], Value::items_mut) {
            let mounted =
                container["volumeMounts"].items().iter().any(|mount| mount["mountPath"].text() == MOUNT_PATH);
            if !mounted {
                let mount = value!({"name": name.as_str(), "readOnly": true, "mountPath": MOUNT_PATH});
                push(container.entry("volumeMounts"), mount);
                needed = true;
            }
        }
    }
    if needed && existing.is_none() {
        push(pod.entry("spec").entry("volumes"), token_volume(&name));
    }
}

fn token_volume(name: &str) -> Value {
    value!({
        "name": name,
        "projected": {
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [
                    {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
                ]}}
            ],
            "defaultMode": 420
        }
    })
}

/// What a mirror pod may not have: the node does not prove such rights.
pub(crate) fn refuse_mirror(pod: &Value) -> Option<String> {
    if !pod["spec"]["serviceAccountName"].text().is_empty() {
        return Some("a mirror pod may not reference service accounts".into());
    }
    if api::pod::secret_names(pod).next().is_some() {
        return Some("a mirror pod may not reference secrets".into());
    }
    let projects_token = pod["spec"]["volumes"]
        .items()
        .iter()
        .flat_map(|volume| volume["projected"]["sources"].items())
        .any(|source| !source["serviceAccountToken"].is_null());
    projects_token.then(|| "a mirror pod may not use ServiceAccountToken volume projections".into())
}

/// The lists of containers that a new pod has, with the word for each in messages.
const LISTS: [(&str, &str); 2] = [("initContainers", "init container"), ("containers", "container")];
/// The list that grows later.
const EPHEMERAL: [(&str, &str); 1] = [("ephemeralContainers", "ephemeral container")];

/// Whether the account allows only the secrets that it lists.
pub(crate) fn enforces_mountable(account: &Value) -> bool {
    matches!(
        account["metadata"]["annotations"][ENFORCE_MOUNTABLE].text(),
        "1" | "t" | "T" | "true" | "TRUE" | "True"
    )
}

/// Which secret in the environment of containers of these lists the account does not list.
fn unlisted_in_environment(pod: &Value, account: &Value, lists: &[(&str, &str)]) -> Option<String> {
    let account_name = account["metadata"]["name"].text();
    let unlisted = |reference: &Value| {
        let mut listed = account["secrets"].items().iter();
        !reference.is_null() && !listed.any(|secret| secret["name"].text() == reference["name"].text())
    };
    let refuse = |what: &str, reference: &Value| {
        let secret = reference["name"].text();
        Some(format!(
            "{what} referencing secret.secretName={secret:?} is not allowed because service account \
             {account_name} does not reference that secret"
        ))
    };
    for (list, word) in lists {
        for container in pod["spec"][*list].items() {
            let of = container["name"].text();
            for env in container["env"].items() {
                let reference = &env["valueFrom"]["secretKeyRef"];
                if unlisted(reference) {
                    return refuse(&format!("{word} {of} with envVar {}", env["name"].text()), reference);
                }
            }
            for from in container["envFrom"].items() {
                if unlisted(&from["secretRef"]) {
                    return refuse(&format!("{word} {of} with envFrom"), &from["secretRef"]);
                }
            }
        }
    }
    None
}

/// Which secret of the pod the account does not list.
pub(crate) fn unlisted_secret(pod: &Value, account: &Value) -> Option<String> {
    let name = account["metadata"]["name"].text();
    let listed = |list: &str, secret: &str| {
        account[list].items().iter().any(|reference| reference["name"].text() == secret)
    };
    let refuse = |what: String| {
        Some(format!("{what} is not allowed because service account {name} does not reference that secret"))
    };
    for volume in pod["spec"]["volumes"].items() {
        let secret = volume["secret"]["secretName"].text();
        if !volume["secret"].is_null() && !listed("secrets", secret) {
            return refuse(format!("volume with secret.secretName={secret:?}"));
        }
    }
    if let Some(why) = unlisted_in_environment(pod, account, &LISTS) {
        return Some(why);
    }
    for (at, pull) in pod["spec"]["imagePullSecrets"].items().iter().enumerate() {
        let secret = pull["name"].text();
        if !listed("imagePullSecrets", secret) {
            return Some(format!(
                "imagePullSecrets[{at}].name={secret:?} is not allowed because service account {name} does \
                 not reference that imagePullSecret"
            ));
        }
    }
    None
}

/// See the module.
pub(crate) struct ServiceAccount;

impl AdmissionPlugin for ServiceAccount {
    fn name(&self) -> &'static str {
        "ServiceAccount"
    }

    fn handles(&self, admission: &Admission<'_>) -> bool {
        admission.is_of("", "pods") && admission.operation == Operation::Create || grows(admission)
    }

    fn admit(&self, admission: &Admission<'_>, object: &mut Value, _: &mut Notes) -> Result<(), Status> {
        if grows(admission) {
            return Ok(());
        }
        if is_mirror(object) {
            return check_mirror(admission, object);
        }
        name_account(object);
        let account = find(admission, object)?;
        let suffix = name::generate("", |bound| admission.random.below(bound));
        equip(object, &account, &suffix);
        check(admission, object, &account)
    }

    fn validate(&self, admission: &Admission<'_>, object: &Value, _: &mut Notes) -> Result<(), Status> {
        if is_mirror(object) && !grows(admission) {
            return check_mirror(admission, object);
        }
        let account = find(admission, object)?;
        if grows(admission) { check_growth(object, &account) } else { check(admission, object, &account) }
    }
}

/// Whether a pod gets ephemeral containers.
fn grows(admission: &Admission<'_>) -> bool {
    admission.definition.group.is_empty()
        && admission.definition.resource == "pods"
        && admission.subresource == "ephemeralcontainers"
        && admission.operation == Operation::Update
}

fn is_mirror(pod: &Value) -> bool {
    !pod["metadata"]["annotations"][MIRROR].is_null()
}

fn check_mirror(admission: &Admission<'_>, pod: &Value) -> Result<(), Status> {
    refuse_mirror(pod).map_or(Ok(()), |why| Err(admission.forbid(pod, why)))
}

/// Run once it is made, and again after what others made of it.
fn check(admission: &Admission<'_>, pod: &Value, account: &Value) -> Result<(), Status> {
    if !enforces_mountable(account) {
        return Ok(());
    }
    unlisted_secret(pod, account).map_or(Ok(()), |why| Err(admission.forbid(pod, why)))
}

fn check_growth(pod: &Value, account: &Value) -> Result<(), Status> {
    if !enforces_mountable(account) {
        return Ok(());
    }
    // Upstream gives this error no code.
    unlisted_in_environment(pod, account, &EPHEMERAL).map_or(Ok(()), |why| Err(Status::unknown(why)))
}

fn find(admission: &Admission<'_>, pod: &Value) -> Result<Value, Status> {
    let name = pod["spec"]["serviceAccountName"].text();
    match admission.view.get("", "serviceaccounts", admission.namespace, name) {
        Some(stored) => Ok(stored.tree()),
        None => {
            let why = crate::unaskable(name).unwrap_or_else(|| format!("serviceaccount {name:?} not found"));
            let namespace = admission.namespace;
            let why = format!("error looking up service account {namespace}/{name}: {why}");
            Err(admission.forbid(pod, why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Value {
        value!({"spec": {"containers": [{"name": "c"}], "initContainers": [{"name": "i"}]}})
    }

    #[test]
    fn the_token_is_mounted_in_every_container_once() {
        let mut pod = pod();
        let account = value!({"metadata": {"name": "default"}, "imagePullSecrets": [{"name": "reg"}]});
        equip(&mut pod, &account, "abcde");
        let once = pod.clone();
        equip(&mut pod, &account, "fghij");
        assert_eq!(pod, once, "a second run changes nothing");
        assert_eq!(pod["spec"]["volumes"][0]["name"].text(), "kube-api-access-abcde");
        for list in ["containers", "initContainers"] {
            assert_eq!(pod["spec"][list][0]["volumeMounts"][0]["mountPath"].text(), MOUNT_PATH);
        }
        assert_eq!(pod["spec"]["imagePullSecrets"], value!([{"name": "reg"}]));
    }

    #[test]
    fn the_pods_wish_wins_over_the_accounts() {
        for (pods, accounts, mounted) in [
            (None, None, true),
            (None, Some(false), false),
            (Some(true), Some(false), true),
            (Some(false), Some(true), false),
        ] {
            let mut made = pod();
            let mut account = value!({"metadata": {"name": "a"}});
            if let Some(wish) = pods {
                made.entry("spec").set("automountServiceAccountToken", wish);
            }
            if let Some(wish) = accounts {
                account.set("automountServiceAccountToken", wish);
            }
            equip(&mut made, &account, "x");
            assert_eq!(!made["spec"]["volumes"].is_null(), mounted, "{pods:?} {accounts:?}");
        }
    }

    #[test]
    fn secrets_must_be_listed_where_that_is_enforced() {
        let account = value!({
            "metadata": {"name": "strict", "annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}},
            "secrets": [{"name": "ok"}]
        });
        assert!(enforces_mountable(&account));
        let with =
            |secret: &str| value!({"spec": {"volumes": [{"name": "v", "secret": {"secretName": secret}}]}});
        assert_eq!(unlisted_secret(&with("ok"), &account), None);
        assert_eq!(
            unlisted_secret(&with("other"), &account).as_deref(),
            Some(
                "volume with secret.secretName=\"other\" is not allowed because service account strict does not \
                 reference that secret"
            )
        );
    }

    #[test]
    fn mirror_pods_prove_nothing() {
        assert_eq!(refuse_mirror(&value!({"spec": {"containers": []}})), None);
        let named = value!({"spec": {"serviceAccountName": "a"}});
        assert!(refuse_mirror(&named).is_some_and(|why| why.contains("service accounts")));
        let secret = value!({"spec": {"volumes": [{"secret": {"secretName": "s"}}]}});
        assert!(refuse_mirror(&secret).is_some_and(|why| why.contains("secrets")));
        let pulled = value!({"spec": {"imagePullSecrets": [{"name": "s"}]}});
        assert!(refuse_mirror(&pulled).is_some_and(|why| why.contains("secrets")));
    }
}
