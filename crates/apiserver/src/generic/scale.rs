//! The scale subresource: an autoscaling/v1 Scale over an object's fields.

use api::facts;
use apimachinery::field::{Errors, Path};
use apimachinery::labels::Selector;
use apimachinery::managed_fields::{self, Applied, Apply, Set, Shape, Single, Write};
use apimachinery::schema::{self, Type, TypeId};
use apimachinery::status::GroupResource;
use apimachinery::{Key, Status, Value, meta, table, time};
use jiff::Timestamp;

use super::ownership::normalize_applied;
use super::patch::Patch;
use super::update::{Made, check_name};
use super::{Caller, Outcome, Target, WriteOptions, metadata};
use crate::input::{self, Expected, Input};
use crate::{Admission, ApiServer, Notes, Scale, ScaleSelector, SubresourceKind, Text};

fn at<'a>(object: &'a Value, path: &[Text]) -> &'a Value {
    path.iter().fold(object, |value, name| value.get(name))
}

/// The Scale of a custom object, which must have replicas.
fn of_custom(scale: &Scale, object: &Value) -> Result<Value, Status> {
    if at(object, &scale.replicas).is_null() {
        return Err(Status::internal(format!("the spec replicas field {:?} does not exist", dotted(scale))));
    }
    of(scale, object)
}

/// Where the replicas are, as the definition says it.
fn dotted(scale: &Scale) -> String {
    scale.replicas.iter().map(|name| format!(".{name}")).collect()
}

/// The Scale of an object of the target's kind.
pub(crate) fn of_target(target: &Target, scale: &Scale, object: &Value) -> Result<Value, Status> {
    if target.resource.is_custom() { of_custom(scale, object) } else { of(scale, object) }
}

/// The Scale of an object.
fn of(scale: &Scale, object: &Value) -> Result<Value, Status> {
    let mut metadata = Value::object();
    for name in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if !object["metadata"][name].is_null() {
            metadata.set(name, object["metadata"][name].clone());
        }
    }
    let mut spec = Value::object();
    if let Some(replicas) = at(object, &scale.replicas).as_i64().filter(|replicas| *replicas != 0) {
        spec.set("replicas", replicas);
    }
    let mut status = Value::object();
    status.set("replicas", at(object, &scale.status_replicas).as_i64().unwrap_or(0));
    let selector = match &scale.selector {
        ScaleSelector::Structured(path) => {
            let selector = Selector::of_label_selector(at(object, path))
                .map_err(|error| Status::internal(error.to_string()))?;
            if selector.is_nothing() { String::new() } else { selector.to_string() }
        }
        ScaleSelector::Map(path) => {
            let labels = at(object, path).members().map(|(key, value)| (key, value.text()));
            Selector::of_labels(labels).to_string()
        }
        ScaleSelector::Text(path) => at(object, path).text().to_owned(),
        ScaleSelector::None => String::new(),
    };
    if !selector.is_empty() {
        status.set("selector", selector);
    }
    let mut made = Value::object();
    made.set("kind", "Scale");
    made.set("apiVersion", "autoscaling/v1");
    made.set("metadata", metadata);
    made.set("spec", spec);
    made.set("status", status);
    Ok(made)
}

/// The columns of a Scale in a table.
pub(crate) fn columns() -> Vec<table::Column> {
    let described = facts::column_descriptions("autoscaling/v1/scale");
    let kinds = [("Name", "string"), ("Desired", "integer"), ("Available", "integer"), ("Age", "string")];
    kinds
        .iter()
        .enumerate()
        .map(|(at, (name, ty))| table::Column {
            name: (*name).into(),
            ty: (*ty).into(),
            format: String::new(),
            description: described.get(at).cloned().unwrap_or_default(),
            priority: 0,
        })
        .collect()
}

/// What stands in them.
pub(crate) fn cells(scale: &Value, now: Timestamp) -> Vec<Value> {
    let count = |part: &str| Value::from(scale[part]["replicas"].as_i64().unwrap_or(0));
    vec![meta::name(scale).into(), count("spec"), count("status"), metadata::age(scale, now).into()]
}

/// What a scale write sends: a whole Scale, or a patch of one.
pub(crate) enum Sent {
    Whole(Input),
    Patch(Patch),
}

impl ApiServer {
    pub(crate) async fn rescale(
        &self,
        target: &Target,
        caller: &Caller,
        sent: Sent,
        options: &WriteOptions,
        warnings: &mut Vec<String>,
    ) -> Result<Outcome, Status> {
        let Some(SubresourceKind::Scale(scale)) =
            target.subresource().map(|subresource| subresource.kind.clone())
        else {
            return Err(Status::no_such_resource());
        };
        let kind = ScaleKind::new();
        let expected = kind.expected();
        let sent = match sent {
            Sent::Whole(input) => {
                let mut wanted =
                    input::decode(input, &expected, options.validation, warnings).map_err(|status| {
                        let is_unread = status.code == 400 && target.resource.is_custom();
                        if is_unread { Status::bad_request(UNREAD) } else { status }
                    })?;
                metadata::match_namespace(&mut wanted, &target.resource, &target.namespace)?;
                check_name(&wanted, &target.name)?;
                Wanted::Scale(wanted)
            }
            Sent::Patch(patch) => Wanted::Patch(patch),
        };
        let uid = match &sent {
            Wanted::Scale(scale) => meta::uid(scale).to_owned(),
            Wanted::Patch(_) => String::new(),
        };
        let replicas: Vec<&str> = scale.replicas.iter().map(|name| &**name).collect();
        let mut make = |live: Option<&Value>, warnings: &mut Vec<String>| {
            let live = live.ok_or_else(|| target.not_found())?;
            let mut before = of(&scale, live)?;
            if target.resource.is_custom() && at(live, &scale.replicas).is_null() {
                before.entry("spec").set("replicas", UNSET);
            }
            match self.scale_owners(target, live, &replicas) {
                Value::Null => {}
                owners => before.entry("metadata").set("managedFields", owners),
            }
            let reset = Set::new();
            let write = Write {
                manager: &options.manager(&caller.agent),
                api_version: API_VERSION,
                subresource: "scale",
                time: &time::format(self.edge.clock.now()),
                reset: &reset,
            };
            let mut wanted = match &sent {
                Wanted::Patch(Patch::Apply(configuration)) => {
                    let (config, force) = configuration.read()?;
                    if target.resource.is_custom() && before["metadata"]["managedFields"].is_null() {
                        return Err(Status::unknown(UNOWNED));
                    }
                    let request = Apply { config, force, empty: &kind.empty };
                    let Applied { mut object, changed } =
                        managed_fields::apply(&kind.versions(), &before, request, &write)?;
                    if changed {
                        normalize_applied(&mut object, kind.schema, config)?;
                    }
                    configuration.report(options.validation, warnings)?;
                    object
                }
                other => {
                    let mut wanted = match other {
                        Wanted::Scale(scale) => scale.clone(),
                        Wanted::Patch(patch) => {
                            patch.apply_to(&before, &expected, options.validation, warnings)?
                        }
                    };
                    managed_fields::update(&kind.versions(), &before, &mut wanted, &write);
                    wanted
                }
            };
            metadata::match_namespace(&mut wanted, &target.resource, &target.namespace)?;
            let count = check(&wanted, live, target, &scale)?;
            let mut object = live.clone();
            let revision = meta::resource_version(&wanted);
            if !revision.is_empty() {
                object.entry("metadata").set("resourceVersion", revision);
            } else if target.resource.strategy.allows_unconditional_update() {
                object.entry("metadata").remove("resourceVersion");
            }
            self.own_scaled(target, &mut object, &wanted, &replicas);
            set_count(&scale, &mut object, count);
            Ok(Made::Scaled { object, scale: wanted })
        };
        let outcome = self.change(target, caller, options, warnings, &uid, false, &mut make).await?;
        match outcome {
            Outcome::Object { object, .. } => {
                Ok(Outcome::Tree { code: 200, value: of_target(target, &scale, &object.tree())? })
            }
            other => Ok(other),
        }
    }
}

/// Gives the object that many replicas.
fn set_count(scale: &Scale, object: &mut Value, count: i64) {
    let place = scale.replicas.iter().fold(object, |value, name| value.entry(Key::from(name.clone())));
    *place = Value::from(count);
}

/// How a target is scaled.
fn scaling(target: &Target) -> Result<Scale, Status> {
    match target.subresource().map(|subresource| &subresource.kind) {
        Some(SubresourceKind::Scale(scale)) => Ok(scale.clone()),
        _ => Err(Status::no_such_resource()),
    }
}

impl ApiServer {
    /// Mutating admission of a Scale, whose replicas the object gets.
    pub(super) async fn mutate_scale(
        &self,
        admission: &Admission<'_>,
        target: &Target,
        scale: &mut Value,
        object: &mut Value,
        notes: &mut Notes,
    ) -> Result<(), Status> {
        let scaling = scaling(target)?;
        let old = admission.old.map(|old| of(&scaling, old)).transpose()?;
        let of_scale = Admission { old: old.as_ref(), ..*admission };
        let before = scale["spec"]["replicas"].as_i64();
        self.mutate(&of_scale, &target.resource, scale, notes).await?;
        if scale["spec"]["replicas"].as_i64() != before {
            let count = check(scale, object, target, &scaling)?;
            set_count(&scaling, object, count);
        }
        Ok(())
    }

    /// Validating admission of a scaled object, as a Scale.
    pub(super) async fn validate_scale(
        &self,
        admission: &Admission<'_>,
        target: &Target,
        object: &Value,
        notes: &mut Notes,
    ) -> Result<(), Status> {
        let scaling = scaling(target)?;
        let old = admission.old.map(|old| of(&scaling, old)).transpose()?;
        let of_scale = Admission { old: old.as_ref(), ..*admission };
        self.validate(&of_scale, &of(&scaling, object)?, notes).await
    }
}

/// What a custom object has for replicas before it is given any.
const UNSET: i64 = i32::MIN as i64;
/// Upstream does not know how to say why a custom object's Scale is not read.
const UNREAD: &str = "no kind is registered for the type v1.Scale in scheme \"pkg/runtime/scheme.go:111\"";
/// Nor can it apply to a custom object's replicas that nobody owns.
const UNOWNED: &str = "failed to create manager for existing fields: failed to convert live object (/; autoscaling/v1, \
                       Kind=Scale) to proper version: request to convert CR to an invalid group/version: \
                       autoscaling/v1";
/// The version in which every Scale is served.
const API_VERSION: &str = "autoscaling/v1";

/// autoscaling/v1 Scale, whatever is scaled.
struct ScaleKind {
    schema: Option<TypeId>,
    /// Its zero value.
    empty: Value,
}

impl ScaleKind {
    fn new() -> Self {
        let schema = facts::types().kind("autoscaling", "v1", "Scale");
        let mut made = Self { schema, empty: Value::object() };
        if let Some(schema) = schema {
            made.empty = schema::zero(facts::types(), Type::Struct(schema));
        }
        let mut empty = std::mem::take(&mut made.empty);
        input::complete(&mut empty, &made.expected());
        Self { empty, ..made }
    }

    fn expected(&self) -> Expected<'static> {
        Expected {
            group: "autoscaling",
            version: "v1",
            kind: "Scale",
            schema: self.schema,
            structural: None,
            twins: &[],
        }
    }

    fn versions(&self) -> Single<'static> {
        let shape = self.schema.map_or(Shape::Deduced, |schema| Shape::of(facts::types(), schema));
        Single { api_version: API_VERSION, shape }
    }
}

#[allow(clippy::large_enum_variant)] // there is one of them a request
enum Wanted {
    Scale(Value),
    Patch(Patch),
}

/// The replicas that a Scale asks for.
fn check(wanted: &Value, live: &Value, target: &Target, scale: &Scale) -> Result<i64, Status> {
    check_name(wanted, &target.name)?;
    let replicas = wanted["spec"]["replicas"].as_i64().unwrap_or(0);
    if replicas == UNSET && target.resource.is_custom() {
        return Err(Status::bad_request(format!(
            "the spec replicas field {:?} cannot be empty",
            dotted(scale)
        )));
    }
    // Custom objects are validated as a whole.
    if replicas < 0 && !target.resource.is_custom() {
        let mut errors = Errors::new();
        let spec = Path::child(&Path::Root, "spec");
        errors.invalid(&spec.child("replicas"), replicas, "must be greater than or equal to 0");
        let kind = apimachinery::status::GroupKind { group: "autoscaling", kind: "Scale" };
        return Err(Status::invalid(kind, &target.name, &errors));
    }
    let (uid, live_uid) = (meta::uid(wanted), meta::uid(live));
    if !uid.is_empty() && uid != live_uid {
        let scaled = format!("{}/scale", target.resource.resource);
        let resource = GroupResource { group: &target.resource.group, resource: &scaled };
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {live_uid}");
        return Err(Status::conflict(resource, &target.name, &why));
    }
    Ok(replicas)
}
