//! Validation of values by a schema, in the words and order of upstream's
//! OpenAPI validator.
//!
//! Errors of a value that an update leaves as it was do not count
//! (ratcheting), wherever the old value can be told.

use std::fmt;

use super::unique::OldItems;
use super::{Additional, Kind, Limits, Schema, formats};
use crate::field::{self, Errors, Path};
use crate::{Value, go};

/// Checks a value. `base` is where it stands in its object, which names the
/// field of each error but not its words.
pub fn validate(value: &Value, schema: &Schema, base: &Path<'_>, errors: &mut Errors) {
    report(walk(value, schema, None, &Place::Root), base, errors);
}

/// As [`validate`], for a value that was `old` before.
pub fn validate_update(value: &Value, old: &Value, schema: &Schema, base: &Path<'_>, errors: &mut Errors) {
    report(ratchet(value, schema, Some(old), &Place::Root), base, errors);
}

/// Where a value stands, as the validator's messages name it.
enum Place<'a> {
    Root,
    Property(&'a Place<'a>, &'a str),
    /// A member that is no property: named with a dot even at the root.
    Member(&'a Place<'a>, &'a str),
    Index(&'a Place<'a>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Root => Ok(()),
            Place::Property(Place::Root, name) => f.write_str(name),
            Place::Property(parent, name) | Place::Member(parent, name) => write!(f, "{parent}.{name}"),
            Place::Index(parent, at) => write!(f, "{parent}[{at}]"),
        }
    }
}

/// Something wrong: where, what, and with which value.
#[derive(PartialEq)]
struct Problem {
    /// None where the problem names no field.
    place: Option<String>,
    what: What,
}

#[derive(PartialEq)]
enum What {
    Required,
    Type(Value, String),
    Invalid(Value, String),
    NotSupported(Value, Vec<String>),
    TooLong(i64),
    TooMany(i64, i64),
}

/// What became of a value.
#[derive(Default)]
struct Outcome {
    problems: Vec<Problem>,
    /// How many checks it stood: among alternatives the best failure is told.
    matches: usize,
}

impl Outcome {
    fn merge(&mut self, other: Outcome) {
        self.matches += other.matches;
        other.problems.into_iter().for_each(|problem| self.tell(problem));
    }

    /// What several schemas find is told once.
    fn tell(&mut self, problem: Problem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn add(&mut self, place: &Place<'_>, what: What) {
        self.tell(Problem { place: Some(place.to_string()), what });
    }

    fn invalid(&mut self, place: &Place<'_>, value: impl Into<Value>, why: &str) {
        let text = format!("{place} in body {why}");
        self.add(place, What::Invalid(value.into(), text));
    }

    /// A problem that upstream gives no field.
    fn general(&mut self, text: String) {
        self.tell(Problem { place: None, what: What::Invalid("".into(), text) });
    }

    fn is_valid(&self) -> bool {
        self.problems.is_empty()
    }
}

fn report(outcome: Outcome, base: &Path<'_>, errors: &mut Errors) {
    for problem in outcome.problems {
        let name = problem.place.as_deref().unwrap_or("");
        let name = if name == "." { "" } else { name.strip_prefix('.').unwrap_or(name) };
        let field = match (base, name) {
            (Path::Root, "") => Path::Root.child("<nil>"),
            (base, "") => *base,
            (base, name) => base.child(name),
        };
        match problem.what {
            What::Required => errors.required(&field, ""),
            What::Type(value, text) => errors.type_invalid(&field, value, &text),
            What::Invalid(value, text) => errors.invalid(&field, value, &text),
            What::NotSupported(value, values) => {
                let values: Vec<&str> = values.iter().map(String::as_str).collect();
                errors.not_supported(&field, value, &values);
            }
            What::TooLong(most) => errors.too_long(&field, usize::try_from(most).unwrap_or(0)),
            What::TooMany(actual, most) => {
                let number = |number| usize::try_from(number).unwrap_or(0);
                errors.too_many(&field, number(actual), number(most));
            }
        }
    }
}

/// A value with its old one: what did not change is let be.
fn ratchet(value: &Value, schema: &Schema, old: Option<&Value>, place: &Place<'_>) -> Outcome {
    let mut outcome = walk(value, schema, old, place);
    if !outcome.is_valid() && old == Some(value) {
        outcome.problems.clear();
    }
    outcome
}

fn walk(value: &Value, schema: &Schema, old: Option<&Value>, place: &Place<'_>) -> Outcome {
    let mut outcome = Outcome::default();
    let limits = schema.limits();
    if has_type(schema) {
        outcome.merge(check_type(value, schema, limits, place));
    }
    if value.is_null() {
        check_values(value, limits, place, &mut outcome);
        return outcome;
    }
    outcome.merge(junctors(value, limits, old, place));
    match value {
        Value::String(text) => {
            check_text(text, limits, place, &mut outcome);
            if let Some(format) = &limits.format
                && !formats::has_format(format, text)
            {
                let why = format!("{place} in body must be of type {format}: {}", field::quote(text));
                outcome.add(place, What::Type(text.as_str().into(), why));
            }
        }
        Value::Int(_) | Value::Float(_) => outcome.merge(check_number(value, schema, limits, place)),
        Value::Array(items) => outcome.merge(check_items(items, schema, limits, old, place)),
        _ => {}
    }
    check_values(value, limits, place, &mut outcome);
    if let Value::Object(_) = value {
        outcome.merge(check_members(value, schema, limits, old, place));
    }
    outcome.matches += 1;
    outcome
}

fn has_type(schema: &Schema) -> bool {
    schema.kind != Kind::Any || schema.int_or_string || schema.limits().format.is_some()
}

/// Whether a float is a whole number that JSON can hold, nearly (swag's
/// IsFloat64AJSONInteger).
fn is_json_integer(number: f64) -> bool {
    const MOST: f64 = 9_007_199_254_740_991.0;
    const NEARLY: f64 = 1e-9;
    if !number.is_finite() || number.abs() > MOST {
        return false;
    }
    let whole = number.trunc();
    let off = (number - whole).abs();
    off == 0.0 || (whole != 0.0 && off / (number.abs() + whole.abs()) < NEARLY)
}

/// A value's type as JSON names it, and its format.
fn type_of(value: &Value) -> (&'static str, &'static str) {
    match value {
        Value::Null => ("null", ""),
        Value::Bool(_) => ("boolean", ""),
        Value::Int(_) => ("integer", "int64"),
        Value::Float(_) => ("number", "float64"),
        Value::String(_) => ("string", ""),
        Value::Array(_) => ("array", ""),
        Value::Object(_) => ("object", ""),
    }
}

fn check_type(value: &Value, schema: &Schema, limits: &Limits, place: &Place<'_>) -> Outcome {
    let mut outcome = Outcome { matches: 1, ..Outcome::default() };
    let wanted = if schema.int_or_string { "integer,string" } else { schema.kind.name() };
    let (found, format) = type_of(value);
    let refuse = |outcome: &mut Outcome, wanted: &str, found: &str| {
        outcome.matches = 0;
        let why = format!("{place} in body must be of type {wanted}: {}", field::quote(found));
        outcome.add(place, What::Type(found.into(), why));
    };
    if value.is_null() {
        if !wanted.is_empty() && !schema.nullable {
            refuse(&mut outcome, wanted, "null");
        }
        return outcome;
    }
    let is = |kind: &str| wanted.split(',').any(|wanted| wanted == kind);
    let fits = is(found)
        || (found == "integer" && is("number"))
        || matches!(value, Value::Float(number) if is_json_integer(*number) && is("integer"));
    let is_text_or_list = matches!(value, Value::String(_) | Value::Array(_));
    if let Some(asked) = &limits.format {
        if !is_text_or_list && !fits && format != &**asked {
            refuse(&mut outcome, asked, format);
            return outcome;
        }
        if is_text_or_list && !is("number") && !is("integer") {
            return outcome;
        }
    }
    if !fits {
        refuse(&mut outcome, wanted, found);
    }
    outcome
}

/// anyOf, oneOf, allOf and not.
fn junctors(value: &Value, limits: &Limits, old: Option<&Value>, place: &Place<'_>) -> Outcome {
    let mut outcome = Outcome { matches: 1, ..Outcome::default() };
    if !limits.any_of.is_empty() {
        let (valid, best) = best_of(value, &limits.any_of, old, place);
        if valid == 0 {
            outcome.general(format!("\"{place}\" must validate at least one schema (anyOf)"));
        }
        outcome.merge(best);
    }
    if !limits.one_of.is_empty() {
        let (valid, best) = best_of(value, &limits.one_of, old, place);
        match valid {
            1 => outcome.merge(best),
            0 => {
                outcome.general(format!(
                    "\"{place}\" must validate one and only one schema (oneOf). Found none valid"
                ));
                outcome.merge(best);
            }
            several => outcome.general(format!(
                "\"{place}\" must validate one and only one schema (oneOf). Found {several} valid alternatives"
            )),
        }
    }
    if !limits.all_of.is_empty() {
        let mut valid = 0;
        for schema in &limits.all_of {
            let result = walk(value, schema, old, place);
            valid += usize::from(result.is_valid());
            outcome.merge(result);
        }
        if valid != limits.all_of.len() {
            let none = if valid == 0 { ". None validated" } else { "" };
            outcome.general(format!("\"{place}\" must validate all the schemas (allOf){none}"));
        }
    }
    if let Some(schema) = &limits.not
        && walk(value, schema, old, place).is_valid()
    {
        outcome.general(format!("\"{place}\" must not validate the schema (not)"));
    }
    outcome
}

/// How many of the schemas hold, and the result that is told: the first
/// success or the failure that stood most checks.
fn best_of(value: &Value, schemas: &[Schema], old: Option<&Value>, place: &Place<'_>) -> (usize, Outcome) {
    let mut valid = 0;
    let mut best: Option<Outcome> = None;
    for schema in schemas {
        let result = walk(value, schema, old, place);
        if result.is_valid() {
            valid += 1;
            if valid == 1 {
                best = Some(result);
            }
        } else if valid == 0 && best.as_ref().is_none_or(|best| result.matches > best.matches) {
            best = Some(result);
        }
    }
    (valid, best.unwrap_or_default())
}

fn check_text(text: &str, limits: &Limits, place: &Place<'_>, outcome: &mut Outcome) {
    let length = || i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    if let Some(most) = limits.max_length
        && length() > most
    {
        return outcome.add(place, What::TooLong(most));
    }
    if let Some(least) = limits.min_length
        && length() < least
    {
        return outcome.invalid(place, text, &format!("should be at least {least} chars long"));
    }
    if let Some(pattern) = &limits.pattern
        && !pattern.matches(text)
    {
        outcome.invalid(place, text, &format!("should match '{}'", pattern.text));
    }
}

/// Whether a number can be one of the type and format.
fn in_range(number: &Value, schema: &Schema, limits: &Limits) -> bool {
    let (format, float) = (limits.format.as_deref(), number.as_f64().unwrap_or(0.0));
    match (schema.kind, format, number) {
        (Kind::Integer, Some("int32"), _) => {
            float.fract() == 0.0 && float >= f64::from(i32::MIN) && float <= f64::from(i32::MAX)
        }
        (Kind::Integer, _, Value::Int(_)) => true,
        // Floats are written without an exponent and read as integers.
        (Kind::Integer, ..) => {
            float.fract() == 0.0 && (-9.223_372_036_854_776e18..9.223_372_036_854_776e18).contains(&float)
        }
        (_, Some("float"), _) => (float as f32).is_finite(),
        _ => true,
    }
}

fn check_number(value: &Value, schema: &Schema, limits: &Limits, place: &Place<'_>) -> Outcome {
    let mut outcome = Outcome { matches: 1, ..Outcome::default() };
    let number = value.as_f64().unwrap_or(0.0);
    let range = |outcome: &mut Outcome, what: &str, number: &Value| {
        if in_range(number, schema, limits) {
            return true;
        }
        let kind = if schema.int_or_string { "integer" } else { schema.kind.name() };
        outcome.general(match &limits.format {
            Some(format) => format!("{what} value must be of type {kind} with format {format} in {place}"),
            None => format!("{what} value must be of type {kind} (default format) in {place}"),
        });
        false
    };
    range(&mut outcome, "Checked", value);
    if let Some(factor) = limits.multiple_of {
        let native = range(&mut outcome, "MultipleOf", &Value::Float(factor));
        let (shown, shown_factor, is_multiple) = match value {
            Value::Int(data) if native => {
                let factor = factor as i64;
                (value.clone(), Value::Int(factor), data.checked_rem(factor).is_none_or(|rest| rest == 0))
            }
            _ => {
                let multiple = if factor < 1.0 { 1.0 / factor * number } else { number / factor };
                (Value::Float(number), Value::Float(factor), is_json_integer(multiple))
            }
        };
        let factor = go::plain(&shown_factor);
        if shown_factor.as_f64().is_some_and(|factor| factor <= 0.0) {
            let why = format!("factor MultipleOf declared for {place} must be positive: {factor}");
            outcome.add(place, What::Invalid(shown_factor, why));
        } else if !is_multiple {
            outcome.invalid(place, shown, &format!("should be a multiple of {factor}"));
        }
    }
    if let Some(least) = limits.minimum {
        let native = range(&mut outcome, "Minimum boundary", &Value::Float(least));
        let (fails, shown) = compare(value, number, least, native, |data, bound| {
            data < bound || (limits.exclusive_minimum && data == bound)
        });
        if fails {
            let words = if limits.exclusive_minimum { "greater than" } else { "greater than or equal to" };
            outcome.invalid(place, value.clone(), &format!("should be {words} {shown}"));
        }
    }
    if let Some(most) = limits.maximum {
        let native = range(&mut outcome, "Maximum boundary", &Value::Float(most));
        let (fails, shown) = compare(value, number, most, native, |data, bound| {
            data > bound || (limits.exclusive_maximum && data == bound)
        });
        if fails {
            let words = if limits.exclusive_maximum { "less than" } else { "less than or equal to" };
            outcome.invalid(place, value.clone(), &format!("should be {words} {shown}"));
        }
    }
    outcome
}

/// Compares with a boundary, whole numbers with the whole part of it.
fn compare(
    value: &Value,
    number: f64,
    bound: f64,
    native: bool,
    fails: impl Fn(f64, f64) -> bool,
) -> (bool, String) {
    match value {
        Value::Int(_) if native => (fails(number, bound.trunc()), (bound as i64).to_string()),
        _ => (fails(number, bound), go::float(bound)),
    }
}

fn check_items(
    items: &[Value],
    schema: &Schema,
    limits: &Limits,
    old: Option<&Value>,
    place: &Place<'_>,
) -> Outcome {
    let mut outcome = Outcome { matches: 1, ..Outcome::default() };
    if let Some(inner) = &schema.items {
        let old = OldItems::of(old, schema);
        for (at, item) in items.iter().enumerate() {
            let here = Place::Index(place, at);
            let was = old.of_item(item);
            outcome.merge(match was {
                Some(was) => ratchet(item, inner, Some(was), &here),
                None => walk(item, inner, None, &here),
            });
        }
    }
    let size = i64::try_from(items.len()).unwrap_or(i64::MAX);
    if let Some(least) = limits.min_items
        && size < least
    {
        outcome.invalid(place, size, &format!("should have at least {least} items"));
    }
    if let Some(most) = limits.max_items
        && size > most
    {
        outcome.add(place, What::TooMany(size, most));
    }
    if limits.unique_items && items.iter().enumerate().any(|(at, item)| items[..at].contains(item)) {
        outcome.add(place, What::Invalid("".into(), format!("{place} in body shouldn't contain duplicates")));
    }
    outcome
}

fn check_members(
    value: &Value,
    schema: &Schema,
    limits: &Limits,
    old: Option<&Value>,
    place: &Place<'_>,
) -> Outcome {
    let mut outcome = Outcome::default();
    let Value::Object(object) = value else { return outcome };
    let size = i64::try_from(object.len()).unwrap_or(i64::MAX);
    if let Some(least) = limits.min_properties.filter(|least| size < *least) {
        outcome.invalid(place, size, &format!("should have at least {least} properties"));
    }
    if let Some(most) = limits.max_properties.filter(|most| size > *most) {
        outcome.add(place, What::TooMany(size, most));
    }
    let was = |name: &str| old.and_then(Value::as_object).and_then(|old| old.get(name));
    match &schema.additional {
        Additional::Allowed(false) => {
            for name in object.keys().filter(|name| schema.property(name).is_none()) {
                let why = format!("{place}.{name} in body is a forbidden property");
                outcome.add(place, What::Invalid(name.into(), why));
            }
        }
        Additional::Schema(inner) => {
            for (name, member) in object.iter().filter(|(name, _)| schema.property(name).is_none()) {
                let here = Place::Member(place, name);
                outcome.merge(match was(name) {
                    Some(was) => ratchet(member, inner, Some(was), &here),
                    None => walk(member, inner, None, &here),
                });
            }
        }
        _ => {}
    }
    for (name, property) in &schema.properties {
        let Some(member) = object.get(name) else { continue };
        let here = Place::Property(place, name);
        outcome.merge(match was(name) {
            Some(was) => ratchet(member, property, Some(was), &here),
            None => walk(member, property, None, &here),
        });
    }
    for name in &limits.required {
        if !object.contains(name) {
            outcome.add(&Place::Member(place, name), What::Required);
        }
    }
    outcome
}

/// The value must be among the allowed ones.
fn check_values(value: &Value, limits: &Limits, place: &Place<'_>, outcome: &mut Outcome) {
    if limits.values.is_empty() || limits.values.iter().any(|allowed| equal(allowed, value)) {
        return;
    }
    let values = limits
        .values
        .iter()
        .map(|allowed| match allowed {
            Value::String(text) => text.clone(),
            other => crate::json::to_string(other),
        })
        .collect();
    outcome.add(place, What::NotSupported(value.clone(), values));
}

/// As Go converts: the value becomes one of the allowed one's type, and null
/// is equal to no value, not even to null.
fn equal(allowed: &Value, value: &Value) -> bool {
    match (allowed, value) {
        (Value::Null, _) => false,
        (Value::Int(allowed), Value::Float(number)) => number.trunc() as i64 == *allowed,
        (Value::Float(allowed), Value::Int(number)) => *number as f64 == *allowed,
        // A number is the text of the letter with that number.
        (Value::String(allowed), Value::Int(number)) => {
            let letter = u32::try_from(*number).ok().and_then(char::from_u32);
            let mut letters = allowed.chars();
            letters.next() == Some(letter.unwrap_or(char::REPLACEMENT_CHARACTER)) && letters.next().is_none()
        }
        _ => allowed == value,
    }
}
