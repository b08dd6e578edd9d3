//! Names and amounts of resources (ResourceList, ResourceRequirements).

use std::collections::{HashMap, HashSet};

use apimachinery::Value;
use apimachinery::field::{Errors, Named, Path};
use apimachinery::quantity::Quantity;
use apimachinery::validation::{dns1123_label, qualified_name};

use super::not_found_because;

const HUGE_PAGES: &str = "hugepages-";

/// Names without a domain that some API object may hold.
const STANDARD: [&str; 20] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];

/// Of those, what is counted in whole numbers.
const WHOLE: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

/// The amount that a tree's value says; zero where it is none.
pub fn amount(value: &Value) -> Quantity {
    Quantity::parse(value.text()).unwrap_or(Quantity::ZERO)
}

pub fn is_huge_pages(name: &str) -> bool {
    name.starts_with(HUGE_PAGES)
}

/// Kubernetes' own: without a domain, or of kubernetes.io.
pub fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// What a quota may limit: all of the above but plain storage.
pub fn is_quota_name(name: &str) -> bool {
    (STANDARD.contains(&name) && name != "storage") || is_huge_pages_of_any_kind(name)
}

fn is_huge_pages_of_any_kind(name: &str) -> bool {
    is_huge_pages(name) || name.strip_prefix("requests.").is_some_and(is_huge_pages)
}

/// A device or such of somebody else's domain.
pub fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && qualified_name(&format!("requests.{name}")).is_empty()
}

pub fn may_overcommit(name: &str) -> bool {
    is_native(name) && !is_huge_pages(name)
}

/// A resource that any object may name.
pub fn name(path: &Path<'_>, name: &str, errors: &mut Errors) -> bool {
    let wrong = qualified_name(name);
    let standard = name.contains('/') || STANDARD.contains(&name) || is_huge_pages_of_any_kind(name);
    let fine = wrong.is_empty() && standard;
    if wrong.is_empty() && !standard {
        errors.invalid(path, Named(name), "must be a standard resource type or fully qualified");
    }
    errors.check_named(path, name, wrong);
    fine
}

/// A resource that containers may ask for.
pub fn container_name(path: &Path<'_>, text: &str, errors: &mut Errors) {
    name(path, text, errors);
    if !text.contains('/') {
        let standard = matches!(text, "cpu" | "memory" | "ephemeral-storage") || is_huge_pages(text);
        if !standard {
            errors.invalid(path, Named(text), "must be a standard resource for containers");
        }
    } else if !is_native(text) && !is_extended(text) {
        errors.invalid(path, Named(text), "doesn't follow extended resource name standard");
    }
}

/// A resource that a pod as a whole may ask for (KEP-2837).
pub fn pod_name(path: &Path<'_>, text: &str, errors: &mut Errors) {
    if name(path, text, errors) && !at_pod_level(text) {
        errors.not_supported(path, text, &["cpu", HUGE_PAGES, "memory"]);
    }
}

/// Whether the resource may be set for a pod as a whole.
pub fn at_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || is_huge_pages(name)
}

/// A resource that a quota may limit.
pub fn quota_name(path: &Path<'_>, text: &str, errors: &mut Errors) {
    name(path, text, errors);
    if !text.contains('/') && !is_quota_name(text) {
        errors.invalid(path, Named(text), "must be a standard resource for quota");
    }
}

/// Not negative, and whole where the resource is counted.
pub fn value(path: &Path<'_>, name: &str, value: &Value, errors: &mut Errors) {
    let amount = amount(value);
    if amount.is_negative() {
        errors.invalid(path, value.clone(), "must be greater than or equal to 0");
    }
    if (WHOLE.contains(&name) || is_extended(name)) && amount.milli_value() % 1000 != 0 {
        errors.invalid(path, value.clone(), "must be an integer");
    }
}

fn huge_pages(path: &Path<'_>, name: &str, value: &Value, errors: &mut Errors) {
    let page = Quantity::parse(&name[HUGE_PAGES.len()..]).unwrap_or(Quantity::ZERO);
    let whole = !page.is_zero() && !page.is_negative() && page.milli_value() % 1000 == 0;
    if !whole || amount(value).value() % page.value() != 0 {
        let why = format!("{} is not positive integer multiple of {name}", value.text());
        errors.invalid(path, value.clone(), &why);
    }
}

/// How resources may be called where they are asked for.
pub type NameCheck = fn(&Path<'_>, &str, &mut Errors);

/// ResourceRequirements of a container; `claims` are the names of the pod's
/// resource claims.
pub fn requirements(path: &Path<'_>, resources: &Value, claims: &[&str], errors: &mut Errors) {
    requirements_named(path, resources, claims, container_name, errors);
}

/// As [`requirements`], of whoever may use the names that `named` accepts.
pub fn requirements_named(
    path: &Path<'_>,
    resources: &Value,
    claims: &[&str],
    named: NameCheck,
    errors: &mut Errors,
) {
    let (limits, requests) = (path.child("limits"), path.child("requests"));
    let mut huge = false;
    let mut compute = false;
    for (name, limit) in resources["limits"].members() {
        let field = limits.key(name);
        check(&field, name, limit, named, errors);
        huge |= is_huge_pages(name);
        compute |= matches!(name, "cpu" | "memory");
    }
    let limited: HashMap<&str, &Value> = resources["limits"].members().collect();
    for (name, request) in resources["requests"].members() {
        let field = requests.key(name);
        named(&field, name, errors);
        value(&field, name, request, errors);
        huge |= is_huge_pages(name);
        compute |= matches!(name, "cpu" | "memory");
        let limit = limited.get(name).copied().unwrap_or(&Value::Null);
        if !limit.is_null() {
            let (asked, most) = (amount(request), amount(limit));
            if asked != most && !may_overcommit(name) {
                let why = format!("must be equal to {name} limit of {}", limit.text());
                errors.invalid(&requests, request.clone(), &why);
            } else if asked > most {
                let why = format!("must be less than or equal to {name} limit of {}", limit.text());
                errors.invalid(&requests, request.clone(), &why);
            }
        } else if !may_overcommit(name) {
            errors.required(&limits, "Limit must be set for non overcommitable resources");
        }
        if is_huge_pages(name) {
            huge_pages(&field, name, request, errors);
        }
    }
    if huge && !compute {
        errors.forbidden(path, "HugePages require cpu or memory");
    }
    claim_names(&path.child("claims"), &resources["claims"], claims, errors);
}

fn check(path: &Path<'_>, name: &str, amount: &Value, named: NameCheck, errors: &mut Errors) {
    named(path, name, errors);
    value(path, name, amount, errors);
    if is_huge_pages(name) {
        huge_pages(path, name, amount, errors);
    }
}

/// Each claim, or request of a claim, once; all of them known to the pod.
fn claim_names(path: &Path<'_>, used: &Value, claims: &[&str], errors: &mut Errors) {
    let known: HashSet<&str> = claims.iter().copied().collect();
    // Names that are used whole, and how often some request of them is.
    let (mut whole, mut parts) = (HashSet::new(), HashMap::<&str, HashSet<&str>>::new());
    for (at, claim) in used.items().iter().enumerate() {
        let here = path.index(at);
        let (name, request) = (claim["name"].text(), claim["request"].text());
        if name.is_empty() {
            errors.required(&here, "");
            continue;
        }
        if errors.is_full() {
            return;
        }
        if whole.contains(name) {
            errors.duplicate(&here, name);
        } else if request.is_empty() {
            let before = parts.get(name).map_or(0, HashSet::len);
            (0..before).for_each(|_| errors.duplicate(&here, name));
            whole.insert(name);
        } else {
            errors.check(&here.child("request"), request, dns1123_label(request));
            if !parts.entry(name).or_default().insert(request) {
                errors.duplicate(&here, format!("{name}/{request}"));
            }
        }
        if !known.contains(name) {
            let mut known = claims.to_vec();
            known.sort_unstable();
            let detail = if known.is_empty() {
                "must be one of the names in pod.spec.resourceClaims which is empty".to_owned()
            } else {
                format!("must be one of the names in pod.spec.resourceClaims: {}", known.join(", "))
            };
            not_found_because(&here, name, &detail, errors);
        }
    }
}

/// An amount that is a valid one at all, by its whole value.
pub fn basic(path: &Path<'_>, value: &Value, errors: &mut Errors) {
    let whole = amount(value).value();
    if whole < 0 {
        errors.invalid(path, whole, "must be a valid resource quantity");
    }
}

/// More than nothing.
pub fn positive(path: &Path<'_>, value: &Value, errors: &mut Errors) -> bool {
    let wrong = amount(value) <= Quantity::ZERO;
    if wrong {
        errors.invalid(path, value.clone(), "must be greater than zero");
    }
    !wrong
}

/// Warns of an amount of bytes that is no whole number.
pub fn warn_of_fraction(path: &Path<'_>, value: &Value, warnings: &mut Vec<String>) {
    if !value.is_null() && amount(value).milli_value() % 1000 != 0 {
        warnings.push(format!(
            "{path}: fractional byte value {} is invalid, must be an integer",
            apimachinery::field::quote(value.text())
        ));
    }
}
