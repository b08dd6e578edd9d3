//! The objects that a binding's `paramRef` names.

use apimachinery::Value;
use apimachinery::labels::Selector;
use apiserver::Admission;

/// The parameters, each of which the policy is run with; `[null]` where the
/// policy has none or the binding names none. Empty: the binding does not apply.
///
/// # Errors
/// The binding is no good for this write: why, in upstream's words.
pub(super) fn of(
    admission: &Admission<'_>,
    kind: Option<&(String, String)>,
    reference: &Value,
) -> Result<Vec<Value>, String> {
    let Some((api_version, kind)) = kind else { return Ok(vec![Value::Null]) };
    if reference.is_null() {
        return Ok(vec![Value::Null]);
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let Some((resource, served)) = admission.view.catalogue().kind(group, version, kind) else {
        return Err(format!("failed to find resource referenced by paramKind: '{api_version}, Kind={kind}'"));
    };
    let named = reference["namespace"].text();
    let namespace = match (resource.is_namespaced(), named) {
        (false, "") => "",
        (false, _) => {
            return Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".to_owned());
        }
        (true, "") if !admission.definition.is_namespaced() => {
            return Err(
                "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
                    .to_owned(),
            );
        }
        (true, "") => admission.namespace,
        (true, named) => named,
    };
    let served_as = |stored: apiserver::Stored| {
        let mut tree = stored.tree();
        if let Some(conversion) = &served.conversion {
            conversion.from_storage(&mut tree).map_err(|status| status.message)?;
        }
        Ok::<Value, String>(tree)
    };
    let found: Vec<Value> = match (reference["name"].text(), reference["selector"].is_null()) {
        ("", true) => return Err("paramRef must specify name or selector".to_owned()),
        ("", false) => {
            let selector =
                Selector::of_label_selector(&reference["selector"]).map_err(|error| error.to_string())?;
            let all = admission.view.list(group, &resource.resource, namespace);
            let trees = all.map(served_as).collect::<Result<Vec<_>, _>>()?;
            trees.into_iter().filter(|tree| selector.matches(&tree["metadata"]["labels"])).collect()
        }
        (name, _) => {
            let stored = admission.view.get(group, &resource.resource, namespace, name);
            stored.into_iter().map(served_as).collect::<Result<_, _>>()?
        }
    };
    if found.is_empty() && reference["parameterNotFoundAction"].text() != "Allow" {
        return Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned());
    }
    Ok(found)
}
