//! patch: JSON, merge and strategic patches and apply, run again whenever the
//! object moved.

use api::facts;
use apimachinery::field::{Errors, Path};
use apimachinery::json::Parsed;
use apimachinery::patch::{self, json::Patch as JsonPatch};
use apimachinery::schema::{self, Strictness};
use apimachinery::status::GroupKind;
use apimachinery::{Status, Value, go, json};
use bytes::Bytes;
use client::PatchKind;

use super::configuration::Configuration;
use super::update::{Made, check_name};
use super::{Caller, FieldValidation, Outcome, Target, WriteOptions, metadata};
use crate::ApiServer;
use crate::input::{self, Expected, Names};

/// A patch that was read once. What is wrong with it, unless it is no JSON, is
/// told when it is needed: an object that is not there is told first.
pub(crate) enum Patch {
    Json(JsonPatch),
    Merge(Parsed),
    Strategic(Parsed),
    Apply(Configuration),
    Unreadable(Status),
}

impl Patch {
    /// # Errors
    /// 400 for what is no JSON, or no YAML.
    pub fn parse(kind: PatchKind, body: &Bytes) -> Result<Self, Status> {
        let read = match kind {
            PatchKind::Json => JsonPatch::parse(body).map(Patch::Json),
            PatchKind::Merge => patch::merge::parse(body).map(Patch::Merge),
            PatchKind::Strategic => patch::strategic::parse(body).map(Patch::Strategic),
            PatchKind::Apply { force } => return Configuration::parse(body, force).map(Patch::Apply),
        };
        match read {
            Err(error @ patch::Error::Syntax) => Err(refused(error)),
            Err(error) => Ok(Patch::Unreadable(refused(error))),
            Ok(patch) => Ok(patch),
        }
    }

    /// From a tree, in process.
    pub fn of(kind: PatchKind, body: Value) -> Result<Self, Status> {
        match kind {
            PatchKind::Merge => Ok(Patch::Merge(Parsed { value: body, problems: Vec::new() })),
            PatchKind::Strategic => Ok(Patch::Strategic(Parsed { value: body, problems: Vec::new() })),
            PatchKind::Apply { force } => Ok(Patch::Apply(Configuration::of(body, force))),
            PatchKind::Json => Self::parse(kind, &Bytes::from(json::to_string(&body))),
        }
    }

    /// What becomes of `live`, decoded as its kind.
    pub fn apply_to(
        &self,
        live: &Value,
        expected: &Expected<'_>,
        validation: FieldValidation,
        warnings: &mut Vec<String>,
    ) -> Result<Value, Status> {
        let is_custom = expected.schema.is_none();
        let mut problems = Vec::new();
        if validation != FieldValidation::Ignore {
            problems.extend_from_slice(self.problems()?);
        }
        let mut patched = self.merged(live, expected)?;
        let strictness = match validation {
            FieldValidation::Ignore => Strictness::Ignore,
            _ => Strictness::Report,
        };
        match expected.schema {
            Some(schema) => {
                if !matches!(self, Patch::Strategic(_)) {
                    let names = input::check_patched(&patched, expected)
                        .map_err(|why| self.invalid(live, &why, is_custom))?;
                    if names == Names::Internal {
                        let (read, unknown) = input::read_internally(patched);
                        patched = read;
                        problems.extend(unknown);
                    }
                } else if let Some(why) = schema::why_not(facts::types(), schema, &patched) {
                    return Err(self.invalid(live, &why, is_custom));
                } else {
                    schema::narrow(facts::types(), schema, &mut patched);
                }
                let found = schema::normalize(facts::types(), schema, &mut patched, strictness)
                    .map_err(|error| self.invalid(live, &error.to_string(), is_custom))?;
                problems.extend(found);
            }
            None => {
                json::sort_deep(&mut patched);
                let found = input::coerce_custom(&mut patched, expected, strictness)
                    .map_err(|error| self.invalid(live, &error.to_string(), is_custom))?;
                problems.extend(found);
            }
        }
        if !problems.is_empty() {
            match validation {
                FieldValidation::Ignore => {}
                FieldValidation::Warn => warnings.extend(problems),
                FieldValidation::Strict => {
                    let why = format!("strict decoding error: {}", problems.join(", "));
                    return Err(self.invalid(live, &why, is_custom));
                }
            }
        }
        input::complete(&mut patched, expected);
        Ok(patched)
    }

    /// What is odd about the patch itself: members told twice, or unknown ones.
    fn problems(&self) -> Result<&[String], Status> {
        match self {
            Patch::Json(patch) => patch.problems().map_err(refused),
            Patch::Merge(Parsed { problems, .. }) | Patch::Strategic(Parsed { problems, .. }) => Ok(problems),
            Patch::Apply(_) | Patch::Unreadable(_) => Ok(&[]),
        }
    }

    /// The object with the patch, not decoded yet.
    fn merged(&self, live: &Value, expected: &Expected<'_>) -> Result<Value, Status> {
        match self {
            Patch::Json(patch) => patch.apply(live.clone()).map_err(refused),
            Patch::Merge(Parsed { value, .. }) => {
                let mut patched = live.clone();
                patch::merge::apply(&mut patched, value.clone());
                Ok(patched)
            }
            Patch::Strategic(Parsed { value, .. }) => match expected.schema {
                Some(schema) => patch::strategic::apply(facts::types(), schema, live.clone(), value.clone())
                    .map_err(refused),
                None => Err(Status::unsupported_media_type()),
            },
            // Merged by its owners' sets, see `Configuration`.
            Patch::Apply(_) => Err(Status::unsupported_media_type()),
            Patch::Unreadable(status) => Err(status.clone()),
        }
    }

    /// 422 for a patch after which the object is none of its kind.
    fn invalid(&self, live: &Value, why: &str, is_custom: bool) -> Status {
        let text = |mut patched: Value| {
            if is_custom {
                // Maps throughout, which Go writes in the order of their keys.
                json::sort_deep(&mut patched);
            }
            json::to_string(&patched)
        };
        let shown = match self {
            Patch::Json(patch) => text(patch.apply(live.clone()).unwrap_or_default()),
            Patch::Merge(patch) => {
                let mut patched = live.clone();
                patch::merge::apply(&mut patched, patch.value.clone());
                text(patched)
            }
            Patch::Strategic(patch) => go::plain(&patch.value),
            Patch::Apply(_) | Patch::Unreadable(_) => String::new(),
        };
        let mut errors = Errors::new();
        errors.invalid(&Path::child(&Path::Root, "patch"), shown, why);
        Status::invalid(GroupKind { group: "", kind: "" }, "", &errors)
    }
}

fn refused(error: patch::Error) -> Status {
    error.status()
}

impl ApiServer {
    pub(crate) async fn patch(
        &self,
        target: &Target,
        caller: &Caller,
        patch: Patch,
        options: &WriteOptions,
        warnings: &mut Vec<String>,
    ) -> Result<Outcome, Status> {
        let resource = target.resource.clone();
        let index = target.version;
        let may_create = matches!(patch, Patch::Apply(_)) && target.subresource.is_empty();
        let mut make = |live: Option<&Value>, warnings: &mut Vec<String>| {
            let version = &resource.versions[index];
            if let Patch::Apply(configuration) = &patch {
                let from = live.unwrap_or_else(|| resource.zero(index));
                let mut applied = self.apply(target, caller, options, from, configuration.read()?)?;
                configuration.report(options.validation, warnings)?;
                metadata::match_namespace(&mut applied, &resource, &target.namespace)?;
                check_name(&applied, &target.name)?;
                return Ok(Made::Owned(applied));
            }
            let live = live.ok_or_else(|| target.not_found())?;
            let mut patched = patch.apply_to(live, &target.expected(), options.validation, warnings)?;
            metadata::match_namespace(&mut patched, &resource, &target.namespace)?;
            check_name(&patched, &target.name)?;
            metadata::default(&resource, version, &mut patched, self.edge.clock.now());
            Ok(Made::Plain(patched))
        };
        self.change(target, caller, options, warnings, "", may_create, &mut make).await
    }
}
