//! APIService.

use apimachinery::Value;
use apiserver::{Strategy, Version};
use jiff::Timestamp;

/// APIService.
pub struct ApiService;

impl Strategy for ApiService {
    fn default(&self, _: &str, object: &mut Value) {
        let service = &object["spec"]["service"];
        if !service.is_null() && service["port"].is_null() {
            object.entry("spec").entry("service").set("port", 443);
        }
    }

    fn cells(&self, _: &Version, object: &Value, now: Timestamp) -> Vec<Value> {
        crate::printers::cluster::api_service(object, now)
    }
}
