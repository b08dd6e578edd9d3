//! Deployments, sets, controllers and jobs.

use apimachinery::{Value, meta, table, time};
use jiff::Timestamp;

use super::words::{NONE, age, cells, containers, labels, length, name, number, or, selector, since, truth};

/// Name, Ready, Up-to-date, Available, Age, Containers, Images, Selector.
pub fn deployment(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let (names, images) = containers(&spec["template"]["spec"]);
    cells![
        name(object),
        format!("{}/{}", number(&status["readyReplicas"]), number(&spec["replicas"])),
        number(&status["updatedReplicas"]),
        number(&status["availableReplicas"]),
        age(object, now),
        names,
        images,
        selector(&spec["selector"]),
    ]
}

/// Name, Desired, Current, Ready, Age, Containers, Images, Selector.
pub fn replica_set(object: &Value, now: Timestamp) -> Vec<Value> {
    replicas(object, now, selector(&object["spec"]["selector"]))
}

/// As [`replica_set`].
pub fn replication_controller(object: &Value, now: Timestamp) -> Vec<Value> {
    replicas(object, now, labels(&object["spec"]["selector"]))
}

fn replicas(object: &Value, now: Timestamp, selector: String) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let (names, images) = containers(&spec["template"]["spec"]);
    cells![
        name(object),
        number(&spec["replicas"]),
        number(&status["replicas"]),
        number(&status["readyReplicas"]),
        age(object, now),
        names,
        images,
        selector,
    ]
}

/// Name, Ready, Age, Containers, Images.
pub fn stateful_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let (names, images) = containers(&spec["template"]["spec"]);
    cells![
        name(object),
        format!("{}/{}", number(&status["readyReplicas"]), number(&spec["replicas"])),
        age(object, now),
        names,
        images,
    ]
}

/// Name, Desired, Current, Ready, Up-to-date, Available, Node Selector, Age,
/// Containers, Images, Selector.
pub fn daemon_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let (names, images) = containers(&spec["template"]["spec"]);
    cells![
        name(object),
        number(&status["desiredNumberScheduled"]),
        number(&status["currentNumberScheduled"]),
        number(&status["numberReady"]),
        number(&status["updatedNumberScheduled"]),
        number(&status["numberAvailable"]),
        labels(&spec["template"]["spec"]["nodeSelector"]),
        age(object, now),
        names,
        images,
        selector(&spec["selector"]),
    ]
}

/// Name, Controller, Revision, Age.
pub fn controller_revision(object: &Value, now: Timestamp) -> Vec<Value> {
    let controller = match meta::controller(object) {
        None => NONE.to_owned(),
        Some(owner) => {
            let group = owner["apiVersion"].text().rsplit_once('/').map_or("", |(group, _)| group);
            let dot = if group.is_empty() { "" } else { "." };
            format!("{}{dot}{group}/{}", owner["kind"].text().to_lowercase(), owner["name"].text())
        }
    };
    cells![name(object), controller, number(&object["revision"]), age(object, now)]
}

/// Name, Status, Completions, Duration, Age, Containers, Images, Selector.
pub fn job(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let (names, images) = containers(&spec["template"]["spec"]);
    cells![
        name(object),
        job_status(object),
        completions(object),
        duration(&object["status"], now),
        age(object, now),
        names,
        images,
        selector(&spec["selector"]),
    ]
}

fn job_status(job: &Value) -> &'static str {
    let has = |kind: &str| super::words::condition(job, kind)["status"].text() == "True";
    if has("Complete") {
        "Complete"
    } else if has("Failed") {
        "Failed"
    } else if meta::is_terminating(job) {
        "Terminating"
    } else if has("Suspended") {
        "Suspended"
    } else if has("FailureTarget") {
        "FailureTarget"
    } else if has("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

fn completions(job: &Value) -> String {
    let (spec, succeeded) = (&job["spec"], number(&job["status"]["succeeded"]));
    match spec["completions"].as_i64() {
        Some(completions) => format!("{succeeded}/{completions}"),
        None => match number(&spec["parallelism"]) {
            parallelism if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
            _ => format!("{succeeded}/1"),
        },
    }
}

/// How long the job ran, until now where it still runs; "" before its start.
fn duration(status: &Value, now: Timestamp) -> String {
    let moment = |field: &str| status[field].as_str().and_then(time::parse);
    match moment("startTime") {
        None => String::new(),
        Some(start) => {
            let end = moment("completionTime").unwrap_or(now);
            table::human_duration(end.duration_since(start).as_secs())
        }
    }
}

/// Name, Schedule, Timezone, Suspend, Active, Last Schedule, Age, Containers,
/// Images, Selector.
pub fn cron_job(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let template = &spec["jobTemplate"]["spec"];
    let (names, images) = containers(&template["template"]["spec"]);
    let last = match &status["lastScheduleTime"] {
        Value::Null => NONE.to_owned(),
        moment => since(moment, now),
    };
    cells![
        name(object),
        spec["schedule"].text(),
        or(&spec["timeZone"], NONE),
        truth(&spec["suspend"]),
        length(&status["active"]),
        last,
        age(object, now),
        names,
        images,
        selector(&template["selector"]),
    ]
}
