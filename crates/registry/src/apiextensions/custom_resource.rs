//! The strategy of custom resources: their definition's schema decides.
//!
//! Trees are in the version of the request, which is the one that a strategy
//! is of.

use std::sync::Arc;

use api::facts;
use apimachinery::field::{Errors, Kind, Path, quote};
use apimachinery::managed_fields::Structure;
use apimachinery::schema::Strictness;
use apimachinery::structural::{self, Schema};
use apimachinery::{Key, Status, Value, go, json, meta};
use apiserver::{Companion, Context, Conversion, Scale, ScaleSelector, Strategy, Version, View};
use jiff::Timestamp;

use super::columns::Columns;
use super::rules::Rules;

/// What makes rules go unchecked in an object that is invalid anyhow.
const UNCHECKED: &str = "some validation rules were not checked because the object was invalid; correct the existing \
                         errors to complete validation";

/// One served version of a custom resource.
pub struct CustomResource {
    /// `plural.group`.
    pub(super) definition: String,
    pub(super) version: String,
    pub(super) schema: Arc<Schema>,
    /// The schema below `properties.status`.
    pub(super) status_schema: Option<Arc<Schema>>,
    pub(super) scale: Option<Scale>,
    /// How apply divides objects.
    pub(super) structure: Structure,
    pub(super) rules: Option<Rules>,
    pub(super) columns: Columns,
    pub(super) storage: Arc<StorageForm>,
    /// The definition is being deleted.
    pub(super) terminating: bool,
}

/// How a custom resource is stored, and what earlier versions looked like.
pub(super) struct StorageForm {
    pub api_version: String,
    pub schema: Arc<Schema>,
    /// apiVersion and schema of every version, served or not.
    pub versions: Vec<(String, Arc<Schema>)>,
}

impl StorageForm {
    /// Makes `object` one of the stored version.
    fn take(&self, object: &mut Value) {
        convert(object, &self.api_version, &self.schema);
    }
}

/// Another version of an object: its name, without what the version does not know.
fn convert(object: &mut Value, api_version: &str, schema: &Schema) {
    object.set("apiVersion", api_version);
    // Metadata was decoded before: it is not refused here.
    let _ = structural::coerce(facts::types(), schema, object, Strictness::Ignore);
    json::sort_deep(object);
}

/// Versions without a webhook have one shape, apart from what each leaves out.
pub(super) struct OtherVersion {
    pub api_version: String,
    pub schema: Arc<Schema>,
    pub storage: Arc<StorageForm>,
}

impl Conversion for OtherVersion {
    fn to_storage(&self, object: &mut Value) -> Result<(), Status> {
        self.storage.take(object);
        // What this version does not have is read with its defaults.
        structural::default(object, &self.storage.schema);
        Ok(())
    }

    fn from_storage(&self, object: &mut Value) -> Result<(), Status> {
        convert(object, &self.api_version, &self.schema);
        Ok(())
    }
}

impl CustomResource {
    /// Schema, embedded resources and lists of a new object.
    fn check(&self, object: &Value, errors: &mut Errors) {
        let root = Path::Root;
        structural::validate(object, &self.schema, &root, errors);
        self.check_scale(object, true, errors);
        structural::validate_embedded(object, &self.schema, false, &root, errors);
        structural::validate_lists(object, &self.schema, &root, errors);
    }

    fn check_update(&self, object: &Value, old: &Value, errors: &mut Errors) {
        let root = Path::Root;
        structural::validate_update(object, old, &self.schema, &root, errors);
        self.check_scale(object, true, errors);
        structural::validate_embedded(object, &self.schema, false, &root, errors);
        self.check_lists(object, old, errors);
    }

    /// Lists, unless they were wrong before.
    fn check_lists(&self, object: &Value, old: &Value, errors: &mut Errors) {
        let mut before = Errors::new();
        structural::validate_lists(old, &self.schema, &Path::Root, &mut before);
        if before.is_empty() {
            structural::validate_lists(object, &self.schema, &Path::Root, errors);
        }
    }

    fn check_scale(&self, object: &Value, with_spec: bool, errors: &mut Errors) {
        let Some(scale) = &self.scale else { return };
        if with_spec {
            replicas(object, &scale.replicas, errors);
        }
        replicas(object, &scale.status_replicas, errors);
        if let ScaleSelector::Text(path) = &scale.selector {
            let found = nested(object, path, "string", |value| matches!(value, Value::String(_)));
            if let Err(why) = found {
                errors.invalid(&Path::child(&Path::Root, &dotted(path)), "", &why);
            }
        }
    }

    /// What rules say, or that they were not asked.
    fn check_rules(&self, object: &Value, old: Option<&Value>, errors: &mut Errors) {
        let Some(rules) = &self.rules else { return };
        let blocks = |kind: Kind| {
            matches!(
                kind,
                Kind::NotSupported | Kind::Required | Kind::TooLong | Kind::TooMany | Kind::TypeInvalid
            )
        };
        if errors.iter().any(|error| blocks(error.kind)) {
            errors.invalid(&Path::child(&Path::Root, "<nil>"), Value::Null, UNCHECKED);
            return;
        }
        rules.check(object, old, &self.schema, errors);
    }
}

fn dotted(path: &[apiserver::Text]) -> String {
    path.iter().map(|name| format!(".{name}")).collect()
}

/// The value at a path, in the words of unstructured accessors where it or
/// what leads to it is of another type. None where it is absent.
fn nested<'a>(
    object: &'a Value,
    path: &[apiserver::Text],
    wanted: &str,
    fits: impl Fn(&Value) -> bool,
) -> Result<Option<&'a Value>, String> {
    let mut at = object;
    for (depth, name) in path.iter().enumerate() {
        let Value::Object(members) = at else {
            let place = dotted(&path[..depth]);
            return Err(format!(
                "{place} accessor error: {} is of the type {}, expected map[string]interface {{}}",
                go::plain(at),
                go::type_of(at)
            ));
        };
        match members.get(name) {
            None => return Ok(None),
            Some(member) => at = member,
        }
    }
    if fits(at) {
        return Ok(Some(at));
    }
    let place = dotted(path);
    Err(format!(
        "{place} accessor error: {} is of the type {}, expected {wanted}",
        go::plain(at),
        go::type_of(at)
    ))
}

fn replicas(object: &Value, path: &[apiserver::Text], errors: &mut Errors) {
    let place = dotted(path);
    let field = Path::child(&Path::Root, &place);
    match nested(object, path, "int64", |value| matches!(value, Value::Int(_))) {
        Err(why) => errors.invalid(&field, 0, &why),
        Ok(found) => match found.and_then(Value::as_i64) {
            Some(number) if number < 0 => {
                errors.invalid(&field, number, "should be a non-negative integer");
            }
            Some(number) if number > i64::from(i32::MAX) => {
                let why = format!("should be less than or equal to {}", i32::MAX);
                errors.invalid(&field, number, &why);
            }
            _ => {}
        },
    }
}

impl Strategy for CustomResource {
    fn repeats_errors(&self) -> bool {
        true
    }

    fn default(&self, _: &str, object: &mut Value) {
        structural::default(object, &self.schema);
    }

    fn structure(&self, _: &str) -> Option<&Structure> {
        Some(&self.structure)
    }

    fn upgrade(&self, stored: &mut Value) {
        let was = self.storage.versions.iter().find(|(name, _)| *name == stored["apiVersion"].text());
        if let Some((_, schema)) = was {
            let _ = structural::coerce(facts::types(), schema, stored, Strictness::Ignore);
            structural::default(stored, schema);
        }
        self.storage.take(stored);
    }

    fn published(&self, view: &View, v2: bool) -> Option<Value> {
        let definition =
            view.get("apiextensions.k8s.io", "customresourcedefinitions", "", &self.definition)?.tree();
        let versions = definition["spec"]["versions"].items();
        let version = versions.iter().find(|version| version["name"].text() == self.version)?;
        let source = &version["schema"]["openAPIV3Schema"];
        Some(if v2 { structural::published_v2(source) } else { structural::published_v3(source) })
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn changes_generation(&self, object: &Value, old: &Value) -> bool {
        let differs =
            |a: &Value, b: &Value| a.members().any(|(name, member)| name != "metadata" && b[name] != *member);
        differs(object, old) || differs(old, object)
    }

    fn prepare_status(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        crate::changes::keep_metadata(object, old);
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        let mut errors = Errors::new();
        self.check(object, &mut errors);
        self.check_rules(object, None, &mut errors);
        errors
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        self.check_update(object, old, &mut errors);
        self.check_rules(object, Some(old), &mut errors);
        errors
    }

    fn validate_status(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        if let Some(schema) = &self.status_schema
            && object.as_object().is_some_and(|object| object.contains("status"))
        {
            let base = Path::child(&Path::Root, "status");
            structural::validate_update(&object["status"], &old["status"], schema, &base, &mut errors);
        }
        self.check_scale(object, false, &mut errors);
        // What is embedded is not looked at here.
        self.check_lists(object, old, &mut errors);
        self.check_rules(object, Some(old), &mut errors);
        errors
    }

    fn warnings(&self, _: &Context<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        let mut added: Vec<&str> = meta::finalizers(object)
            .filter(|name| !old.is_some_and(|old| meta::finalizers(old).any(|had| had == *name)))
            .filter(|name| {
                !name.contains('/') && !matches!(*name, "kubernetes" | "orphan" | "foregroundDeletion")
            })
            .collect();
        added.sort_unstable();
        added
            .into_iter()
            .map(|name| {
                format!(
                    "metadata.finalizers: {}: prefer a domain-qualified finalizer name including a path (/) to avoid \
                     accidental conflicts with other finalizer writers",
                    quote(name)
                )
            })
            .collect()
    }

    fn allocate(
        &self,
        context: &Context<'_>,
        _: &mut Value,
        old: Option<&Value>,
        _: &mut Vec<Companion>,
    ) -> Result<(), Status> {
        if !self.terminating || old.is_some() {
            return Ok(());
        }
        let why = "create not allowed while custom resource definition is terminating";
        Err(Status::forbidden(context.definition.group_resource(), context.name, why))
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        self.columns.cells(object, now)
    }
}

/// A definition's `.spec.replicas` as names.
pub(super) fn path_of(text: &str) -> Vec<Key> {
    text.trim_start_matches('.').split('.').map(|name| name.to_owned().into()).collect()
}
