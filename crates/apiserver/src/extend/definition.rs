//! What the engine knows of a resource: names, versions, storage, subresources.
//!
//! A definition is data; what a kind does differently is its [`Strategy`].

use std::borrow::Cow;
use std::sync::Arc;

use apimachinery::Value;
use apimachinery::schema::TypeId;
use apimachinery::structural::Schema;

use super::conversion::Conversion;
use super::handler::Handler;
use super::strategy::Strategy;

/// A name: of the program where a built-in kind brings it, owned where a custom one does.
pub type Text = Cow<'static, str>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Cluster,
    Namespaced,
}

/// One resource of a group, in all its served versions.
#[derive(Clone)]
pub struct Definition {
    /// "" is the core group.
    pub group: Text,
    /// The plural, as in paths: `deployments`.
    pub resource: Text,
    pub singular: Text,
    pub kind: Text,
    /// `DeploymentList`.
    pub list_kind: Text,
    pub short_names: Vec<Text>,
    /// Such as `all`.
    pub categories: Vec<Text>,
    pub scope: Scope,
    /// Served verbs of the resource itself, as discovery lists them.
    pub verbs: Vec<Text>,
    /// Served versions, the preferred one first.
    pub versions: Vec<Version>,
    pub storage: Storage,
    pub subresources: Vec<Subresource>,
    /// Fields that field selectors may name beside `metadata.name` and `metadata.namespace`.
    pub selectable: Vec<Selectable>,
    /// What is accepted and does nothing; a write of it is answered with a warning.
    pub ineffective: &'static [Ineffective],
    pub strategy: Arc<dyn Strategy>,
    /// What was stored before this revision may have another form than this
    /// definition says: it is brought into it when it is read
    /// ([`Strategy::upgrade`]). 0 where that never happens (built-in kinds).
    pub since: u64,
}

/// A kind or field that is stored and that nothing acts on.
#[derive(Debug)]
pub struct Ineffective {
    /// Where the field lies; `*` is every item of a list. Empty for the whole kind.
    pub path: &'static [&'static str],
    /// What that means: `the policy is not enforced yet`.
    pub why: &'static str,
}

impl Ineffective {
    /// The warning for `object`; None where it does not use the field.
    pub fn warning(&self, kind: &str, object: &Value) -> Option<String> {
        let subject = if self.path.is_empty() { kind.to_owned() } else { self.path.join(".") };
        is_set(object, self.path).then(|| format!("{subject} has no effect here: {}", self.why))
    }
}

fn is_set(value: &Value, path: &[&str]) -> bool {
    match path {
        [] => !value.is_null(),
        ["*", rest @ ..] => value.items().iter().any(|item| is_set(item, rest)),
        [name, rest @ ..] => is_set(value.get(name), rest),
    }
}

/// A served version of a resource.
#[derive(Clone)]
pub struct Version {
    /// `v1`.
    pub name: Text,
    /// None for custom resources.
    pub schema: Option<TypeId>,
    /// What a custom resource's definition says of this version's objects.
    pub structural: Option<Arc<Schema>>,
    /// Table columns, after those of the facts; their cells are [`Strategy::cells`].
    pub columns: Vec<Column>,
    /// Sent as a Warning header with every request of this version.
    pub deprecation: Option<Text>,
    /// How this version becomes the stored one and back; None where both have the same shape.
    pub conversion: Option<Arc<dyn Conversion>>,
}

/// A column of a table (meta/v1 TableColumnDefinition).
#[derive(Clone, Debug)]
pub struct Column {
    pub name: Text,
    pub kind: Text,
    pub format: Text,
    pub description: Text,
    /// 0 is shown always, more only by `-o wide`.
    pub priority: i64,
}

/// Where objects of a resource are.
#[derive(Clone)]
pub enum Storage {
    /// In the store, below `prefix` (etcd's layout, `/registry/deployments/`), in one version.
    Stored {
        /// Begins and ends with a slash. Two definitions may share it (events of both groups).
        prefix: Text,
        /// The stored `apiVersion`, `apps/v1`.
        api_version: Text,
        /// The stored kind's schema; None for custom resources.
        schema: Option<TypeId>,
    },
    /// Nowhere: every verb goes to the handler (reviews, component statuses).
    Virtual(Arc<dyn Handler>),
}

/// A path below an object.
#[derive(Clone)]
pub struct Subresource {
    /// `status`, `scale`, `binding`, `log`.
    pub name: Text,
    pub kind: SubresourceKind,
    /// Verbs as discovery lists them: get, patch, update, create.
    pub verbs: Vec<Text>,
    /// Group, version and kind of what it takes and gives, where it is not the
    /// object itself: `("policy", "v1", "Eviction")`.
    pub body: Option<(Text, Text, Text)>,
}

#[derive(Clone)]
pub enum SubresourceKind {
    /// The object's status, by the `status` methods of its strategy.
    Status,
    /// autoscaling/v1 Scale over these fields.
    Scale(Scale),
    /// The object under other rules (ephemeralcontainers, resize, approval,
    /// finalize): `prepare_update` and `validate_update` of this strategy.
    Object(Arc<dyn Strategy>),
    /// Code of its own: binding, eviction, token.
    Handler(Arc<dyn Handler>),
    /// A stream to the node of the pod: log, exec, attach, portforward.
    PodStream,
    /// An HTTP proxy to a node, a pod or a service.
    Proxy,
}

/// Where a Scale reads and writes.
#[derive(Clone)]
pub struct Scale {
    /// `["spec", "replicas"]`.
    pub replicas: Vec<Text>,
    /// `["status", "replicas"]`.
    pub status_replicas: Vec<Text>,
    pub selector: ScaleSelector,
}

#[derive(Clone)]
pub enum ScaleSelector {
    /// A meta/v1 LabelSelector at this path.
    Structured(Vec<Text>),
    /// A map of labels at this path (ReplicationController).
    Map(Vec<Text>),
    /// The text of a selector at this path (custom resources).
    Text(Vec<Text>),
    None,
}

/// A field by which lists and watches may choose.
#[derive(Clone)]
pub struct Selectable {
    /// As field selectors name it: `spec.nodeName`.
    pub name: Text,
    /// Where it is in the stored version; texts, numbers and truth values count.
    pub path: Vec<Text>,
    /// Where it is read where nothing is at `path`; empty for nowhere.
    pub fallback: Vec<Text>,
    /// An older name that selectors may use; "" for none.
    pub alias: &'static str,
    /// What an absent field reads as: "" mostly, `false` for `spec.unschedulable`.
    pub absent: &'static str,
    /// Watchers that choose by it are woken only for its value.
    pub trigger: bool,
    /// Kept for another version of the kind: this one cannot be chosen by it.
    pub hidden: bool,
}

impl Selectable {
    /// A field at the path that its name spells.
    pub fn new(name: &'static str) -> Self {
        let path = name.split('.').map(Cow::Borrowed).collect();
        Self {
            name: name.into(),
            path,
            fallback: Vec::new(),
            alias: "",
            absent: "",
            trigger: false,
            hidden: false,
        }
    }

    pub fn absent(mut self, value: &'static str) -> Self {
        self.absent = value;
        self
    }

    pub fn triggering(mut self) -> Self {
        self.trigger = true;
        self
    }

    /// The field of `object` as selectors compare it.
    pub fn read<'a>(&self, object: &'a Value) -> Cow<'a, str> {
        let at = |path: &[Text]| path.iter().fold(object, |value, name| value.get(name));
        let mut found = at(&self.path);
        if !self.fallback.is_empty() && found.text().is_empty() {
            found = at(&self.fallback);
        }
        match found {
            Value::String(text) => Cow::Borrowed(text),
            Value::Bool(truth) => Cow::Borrowed(if *truth { "true" } else { "false" }),
            Value::Int(number) => Cow::Owned(number.to_string()),
            _ => Cow::Borrowed(self.absent),
        }
    }
}

impl Definition {
    /// `deployments.apps`, as messages name it.
    pub fn group_resource(&self) -> apimachinery::status::GroupResource<'_> {
        apimachinery::status::GroupResource { group: &self.group, resource: &self.resource }
    }

    pub fn group_kind(&self) -> apimachinery::status::GroupKind<'_> {
        let group = self.strategy.invalid_group().unwrap_or(&self.group);
        apimachinery::status::GroupKind { group, kind: &self.kind }
    }

    /// Whether a definition of the cluster's users made it.
    pub fn is_custom(&self) -> bool {
        matches!(self.storage, Storage::Stored { schema: None, .. })
    }

    pub fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    pub fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.name == name)
    }

    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|subresource| subresource.name == name)
    }

    pub fn has_verb(&self, verb: &str) -> bool {
        self.verbs.iter().any(|have| have == verb)
    }

    /// Tells what of `object` has no effect.
    pub(crate) fn warn_ineffective(&self, object: &Value, warnings: &mut Vec<String>) {
        warnings.extend(self.ineffective.iter().filter_map(|unheeded| unheeded.warning(&self.kind, object)));
    }

    /// `apps/v1` for the version `v1`.
    pub fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) }
    }

    /// The prefix of its keys; None where it is not stored.
    pub fn prefix(&self) -> Option<&str> {
        match &self.storage {
            Storage::Stored { prefix, .. } => Some(prefix),
            Storage::Virtual(_) => None,
        }
    }

    /// The key of an object: `/registry/deployments/default/nginx`. None where it is not stored.
    pub fn key(&self, namespace: &str, name: &str) -> Option<String> {
        let prefix = self.prefix()?;
        let mut key = String::with_capacity(prefix.len() + namespace.len() + name.len() + 1);
        key.push_str(prefix);
        if self.is_namespaced() {
            key.push_str(namespace);
            key.push('/');
        }
        key.push_str(name);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::{Ineffective, Selectable};

    #[test]
    fn a_field_is_read_elsewhere_where_it_is_empty() {
        let field = Selectable { fallback: vec!["other".into()], ..Selectable::new("source.component") };
        for (object, expected) in [
            (value!({"source": {"component": "a"}, "other": "b"}), "a"),
            (value!({"source": {}, "other": "b"}), "b"),
            (value!({"source": {"component": ""}, "other": "b"}), "b"),
            (value!({}), ""),
        ] {
            assert_eq!(field.read(&object), expected, "{object:?}");
        }
    }

    #[test]
    fn what_has_no_effect_is_told() {
        let kind = Ineffective { path: &[], why: "the policy is not enforced yet" };
        assert_eq!(
            kind.warning("NetworkPolicy", &value!({})).as_deref(),
            Some("NetworkPolicy has no effect here: the policy is not enforced yet")
        );
        let field = Ineffective { path: &["spec", "env", "*", "file"], why: "no file is read yet" };
        assert_eq!(field.warning("Pod", &value!({"spec": {"env": [{"name": "a"}]}})), None);
        assert_eq!(
            field.warning("Pod", &value!({"spec": {"env": [{"name": "a"}, {"file": "b"}]}})).as_deref(),
            Some("spec.env.*.file has no effect here: no file is read yet")
        );
    }
}
