//! Label selectors: `app=web,tier in (a,b),!old`, and LabelSelector objects.
//!
//! Parsing carries upstream's texts; matching allocates nothing. Nothing here
//! reads objects: labels come in through [`Labels`].

mod parse;

use std::collections::BTreeMap;
use std::fmt;

use crate::field::Path;
use crate::validation::{label_key, label_value};
use crate::{Value, field};

/// Why a selector is none; the text is upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(pub(super) String);

/// Something with labels.
pub trait Labels {
    fn label(&self, key: &str) -> Option<&str>;
}

/// `metadata.labels` as a tree; null has none.
impl Labels for Value {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).as_str()
    }
}

impl Labels for BTreeMap<String, String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

/// `None` has no labels.
impl<L: Labels> Labels for Option<L> {
    fn label(&self, key: &str) -> Option<&str> {
        self.as_ref().and_then(|labels| labels.label(key))
    }
}

impl<L: Labels + ?Sized> Labels for &L {
    fn label(&self, key: &str) -> Option<&str> {
        (**self).label(key)
    }
}

impl<K: AsRef<str>, V: AsRef<str>> Labels for [(K, V)] {
    fn label(&self, key: &str) -> Option<&str> {
        self.iter().find(|(name, _)| name.as_ref() == key).map(|(_, value)| value.as_ref())
    }
}

impl<K: AsRef<str>, V: AsRef<str>> Labels for Vec<(K, V)> {
    fn label(&self, key: &str) -> Option<&str> {
        self.as_slice().label(key)
    }
}

/// selection.Operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    In,
    NotIn,
    Equals,
    DoubleEquals,
    NotEquals,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

/// One condition of a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    key: String,
    operator: Operator,
    /// Sorted, each once.
    values: Vec<String>,
}

impl Requirement {
    /// Checks key and values as upstream does.
    pub fn new(key: &str, operator: Operator, mut values: Vec<String>) -> Result<Self, SelectorError> {
        values.sort();
        values.dedup();
        let mut errors = field::Errors::new();
        let path = Path::Root;
        if let Some(text) = joined(label_key(key)) {
            errors.invalid(&path.child("key"), key, &text);
        }
        let at = path.child("values");
        let as_value = || Value::Array(values.iter().map(Value::from).collect());
        match operator {
            Operator::In | Operator::NotIn if values.is_empty() => {
                errors.invalid(&at, as_value(), "for 'in', 'notin' operators, values set can't be empty");
            }
            Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values.len() != 1 => {
                errors.invalid(&at, as_value(), "exact-match compatibility requires one single value");
            }
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                errors.invalid(&at, as_value(), "values set must be empty for exists and does not exist");
            }
            Operator::GreaterThan | Operator::LessThan => {
                if values.len() != 1 {
                    errors.invalid(
                        &at,
                        as_value(),
                        "for 'Gt', 'Lt' operators, exactly one value is required",
                    );
                }
                for (index, value) in values.iter().enumerate() {
                    if value.parse::<i64>().is_err() {
                        let text = "for 'Gt', 'Lt' operators, the value must be an integer";
                        errors.invalid(&at.index(index), value, text);
                    }
                }
            }
            _ => {}
        }
        for (index, value) in values.iter().enumerate() {
            if let Some(text) = joined(label_value(value)) {
                errors.invalid(&at.index(index).key(key), value, &text);
            }
        }
        if errors.is_empty() {
            Ok(Requirement { key: key.to_owned(), operator, values })
        } else {
            Err(SelectorError(errors.to_string()))
        }
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    pub fn operator(&self) -> Operator {
        self.operator
    }

    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// The one value that the label must have, where there is only one: what
    /// an index by label can look up.
    pub fn exact(&self) -> Option<&str> {
        match (self.operator, self.values.as_slice()) {
            (Operator::In | Operator::Equals | Operator::DoubleEquals, [only]) => Some(only),
            _ => None,
        }
    }

    pub fn matches(&self, labels: &(impl Labels + ?Sized)) -> bool {
        let found = labels.label(&self.key);
        let among = |label: &str| self.values.binary_search_by(|value| value.as_str().cmp(label)).is_ok();
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => found.is_some_and(among),
            Operator::NotIn | Operator::NotEquals => !found.is_some_and(among),
            Operator::Exists => found.is_some(),
            Operator::DoesNotExist => found.is_none(),
            Operator::GreaterThan | Operator::LessThan => {
                let bound = self.values.first().and_then(|value| value.parse::<i64>().ok());
                match (found.and_then(|label| label.parse::<i64>().ok()), bound) {
                    (Some(label), Some(bound)) if self.operator == Operator::GreaterThan => label > bound,
                    (Some(label), Some(bound)) => label < bound,
                    _ => false,
                }
            }
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Requirement { key, values, .. } = self;
        let sign = match self.operator {
            Operator::Exists => return f.write_str(key),
            Operator::DoesNotExist => return write!(f, "!{key}"),
            Operator::In => return write!(f, "{key} in ({})", values.join(",")),
            Operator::NotIn => return write!(f, "{key} notin ({})", values.join(",")),
            Operator::Equals => "=",
            Operator::DoubleEquals => "==",
            Operator::NotEquals => "!=",
            Operator::GreaterThan => ">",
            Operator::LessThan => "<",
        };
        write!(f, "{key}{sign}{}", values.join(","))
    }
}

fn joined(texts: Vec<String>) -> Option<String> {
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// A label selector: all its requirements hold. Writes as the form it parses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    nothing: bool,
    /// Sorted by key.
    requirements: Vec<Requirement>,
}

impl Selector {
    /// Matches all objects.
    pub const fn everything() -> Self {
        Selector { nothing: false, requirements: Vec::new() }
    }

    /// Matches no object.
    pub const fn nothing() -> Self {
        Selector { nothing: true, requirements: Vec::new() }
    }

    /// Reads the form of the query parameter `labelSelector`; "" is everything.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        parse::parse(text).map(Selector::of)
    }

    /// All of `requirements`.
    pub fn of(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Selector { nothing: false, requirements }
    }

    /// Equality with each of `labels` (a Service's or ReplicationController's
    /// selector map), unchecked as upstream's SelectorFromSet.
    pub fn of_labels<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let exact = |(key, value): (&str, &str)| Requirement {
            key: key.to_owned(),
            operator: Operator::Equals,
            values: vec![value.to_owned()],
        };
        Selector::of(labels.into_iter().map(exact).collect())
    }

    /// Reads a meta/v1 LabelSelector: null matches nothing, `{}` everything.
    pub fn of_label_selector(selector: &Value) -> Result<Self, SelectorError> {
        if selector.is_null() {
            return Ok(Selector::nothing());
        }
        let mut requirements = Vec::new();
        for (key, value) in selector["matchLabels"].members() {
            requirements.push(Requirement::new(key, Operator::Equals, vec![value.text().to_owned()])?);
        }
        for expression in selector["matchExpressions"].items() {
            let operator = match expression["operator"].text() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => {
                    return Err(SelectorError(format!("{other:?} is not a valid label selector operator")));
                }
            };
            let values = expression["values"].items().iter().map(|value| value.text().to_owned()).collect();
            requirements.push(Requirement::new(expression["key"].text(), operator, values)?);
        }
        Ok(Selector::of(requirements))
    }

    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    pub fn is_nothing(&self) -> bool {
        self.nothing
    }

    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    pub fn matches(&self, labels: &(impl Labels + ?Sized)) -> bool {
        !self.nothing && self.requirements.iter().all(|requirement| requirement.matches(labels))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, requirement) in self.requirements.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
