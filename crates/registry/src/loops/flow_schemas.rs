//! Tells of each FlowSchema whether the priority level is there that it names:
//! its condition `Dangling`.
//!
//! Looks whenever a schema or a priority level changed, and never on a period.

use std::sync::Arc;

use apimachinery::{Status, Value};
use apiserver::{ApiServer, Changes, Owner, View};

use super::ignore_absent;
use crate::conditions::{self, Told};

pub(super) const GROUP: &str = "flowcontrol.apiserver.k8s.io";
const SCHEMAS: (&str, &str) = (GROUP, "flowschemas");
const LEVELS: &str = "prioritylevelconfigurations";

/// The loop; changes count from its making on.
pub(super) struct FlowSchemas {
    changes: Option<(Changes, Changes)>,
}

impl FlowSchemas {
    pub fn new(server: &ApiServer) -> Self {
        Self { changes: server.changes(GROUP, SCHEMAS.1).zip(server.changes(GROUP, LEVELS)) }
    }

    /// Passes at once and whenever something changed, until the store closes.
    pub async fn run(self, server: Arc<ApiServer>) {
        let Some((mut schemas, mut levels)) = self.changes else { return };
        loop {
            if let Err(status) = pass(&server).await {
                tracing::warn!(why = status.message, "flow schemas could not be told of their levels");
            }
            let open = tokio::select! {
                biased;
                open = schemas.next() => open,
                open = levels.next() => open,
            };
            if !open {
                return;
            }
        }
    }
}

async fn pass(server: &ApiServer) -> Result<(), Status> {
    let view = server.view();
    let now = server.edge().clock.now();
    let mut behind = Vec::new();
    for stored in view.list(GROUP, SCHEMAS.1, "") {
        let tree = stored.tree();
        let level = level(&tree).to_owned();
        if !is_told(&tree, &level, has_level(&view, &level)) {
            behind.push((stored.name().to_owned(), level));
        }
    }
    for (name, level) in behind {
        let mut change = |tree: &mut Value, view: &View| {
            let (reason, message) = words(&level, has_level(view, &level));
            let status = reason == NOT_FOUND;
            conditions::set(tree, Told { kind: DANGLING, status, reason, message: &message }, now);
            Ok(Vec::new())
        };
        ignore_absent(
            server.modify_status(SCHEMAS, ("", &name), Owner::Applies(MANAGER), &mut change).await.map(drop),
        )?;
    }
    Ok(())
}

/// As whom the conditions are applied.
const MANAGER: &str = "api-priority-and-fairness-config-consumer-v1";
const DANGLING: &str = "Dangling";
const NOT_FOUND: &str = "NotFound";

fn level(schema: &Value) -> &str {
    schema["spec"]["priorityLevelConfiguration"]["name"].text()
}

fn has_level(view: &View, level: &str) -> bool {
    view.get(GROUP, LEVELS, "", level).is_some()
}

/// Whether the condition says already what it should.
fn is_told(schema: &Value, level: &str, is_there: bool) -> bool {
    let (reason, message) = words(level, is_there);
    conditions::find(schema, DANGLING).is_some_and(|told| {
        told["status"].text() == if is_there { "False" } else { "True" }
            && told["reason"].text() == reason
            && told["message"].text() == message
    })
}

fn words(level: &str, is_there: bool) -> (&'static str, String) {
    let named = format!("This FlowSchema references the PriorityLevelConfiguration object named {level:?}");
    match is_there {
        true => ("Found", format!("{named} and it exists")),
        false => (NOT_FOUND, format!("{named} but there is no such object")),
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn a_schema_is_told_again_where_its_level_came_or_went() {
        let (reason, message) = words("l", true);
        let told = value!({"status": {"conditions": [
            {"type": DANGLING, "status": "False", "reason": reason, "message": message}
        ]}});
        for (level, is_there, expected) in [("l", true, true), ("l", false, false), ("other", true, false)] {
            assert_eq!(is_told(&told, level, is_there), expected, "{level} {is_there}");
        }
        assert!(!is_told(&value!({}), "l", true));
    }
}
