//! The body of an apply: YAML (JSON is YAML too), read once, and what is told of
//! it only when the object is at hand.

use apimachinery::{Status, Value, json, yaml};
use bytes::Bytes;

use super::FieldValidation;

/// What a client applies.
pub(crate) struct Configuration {
    /// Refused when it is needed: an object that is not there is told first.
    tree: Result<Value, Status>,
    /// Duplicate keys: `yaml: unmarshal errors:\n  line 4: key "k" already set in map`.
    problem: Option<String>,
    force: bool,
}

/// What stands before the lines of a YAML reader's complaints.
const UNMARSHAL: &str = "yaml: unmarshal errors:\n";

impl Configuration {
    /// # Errors
    /// 400 for what is no YAML. What looks like JSON is not looked into before it
    /// is needed.
    pub fn parse(body: &Bytes, force: bool) -> Result<Self, Status> {
        match yaml::to_json(body) {
            Err(error) if body.trim_ascii_start().starts_with(b"{") => {
                let why = format!("error decoding patch: error converting YAML to JSON: {error}");
                Ok(Self { tree: Err(Status::bad_request(why)), problem: None, force })
            }
            Err(error) => Err(Status::bad_request(format!("error encoding patch: {error}"))),
            Ok(converted) => {
                let tree = json::parse(&converted.json)
                    .map_err(|error| Status::bad_request(format!("error decoding patch: {error}")));
                Ok(Self { problem: converted.problem, ..Self::read_as(tree, force) })
            }
        }
    }

    /// From a tree, in process.
    pub fn of(tree: Value, force: bool) -> Self {
        Self::read_as(Ok(tree), force)
    }

    fn read_as(tree: Result<Value, Status>, force: bool) -> Self {
        let tree = tree.and_then(|tree| {
            let shape = match &tree {
                Value::Object(_) => return Ok(tree),
                Value::Null => return Ok(Value::object()),
                Value::Bool(_) => "bool",
                Value::Int(_) | Value::Float(_) => "number",
                Value::String(_) => "string",
                Value::Array(_) => "array",
            };
            Err(Status::bad_request(format!(
                "error decoding patch: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {shape} \
                 into Go value of type map[string]interface {{}}"
            )))
        });
        Self { tree, problem: None, force }
    }

    /// The tree, and whether fields are taken from others.
    pub fn read(&self) -> Result<(&Value, bool), Status> {
        self.tree.as_ref().map(|tree| (tree, self.force)).map_err(Clone::clone)
    }

    /// Says what was odd about a body that was applied all the same.
    pub fn report(&self, validation: FieldValidation, warnings: &mut Vec<String>) -> Result<(), Status> {
        let Some(problem) = &self.problem else { return Ok(()) };
        match validation {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => {
                let lines = problem.strip_prefix(UNMARSHAL).unwrap_or(problem);
                warnings.extend(lines.lines().map(|line| line.trim().to_owned()));
            }
            FieldValidation::Strict => {
                return Err(Status::bad_request(format!(
                    "error strict decoding patch: error converting YAML to JSON: {problem}"
                )));
            }
        }
        Ok(())
    }
}
