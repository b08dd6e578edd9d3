//! ComponentStatus: what upstream told of its parts before there were health
//! endpoints. Corten is one program: what answers is healthy.

use apimachinery::status::GroupResource;
use apimachinery::{Status, Value, value};
use apiserver::{Answer, Call, Handler, Strategy, Version};
use async_trait::async_trait;
use jiff::Timestamp;

/// What upstream lists.
const COMPONENTS: [&str; 3] = ["scheduler", "controller-manager", "etcd-0"];

/// ComponentStatus.
pub struct ComponentStatuses;

/// The warning of every answer.
pub const DEPRECATION: &str = "v1 ComponentStatus is deprecated in v1.19+";

fn component(name: &str) -> Value {
    value!({
        "apiVersion": "v1",
        "kind": "ComponentStatus",
        "metadata": {"name": name},
        "conditions": [{"type": "Healthy", "status": "True", "message": "ok"}]
    })
}

impl Strategy for ComponentStatuses {
    /// Name, Status, Message, Error.
    fn cells(&self, _: &Version, object: &Value, _: Timestamp) -> Vec<Value> {
        let healthy =
            object["conditions"].items().iter().find(|condition| condition["type"].text() == "Healthy");
        let told = |field: &str| healthy.map(|healthy| healthy[field].text()).unwrap_or_default();
        let status = match told("status") {
            "True" => "Healthy",
            "False" => "Unhealthy",
            _ => "Unknown",
        };
        [apimachinery::meta::name(object), status, told("message"), told("error")].map(Value::from).to_vec()
    }
}

#[async_trait]
impl Handler for ComponentStatuses {
    fn is_tabular(&self) -> bool {
        true
    }

    async fn call(&self, call: Call<'_>) -> Result<Answer, Status> {
        match call.verb {
            "get" if COMPONENTS.contains(&call.name) => Ok(Answer::ok(component(call.name))),
            "get" => {
                Err(Status::not_found(GroupResource { group: "", resource: "componentstatus" }, call.name))
            }
            _ => {
                // They have no labels and no fields but the name.
                let chosen = |name: &&&str| {
                    let field = |field: &str| if field == "metadata.name" { **name } else { "" };
                    call.fields.matches(field) && call.labels.matches(&Value::object())
                };
                let mut items: Vec<Value> =
                    COMPONENTS.iter().filter(chosen).map(|name| component(name)).collect();
                for item in &mut items {
                    item.remove("apiVersion");
                    item.remove("kind");
                }
                Ok(Answer::ok(value!({
                    "kind": "ComponentStatusList", "apiVersion": "v1", "metadata": {}, "items": items
                })))
            }
        }
    }
}
