//! seLinuxOptions: only the types of ordinary containers, no user and no role.

use apimachinery::Value;

use super::{Check, Level, PodView, Violation, distinct, plural, quoted, setters};

pub(super) const CHECK: Check = Check {
    id: "seLinuxOptions",
    level: Level::Baseline,
    revisions: &[(0, from_0), (31, from_31)],
    overrides: &[],
};

const TYPES_FROM_0: [&str; 4] = ["", "container_t", "container_init_t", "container_kvm_t"];
const TYPES_FROM_31: [&str; 5] =
    ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

fn from_0(pod: PodView<'_>) -> Option<Violation> {
    check(pod, &TYPES_FROM_0)
}

fn from_31(pod: PodView<'_>) -> Option<Violation> {
    check(pod, &TYPES_FROM_31)
}

fn check(pod: PodView<'_>, types: &[&str]) -> Option<Violation> {
    let is_bad = |context: &Value| {
        let options = &context["seLinuxOptions"];
        !types.contains(&options["type"].text())
            || !options["user"].text().is_empty()
            || !options["role"].text().is_empty()
    };
    let names = pod.containers_that(|container| is_bad(&container["securityContext"]));
    let who = setters(is_bad(pod.context()), &names);
    if who.is_empty() {
        return None;
    }
    let contexts = || {
        let own = pod.containers().map(|container| &container["securityContext"]);
        std::iter::once(pod.context()).chain(own).map(|context| &context["seLinuxOptions"])
    };
    let bad_types =
        distinct(contexts().map(|options| options["type"].text()).filter(|ty| !types.contains(ty)));
    let mut what = Vec::new();
    if !bad_types.is_empty() {
        what.push(format!("{} {}", plural(bad_types.len(), "type", "types"), quoted(bad_types)));
    }
    for field in ["user", "role"] {
        if contexts().any(|options| !options[field].text().is_empty()) {
            what.push(format!("{field} may not be set"));
        }
    }
    Some(Violation {
        reason: "seLinuxOptions",
        detail: format!(
            "{} set forbidden securityContext.seLinuxOptions: {}",
            who.join(" and "),
            what.join("; ")
        ),
    })
}
