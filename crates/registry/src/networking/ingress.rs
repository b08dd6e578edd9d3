//! Ingress.

mod validation;

use apimachinery::Value;
use apimachinery::field::{Errors, Path, quote};
use apiserver::{Context, Strategy, Version};
use jiff::Timestamp;

use crate::rules::addresses::warn_of_ip;

/// What named the class before there was a field.
const CLASS: &str = "kubernetes.io/ingress.class";

/// Ingress.
pub struct Ingress;

impl Strategy for Ingress {
    fn has_generation(&self) -> bool {
        true
    }

    fn validate_create(&self, _: &Context<'_>, object: &Value) -> Errors {
        let mut errors = validation::validate(object, None);
        let (annotation, class) =
            (&object["metadata"]["annotations"][CLASS], &object["spec"]["ingressClassName"]);
        if !annotation.is_null() && !class.is_null() && annotation != class {
            let why = "must match `ingressClassName` when both are specified";
            errors.invalid(&Path::Root.child("annotations").child(CLASS), annotation.clone(), why);
        }
        errors
    }

    fn validate_update(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        validation::validate(object, Some(old))
    }

    fn validate_status(&self, _: &Context<'_>, object: &Value, old: &Value) -> Errors {
        validation::validate_status(object, old)
    }

    fn warnings(&self, context: &Context<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        if context.subresource == "status" {
            let path = Path::Root.child("status");
            let balancer = path.child("loadBalancer");
            let list = balancer.child("ingress");
            let mut warnings = Vec::new();
            for (at, point) in object["status"]["loadBalancer"]["ingress"].items().iter().enumerate() {
                warn_of_ip(&list.index(at).child("ip"), point["ip"].text(), &mut warnings);
            }
            return warnings;
        }
        let told = !object["metadata"]["annotations"][CLASS].is_null();
        if old.is_none() && told && object["spec"]["ingressClassName"].is_null() {
            return vec![format!(
                "annotation {} is deprecated, please use 'spec.ingressClassName' instead",
                quote(CLASS)
            )];
        }
        Vec::new()
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::network::ingress(object, now)
    }
}
