//! From nodes to a tree, as Go's `yaml.v2` decodes into an empty interface and
//! `sigs.k8s.io/yaml` makes JSON of that.

use super::YamlError;
use super::nodes::{At, Content, Document};
use super::resolve;
use crate::json::MAX_DEPTH;
use crate::{Object, Value, go};

/// The tree, and what strict reading says of its duplicate keys.
pub(super) fn document(document: &Document<'_>) -> Result<(Value, Vec<String>), YamlError> {
    let Some(root) = document.root else { return Ok((Value::Null, Vec::new())) };
    let mut decoder = Decoder {
        document,
        entered: vec![false; document.nodes.len()],
        aliases: 0,
        decoded: 0,
        of_aliases: 0,
        duplicates: Vec::new(),
    };
    let value = decoder.value(root, 0)?;
    Ok((value, decoder.duplicates))
}

struct Decoder<'d> {
    document: &'d Document<'d>,
    /// The aliases whose anchors are being decoded.
    entered: Vec<bool>,
    /// How many of them there are.
    aliases: u32,
    /// How many nodes were decoded, and how many of these below an alias.
    decoded: u64,
    of_aliases: u64,
    duplicates: Vec<String>,
}

impl<'d> Decoder<'d> {
    fn value(&mut self, at: At, depth: usize) -> Result<Value, YamlError> {
        self.count()?;
        let document = self.document;
        match &document.nodes[at].content {
            Content::Scalar { text, tag, is_plain } => {
                let value = resolve::scalar(text, tag, *is_plain)?;
                match value {
                    Value::Float(number) if !number.is_finite() => {
                        Err(YamlError::NoJson(format!("json: unsupported value: {}", go::float(number))))
                    }
                    value => Ok(value),
                }
            }
            Content::Sequence(items) => {
                let depth = deeper(depth)?;
                let items = items.iter().map(|item| self.value(*item, depth));
                Ok(Value::Array(items.collect::<Result<_, _>>()?))
            }
            Content::Mapping(members) => {
                let mut object = Object::new();
                self.fill(members, &mut object, deeper(depth)?)?;
                Ok(Value::Object(object))
            }
            Content::Alias { name, of } => self.enter(at, name, |decoder| decoder.value(*of, depth)),
        }
    }

    /// Puts the members of a mapping into `object`: whatever comes later wins,
    /// merged or not.
    fn fill(&mut self, members: &'d [At], object: &mut Object, depth: usize) -> Result<(), YamlError> {
        for member in members.chunks_exact(2) {
            let (key, at) = (member[0], member[1]);
            if self.is_merge(key) {
                self.merge(at, object, depth)?;
                continue;
            }
            let (name, shown) = match self.value(key, depth)? {
                Value::String(text) => (text.clone(), format!("{text:?}")),
                Value::Bool(truth) => (truth.to_string(), truth.to_string()),
                Value::Int(number) => (number.to_string(), number.to_string()),
                // Go's package shortens keys to what a float32 can tell apart.
                Value::Float(number) => {
                    let name = format!("{}", number as f32).parse().map(go::float).unwrap_or_default();
                    (name, go::float(number))
                }
                Value::Null => {
                    let value = go::syntax(&self.value(at, depth)?, go::YAML_MAP);
                    return Err(YamlError::NoJson(format!(
                        "unsupported map key of type: %!s(<nil>), key: <nil>, value: {value}"
                    )));
                }
                tree @ (Value::Array(_) | Value::Object(_)) => {
                    let key = go::syntax(&tree, go::YAML_MAP);
                    return Err(YamlError::new(format!("invalid map key: {key}")));
                }
            };
            let value = self.value(at, depth)?;
            if object.contains(&name) {
                let line = self.document.nodes[at].line;
                self.duplicates.push(format!("line {line}: key {shown} already set in map"));
            }
            object.insert(name, value);
        }
        Ok(())
    }

    fn is_merge(&self, key: At) -> bool {
        match &self.document.nodes[key].content {
            Content::Scalar { text, tag, is_plain } => {
                text == "<<" && (*is_plain && tag.is_empty() || tag == "!!merge")
            }
            _ => false,
        }
    }

    /// `<<`: a mapping, or several, of which the first wins.
    fn merge(&mut self, at: At, object: &mut Object, depth: usize) -> Result<(), YamlError> {
        let document = self.document;
        match &document.nodes[at].content {
            Content::Sequence(items) => {
                items.iter().rev().try_for_each(|item| self.merge_one(*item, object, depth))
            }
            _ => self.merge_one(at, object, depth),
        }
    }

    fn merge_one(&mut self, at: At, object: &mut Object, depth: usize) -> Result<(), YamlError> {
        self.count()?;
        let document = self.document;
        match &document.nodes[at].content {
            Content::Mapping(members) => self.fill(members, object, deeper(depth)?),
            Content::Alias { name, of } => match &document.nodes[*of].content {
                Content::Mapping(members) => {
                    let depth = deeper(depth)?;
                    self.enter(at, name, |decoder| decoder.fill(members, object, depth))
                }
                _ => Err(no_merge()),
            },
            _ => Err(no_merge()),
        }
    }

    /// Decodes what an alias stands for.
    fn enter<T>(
        &mut self,
        alias: At,
        name: &str,
        decode: impl FnOnce(&mut Self) -> Result<T, YamlError>,
    ) -> Result<T, YamlError> {
        if std::mem::replace(&mut self.entered[alias], true) {
            return Err(YamlError::new(format!("anchor '{name}' value contains itself")));
        }
        self.aliases += 1;
        let decoded = decode(self);
        self.aliases -= 1;
        self.entered[alias] = false;
        decoded
    }

    /// Counts a node, so that a few aliases do not become a large tree.
    fn count(&mut self) -> Result<(), YamlError> {
        /// Below, nearly all may come from aliases; above, a tenth; between, the share falls.
        const FEW: f64 = 400_000.0;
        const MANY: f64 = 4_000_000.0;
        self.decoded += 1;
        self.of_aliases += u64::from(self.aliases > 0);
        if self.of_aliases > 100 && self.decoded > 1000 {
            let decoded = self.decoded as f64;
            let share = 0.99 - 0.89 * ((decoded - FEW) / (MANY - FEW)).clamp(0.0, 1.0);
            if self.of_aliases as f64 / decoded > share {
                return Err(YamlError::new("document contains excessive aliasing"));
            }
        }
        Ok(())
    }
}

fn deeper(depth: usize) -> Result<usize, YamlError> {
    if depth >= MAX_DEPTH { Err(YamlError::new("exceeded max depth")) } else { Ok(depth + 1) }
}

fn no_merge() -> YamlError {
    YamlError::new("map merge requires map or sequence of maps as the value")
}
