//! Label selectors of the API as what the decision matches with.

use apimachinery::Value;
use apimachinery::labels::Selector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// None matches nothing, an empty selector everything. What cannot be read
/// matches nothing, since validation keeps it out.
pub fn read(selector: Option<&LabelSelector>) -> Selector {
    let tree = selector.map_or(Ok(Value::Null), Value::from_serialize);
    tree.ok().and_then(|tree| Selector::of_label_selector(&tree).ok()).unwrap_or_else(Selector::nothing)
}
