//! CustomResourceDefinition, as it is stored. Serving what it defines is
//! `loops`' matter.

use apimachinery::Value;
use apiserver::{Strategy, Version};
use jiff::Timestamp;

use crate::changes::{default_struct, default_text, items};

/// CustomResourceDefinition.
pub struct CustomResourceDefinition;

impl Strategy for CustomResourceDefinition {
    fn default(&self, _: &str, object: &mut Value) {
        let spec = object.entry("spec");
        let names = spec.entry("names");
        let kind = names["kind"].text().to_owned();
        default_text(names, "singular", &kind.to_lowercase());
        if !kind.is_empty() {
            default_text(names, "listKind", &format!("{kind}List"));
        }
        default_struct(spec, "conversion");
        let conversion = spec.entry("conversion");
        default_text(conversion, "strategy", "None");
        if !conversion["webhook"]["clientConfig"]["service"].is_null() {
            let service = conversion.entry_at(&["webhook", "clientConfig", "service"]);
            if service["port"].is_null() {
                service.set("port", 443);
            }
        }
        for version in items(spec, "versions") {
            if version["storage"].is_null() {
                version.set("storage", false);
            }
        }
    }

    fn has_generation(&self) -> bool {
        true
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::cluster::definition(object, now)
    }
}
