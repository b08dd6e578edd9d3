//! Which writes a policy or a webhook is about: rules on resources, selectors
//! on namespaces and objects. Shared by both.

use apimachinery::labels::{Labels, Selector};
use apimachinery::{Status, Value};
use apiserver::{Admission, Operation, Stored, Version};

/// Resources that nobody outside is asked about: one could never get rid of a
/// bad policy or webhook otherwise.
const EXEMPT: [&str; 6] = [
    "validatingwebhookconfigurations",
    "mutatingwebhookconfigurations",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
];

/// Questions about users and their rights, of which there is nothing to store:
/// whoever stood in their way would lock everybody out.
const QUESTIONS: [(&str, &str); 6] = [
    ("authentication.k8s.io", "selfsubjectreviews"),
    ("authentication.k8s.io", "tokenreviews"),
    ("authorization.k8s.io", "localsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
    ("authorization.k8s.io", "subjectaccessreviews"),
];

/// Whether admission from outside never looks at this write.
pub(crate) fn is_exempt(admission: &Admission<'_>) -> bool {
    let (group, resource) = (&*admission.definition.group, &*admission.definition.resource);
    (group == "admissionregistration.k8s.io" && EXEMPT.contains(&resource))
        || QUESTIONS.contains(&(group, resource))
}

/// Constraints of a policy, a binding or a webhook.
#[derive(Debug)]
pub(crate) struct Matcher {
    rules: Vec<Rule>,
    excluded: Vec<Rule>,
    namespaces: Selector,
    objects: Selector,
    /// Other versions of a resource count as the one that a rule names.
    equivalent: bool,
}

/// admissionregistration RuleWithOperations or NamedRuleWithOperations.
#[derive(Debug)]
struct Rule {
    groups: Vec<String>,
    versions: Vec<String>,
    resources: Vec<String>,
    operations: Vec<String>,
    scope: String,
    names: Vec<String>,
}

fn texts(list: &Value) -> Vec<String> {
    list.items().iter().map(|item| item.text().to_owned()).collect()
}

/// Whether a list names `wanted` or everything.
fn names(list: &[String], wanted: &str) -> bool {
    list.iter().any(|have| have == "*" || have == wanted)
}

impl Rule {
    fn all(list: &Value) -> Vec<Rule> {
        list.items()
            .iter()
            .map(|rule| Rule {
                groups: texts(&rule["apiGroups"]),
                versions: texts(&rule["apiVersions"]),
                resources: texts(&rule["resources"]),
                operations: texts(&rule["operations"]),
                scope: rule["scope"].text().to_owned(),
                names: texts(&rule["resourceNames"]),
            })
            .collect()
    }

    /// Everything but the version.
    fn concerns(&self, admission: &Admission<'_>) -> bool {
        names(&self.operations, admission.operation.as_str())
            && names(&self.groups, &admission.definition.group)
            && self.resources.iter().any(|wanted| names_resource(wanted, admission))
            && self.is_in_scope(admission)
            && (self.names.is_empty() || self.names.iter().any(|name| name == admission.name))
    }

    fn is_in_scope(&self, admission: &Admission<'_>) -> bool {
        let is_namespaced = admission.definition.is_namespaced();
        match &*self.scope {
            "Namespaced" => is_namespaced,
            "Cluster" => !is_namespaced,
            _ => true,
        }
    }
}

/// `pods`, `pods/status`, `pods/*`, `*/status`, `*` (no subresource), `*/*`.
fn names_resource(wanted: &str, admission: &Admission<'_>) -> bool {
    let (resource, subresource) = wanted.split_once('/').unwrap_or((wanted, ""));
    (resource == "*" || resource == admission.definition.resource)
        && (subresource == "*" || subresource == admission.subresource)
}

/// A selector that cannot be read selects nothing; validation keeps such out.
fn selector(value: &Value) -> Selector {
    if value.is_null() {
        return Selector::of(Vec::new());
    }
    Selector::of_label_selector(value).unwrap_or_else(|_| Selector::nothing())
}

struct StoredLabels<'a>(&'a Stored);

impl Labels for StoredLabels<'_> {
    fn label(&self, key: &str) -> Option<&str> {
        self.0.label(key)
    }
}

impl Matcher {
    /// Of `matchConstraints`, `matchResources` or a webhook; `rules` is the
    /// member that has the rules.
    pub fn of(constraints: &Value, rules: &str) -> Self {
        Self {
            rules: Rule::all(&constraints[rules]),
            excluded: Rule::all(&constraints["excludeResourceRules"]),
            namespaces: selector(&constraints["namespaceSelector"]),
            objects: selector(&constraints["objectSelector"]),
            equivalent: constraints["matchPolicy"].text() != "Exact",
        }
    }

    /// Whether any rule could be about this write, selectors and versions apart.
    pub fn concerns(&self, admission: &Admission<'_>) -> bool {
        self.rules.iter().any(|rule| rule.concerns(admission))
    }

    /// The version of the resource in which the write is matched, if it is.
    /// Without any rule (of a binding) every resource is.
    ///
    /// # Errors
    /// The namespace is not there.
    pub fn matches<'a>(&self, admission: &Admission<'a>, object: &Value) -> Option<&'a Version> {
        let version = match self.rules.is_empty() {
            true => Some(admission.version),
            false => self.version_of(&self.rules, admission),
        }?;
        if self.version_of(&self.excluded, admission).is_some() {
            return None;
        }
        (self.selects_namespace(admission, object) && self.selects_object(admission, object))
            .then_some(version)
    }

    fn version_of<'a>(&self, rules: &[Rule], admission: &Admission<'a>) -> Option<&'a Version> {
        let named = |version: &Version| {
            rules.iter().any(|rule| names(&rule.versions, &version.name) && rule.concerns(admission))
        };
        if named(admission.version) {
            return Some(admission.version);
        }
        if !self.equivalent {
            return None;
        }
        // The versions of a custom resource are resources of their own.
        let own = admission.definition;
        let siblings = admission
            .view
            .catalogue()
            .resources()
            .iter()
            .filter(|other| other.group == own.group && other.resource == own.resource);
        siblings.flat_map(|other| &other.versions).find(|version| named(version))
    }

    fn selects_namespace(&self, admission: &Admission<'_>, object: &Value) -> bool {
        if self.namespaces.is_everything() {
            return true;
        }
        let is_namespace =
            admission.definition.group.is_empty() && admission.definition.resource == "namespaces";
        if is_namespace && matches!(admission.operation, Operation::Create | Operation::Update) {
            let labels = match admission.subresource {
                "" => &object["metadata"]["labels"],
                _ => admission.old.map_or(&object["metadata"]["labels"], |old| &old["metadata"]["labels"]),
            };
            return self.namespaces.matches(labels);
        }
        if !admission.definition.is_namespaced() && !is_namespace {
            return true;
        }
        match admission.view.get("", "namespaces", "", admission.namespace) {
            Some(namespace) => self.namespaces.matches(&StoredLabels(&namespace)),
            None => self.namespaces.matches(&Value::Null),
        }
    }

    /// Either of the object's states will do.
    fn selects_object(&self, admission: &Admission<'_>, object: &Value) -> bool {
        if self.objects.is_everything() {
            return true;
        }
        let selects =
            |object: &Value| !object.is_null() && self.objects.matches(&object["metadata"]["labels"]);
        selects(object) || admission.old.is_some_and(selects)
    }
}

/// An object that cannot be expressed in the version that was matched.
pub(crate) fn unconverted(status: Status) -> Status {
    Status::internal(status.message)
}
