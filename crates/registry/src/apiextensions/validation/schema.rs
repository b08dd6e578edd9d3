//! A version's schema: structural, with valid defaults, and of what definitions
//! may say.

use std::collections::HashSet;

use api::facts;
use apimachinery::Value;
use apimachinery::field::{Errors, Path};
use apimachinery::structural::{self, Schema};

use super::super::internal;
use super::super::rules::{Rule, Rules};
use super::status_root;

/// What one rule may cost by its estimate.
const RULE_LIMIT: u64 = 10_000_000;
/// What all rules of a schema may cost by their estimates.
const TOTAL_LIMIT: u64 = 100_000_000;
/// The largest request, in bytes: no more values can be in one.
const MAX_REQUEST: u64 = 3 * 1024 * 1024;

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
const REASONS: [&str; 4] =
    ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// Checks `{openAPIV3Schema: …}` at `path`; null is nothing to check.
pub(super) fn validate(
    validation: &Value,
    with_status: bool,
    is_unchanged: bool,
    path: &Path<'_>,
    errors: &mut Errors,
) {
    let source = &validation["openAPIV3Schema"];
    if source.is_null() {
        return;
    }
    let place = path.child("openAPIV3Schema");
    let mut found = Errors::new();
    if with_status {
        status_root(source, &place, &mut found);
    }
    if source["nullable"].is_true() {
        found.forbidden(&place.child("nullable"), "nullable cannot be true at the root");
    }
    let unsupported = structural::unsupported(source);
    let mut is_sound = false;
    if unsupported.is_none() {
        let mut wrong = structural::check_structural(source, &place);
        if wrong.is_empty() {
            // The root is a resource, whatever its schema says.
            let root = Schema { embedded: true, ..structural::load(source) };
            structural::check_defaults(facts::types(), &root, true, &place, &mut wrong);
            if wrong.is_empty() {
                check_default_rules(source, &root, &place, &mut wrong);
            }
        }
        is_sound = wrong.is_empty();
        found.append(wrong);
    }
    let mut walk = Walk {
        schema_errors: Errors::new(),
        rule_errors: Errors::new(),
        costs: Costs { limits_each: !is_unchanged, ..Costs::default() },
    };
    let scope = Scope {
        allows_defaults: Ok(()),
        in_metadata: false,
        cardinality: Some(1),
        runs_rules: is_sound,
        apart: None,
    };
    walk.node(source, true, &scope, &place);
    found.append(walk.schema_errors);
    found.append(walk.rule_errors);
    if found.is_empty()
        && let Some(why) = unsupported
    {
        found.invalid(&place, "", &why);
    }
    walk.costs.check(&place, &mut found);
    errors.append(found);
}

/// Runs the rules of each schema on its default, as if it had been there
/// before and as if it were new.
fn check_default_rules(source: &Value, schema: &Schema, path: &Path<'_>, errors: &mut Errors) {
    if let Some(default) = &schema.default
        && let Some(rules) = Rules::compile(source, schema, schema.embedded)
    {
        let here = path.child("default");
        let before = errors.len();
        rules.check_at(&here, default, Some(default), schema, errors);
        if errors.len() == before {
            rules.check_at(&here, default, None, schema, errors);
        }
    }
    if let Some(items) = &schema.items {
        check_default_rules(&source["items"], items, &path.child("items"), errors);
    }
    let properties = path.child("properties");
    for (name, property) in &schema.properties {
        check_default_rules(&source["properties"][&**name], property, &properties.key(name), errors);
    }
}

/// What holds at a place of a schema.
#[derive(Clone)]
struct Scope {
    /// Why there may be no defaults here.
    allows_defaults: Result<(), String>,
    /// Inside the metadata of an object.
    in_metadata: bool,
    /// How many values of this place an object may have; None where nothing limits them.
    cardinality: Option<u64>,
    /// Rules are compiled here.
    runs_rules: bool,
    /// The first place above whose parts cannot be told apart between two
    /// revisions of an object.
    apart: Option<String>,
}

/// The estimates of all rules.
#[derive(Default)]
struct Costs {
    limits_each: bool,
    total: u64,
    /// The most expensive four, the first most of all.
    most: Vec<(u64, String)>,
}

impl Costs {
    fn observe(&mut self, path: &Path<'_>, cost: u64) {
        self.total = self.total.saturating_add(cost);
        if cost < TOTAL_LIMIT / 100 {
            return;
        }
        self.most.push((cost, path.to_string()));
        self.most.sort_by_key(|(cost, _)| std::cmp::Reverse(*cost));
        self.most.truncate(4);
    }

    fn check(&self, path: &Path<'_>, errors: &mut Errors) {
        if self.total <= TOTAL_LIMIT {
            return;
        }
        for (_, place) in &self.most {
            errors.forbidden(
                &Path::child(&Path::Root, place),
                "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema",
            );
        }
        let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        errors.forbidden(path, &too_expensive(what, self.total, TOTAL_LIMIT));
    }
}

#[allow(clippy::cast_precision_loss)] // a factor to be read
fn too_expensive(what: &str, cost: u64, limit: u64) -> String {
    let factor = cost as f64 / limit as f64;
    let factor = if factor > 100.0 {
        "more than 100x".to_owned()
    } else if factor < 1.5 {
        format!("{factor:.6}x")
    } else {
        format!("{factor:.1}x")
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and \
         maxLength where arrays, maps, and strings are declared)"
    )
}

/// How many values the children of a node have at most.
fn below(schema: &Value, cardinality: Option<u64>) -> Option<u64> {
    let limit = |name: &str| schema[name].as_i64().map(|most| u64::try_from(most).unwrap_or(0));
    let factor = match schema["type"].text() {
        "object" if !schema["additionalProperties"].is_null() => limit("maxProperties")?,
        "array" => limit("maxItems")?,
        _ => 1,
    };
    Some(cardinality?.saturating_mul(factor))
}

/// One walk over a schema.
struct Walk {
    schema_errors: Errors,
    rule_errors: Errors,
    costs: Costs,
}

impl Walk {
    fn node(&mut self, schema: &Value, is_root: bool, scope: &Scope, path: &Path<'_>) {
        if schema.as_object().is_none() {
            return;
        }
        let before = self.schema_errors.len();
        self.standard(schema, scope, path);
        if schema["uniqueItems"].is_true() {
            self.schema_errors.forbidden(
                &path.child("uniqueItems"),
                "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
            );
        }
        self.children(schema, is_root, scope, path);
        self.extensions(schema, path);
        self.map_keys(schema, path);
        let rules = path.child("x-kubernetes-validations");
        for (at, rule) in schema["x-kubernetes-validations"].items().iter().enumerate() {
            self.rule(rule, schema, &rules.index(at));
        }
        if scope.runs_rules && self.schema_errors.len() == before {
            self.compile(schema, is_root, scope, &rules);
        }
    }

    /// Whether the rules of a node compile, and what they may cost.
    fn compile(&mut self, schema: &Value, is_root: bool, scope: &Scope, path: &Path<'_>) {
        let rules = schema["x-kubernetes-validations"].items();
        if rules.is_empty() {
            return;
        }
        let is_resource = is_root || schema["x-kubernetes-embedded-resource"].is_true();
        let Some(ty) = cel::type_of(schema, is_resource) else {
            self.rule_errors.internal(
                path,
                "internal error: failed to construct type information for x-kubernetes-validations rules: unable to \
                 convert structural schema to CEL declarations",
            );
            return;
        };
        let sizes = cel::sizes_of(schema, is_resource).unwrap_or_default();
        let values = scope.cardinality.unwrap_or_else(|| MAX_REQUEST / (cel::smallest(schema) + 1));
        for (at, source) in rules.iter().enumerate() {
            let here = path.index(at);
            let rule = Rule::compile(source, &ty);
            let place = here.child("rule");
            let cost = rule
                .program
                .as_ref()
                .map_or(0, |program| program.estimate(|_| Some(&sizes)).max.saturating_mul(values));
            if self.costs.limits_each && cost > RULE_LIMIT {
                self.rule_errors.forbidden(&place, &too_expensive("estimated rule cost", cost, RULE_LIMIT));
            }
            self.costs.observe(&place, cost);
            if let Err(why) = &rule.program {
                self.rule_errors.invalid(&place, internal::rule(source), why);
            }
            let place = here.child("messageExpression");
            match &rule.message_expression {
                Some(Err(why)) => self.rule_errors.invalid(&place, internal::rule(source), why),
                Some(Ok(program)) => {
                    let cost = program.estimate(|_| Some(&sizes)).max;
                    if self.costs.limits_each && cost > RULE_LIMIT {
                        let why = too_expensive("estimated messageExpression cost", cost, RULE_LIMIT);
                        self.rule_errors.forbidden(&place, &why);
                    }
                    self.costs.observe(&place, cost);
                }
                None => {}
            }
            if rule.uses_old {
                if let Some(apart) = &scope.apart {
                    let why = format!(
                        "oldSelf cannot be used on the uncorrelatable portion of the schema within {apart}"
                    );
                    self.rule_errors.invalid(&here.child("rule"), source["rule"].text(), &why);
                }
            } else if let Some(optional) = source["optionalOldSelf"].as_bool() {
                let why = "may not be set if oldSelf is not used in rule";
                self.rule_errors.invalid(&here.child("optionalOldSelf"), optional, why);
            }
        }
    }

    /// What no schema may say.
    fn standard(&mut self, schema: &Value, scope: &Scope, path: &Path<'_>) {
        let errors = &mut self.schema_errors;
        let kind = schema["type"].text();
        if !kind.is_empty() && !TYPES.contains(&kind) {
            errors.text_not_supported(&path.child("type"), kind, &TYPES);
        }
        if !schema["default"].is_null()
            && let Err(reason) = &scope.allows_defaults
        {
            errors.forbidden(&path.child("default"), &format!("must not be set {reason}"));
        }
        for name in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
            if !schema[name].is_null() {
                errors.forbidden(&path.child(name), &format!("{name} is not supported"));
            }
        }
        if kind == "null" {
            errors
                .forbidden(&path.child("type"), "type cannot be set to null, use nullable as an alternative");
        }
        if !schema["items"].items().is_empty() {
            errors.forbidden(&path.child("items"), "items must be a schema object and not an array");
        }
        if scope.in_metadata && schema["x-kubernetes-embedded-resource"].is_true() {
            errors.forbidden(
                &path.child("x-kubernetes-embedded-resource"),
                "must not be used inside of resource meta",
            );
        }
    }

    fn children(&mut self, schema: &Value, is_root: bool, scope: &Scope, path: &Path<'_>) {
        let additional = &schema["additionalProperties"];
        let mut below = Scope { cardinality: below(schema, scope.cardinality), ..scope.clone() };
        let is_known = matches!(schema["x-kubernetes-map-type"].text(), "" | "granular" | "atomic");
        if !is_known && below.apart.is_none() {
            below.apart = Some(path.to_string());
        }
        if !additional.is_null() {
            let place = path.child("additionalProperties");
            let has_properties = schema["properties"].members().next().is_some();
            if has_properties && *additional != Value::Bool(true) {
                self.schema_errors
                    .forbidden(&place, "additionalProperties and properties are mutual exclusive");
            }
            let mut inner = below.clone();
            if scope.in_metadata {
                inner.allows_defaults = Err("inside additionalProperties applying to object metadata".into());
            }
            self.node(additional, false, &inner, &place);
        }
        let properties = path.child("properties");
        let mut members: Vec<(&str, &Value)> = schema["properties"].members().collect();
        members.sort_by_key(|(name, _)| *name);
        for (name, property) in members {
            let mut inner = below.clone();
            let is_meta = matches!(name, "metadata" | "kind" | "apiVersion");
            if is_meta && (is_root || schema["x-kubernetes-embedded-resource"].is_true()) {
                inner.in_metadata = true;
                if is_root {
                    inner.allows_defaults = Err(format!("in top-level {name}"));
                }
            }
            self.node(property, false, &inner, &properties.key(name));
        }
        let unruled = Scope { runs_rules: false, ..scope.clone() };
        self.node(&schema["not"], false, &unruled, &path.child("not"));
        for name in ["allOf", "oneOf", "anyOf"] {
            let list = path.child(name);
            for (at, nested) in schema[name].items().iter().enumerate() {
                self.node(nested, false, &unruled, &list.index(at));
            }
        }
        let items = path.child("items");
        let mut inner = below;
        if schema["x-kubernetes-list-type"].text() != "map" && inner.apart.is_none() {
            inner.apart = Some(path.to_string());
        }
        self.node(&schema["items"], false, &inner, &items);
        for (at, item) in schema["items"].items().iter().enumerate() {
            self.node(item, false, &inner, &items.index(at));
        }
    }

    fn extensions(&mut self, schema: &Value, path: &Path<'_>) {
        let errors = &mut self.schema_errors;
        const KEEPS: &str = "x-kubernetes-preserve-unknown-fields";
        if schema[KEEPS] == Value::Bool(false) {
            errors.invalid(&path.child(KEEPS), false, "must be true or undefined");
        }
        let kind = schema["type"].text();
        let mut needs = |extension: &str, wanted: &str| {
            let why = format!("must be {wanted} if {extension} is specified");
            match kind {
                "" => errors.required(&path.child("type"), &why),
                kind => errors.invalid(&path.child("type"), kind, &why),
            }
        };
        const MAP_TYPE: &str = "x-kubernetes-map-type";
        const LIST_TYPE: &str = "x-kubernetes-list-type";
        let (map_type, list_type) = (&schema[MAP_TYPE], &schema[LIST_TYPE]);
        if !map_type.is_null() && kind != "object" {
            needs(MAP_TYPE, "object");
        }
        if !list_type.is_null() && kind != "array" {
            needs(LIST_TYPE, "array");
        }
        if !map_type.is_null() && !matches!(map_type.text(), "atomic" | "granular") {
            errors.text_not_supported(&path.child(MAP_TYPE), map_type.text(), &["atomic", "granular"]);
        }
        if list_type.text() == "set" && kind == "array" && schema["items"].as_object().is_some() {
            const WHY: &str = "must be atomic as item of a list with x-kubernetes-list-type=set";
            let item = &schema["items"];
            let items = path.child("items");
            match item["type"].text() {
                "array" if !item[LIST_TYPE].is_null() && item[LIST_TYPE].text() != "atomic" => {
                    errors.invalid(&items.child(LIST_TYPE), item[LIST_TYPE].clone(), WHY);
                }
                // Upstream shows the list type here, too.
                "object" if item[MAP_TYPE].text() != "atomic" => {
                    errors.invalid(&items.child(MAP_TYPE), item[LIST_TYPE].clone(), WHY);
                }
                _ => {}
            }
        }
        if !list_type.is_null() && !matches!(list_type.text(), "atomic" | "set" | "map") {
            errors.text_not_supported(&path.child(LIST_TYPE), list_type.text(), &["atomic", "set", "map"]);
        }
    }

    /// Lists of type map and set.
    fn map_keys(&mut self, schema: &Value, path: &Path<'_>) {
        let errors = &mut self.schema_errors;
        let keys = schema["x-kubernetes-list-map-keys"].items();
        let keys_path = path.child("x-kubernetes-list-map-keys");
        let list_type = &schema["x-kubernetes-list-type"];
        if !keys.is_empty() && list_type.text() != "map" {
            let place = path.child("x-kubernetes-list-type");
            const WHY: &str = "must be map if x-kubernetes-list-map-keys is non-empty";
            match list_type.as_str() {
                None => errors.required(&place, WHY),
                Some(text) => errors.invalid(&place, text, WHY),
            }
        }
        let items = &schema["items"];
        let items_path = path.child("items");
        let properties_path = items_path.child("properties");
        if list_type.text() == "map" {
            if keys.is_empty() {
                errors.required(&keys_path, "must not be empty if x-kubernetes-list-type is map");
            }
            match items {
                Value::Null => {
                    errors.required(&items_path, "must have a schema if x-kubernetes-list-type is map");
                }
                Value::Object(_) if items["type"].text() != "object" => errors.invalid(
                    &items_path.child("type"),
                    items["type"].text(),
                    "must be object if parent array's x-kubernetes-list-type is map",
                ),
                Value::Object(_) => {
                    let mut seen = HashSet::new();
                    for key in keys {
                        // Each error tells all of them.
                        if errors.is_full() {
                            break;
                        }
                        let property = &items["properties"][key.text()];
                        if property.is_null() {
                            let why = "entries must all be names of item properties";
                            errors.invalid(&keys_path, Value::Array(keys.to_vec()), why);
                        } else if matches!(property["type"].text(), "array" | "object") {
                            errors.invalid(
                                &properties_path.key(key.text()).child("type"),
                                items["type"].text(),
                                "must be a scalar type if parent array's x-kubernetes-list-type is map",
                            );
                        }
                        if !seen.insert(key.text()) {
                            let why = "must not contain duplicate entries";
                            errors.invalid(&keys_path, Value::Array(keys.to_vec()), why);
                        }
                    }
                }
                _ => {
                    let why = "must only have a single schema if x-kubernetes-list-type is map";
                    errors.invalid(&items_path, items.clone(), why);
                }
            }
        }
        if !matches!(list_type.text(), "set" | "map") || items.as_object().is_none() {
            return;
        }
        if items["nullable"].is_true() {
            let why = format!("cannot be nullable when x-kubernetes-list-type is {}", list_type.text());
            errors.forbidden(&items_path.child("nullable"), &why);
        }
        if list_type.text() == "set" {
            return;
        }
        for key in keys {
            let property = &items["properties"][key.text()];
            let here = properties_path.key(key.text());
            if property.is_null() {
                continue;
            }
            if property["default"].is_null() && !items["required"].items().contains(key) {
                errors.required(
                    &here.child("default"),
                    "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required \
                     property",
                );
            }
            if property["nullable"].is_true() {
                errors.forbidden(
                    &here.child("nullable"),
                    "this property is in x-kubernetes-list-map-keys, so it cannot be nullable",
                );
            }
        }
    }

    /// A rule's parts beside its expressions.
    fn rule(&mut self, rule: &Value, schema: &Value, path: &Path<'_>) {
        let errors = &mut self.schema_errors;
        let text = |name: &str| rule[name].text();
        let breaks = |text: &str| text.contains(['\n', '\r']);
        let (expression, message) = (text("rule").trim(), text("message").trim());
        if expression.is_empty() {
            errors.required(&path.child("rule"), "rule is not specified");
        } else if !text("message").is_empty() && message.is_empty() {
            errors.invalid(&path.child("message"), text("message"), "must be non-empty if specified");
        } else if breaks(message) {
            errors.invalid(&path.child("message"), text("message"), "must not contain line breaks");
        } else if breaks(expression) && message.is_empty() {
            errors.required(&path.child("message"), "message must be specified if rule contains line breaks");
        }
        if !text("messageExpression").is_empty() && text("messageExpression").trim().is_empty() {
            errors.required(
                &path.child("messageExpression"),
                "messageExpression must be non-empty if specified",
            );
        }
        if let Some(reason) = rule["reason"].as_str()
            && !REASONS.contains(&reason)
        {
            errors.not_supported(&path.child("reason"), reason, &REASONS);
        }
        let field = text("fieldPath");
        let place = path.child("fieldPath");
        if field.is_empty() {
            return;
        }
        if field.trim().is_empty() {
            errors.invalid(&place, field, "must be non-empty if specified");
        }
        if breaks(field) {
            errors.invalid(&place, field, "must not contain line breaks");
        }
        if structural::unsupported(schema).is_none()
            && structural::field_path(field, &structural::load(schema), true).is_err()
        {
            errors.invalid(&place, field, "must be a valid path");
        }
    }
}
