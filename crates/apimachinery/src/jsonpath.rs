//! Paths into objects as printer columns write them: kubectl's JSONPath
//! without ranges and text.

use crate::Value;

/// A path that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Member(String),
    /// `[*]`, `.*`.
    All,
    /// `..`: everything below.
    Deep,
    /// `[1]`, `[-1]`.
    Index(i64),
    /// `[from:to:step]`.
    Slice(Option<i64>, Option<i64>, Option<i64>),
    /// `['a','b']`, `[0,2]`.
    Union(Vec<Step>),
    /// `[?(@.type=="Ready")]`.
    Filter(JsonPath, Option<(Operator, Operand)>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Literal(Value),
    /// `@.other`.
    Path(JsonPath),
}

impl JsonPath {
    /// Reads `.spec.containers[0].name`; None where it is no path.
    pub fn parse(text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            rest = step(rest, &mut steps)?;
        }
        Some(Self(steps))
    }

    /// The first value at the path; absent members are no error.
    pub fn first<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.all(value).into_iter().next()
    }

    /// Every value at the path.
    pub fn all<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        let mut found = vec![value];
        for step in &self.0 {
            let mut next = Vec::new();
            found.iter().for_each(|value| take(step, value, &mut next));
            found = next;
        }
        found
    }
}

fn take<'a>(step: &Step, value: &'a Value, found: &mut Vec<&'a Value>) {
    let items = value.items();
    let length = i64::try_from(items.len()).unwrap_or(0);
    match step {
        Step::Member(name) => {
            found.extend(value.as_object().and_then(|object| object.get(name)));
        }
        Step::All => {
            found.extend(items);
            found.extend(value.members().map(|(_, member)| member));
        }
        Step::Deep => {
            found.push(value);
            for inner in items.iter().chain(value.members().map(|(_, member)| member)) {
                take(&Step::Deep, inner, found);
            }
        }
        Step::Index(at) => {
            let at = if *at < 0 { at + length } else { *at };
            found.extend(usize::try_from(at).ok().and_then(|at| items.get(at)));
        }
        Step::Slice(from, to, by) => {
            let place = |at: i64| (if at < 0 { at + length } else { at }).clamp(0, length);
            let (from, to) = (place(from.unwrap_or(0)), place(to.unwrap_or(length)));
            let by = usize::try_from(by.unwrap_or(1)).unwrap_or(1).max(1);
            let range = usize::try_from(from).unwrap_or(0)..usize::try_from(to).unwrap_or(0);
            found.extend(items.get(range).unwrap_or_default().iter().step_by(by));
        }
        Step::Union(steps) => steps.iter().for_each(|step| take(step, value, found)),
        Step::Filter(path, condition) => {
            found.extend(items.iter().filter(|item| holds(path, condition.as_ref(), item)));
        }
    }
}

fn holds(path: &JsonPath, condition: Option<&(Operator, Operand)>, item: &Value) -> bool {
    let left = path.first(item);
    let Some((operator, operand)) = condition else { return left.is_some() };
    let right = match operand {
        Operand::Literal(value) => Some(value),
        Operand::Path(path) => path.first(item),
    };
    let (Some(left), Some(right)) = (left, right) else { return false };
    let order = match (left, right) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => left.as_f64().zip(right.as_f64()).and_then(|(a, b)| a.partial_cmp(&b)),
    };
    let Some(order) = order else { return *operator == Operator::NotEqual };
    match operator {
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        Operator::GreaterOrEqual => order.is_ge(),
    }
}

/// Reads one step; gives what follows it.
fn step<'a>(text: &'a str, steps: &mut Vec<Step>) -> Option<&'a str> {
    if let Some(rest) = text.strip_prefix("..") {
        steps.push(Step::Deep);
        return if rest.starts_with('[') { Some(rest) } else { member(rest, steps) };
    }
    if let Some(rest) = text.strip_prefix('.') {
        return if rest.is_empty() || rest.starts_with('[') { Some(rest) } else { member(rest, steps) };
    }
    if let Some(rest) = text.strip_prefix('[') {
        let end = closing(rest)?;
        steps.push(bracket(rest[..end].trim())?);
        return Some(&rest[end + 1..]);
    }
    match text.strip_prefix(['@', '$']) {
        Some(rest) if steps.is_empty() => Some(rest),
        _ => member(text, steps),
    }
}

/// A name up to the next dot or bracket; a backslash takes what follows as it is.
fn member<'a>(text: &'a str, steps: &mut Vec<Step>) -> Option<&'a str> {
    let mut name = String::new();
    let mut end = text.len();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => name.push(letters.next()?.1),
            '.' | '[' => {
                end = at;
                break;
            }
            letter => name.push(letter),
        }
    }
    match name.as_str() {
        "" => return None,
        "*" => steps.push(Step::All),
        _ => steps.push(Step::Member(name)),
    }
    Some(&text[end..])
}

/// Where the bracket that is open closes, quotes and brackets inside passed over.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut depth = 0;
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), letter) if letter == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(letter),
            (None, '[' | '(') => depth += 1,
            (None, ')') => depth -= 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn bracket(text: &str) -> Option<Step> {
    if text == "*" {
        return Some(Step::All);
    }
    if let Some(filter) = text.strip_prefix("?(").and_then(|text| text.strip_suffix(')')) {
        return filter_step(filter.trim());
    }
    if text.starts_with(['\'', '"']) {
        let mut names: Vec<Step> = Vec::new();
        for part in split_commas(text) {
            names.push(Step::Member(unquoted(part.trim())?));
        }
        return if names.len() == 1 { names.pop() } else { Some(Step::Union(names)) };
    }
    if text.contains(':') {
        let mut parts = text.split(':').map(|part| match part.trim() {
            "" => Some(None),
            number => number.parse().ok().map(Some),
        });
        let mut next = || parts.next().unwrap_or(Some(None));
        return Some(Step::Slice(next()?, next()?, next()?));
    }
    if text.contains(',') {
        let indexes: Option<Vec<Step>> =
            text.split(',').map(|part| part.trim().parse().ok().map(Step::Index)).collect();
        return indexes.map(Step::Union);
    }
    text.parse().ok().map(Step::Index)
}

fn filter_step(text: &str) -> Option<Step> {
    const OPERATORS: [(&str, Operator); 6] = [
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ];
    let mut quote = None;
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (None, '\'' | '"') => quote = Some(letter),
            (None, _) => {
                let found = OPERATORS.iter().find(|(sign, _)| text[at..].starts_with(sign));
                if let Some((sign, operator)) = found {
                    let path = JsonPath::parse(text[..at].trim())?;
                    let operand = operand(text[at + sign.len()..].trim())?;
                    return Some(Step::Filter(path, Some((*operator, operand))));
                }
            }
            _ => {}
        }
    }
    Some(Step::Filter(JsonPath::parse(text)?, None))
}

fn operand(text: &str) -> Option<Operand> {
    if text.starts_with(['\'', '"']) {
        return unquoted(text).map(|text| Operand::Literal(text.into()));
    }
    if text.starts_with(['@', '$', '.']) {
        return JsonPath::parse(text).map(Operand::Path);
    }
    crate::json::parse(text.as_bytes()).ok().map(Operand::Literal)
}

fn unquoted(text: &str) -> Option<String> {
    let quote = text.chars().next()?;
    let body = text.strip_prefix(quote)?.strip_suffix(quote)?;
    let mut out = String::new();
    let mut letters = body.chars();
    while let Some(letter) = letters.next() {
        out.push(if letter == '\\' { letters.next()? } else { letter });
    }
    Some(out)
}

/// Parts between commas outside of quotes.
fn split_commas(text: &str) -> Vec<&str> {
    let mut quote = None;
    let mut parts = Vec::new();
    let mut begin = 0;
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (None, '\'' | '"') => quote = Some(letter),
            (None, ',') => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn paths_lead_to_values() {
        let object = value!({
            "metadata": {"labels": {"a.b/c": "x"}},
            "spec": {"l": [{"x": "a", "n": 1}, {"x": "b", "n": 2}]},
            "status": {"conditions": [
                {"type": "Ready", "status": "True"}, {"type": "Synced", "status": "False"}
            ]}
        });
        let cases = [
            (".spec.l[0].x", Some("a")),
            (".spec.l[-1].x", Some("b")),
            (".spec.l[*].x", Some("a")),
            (".spec.l[1:].x", Some("b")),
            (".spec.l[?(@.n>1)].x", Some("b")),
            (".metadata.labels.a\\.b/c", Some("x")),
            (".metadata.labels['a.b/c']", Some("x")),
            (".status.conditions[?(@.type==\"Synced\")].status", Some("False")),
            (".status.conditions[?(@.type=='Ready')].status", Some("True")),
            ("..status", None),
            (".spec.none.deeper", None),
        ];
        for (path, expected) in cases {
            let parsed = JsonPath::parse(path).unwrap();
            let found = parsed.first(&object).and_then(Value::as_str);
            assert_eq!(found, expected, "{path}");
        }
        assert_eq!(JsonPath::parse(".a b["), None);
        assert_eq!(JsonPath::parse("..x").unwrap().all(&object).len(), 2);
    }
}
