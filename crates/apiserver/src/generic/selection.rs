//! What a list or a watch asks for, read and checked.

use apimachinery::field::{Errors, Path};
use apimachinery::labels::{self, Labels};
use apimachinery::status::GroupKind;
use apimachinery::{Status, fields};
use client::ListOptions;
use store::{Entry, Trigger};

use super::commit::{is_old, tree_of};
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
    /// `version` is that of the request, an index into the resource's versions.
    pub fn of(
        options: &ListOptions,
        resource: &Resource,
        version: usize,
        is_watch: bool,
    ) -> Result<Self, Status> {
        let bad = |error: labels::SelectorError| Status::bad_request(error.to_string());
        let labels = labels::Selector::parse(options.label_selector.as_deref().unwrap_or("")).map_err(bad)?;
        let mut fields =
            fields::Selector::parse(options.field_selector.as_deref().unwrap_or("")).map_err(bad)?;
        for field in resource.selectable.iter().filter(|field| !field.alias.is_empty()) {
            fields.rename(field.alias, &field.name);
        }
        for term in fields.terms() {
            check_field(&term.field, resource, version)?;
        }
        let rules = ListRules {
            is_watch,
            matching: options.resource_version_match.unwrap_or(""),
            revision: options.resource_version.as_deref().unwrap_or(""),
            continues: options.continue_token.as_deref().is_some_and(|token| !token.is_empty()),
            initial_events: options.send_initial_events.is_some(),
        };
        rules.check()?;
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

    /// How many one answer holds. What may be of any age is given whole: upstream's cache knows
    /// no pages.
    pub fn page(&self) -> usize {
        let any_age = self.revision == "0" && self.continue_token.is_empty();
        if self.limit == 0 || any_age { usize::MAX } else { self.limit }
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
        // Headers of what an earlier definition stored hold its fields.
        let decoded = (!resource.selectable.is_empty() && is_old(resource, entry.revision)).then(|| {
            let tree = tree_of(resource, &entry.value, entry.revision);
            resource.selectable.iter().map(|field| field.read(&tree).into_owned()).collect::<Vec<_>>()
        });
        self.fields.matches(|field| match field {
            "metadata.name" => name,
            "metadata.namespace" => namespace,
            other => {
                let at = resource.selectable.iter().position(|selectable| selectable.name == other);
                let read = |at: usize| match &decoded {
                    Some(fields) => fields.get(at).map(String::as_str),
                    None => header.field(at),
                };
                at.and_then(read).unwrap_or("")
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

fn check_field(field: &str, resource: &Resource, version: usize) -> Result<(), Status> {
    // Kinds without selectable fields of their own have both names in upstream's scheme, whatever their scope.
    let is_plain = resource.selectable.is_empty() && !resource.is_custom();
    let known = field == "metadata.name"
        || (field == "metadata.namespace"
            && (resource.is_namespaced() || is_plain)
            && resource.strategy.selects_namespace())
        || resource.selectable.iter().any(|selectable| selectable.name == field && !selectable.hidden);
    if known {
        return Ok(());
    }
    Err(Status::bad_request(if is_plain {
        format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    } else {
        resource.strategy.unselectable(resource, &resource.versions[version], field)
    }))
}

/// What of a list's or watch's options may not stand beside what
/// (metainternalversion's ValidateListOptions).
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListRules<'a> {
    pub is_watch: bool,
    /// resourceVersionMatch; "" where it is not asked for.
    pub matching: &'a str,
    pub revision: &'a str,
    pub continues: bool,
    /// sendInitialEvents is given, true or not.
    pub initial_events: bool,
}

impl ListRules<'_> {
    /// # Errors
    /// 422 with a cause for each rule that is broken.
    pub fn check(self) -> Result<(), Status> {
        let mut errors = Errors::new();
        if self.is_watch {
            self.check_watch(&mut errors);
        } else {
            self.check_list(&mut errors);
        }
        if errors.is_empty() {
            return Ok(());
        }
        Err(Status::invalid(GroupKind { group: "meta.k8s.io", kind: "ListOptions" }, "", &errors))
    }

    fn check_watch(self, errors: &mut Errors) {
        let path = Path::child(&Path::Root, "resourceVersionMatch");
        let newer = self.matching == "NotOlderThan";
        if self.initial_events && !newer {
            errors
                .forbidden(&path, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
        }
        if self.matching.is_empty() {
            return;
        }
        if !self.initial_events {
            errors.forbidden(
                &path,
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            );
        }
        if !newer {
            errors.not_supported(&path, self.matching, &["NotOlderThan"]);
        }
        if self.continues {
            errors.forbidden(&path, "resourceVersionMatch is forbidden when continue is provided");
        }
    }

    fn check_list(self, errors: &mut Errors) {
        let path = Path::child(&Path::Root, "resourceVersionMatch");
        if !self.matching.is_empty() {
            if self.revision.is_empty() {
                errors
                    .forbidden(&path, "resourceVersionMatch is forbidden unless resourceVersion is provided");
            }
            if self.continues {
                errors.forbidden(&path, "resourceVersionMatch is forbidden when continue is provided");
            }
            if !matches!(self.matching, "Exact" | "NotOlderThan") {
                errors.not_supported(&path, self.matching, &["Exact", "NotOlderThan", ""]);
            }
            if self.matching == "Exact" && self.revision == "0" {
                errors.forbidden(
                    &path,
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                );
            }
        }
        if self.initial_events {
            let path = Path::child(&Path::Root, "sendInitialEvents");
            errors.forbidden(&path, "sendInitialEvents is forbidden for list");
        }
    }
}

/// The revision of a list or watch as a number; 0 where none counts.
pub(crate) fn revision_number(text: &str) -> Result<u64, String> {
    if text.is_empty() { Ok(0) } else { parse_revision(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_exclude_each_other() {
        let list = ListRules {
            is_watch: false,
            matching: "",
            revision: "",
            continues: false,
            initial_events: false,
        };
        let watch = ListRules { is_watch: true, ..list };
        let causes = |rules: ListRules<'_>| {
            let status = rules.check().err();
            status.and_then(|status| status.details).map_or(0, |details| details.causes.len())
        };
        for (rules, count) in [
            (list, 0),
            (ListRules { revision: "5", matching: "Exact", ..list }, 0),
            (ListRules { revision: "0", matching: "Exact", ..list }, 1),
            (ListRules { matching: "NotOlderThan", ..list }, 1),
            (ListRules { matching: "Odd", continues: true, ..list }, 3),
            (ListRules { initial_events: true, ..list }, 1),
            (watch, 0),
            (ListRules { matching: "NotOlderThan", ..watch }, 1),
            (ListRules { matching: "NotOlderThan", initial_events: true, ..watch }, 0),
            (ListRules { initial_events: true, ..watch }, 1),
            (ListRules { matching: "Exact", continues: true, ..watch }, 3),
            (ListRules { matching: "Exact", initial_events: true, ..watch }, 2),
        ] {
            assert_eq!(causes(rules), count, "{rules:?}");
        }
    }
}
