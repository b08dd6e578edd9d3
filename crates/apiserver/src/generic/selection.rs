//! What a list or a watch asks for, read and checked.

use apimachinery::field::{Errors, Path};
use apimachinery::labels::{self, Labels};
use apimachinery::status::GroupKind;
use apimachinery::{Status, fields};
use client::ListOptions;
use store::{Entry, Trigger};

use super::update::parse_revision;
use crate::Header;
use crate::catalogue::Resource;
use crate::header::trigger_name;

/// How the resourceVersion of a list counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    Exact,
    NotOlderThan,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub labels: labels::Selector,
    pub fields: fields::Selector,
    pub limit: usize,
    pub continue_token: String,
    /// "" and "0" are not numbers to be waited for.
    pub revision: String,
    pub matching: Option<Match>,
    pub bookmarks: bool,
    pub initial_events: Option<bool>,
    pub timeout_seconds: Option<u64>,
}

impl Labels for Header {
    fn label(&self, key: &str) -> Option<&str> {
        Header::label(self, key)
    }
}

impl Selection {
    pub fn of(options: &ListOptions, resource: &Resource, is_watch: bool) -> Result<Self, Status> {
        let bad = |error: labels::SelectorError| Status::bad_request(error.to_string());
        let labels = labels::Selector::parse(options.label_selector.as_deref().unwrap_or("")).map_err(bad)?;
        let fields = fields::Selector::parse(options.field_selector.as_deref().unwrap_or("")).map_err(bad)?;
        for term in fields.terms() {
            check_field(&term.field, resource)?;
        }
        check_options(options, is_watch)?;
        let matching = match options.resource_version_match {
            Some("Exact") => Some(Match::Exact),
            Some("NotOlderThan") => Some(Match::NotOlderThan),
            _ => None,
        };
        Ok(Self {
            labels,
            fields,
            limit: usize::try_from(options.limit).unwrap_or(usize::MAX),
            continue_token: options.continue_token.clone().unwrap_or_default(),
            revision: options.resource_version.clone().unwrap_or_default(),
            matching,
            bookmarks: options.allow_watch_bookmarks,
            initial_events: options.send_initial_events,
            timeout_seconds: options.timeout_seconds,
        })
    }

    /// Whether everything is chosen.
    pub fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    pub fn matches(&self, resource: &Resource, entry: &Entry) -> bool {
        let Some(header) = entry.header::<Header>() else { return self.is_everything() };
        self.labels.matches(header)
            && (self.fields.is_everything() || self.fields_match(resource, entry, header))
    }

    fn fields_match(&self, resource: &Resource, entry: &Entry, header: &Header) -> bool {
        let mut parts = entry.key.as_str().rsplit('/');
        let name = parts.next().unwrap_or("");
        let namespace = if resource.is_namespaced() { parts.next().unwrap_or("") } else { "" };
        self.fields.matches(|field| match field {
            "metadata.name" => name,
            "metadata.namespace" => namespace,
            other => {
                let at = resource.selectable.iter().position(|selectable| selectable.name == other);
                at.and_then(|at| header.field(at)).unwrap_or("")
            }
        })
    }

    /// The name that the object must have, where the selector says so.
    pub fn required_name(&self) -> Option<&str> {
        self.fields.required("metadata.name").filter(|name| !name.is_empty() && !name.contains('/'))
    }

    /// The trigger that wakes this watch, where a field with one is chosen.
    pub fn trigger(&self, resource: &Resource) -> Option<Trigger> {
        resource.selectable.iter().filter(|field| field.trigger).find_map(|field| {
            let value = self.fields.required(&field.name).filter(|value| !value.is_empty())?;
            Some(Trigger::new(trigger_name(field)?, value))
        })
    }
}

fn check_field(field: &str, resource: &Resource) -> Result<(), Status> {
    let known = field == "metadata.name"
        || (field == "metadata.namespace" && (resource.is_namespaced() || resource.selectable.is_empty()))
        || resource.selectable.iter().any(|selectable| selectable.name == field);
    if known {
        return Ok(());
    }
    let is_custom = matches!(resource.storage, crate::Storage::Stored { schema: None, .. });
    Err(Status::bad_request(if is_custom || !resource.selectable.is_empty() {
        format!("field label not supported: {field}")
    } else {
        format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    }))
}

/// metainternalversion's ValidateListOptions.
fn check_options(options: &ListOptions, is_watch: bool) -> Result<(), Status> {
    let mut errors = Errors::new();
    let path = Path::child(&Path::Root, "resourceVersionMatch");
    let matching = options.resource_version_match.unwrap_or("");
    let revision = options.resource_version.as_deref().unwrap_or("");
    let continues = options.continue_token.as_deref().is_some_and(|token| !token.is_empty());
    if is_watch {
        if options.send_initial_events.is_some() {
            if matching != "NotOlderThan" {
                errors.forbidden(
                    &path,
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                );
            }
            if !matching.is_empty() && matching != "NotOlderThan" {
                errors.not_supported(&path, matching, &["NotOlderThan"]);
            }
            if continues {
                errors.forbidden(&path, "resourceVersionMatch is forbidden when continue is provided");
            }
        } else if !matching.is_empty() {
            errors.forbidden(
                &path,
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            );
        }
    } else {
        if !matching.is_empty() {
            if revision.is_empty() {
                errors
                    .forbidden(&path, "resourceVersionMatch is forbidden unless resourceVersion is provided");
            }
            if continues {
                errors.forbidden(&path, "resourceVersionMatch is forbidden when continue is provided");
            }
            if matching != "Exact" && matching != "NotOlderThan" {
                errors.not_supported(&path, matching, &["Exact", "NotOlderThan", ""]);
            }
            if matching == "Exact" && revision == "0" {
                errors.forbidden(
                    &path,
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                );
            }
        }
        if options.send_initial_events.is_some() {
            let path = Path::child(&Path::Root, "sendInitialEvents");
            errors.forbidden(&path, "sendInitialEvents is forbidden for list");
        }
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(GroupKind { group: "meta.k8s.io", kind: "ListOptions" }, "", &errors))
}

/// The revision of a list or watch as a number; 0 where none counts.
pub(crate) fn revision_number(text: &str) -> Result<u64, String> {
    if text.is_empty() { Ok(0) } else { parse_revision(text) }
}
