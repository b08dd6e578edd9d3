//! VolumeAttachment: a volume that is, or shall be, attached to a node.

use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::validation::dns1123_subdomain;
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use crate::core::persistent_volume::validation::validate_spec;
use crate::names;

const MOST_METADATA: usize = 256 << 10;
const MOST_MESSAGE: usize = 1024;
const ONE_SOURCE: &str = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";

/// VolumeAttachment.
pub struct VolumeAttachment;

impl Strategy for VolumeAttachment {
    fn reset_fields(&self, subresource: &str) -> &'static [&'static [&'static str]] {
        crate::changes::metadata_of_status(subresource)
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn prepare_status(&self, _: &Context<'_>, object: &mut Value, old: &Value) {
        crate::changes::keep_metadata(object, old);
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        let mut errors = validate(object);
        let path = Path::Root.child("spec");
        volume_name(object, &path, &mut errors);
        // A generated rule, whose errors come last.
        names::declared_driver(&path.child("attacher"), object["spec"]["attacher"].text(), &mut errors);
        errors
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        if object["spec"] == old["spec"] {
            return validate(object);
        }
        // The generated rules stop at the change, so that the written one tells of the form.
        let (mut errors, path) = (Errors::new(), Path::Root.child("spec"));
        names::driver(&path.child("attacher"), object["spec"]["attacher"].text(), &mut errors);
        errors.append(validate(object));
        volume_name(object, &path, &mut errors);
        errors.invalid(&path, Value::Null, "field is immutable");
        errors
    }

    fn validate_status(&self, context: &Context<'_>, object: &Value, old: &Value) -> Errors {
        self.validate_update(context, object, old)
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::storage::attachment(object, now)
    }
}

fn volume_name(object: &Value, path: &Path<'_>, errors: &mut Errors) {
    if let Some(volume) = object["spec"]["source"]["persistentVolumeName"].as_str() {
        errors.check(&path.child("source.persistentVolumeName"), volume, dns1123_subdomain(volume));
    }
}

fn validate(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let (spec, path) = (&object["spec"], Path::Root.child("spec"));
    let source = &spec["source"];
    let place = path.child("source");
    match (source["inlineVolumeSpec"].is_null(), source["persistentVolumeName"].as_str()) {
        (true, None) => errors.required(&place, ONE_SOURCE),
        (false, Some(_)) => errors.forbidden(&place, ONE_SOURCE),
        (true, Some("")) => {
            let why = "must specify non empty persistentVolumeName";
            errors.required(&place.child("persistentVolumeName"), why);
        }
        (true, Some(_)) => {}
        (false, None) => {
            validate_spec(
                &source["inlineVolumeSpec"],
                "",
                true,
                &place.child("inlineVolumeSpec"),
                &mut errors,
            );
        }
    }
    let node = spec["nodeName"].text();
    errors.check(&path.child("nodeName"), node, dns1123_subdomain(node));
    status(&object["status"], &Path::Root.child("status"), &mut errors);
    errors
}

fn status(status: &Value, path: &Path<'_>, errors: &mut Errors) {
    let size: usize =
        status["attachmentMetadata"].members().map(|(key, value)| key.len() + value.text().len()).sum();
    if size > MOST_METADATA {
        errors.too_long(&path.child("attachmentMetadata"), MOST_METADATA);
    }
    for field in ["attachError", "detachError"] {
        let (error, here) = (&status[field], path.child(field));
        if error["message"].text().len() > MOST_MESSAGE {
            // Upstream tells the other limit.
            errors.too_long(&here.child("message"), MOST_METADATA);
        }
        if let Some(code) = error["errorCode"].as_i64().filter(|code| *code < 0) {
            let why = format!("must be between 0 and {}, inclusive", i32::MAX);
            errors.invalid(&here.child("errorCode"), code, &why);
        }
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn volumes_have_one_source() {
        for (source, expected) in [
            (value!({"persistentVolumeName": "v"}), ""),
            (
                value!({"persistentVolumeName": ""}),
                "spec.source.persistentVolumeName: Required value: must specify non empty persistentVolumeName",
            ),
            (
                value!({"persistentVolumeName": "v", "inlineVolumeSpec": {}}),
                "spec.source: Forbidden: must specify exactly one of inlineVolumeSpec and persistentVolumeName",
            ),
            (
                value!({"inlineVolumeSpec": {"accessModes": ["ReadWriteOnce"], "csi": {"driver": "d", "volumeHandle": "h"}}}),
                "",
            ),
            (
                value!({"inlineVolumeSpec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
                    "csi": {"driver": "d", "volumeHandle": "h"}}}),
                "spec.source.inlineVolumeSpec.capacity: Forbidden: may not be specified in the context of inline volumes",
            ),
        ] {
            let errors = validate(&value!({"spec": {"attacher": "a", "nodeName": "n", "source": source}}));
            assert_eq!(errors.iter().map(ToString::to_string).collect::<String>(), expected);
        }
    }
}
