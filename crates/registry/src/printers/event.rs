//! Events, in the shape of the core group.

use apimachinery::Value;
use jiff::Timestamp;

use super::words::{cells, name, number, or, since};

/// Last Seen, Type, Reason, Object, Subobject, Source, Message, First Seen, Count, Name.
pub fn event(event: &Value, now: Timestamp) -> Vec<Value> {
    let or_else = |first: &Value, second: &Value| since(if first.is_null() { second } else { first }, now);
    let first = or_else(&event["firstTimestamp"], &event["eventTime"]);
    let series = &event["series"];
    let (last, count) = if !series.is_null() {
        (since(&series["lastObservedTime"], now), number(&series["count"]))
    } else {
        let last = if event["lastTimestamp"].is_null() {
            first.clone()
        } else {
            since(&event["lastTimestamp"], now)
        };
        (last, number(&event["count"]).max(1))
    };
    let about = &event["involvedObject"];
    let mut object = about["kind"].text().to_lowercase();
    if !about["name"].text().is_empty() {
        object.push('/');
        object.push_str(about["name"].text());
    }
    cells![
        last,
        event["type"].text(),
        event["reason"].text(),
        object,
        about["fieldPath"].text(),
        source(event),
        event["message"].text().trim(),
        first,
        count,
        name(event),
    ]
}

/// Who said it, and where.
fn source(event: &Value) -> String {
    let component = or(&event["source"]["component"], event["reportingComponent"].text());
    match or(&event["source"]["host"], event["reportingInstance"].text()) {
        "" => component.into(),
        instance => format!("{component}, {instance}"),
    }
}
