//! From a verb on a resource to the engine.

use std::sync::Arc;

use api::facts;
use apimachinery::field::{Errors, Path};
use apimachinery::schema::{self, Strictness};
use apimachinery::status::GroupKind;
use apimachinery::{Status, Value, fields, json, protobuf, validation};
use bytes::Bytes;
use client::{DeleteOptions, PatchKind, Preconditions, Propagation};

use crate::generic::{
    Attempt, Caller, FieldValidation, Options, Outcome, Patch, Selection, Sent, Target, WriteOptions,
    match_namespace, revision_number,
};
use crate::input::{self, Expected, Input};
use crate::query::Query;
use crate::{ApiServer, Call, Handler, Notes, Operation, Storage, SubresourceKind};

/// A request that reached the engine.
pub(crate) struct Work {
    pub target: Target,
    pub caller: Caller,
    /// get, list, watch, create, update, patch, delete, deletecollection.
    pub verb: &'static str,
    pub query: Query,
    /// In process: the options, which over HTTP stand in the query.
    pub options: Option<WriteOptions>,
    /// The body; for a patch it stands in [`Work::patch`].
    pub input: Input,
    pub patch: Option<(PatchKind, PatchBody)>,
}

/// A patch as it came.
pub(crate) enum PatchBody {
    Bytes(Bytes),
    /// In process.
    Tree(Value),
}

impl PatchBody {
    pub fn read(self, kind: PatchKind) -> Result<Patch, Status> {
        match self {
            PatchBody::Bytes(bytes) => Patch::parse(kind, &bytes),
            PatchBody::Tree(tree) => Patch::of(kind, tree),
        }
    }
}

/// The options of a write in process.
pub(crate) fn local_options(options: &client::WriteOptions, is_patch: bool) -> WriteOptions {
    WriteOptions {
        dry_run: options.dry_run,
        is_patch,
        field_manager: options.field_manager.clone().unwrap_or_default(),
        validation: match options.field_validation {
            Some("Strict") => FieldValidation::Strict,
            Some("Ignore") => FieldValidation::Ignore,
            _ => FieldValidation::Warn,
        },
        asks_validation: options.field_validation.is_some(),
    }
}

impl ApiServer {
    pub(crate) async fn dispatch(&self, work: Work, warnings: &mut Vec<String>) -> Result<Outcome, Status> {
        let Work { target, caller, verb, query, options: given, input, patch } = work;
        let options_of = |kind: &str, is_apply: bool| match given.clone() {
            Some(options) => Ok(options),
            None => write_options(&query, kind, is_apply),
        };
        if let Some(handler) = handler(&target) {
            let options = options_of("CreateOptions", false)?;
            let selection = self.selection_of(&target, &query, verb)?;
            return self
                .call_handler(handler, target, caller, verb, selection, options, input, warnings)
                .await;
        }
        let is_scale = matches!(
            target.subresource().map(|subresource| &subresource.kind),
            Some(SubresourceKind::Scale(_))
        );
        match verb {
            "get" => {
                self.await_query(&query).await?;
                self.get(&target)
            }
            "list" => {
                let selection = self.selection(&target, &query)?;
                Ok(Outcome::List(self.list(&target, &selection).await?))
            }
            "watch" => {
                let selection = self.selection(&target, &query)?;
                Ok(Outcome::Watch(Box::new(self.watch(&target, selection).await?)))
            }
            "create" => {
                let options = options_of("CreateOptions", false)?;
                self.create(&target, &caller, input, &options, warnings).await
            }
            "update" => {
                let options = options_of("UpdateOptions", false)?;
                if is_scale {
                    return self.rescale(&target, &caller, Sent::Whole(input), &options, warnings).await;
                }
                self.update(&target, &caller, input, &options, warnings).await
            }
            "patch" => {
                let (kind, body) = patch.ok_or_else(Status::unsupported_media_type)?;
                let is_apply = matches!(kind, PatchKind::Apply { .. });
                let options = options_of("PatchOptions", is_apply)?;
                let patch = body.read(kind)?;
                if is_scale {
                    return self.rescale(&target, &caller, Sent::Patch(patch), &options, warnings).await;
                }
                self.patch(&target, &caller, patch, &options, warnings).await
            }
            "delete" => {
                let options = sent_delete_options(&query, input)?;
                if options.ignore_read_error && !target.resource.strategy.deletes_unreadable() {
                    return Err(Status::internal(NO_UNSAFE_DELETER));
                }
                warn_of_deletion(&target, &options, warnings);
                self.delete(&target, &caller, &options, warnings).await
            }
            "deletecollection" => {
                let selection = self.selection(&target, &query)?;
                let options = sent_delete_options(&query, input)?;
                check_collection(&options)?;
                warn_of_deletion(&target, &options, warnings);
                self.delete_collection(&target, &caller, &selection, &options, warnings).await
            }
            _ => Err(Status::method_not_allowed()),
        }
    }

    /// The old paths of watches need no `watch` in the query, and then the rules of lists hold.
    fn selection(&self, target: &Target, query: &Query) -> Result<Selection, Status> {
        let is_watch = query.is_set("watch");
        let mut selection =
            Selection::of(&query.list_options()?, &target.resource, target.version, is_watch)?;
        // The old paths of watches may name one object.
        if !target.name.is_empty() {
            if selection.fields.is_everything() {
                selection.fields = fields::Selector::exact("metadata.name", &target.name);
            } else if selection.required_name() != Some(target.name.as_str()) {
                return Err(Status::bad_request("fieldSelector metadata.name doesn't match requested name"));
            }
        }
        Ok(selection)
    }

    /// What a handler is asked for: everything, unless it is a list.
    fn selection_of(&self, target: &Target, query: &Query, verb: &str) -> Result<Selection, Status> {
        match verb {
            "list" => self.selection(target, query),
            _ => Selection::of(&client::ListOptions::default(), &target.resource, target.version, false),
        }
    }

    /// A get with a resourceVersion waits until that is there.
    async fn await_query(&self, query: &Query) -> Result<(), Status> {
        let Some(text) = query.get("resourceVersion").filter(|text| !text.is_empty()) else { return Ok(()) };
        let revision = revision_number(text)
            .map_err(|why| Status::unknown(format!("resourceVersion: Invalid value: {text:?}: {why}")))?;
        self.await_revision(revision).await
    }

    /// Resources and subresources with code of their own.
    #[allow(clippy::too_many_arguments)] // the parts of one request
    pub(crate) async fn call_handler(
        &self,
        handler: Arc<dyn Handler>,
        target: Target,
        caller: Caller,
        verb: &str,
        selection: Selection,
        options: WriteOptions,
        input: Input,
        warnings: &mut Vec<String>,
    ) -> Result<Outcome, Status> {
        let own = target.resource.kind.clone();
        let version = target.version();
        let (group, served, kind) =
            match target.subresource().and_then(|subresource| subresource.body.clone()) {
                Some((group, served, kind)) => (group, served, kind),
                None => (target.resource.group.clone(), version.name.clone(), own),
            };
        let schema = facts::types().kind(&group, &served, &kind);
        let takes_body = matches!(verb, "create" | "update");
        let mut body = Value::Null;
        if takes_body {
            let expected = Expected {
                group: &group,
                version: &served,
                kind: &kind,
                schema,
                structural: None,
                twins: handler.reads_also(),
            };
            body = input::decode(input, &expected, options.validation, warnings)?;
            if verb == "create" {
                match_namespace(&mut body, &target.resource, &target.namespace)?;
            }
            if let Some(defaults) = schema.and_then(facts::defaults) {
                defaults.apply(facts::types(), &mut body);
            }
            // What is answered with the body that came (reviews) says who set it.
            if target.subresource.is_empty() && verb == "create" {
                let zero = target.resource.zero(target.version);
                self.own_fields(&target, &caller, &options, self.edge.clock.now(), zero, &mut body);
            } else if handler.returns_body() {
                self.own_body(&target, &caller, &options, &expected, &mut body);
            }
        }
        let attempt = Attempt::new(self, &target, &caller, Options::of_write(&options));
        if takes_body {
            let admission = attempt.admission(Operation::Create, &target.name, None);
            let mut notes = Notes::default();
            self.mutate(&admission, &target.resource, &mut body, &mut notes).await?;
            self.validate(&admission, &body, &mut notes).await?;
            warnings.append(&mut notes.warnings);
        }
        let call = Call {
            server: self,
            definition: &target.resource,
            version,
            verb,
            subresource: &target.subresource,
            namespace: &target.namespace,
            name: &target.name,
            labels: &selection.labels,
            fields: &selection.fields,
            body,
            user: &caller.user,
            dry_run: options.dry_run,
            view: attempt.view,
            edge: &self.edge,
        };
        let mut answer = handler.call(call).await?;
        warnings.append(&mut answer.warnings);
        Ok(Outcome::Tree { code: answer.code, value: answer.object })
    }
}

/// Says that the version of a request is on its way out.
pub(crate) fn warn_of_version(target: &Target, warnings: &mut Vec<String>) {
    warnings.extend(target.version().deprecation.iter().map(ToString::to_string));
}

fn warn_of_deletion(target: &Target, options: &DeleteOptions, warnings: &mut Vec<String>) {
    warnings.extend(target.resource.strategy.delete_warnings(options).into_iter().map(str::to_owned));
}

pub(crate) fn handler(target: &Target) -> Option<Arc<dyn Handler>> {
    if target.subresource.is_empty() {
        return match &target.resource.storage {
            Storage::Virtual(handler) => Some(handler.clone()),
            Storage::Stored { .. } => None,
        };
    }
    match &target.subresource()?.kind {
        SubresourceKind::Handler(handler) => Some(handler.clone()),
        _ => None,
    }
}

/// CreateOptions, UpdateOptions and PatchOptions, checked.
fn write_options(query: &Query, kind: &str, is_apply: bool) -> Result<WriteOptions, Status> {
    let mut errors = Errors::new();
    let path = |name| Path::child(&Path::Root, name);
    let manager = query.get("fieldManager").unwrap_or("").to_owned();
    if kind == "PatchOptions" {
        if is_apply {
            if manager.is_empty() {
                errors.required(&path("fieldManager"), "is required for apply patch");
            }
        } else if query.get("force").is_some() {
            errors.forbidden(&path("force"), "may not be specified for non-apply patch");
        }
    }
    validation::meta::field_manager(&manager, &path("fieldManager"), &mut errors);
    let dry_run = check_dry_run(query.all("dryRun"), &mut errors);
    let asked = query.get("fieldValidation").unwrap_or("");
    let validation = match asked {
        "" | "Warn" => FieldValidation::Warn,
        "Ignore" => FieldValidation::Ignore,
        "Strict" => FieldValidation::Strict,
        other => {
            errors.text_not_supported(&path("fieldValidation"), other, &["", "Ignore", "Strict", "Warn"]);
            FieldValidation::Warn
        }
    };
    if !errors.is_empty() {
        return Err(Status::invalid(GroupKind { group: "meta.k8s.io", kind }, "", &errors));
    }
    Ok(WriteOptions {
        dry_run,
        is_patch: kind == "PatchOptions",
        field_manager: manager,
        validation,
        asks_validation: !asked.is_empty(),
    })
}

fn check_dry_run<'a>(values: impl Iterator<Item = &'a str>, errors: &mut Errors) -> bool {
    let values: Vec<&str> = values.collect();
    let path = Path::child(&Path::Root, "dryRun");
    if values.iter().any(|value| *value != "All") {
        let shown: Vec<Value> = values.iter().map(|value| Value::from(*value)).collect();
        errors.not_supported(&path, Value::Array(shown), &["All"]);
    }
    !values.is_empty()
}

/// DeleteOptions of the body, or of the query where there is no body.
fn sent_delete_options(query: &Query, input: Input) -> Result<DeleteOptions, Status> {
    match input {
        Input::Nothing => read_delete_options(None, query),
        Input::Json(bytes) | Input::Yaml(bytes) | Input::Protobuf(bytes) if bytes.is_empty() => {
            read_delete_options(None, query)
        }
        input => delete_options(&decode_delete_options(input)?),
    }
}

/// A tree of DeleteOptions, checked. Null says nothing.
///
/// # Errors
/// 422 for what no deletion can mean.
pub fn delete_options(tree: &Value) -> Result<DeleteOptions, Status> {
    read_delete_options(Some(tree), &Query::parse(""))
}

fn read_delete_options(tree: Option<&Value>, query: &Query) -> Result<DeleteOptions, Status> {
    let mut errors = Errors::new();
    let mut options = DeleteOptions::default();
    let policy;
    let has_preconditions;
    let dry_run: Vec<&str>;
    match tree {
        Some(tree) => {
            options.grace_period_seconds = tree["gracePeriodSeconds"].as_i64();
            let text = |name: &str| tree["preconditions"][name].as_str().map(str::to_owned);
            options.preconditions =
                Preconditions { uid: text("uid"), resource_version: text("resourceVersion") };
            has_preconditions = !tree["preconditions"].is_null();
            policy = tree["propagationPolicy"].as_str();
            options.orphan_dependents = tree["orphanDependents"].as_bool();
            options.ignore_read_error = tree[IGNORE_READ_ERROR].as_bool() == Some(true);
            dry_run = tree["dryRun"].items().iter().map(Value::text).collect();
        }
        None => {
            options.grace_period_seconds = query.grace_period()?;
            let given = |name: &str| query.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
            options.preconditions =
                Preconditions { uid: given("uid"), resource_version: given("resourceVersion") };
            has_preconditions = options.preconditions != Preconditions::default();
            policy = query.get("propagationPolicy");
            options.orphan_dependents =
                query.get("orphanDependents").map(|value| value != "false" && value != "0");
            options.ignore_read_error = query.is_set(IGNORE_READ_ERROR);
            dry_run = query.all("dryRun").collect();
        }
    }
    let path = Path::child(&Path::Root, "propagationPolicy");
    if options.orphan_dependents.is_some()
        && let Some(policy) = policy
    {
        errors.invalid(&path, policy, "orphanDependents and deletionPropagation cannot be both set");
    }
    options.propagation = match policy {
        None => options.orphan_dependents.map(|orphan| match orphan {
            true => Propagation::Orphan,
            false => Propagation::Background,
        }),
        Some("Orphan") => Some(Propagation::Orphan),
        Some("Background") => Some(Propagation::Background),
        Some("Foreground") => Some(Propagation::Foreground),
        Some(other) => {
            errors.not_supported(&path, other, &["Foreground", "Background", "Orphan", "nil"]);
            None
        }
    };
    options.dry_run = check_dry_run(dry_run.into_iter(), &mut errors);
    if options.ignore_read_error {
        let path = Path::child(&Path::Root, IGNORE_READ_ERROR);
        for (is_set, other) in [
            (policy.is_some(), "propagationPolicy"),
            (options.orphan_dependents.is_some(), "orphanDependents"),
            (options.grace_period_seconds.is_some(), "gracePeriodSeconds"),
            (has_preconditions, "preconditions"),
        ] {
            if is_set {
                errors.invalid(&path, true, &format!("cannot be set together with .{other}"));
            }
        }
    }
    if !errors.is_empty() {
        return Err(invalid_delete_options(&errors));
    }
    Ok(options)
}

/// What is said of kinds whose objects cannot be deleted without being read.
const NO_UNSAFE_DELETER: &str =
    "no unsafe deleter provided, can not honor ignoreStoreReadErrorWithClusterBreakingPotential";

/// The option to delete what cannot be read.
const IGNORE_READ_ERROR: &str = "ignoreStoreReadErrorWithClusterBreakingPotential";

fn invalid_delete_options(errors: &Errors) -> Status {
    Status::invalid(GroupKind { group: "meta.k8s.io", kind: "DeleteOptions" }, "", errors)
}

/// A collection is deleted only as far as it can be read.
fn check_collection(options: &DeleteOptions) -> Result<(), Status> {
    if !options.ignore_read_error {
        return Ok(());
    }
    let mut errors = Errors::new();
    let why = "is not allowed with DELETECOLLECTION, try again after removing the option";
    errors.invalid(&Path::child(&Path::Root, IGNORE_READ_ERROR), true, why);
    Err(invalid_delete_options(&errors))
}

/// Kinds that are known wherever options are read, and are none.
const ANSWERS: [&str; 5] = ["Status", "APIVersions", "APIGroup", "APIGroupList", "APIResourceList"];

fn decode_delete_options(input: Input) -> Result<Value, Status> {
    let types = facts::types();
    let Some(schema) = types.by_name("apimachinery/pkg/apis/meta/v1.DeleteOptions") else {
        return Err(Status::internal("the facts have no DeleteOptions"));
    };
    match input {
        Input::Tree(tree) => Ok(tree),
        Input::Nothing => Ok(Value::Null),
        Input::Json(bytes) => {
            let meta = json::type_meta(&bytes).map_err(|error| {
                Status::bad_request(format!("couldn't get version/kind; json parse error: {error}"))
            })?;
            if ANSWERS.contains(&&*meta.kind) && meta.api_version == "v1" {
                return Err(Status::bad_request(format!(
                    "converting (v1.{}) to (v1.DeleteOptions): unknown conversion",
                    meta.kind
                )));
            }
            if !matches!(&*meta.kind, "" | "DeleteOptions") {
                let version = if meta.api_version.is_empty() { "meta.k8s.io/v1" } else { &meta.api_version };
                return Err(Status::bad_request(format!(
                    "no kind {:?} is registered for version {version:?} in scheme \"pkg/runtime/scheme.go:111\"",
                    meta.kind
                )));
            }
            schema::decode_json(types, schema, &bytes, Strictness::Ignore)
                .map(|decoded| decoded.value)
                .map_err(|error| Status::bad_request(error.to_string()))
        }
        Input::Yaml(bytes) => {
            let converted = apimachinery::yaml::to_json(&bytes)
                .map_err(|error| Status::bad_request(error.to_string()))?;
            decode_delete_options(Input::Json(Bytes::from(converted.json)))
        }
        Input::Protobuf(bytes) => {
            let envelope = protobuf::open(&bytes).map_err(|error| Status::bad_request(error.to_string()))?;
            protobuf::decode(types, schema, envelope.raw)
                .map_err(|error| Status::bad_request(error.to_string()))
        }
    }
}
