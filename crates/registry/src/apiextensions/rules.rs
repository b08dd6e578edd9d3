//! Validation rules of custom resources (`x-kubernetes-validations`): compiled
//! once for a version, run for every write.

use apimachinery::Value;
use apimachinery::field::{self, Errors, Kind, Path, quote};
use apimachinery::structural::{Additional, OldItems, Part, Schema, field_path};
use cel::{Environment, Error, Meter, PER_CALL_LIMIT, Program, Type, Val};

/// What all rules of one object may cost together (upstream's `RuntimeCELCostBudget`).
const BUDGET: u64 = 10_000_000;
/// The longest text that a messageExpression may give, in bytes.
const MOST_MESSAGE: usize = 5 * 1024;
const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

/// The rules of a schema node and of those below it that have any.
pub(super) struct Rules {
    own: Vec<Rule>,
    /// What `self` is.
    ty: Option<Type>,
    items: Option<Box<Rules>>,
    properties: Vec<(Box<str>, Rules)>,
    additional: Option<Box<Rules>>,
}

/// A rule, compiled.
pub(super) struct Rule {
    /// Or why it does not compile.
    pub program: Result<Program, String>,
    pub message_expression: Option<Result<Program, String>>,
    pub uses_old: bool,
    source: Value,
    /// The field that it is about, below its node; "" for the node.
    field: String,
}

impl Rule {
    /// Compiles `source` (a ValidationRule) for values of `ty`. Errors are
    /// those that a definition's validation gives.
    pub fn compile(source: &Value, ty: &Type) -> Self {
        let old = match source["optionalOldSelf"].is_true() {
            true => Type::optional(ty.clone()),
            false => ty.clone(),
        };
        let environment = Environment::new().with("self", ty.clone()).with("oldSelf", old);
        let program = match Program::compile(source["rule"].text(), &environment) {
            Err(error) => Err(format!("{}: {error}", error.what())),
            Ok(program) if !matches!(program.result(), Type::Bool) => {
                Err("cel expression must evaluate to a bool".into())
            }
            Ok(program) => Ok(program),
        };
        let uses_old = program.as_ref().is_ok_and(|program| program.mentions("oldSelf"));
        let expression = source["messageExpression"].as_str().filter(|text| !text.is_empty());
        let message_expression =
            expression.filter(|_| program.is_ok()).map(|text| match Program::compile(text, &environment) {
                Err(error) => {
                    let what = error.what().trim_start_matches("program ");
                    Err(format!("messageExpression {what}: {error}"))
                }
                Ok(program) if !matches!(program.result(), Type::String) => {
                    Err("messageExpression must evaluate to a string".into())
                }
                Ok(program) => Ok(program),
            });
        Self { program, message_expression, uses_old, source: source.clone(), field: String::new() }
    }

    /// The rule's message, or else the rule.
    fn name(&self) -> &str {
        match self.source["message"].text() {
            "" => self.source["rule"].text().trim(),
            message => message.trim(),
        }
    }
}

impl Rules {
    /// The rules of a schema, as the definition has it (`source`) and as it
    /// was loaded; None where there are none.
    pub fn compile(source: &Value, schema: &Schema, is_root: bool) -> Option<Self> {
        if !schema.any(&|schema| !schema.rules.is_empty()) {
            return None;
        }
        let ty =
            if schema.rules.is_empty() { None } else { cel::type_of(source, is_root || schema.embedded) };
        let own = match &ty {
            None => Vec::new(),
            Some(ty) => schema
                .rules
                .iter()
                .map(|rule| Rule {
                    field: field_of(rule["fieldPath"].text(), schema),
                    ..Rule::compile(rule, ty)
                })
                .collect(),
        };
        let items = schema.items.as_deref().and_then(|items| Self::compile(&source["items"], items, false));
        let properties = schema
            .properties
            .iter()
            .filter_map(|(name, property)| {
                let rules = Self::compile(&source["properties"][&**name], property, false)?;
                Some((name.clone(), rules))
            })
            .collect();
        let additional = match &schema.additional {
            Additional::Schema(inner) => Self::compile(&source["additionalProperties"], inner, false),
            _ => None,
        };
        Some(Self { own, ty, items: items.map(Box::new), properties, additional: additional.map(Box::new) })
    }

    /// Runs all rules on a value at `path`.
    pub fn check_at(
        &self,
        path: &Path<'_>,
        value: &Value,
        old: Option<&Value>,
        schema: &Schema,
        errors: &mut Errors,
    ) {
        let mut run = Run { left: BUDGET, errors };
        let _ = run.node(self, value, schema, Was { old, nearest: None }, path);
    }

    /// Runs all rules on `object`. Errors about what an update leaves alone
    /// become warnings.
    pub fn check(&self, object: &Value, old: Option<&Value>, schema: &Schema, errors: &mut Errors) {
        let was = Was { old, nearest: None };
        let mut run = Run { left: BUDGET, errors };
        let _ = run.node(self, object, schema, was, &Path::Root);
    }
}

/// A field's path below its node, as errors name it.
fn field_of(text: &str, schema: &Schema) -> String {
    let Ok((parts, _)) = field_path(text, schema, true) else { return String::new() };
    let mut out = String::new();
    for part in parts {
        match part {
            Part::Name(name) if out.is_empty() => out = name,
            Part::Name(name) => {
                out.push('.');
                out.push_str(&name);
            }
            Part::Key(key) => out.push_str(&format!("[{key}]")),
        }
    }
    out
}

/// What a value was before, as far as that can be told.
#[derive(Clone, Copy)]
struct Was<'a> {
    old: Option<&'a Value>,
    /// The nearest ancestor whose old value is known, with that.
    nearest: Option<(&'a Value, &'a Value)>,
}

impl<'a> Was<'a> {
    /// Errors about `value` do not count: it, or what it is in, is as it was.
    fn is_same(self, value: &Value) -> bool {
        match (self.old, self.nearest) {
            (Some(old), _) => old == value,
            (None, Some((value, old))) => value == old,
            (None, None) => false,
        }
    }

    fn child(self, parent: &'a Value, old: Option<&'a Value>) -> Self {
        match self.old {
            None => self,
            Some(before) => Self { old: old.filter(|old| !old.is_null()), nearest: Some((parent, before)) },
        }
    }
}

/// No further rule is to be run.
struct Stop;

struct Run<'r> {
    left: u64,
    errors: &'r mut Errors,
}

impl Run<'_> {
    fn node<'a>(
        &mut self,
        rules: &'a Rules,
        value: &'a Value,
        schema: &Schema,
        was: Was<'a>,
        path: &Path<'_>,
    ) -> Result<(), Stop> {
        if value.is_null() {
            return Ok(());
        }
        if let Some(ty) = &rules.ty {
            for rule in &rules.own {
                self.rule(rule, ty, value, schema, was, path)?;
            }
        }
        match value {
            Value::Array(items) => {
                let (Some(inner), Some(item_schema)) = (&rules.items, &schema.items) else { return Ok(()) };
                let old = OldItems::of(was.old, schema);
                for (at, item) in items.iter().enumerate() {
                    self.node(
                        inner,
                        item,
                        item_schema,
                        was.child(value, old.of_item(item)),
                        &path.index(at),
                    )?;
                }
            }
            Value::Object(object) => {
                let old = |name: &str| was.old.and_then(Value::as_object).and_then(|old| old.get(name));
                if let (Some(inner), Additional::Schema(schema)) = (&rules.additional, &schema.additional) {
                    for (name, member) in object.iter() {
                        self.node(inner, member, schema, was.child(value, old(name)), &path.key(name))?;
                    }
                }
                for (name, inner) in &rules.properties {
                    let (Some(member), Some(schema)) = (object.get(name), schema.property(name)) else {
                        continue;
                    };
                    self.node(inner, member, schema, was.child(value, old(name)), &path.child(name))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn rule<'a>(
        &mut self,
        rule: &'a Rule,
        ty: &'a Type,
        value: &'a Value,
        schema: &Schema,
        was: Was<'a>,
        path: &Path<'_>,
    ) -> Result<(), Stop> {
        let kind = schema.kind.name();
        let at = |path: &Path<'_>| match path {
            Path::Root => "<nil>".to_owned(),
            path => path.to_string(),
        };
        let invalid = |detail: &str| field::Error {
            kind: Kind::Invalid,
            field: at(path),
            body: format!("Invalid value: {}: {detail}", quote(kind)),
        };
        let program = match &rule.program {
            Ok(program) => program,
            Err(why) => {
                self.errors.push(invalid(&format!("rule compile error: {why}")));
                return Ok(());
            }
        };
        let is_optional = rule.source["optionalOldSelf"].is_true();
        if rule.uses_old && was.old.is_none() && !is_optional {
            return Ok(());
        }
        let mut variables: Vec<(&str, Val<'a>)> = vec![("self", Val::typed(value, ty))];
        match was.old {
            Some(old) if is_optional => variables.push(("oldSelf", Val::some(Val::typed(old, ty)))),
            Some(old) => variables.push(("oldSelf", Val::typed(old, ty))),
            None => variables.push(("oldSelf", Val::Optional(None))),
        }
        if self.left == 0 {
            self.errors.push(invalid(OUT_OF_BUDGET));
            return Err(Stop);
        }
        let meter = Meter::new(PER_CALL_LIMIT);
        let result = program.evaluate(&variables, &meter);
        if meter.spent() > self.left {
            self.errors.push(invalid(OUT_OF_BUDGET));
            return Err(Stop);
        }
        self.left -= meter.spent();
        match result {
            Ok(Val::Bool(true)) => return Ok(()),
            Ok(_) => {}
            Err(Error::TooExpensive) => {
                self.errors.push(invalid(&format!(
                    "'{}': no further validation rules will be run due to call cost exceeds limit for rule: {}",
                    Error::TooExpensive,
                    rule.name()
                )));
                return Err(Stop);
            }
            Err(error) => {
                let text = error.to_string();
                self.errors.push(invalid(&if text.starts_with("no such overload") {
                    format!(
                        "'{text}': call arguments did not match a supported operator, function or macro signature \
                         for rule: {}",
                        rule.name()
                    )
                } else {
                    format!("{text} evaluating rule: {}", rule.name())
                }));
                return Ok(());
            }
        }
        let message = self.message(rule, &variables);
        let mut stops = false;
        let error = match message {
            Ok(message) => {
                let field =
                    if rule.field.is_empty() { at(path) } else { path.child(&rule.field).to_string() };
                failed(rule, field, value, &message)
            }
            Err(why) => {
                stops = true;
                invalid(&why)
            }
        };
        if !rule.uses_old && was.is_same(value) {
            self.errors.warn(&error);
        } else {
            self.errors.push(error);
        }
        if stops { Err(Stop) } else { Ok(()) }
    }

    /// What a rule that does not hold says: its expression's text where that
    /// gives one, else its message.
    fn message<'a>(&mut self, rule: &'a Rule, variables: &[(&'a str, Val<'a>)]) -> Result<String, String> {
        let plain = || match rule.source["message"].text() {
            "" => format!("failed rule: {}", rule.name()),
            message => message.trim().to_owned(),
        };
        let Some(Ok(program)) = &rule.message_expression else { return Ok(plain()) };
        let meter = Meter::new(PER_CALL_LIMIT);
        let result = program.evaluate(variables, &meter);
        if meter.spent() > self.left {
            return Err(
                "messageExpression evaluation failed due to running out of cost budget, no further validation rules \
                 will be run"
                    .into(),
            );
        }
        if matches!(result, Err(Error::TooExpensive)) {
            return Err(format!(
                "no further validation rules will be run due to call cost exceeds limit for messageExpression: {}",
                quote(program.source())
            ));
        }
        self.left -= meter.spent();
        let text = match &result {
            Ok(Val::String(text)) => text.trim(),
            _ => "",
        };
        let is_fit = !text.is_empty() && text.len() <= MOST_MESSAGE && !text.contains('\n');
        Ok(if is_fit { text.to_owned() } else { plain() })
    }
}

/// The error of a rule that does not hold, by its reason. Structures are not shown.
fn failed(rule: &Rule, field: String, value: &Value, message: &str) -> field::Error {
    let shown = match value {
        Value::Object(_) | Value::Array(_) | Value::Null => String::new(),
        Value::String(text) => format!(": {}", quote(text)),
        other => format!(": {}", apimachinery::json::to_string(other)),
    };
    let (kind, body) = match rule.source["reason"].text() {
        "FieldValueForbidden" => (Kind::Forbidden, format!("Forbidden: {message}")),
        "FieldValueRequired" => (Kind::Required, format!("Required value: {message}")),
        "FieldValueDuplicate" => (Kind::Duplicate, format!("Duplicate value{shown}")),
        _ => (Kind::Invalid, format!("Invalid value{shown}: {message}")),
    };
    field::Error { kind, field, body }
}
