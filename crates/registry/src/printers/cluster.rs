//! What configures the API itself: definitions, services, policies, flow, devices.

use apimachinery::{Value, meta};
use jiff::Timestamp;

use super::words::{NONE, UNKNOWN, UNSET, age, cells, condition, joined, length, name, number, or, since};

/// Name, Scope, Versions, Created At, Group, Kind, ShortNames, Established.
pub fn definition(object: &Value, _: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let served = spec["versions"].items().iter().filter(|version| version["served"].is_true());
    let mut versions: Vec<String> = served
        .map(|version| {
            let mark = if version["storage"].is_true() { "(storage)" } else { "" };
            format!("{}{mark}", version["name"].text())
        })
        .collect();
    versions.sort_unstable();
    cells![
        name(object),
        spec["scope"].text(),
        versions.join(","),
        object["metadata"]["creationTimestamp"].text(),
        spec["group"].text(),
        spec["names"]["kind"].text(),
        joined(&spec["names"]["shortNames"], ","),
        condition(object, "Established")["status"].text() == "True",
    ]
}

/// Name, Service, Available, Age.
pub fn api_service(object: &Value, now: Timestamp) -> Vec<Value> {
    let service = &object["spec"]["service"];
    let told = if service.is_null() {
        "Local".to_owned()
    } else {
        format!("{}/{}", service["namespace"].text(), service["name"].text())
    };
    let available = condition(object, "Available");
    let available = match available["status"].text() {
        "" => UNKNOWN.to_owned(),
        "True" => "True".to_owned(),
        status => format!("{status} ({})", available["reason"].text()),
    };
    cells![name(object), told, available, age(object, now)]
}

/// Name, Webhooks, Age.
pub fn webhooks(object: &Value, now: Timestamp) -> Vec<Value> {
    cells![name(object), length(&object["webhooks"]), age(object, now)]
}

/// Name, Validations or Mutations, ParamKind, Age.
pub fn policy(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let parameter = &spec["paramKind"];
    let told = if parameter.is_null() {
        UNSET.to_owned()
    } else {
        format!("{}/{}", parameter["apiVersion"].text(), parameter["kind"].text())
    };
    let rules = length(&spec["validations"]) + length(&spec["mutations"]);
    cells![name(object), rules, told, age(object, now)]
}

/// Name, PolicyName, ParamRef, Age.
pub fn policy_binding(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let parameter = &spec["paramRef"];
    let selector = &parameter["selector"];
    let told = match (parameter.is_null(), parameter["namespace"].text(), parameter["name"].text()) {
        (true, ..) => UNSET.to_owned(),
        (_, _, "") if selector.is_null() => UNSET.to_owned(),
        (_, _, "") => go_selector(selector),
        // Whether the parameter has a namespace is not known here.
        (_, "", name) => format!("*/{name}"),
        (_, namespace, name) => format!("{namespace}/{name}"),
    };
    cells![name(object), spec["policyName"].text(), told, age(object, now)]
}

/// A LabelSelector as Go writes it.
fn go_selector(selector: &Value) -> String {
    let mut labels: Vec<String> =
        selector["matchLabels"].members().map(|(key, value)| format!("{key}: {},", value.text())).collect();
    labels.sort();
    let terms = selector["matchExpressions"].items().iter().map(|term| {
        let values: Vec<&str> = term["values"].items().iter().map(Value::text).collect();
        let (key, operator) = (term["key"].text(), term["operator"].text());
        format!("LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{}],}},", values.join(" "))
    });
    let terms: String = terms.collect();
    let labels = labels.concat();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{terms}}},}}"
    )
}

/// Name, PriorityLevel, MatchingPrecedence, DistinguisherMethod, Age, MissingPL.
pub fn flow_schema(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    cells![
        name(object),
        spec["priorityLevelConfiguration"]["name"].text(),
        number(&spec["matchingPrecedence"]),
        or(&spec["distinguisherMethod"]["type"], NONE),
        age(object, now),
        or(&condition(object, "Dangling")["status"], "?"),
    ]
}

/// Name, Type, NominalConcurrencyShares, Queues, HandSize, QueueLengthLimit, Age.
pub fn priority_level(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let limited = &spec["limited"];
    let queuing = &limited["limitResponse"]["queuing"];
    let told = |value: &Value| value.as_i64().map_or(Value::from(NONE), Value::from);
    cells![
        name(object),
        spec["type"].text(),
        told(&limited["nominalConcurrencyShares"]),
        told(&queuing["queues"]),
        told(&queuing["handSize"]),
        told(&queuing["queueLengthLimit"]),
        age(object, now),
    ]
}

/// Name, State, Age.
pub fn resource_claim(object: &Value, now: Timestamp) -> Vec<Value> {
    let (status, deleted) = (&object["status"], meta::is_terminating(object));
    let mut states: Vec<&str> = Vec::new();
    if deleted {
        states.push("deleted");
    }
    if !status["allocation"].is_null() {
        states.push("allocated");
        if !status["reservedFor"].items().is_empty() {
            states.push("reserved");
        }
    } else if !deleted {
        states.push("pending");
    }
    cells![name(object), states.join(","), age(object, now)]
}

/// Name, Node, Driver, Pool, Age.
pub fn resource_slice(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    cells![
        name(object),
        spec["nodeName"].text(),
        spec["driver"].text(),
        spec["pool"]["name"].text(),
        age(object, now)
    ]
}

/// Flow schemas in the order in which requests are held against them.
pub fn by_precedence(schemas: &mut [Value]) -> Option<usize> {
    let rank = |schema: &Value| (schema["spec"]["matchingPrecedence"].as_i64(), name(schema).to_owned());
    schemas.sort_by_key(rank);
    None
}

/// Name, Key, Value, Effect, TimeAdded, Age.
pub fn taint_rule(object: &Value, now: Timestamp) -> Vec<Value> {
    let taint = &object["spec"]["taint"];
    cells![
        name(object),
        taint["key"].text(),
        taint["value"].text(),
        taint["effect"].text(),
        since(&taint["timeAdded"], now),
        age(object, now),
    ]
}

/// Name, Resource, Status.
pub fn storage_migration(object: &Value, _: Timestamp) -> Vec<Value> {
    let resource = &object["spec"]["resource"];
    let told = match resource["group"].text() {
        "" => resource["resource"].text().to_owned(),
        group => format!("{}.{group}", resource["resource"].text()),
    };
    let state = ["Succeeded", "Failed", "Running"]
        .into_iter()
        .find(|kind| condition(object, kind)["status"].text() == "True")
        .unwrap_or("Pending");
    cells![name(object), told, state]
}
