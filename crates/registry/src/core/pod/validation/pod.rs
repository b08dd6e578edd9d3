//! A new pod, and a template.

use apimachinery::field::{Errors, Path};
use apimachinery::validation::meta;
use apimachinery::{Value, meta as object_meta};

use super::containers::image_without_spaces;
use super::{Owner, annotations};

/// Everything of a new pod but its metadata.
pub fn create(pod: &Value) -> Errors {
    let mut errors = Errors::new();
    metadata_and_spec(pod, &mut errors);
    let (spec, path) = (&pod["spec"], Path::Root.child("spec"));
    if !spec["ephemeralContainers"].items().is_empty() {
        errors.forbidden(&path.child("ephemeralContainers"), "cannot be set on create");
    }
    if !spec["nodeName"].text().is_empty() && super::super::is_gated(pod) {
        errors
            .forbidden(&path.child("nodeName"), "cannot be set until all schedulingGates have been cleared");
    }
    annotations::agree(&pod["metadata"]["annotations"], spec, &path, &mut errors);
    errors
}

/// What holds of new and changed pods, and not of templates.
pub(super) fn metadata_and_spec(pod: &Value, errors: &mut Errors) {
    let (spec, path) = (&pod["spec"], Path::Root.child("spec"));
    let metadata = Path::Root.child("metadata");
    annotations::validate(&pod["metadata"]["annotations"], spec, &metadata.child("annotations"), errors);
    let is_static = !pod["metadata"]["annotations"][annotations::MIRROR].is_null();
    let owner = Owner::Pod { name: object_meta::name(pod), is_static };
    super::spec::spec(spec, owner, &path, errors);
    if spec["serviceAccountName"].text().is_empty() {
        tokens_need_an_account(spec, &path, errors);
    }
    for list in ["containers", "initContainers"] {
        let field = path.child(list);
        for (at, container) in spec[list].items().iter().enumerate() {
            image_without_spaces(container, &field.index(at), errors);
        }
    }
}

fn tokens_need_an_account(spec: &Value, path: &Path<'_>, errors: &mut Errors) {
    let volumes = path.child("volumes");
    for (at, volume) in spec["volumes"].items().iter().enumerate() {
        let volume_path = volumes.index(at);
        let projected = volume_path.child("projected");
        let sources = projected.child("sources");
        for (nth, source) in volume["projected"]["sources"].items().iter().enumerate() {
            if !source["serviceAccountToken"].is_null() {
                errors.forbidden(
                    &sources.index(nth).child("serviceAccountToken"),
                    "must not be specified when serviceAccountName is not set",
                );
            }
        }
    }
}

/// A pod template (PodTemplateSpec) at `path`.
pub fn template(template: &Value, path: &Path<'_>, errors: &mut Errors) {
    let (metadata, spec) = (&template["metadata"], path.child("spec"));
    meta::labels(&metadata["labels"], &path.child("labels"), errors);
    meta::annotations(&metadata["annotations"], &path.child("annotations"), errors);
    annotations::validate(&metadata["annotations"], &template["spec"], &path.child("annotations"), errors);
    super::spec::spec(&template["spec"], Owner::Template, &spec, errors);
    annotations::agree(&metadata["annotations"], &template["spec"], &spec, errors);
    if !template["spec"]["ephemeralContainers"].items().is_empty() {
        errors.forbidden(
            &spec.child("ephemeralContainers"),
            "ephemeral containers not allowed in pod template",
        );
    }
}
