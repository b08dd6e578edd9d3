//! What differs between two values, as a unified diff of their indented JSON.
//!
//! Matching is that of Python's difflib, which upstream's library follows:
//! the longest common block first, then what is left and right of it.

use std::collections::HashMap;

use apimachinery::{Value, json};

/// Equal lines around a difference.
const CONTEXT: usize = 3;

/// Lines `a[from..][..length]` that equal those of `b`.
#[derive(Clone, Copy)]
struct Block {
    a: usize,
    b: usize,
    length: usize,
}

/// The diff of `old` and `new`; "" where they are equal. Ends with a newline.
pub fn unified(old: &Value, new: &Value) -> String {
    let (old, new) = (indented(old), indented(new));
    let (a, b): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let mut blocks = matching(&a, &b);
    blocks.push(Block { a: a.len(), b: b.len(), length: 0 });
    let mut out = String::new();
    for group in groups(&merged(blocks)) {
        write_group(&a, &b, &group, &mut out);
    }
    out
}

/// JSON with one space of indentation, as Go's MarshalIndent writes it.
fn indented(value: &Value) -> String {
    let mut out = String::new();
    indent(value, 0, &mut out);
    out.push('\n');
    out
}

fn indent(value: &Value, depth: usize, out: &mut String) {
    let line = |depth: usize, out: &mut String| {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', depth));
    };
    match value {
        Value::Object(members) if !members.is_empty() => {
            out.push('{');
            for (at, (name, member)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                line(depth + 1, out);
                out.push_str(&json::to_string(&Value::from(name)));
                out.push_str(": ");
                indent(member, depth + 1, out);
            }
            line(depth, out);
            out.push('}');
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                line(depth + 1, out);
                indent(item, depth + 1, out);
            }
            line(depth, out);
            out.push(']');
        }
        plain => out.push_str(&json::to_string(plain)),
    }
}

/// From so many lines on, those that make up more than a hundredth of all tell
/// nothing about where a text goes on (difflib's `autojunk`).
const MANY: usize = 200;
/// How many pairs of lines are looked at, at most: what is left then counts as
/// replaced.
const MOST_PAIRS: usize = 20_000_000;

/// Where lines of one text stand in the other.
struct Matcher<'a> {
    a: &'a [&'a str],
    b: &'a [&'a str],
    /// Of each line of `a`, its places in `b`.
    places: Vec<&'a [usize]>,
    pairs: usize,
}

/// A part of both texts: `a[from..to]`, `b[from..to]`.
#[derive(Clone, Copy)]
struct Part {
    a: (usize, usize),
    b: (usize, usize),
}

impl Matcher<'_> {
    /// The longest block in this part of both, the earliest of several.
    fn longest(&mut self, part: Part) -> Block {
        let mut best = Block { a: part.a.0, b: part.b.0, length: 0 };
        // How long the common block is that ends at a line of `b`.
        let mut ending: HashMap<usize, usize> = HashMap::new();
        for i in part.a.0..part.a.1 {
            let all = self.places[i];
            let first = all.partition_point(|place| *place < part.b.0);
            let mut next = HashMap::new();
            for &j in all[first..].iter().take_while(|place| **place < part.b.1) {
                let length =
                    j.checked_sub(1).and_then(|before| ending.get(&before)).copied().unwrap_or(0) + 1;
                next.insert(j, length);
                if length > best.length {
                    best = Block { a: i + 1 - length, b: j + 1 - length, length };
                }
            }
            self.pairs += 1 + next.len();
            if self.pairs > MOST_PAIRS {
                return Block { length: 0, ..best };
            }
            ending = next;
        }
        self.extended(best, part)
    }

    /// A block with the lines around it that are the same, however common.
    fn extended(&self, mut block: Block, part: Part) -> Block {
        while block.a > part.a.0 && block.b > part.b.0 && self.a[block.a - 1] == self.b[block.b - 1] {
            block = Block { a: block.a - 1, b: block.b - 1, length: block.length + 1 };
        }
        while block.a + block.length < part.a.1
            && block.b + block.length < part.b.1
            && self.a[block.a + block.length] == self.b[block.b + block.length]
        {
            block.length += 1;
        }
        block
    }
}

/// All blocks in both, in their order.
fn matching(a: &[&str], b: &[&str]) -> Vec<Block> {
    let mut index: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, line) in b.iter().enumerate() {
        index.entry(line).or_default().push(at);
    }
    if b.len() >= MANY {
        index.retain(|_, places| places.len() <= b.len() / 100 + 1);
    }
    let places = a.iter().map(|line| index.get(line).map_or(&[][..], Vec::as_slice)).collect();
    let mut matcher = Matcher { a, b, places, pairs: 0 };
    let mut parts = vec![Part { a: (0, a.len()), b: (0, b.len()) }];
    let mut blocks = Vec::new();
    while let Some(part) = parts.pop() {
        let found = matcher.longest(part);
        if found.length > 0 {
            parts.push(Part { a: (part.a.0, found.a), b: (part.b.0, found.b) });
            parts.push(Part { a: (found.a + found.length, part.a.1), b: (found.b + found.length, part.b.1) });
            blocks.push(found);
        }
    }
    blocks.sort_unstable_by_key(|block| block.a);
    blocks
}

/// Adjacent blocks as one.
fn merged(blocks: Vec<Block>) -> Vec<Block> {
    let mut out: Vec<Block> = Vec::new();
    for block in blocks {
        match out.last_mut() {
            Some(last)
                if last.a + last.length == block.a && last.b + last.length == block.b && block.length > 0 =>
            {
                last.length += block.length;
            }
            _ => out.push(block),
        }
    }
    out
}

/// A run of lines: equal in both, or replaced.
#[derive(Clone, Copy)]
struct Run {
    equal: bool,
    a: (usize, usize),
    b: (usize, usize),
}

/// Runs of differences with their context, far ones apart.
fn groups(blocks: &[Block]) -> Vec<Vec<Run>> {
    let mut runs: Vec<Run> = Vec::new();
    let (mut a, mut b) = (0, 0);
    for block in blocks {
        if a < block.a || b < block.b {
            runs.push(Run { equal: false, a: (a, block.a), b: (b, block.b) });
        }
        (a, b) = (block.a + block.length, block.b + block.length);
        if block.length > 0 {
            runs.push(Run { equal: true, a: (block.a, a), b: (block.b, b) });
        }
    }
    if let Some(first) = runs.first_mut().filter(|run| run.equal) {
        first.a.0 = first.a.0.max(first.a.1.saturating_sub(CONTEXT));
        first.b.0 = first.b.0.max(first.b.1.saturating_sub(CONTEXT));
    }
    if let Some(last) = runs.last_mut().filter(|run| run.equal) {
        last.a.1 = last.a.1.min(last.a.0 + CONTEXT);
        last.b.1 = last.b.1.min(last.b.0 + CONTEXT);
    }
    let mut groups = vec![Vec::new()];
    for run in runs {
        if run.equal && run.a.1 - run.a.0 > 2 * CONTEXT {
            let head = Run { a: (run.a.0, run.a.0 + CONTEXT), b: (run.b.0, run.b.0 + CONTEXT), ..run };
            let tail = Run { a: (run.a.1 - CONTEXT, run.a.1), b: (run.b.1 - CONTEXT, run.b.1), ..run };
            if let Some(group) = groups.last_mut() {
                group.push(head);
            }
            groups.push(vec![tail]);
        } else if let Some(group) = groups.last_mut() {
            group.push(run);
        }
    }
    groups.retain(|group: &Vec<Run>| group.iter().any(|run| !run.equal));
    groups
}

fn range(from: usize, to: usize) -> String {
    match to - from {
        1 => format!("{}", from + 1),
        0 => format!("{from},0"),
        length => format!("{},{length}", from + 1),
    }
}

fn write_group(a: &[&str], b: &[&str], group: &[Run], out: &mut String) {
    let (Some(first), Some(last)) = (group.first(), group.last()) else { return };
    out.push_str(&format!("@@ -{} +{} @@\n", range(first.a.0, last.a.1), range(first.b.0, last.b.1)));
    let mut line = |mark: char, text: &str| {
        out.push(mark);
        out.push_str(text);
        out.push('\n');
    };
    for run in group {
        if run.equal {
            a[run.a.0..run.a.1].iter().for_each(|text| line(' ', text));
        } else {
            a[run.a.0..run.a.1].iter().for_each(|text| line('-', text));
            b[run.b.0..run.b.1].iter().for_each(|text| line('+', text));
        }
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    #[test]
    fn a_changed_line_has_three_around_it() {
        let old = value!({"A": 1, "B": 2, "C": 3, "D": null, "E": 5, "F": 6, "G": 7});
        let new = value!({"A": 1, "B": 2, "C": 3, "D": {"x": "y"}, "E": 5, "F": 6, "G": 7});
        assert_eq!(
            unified(&old, &new),
            "@@ -2,7 +2,9 @@\n  \"A\": 1,\n  \"B\": 2,\n  \"C\": 3,\n- \"D\": null,\n+ \"D\": {\n+  \"x\": \
             \"y\"\n+ },\n  \"E\": 5,\n  \"F\": 6,\n  \"G\": 7\n"
        );
        assert_eq!(unified(&old, &old), "");
    }

    #[test]
    fn far_changes_are_apart() {
        let with = |first: i64, last: i64| {
            let mut items = vec![Value::from(first)];
            items.extend((10..30).map(|number: i64| Value::from(number)));
            items.push(Value::from(last));
            Value::Array(items)
        };
        assert_eq!(unified(&with(1, 2), &with(3, 4)).matches("@@ -").count(), 2);
    }

    #[test]
    fn long_values_are_compared_without_end_in_sight() {
        let long = |changed: i64| -> Value {
            (0..50_000).map(|at| Value::Int(at + at % 3 * changed)).collect::<Vec<_>>().into()
        };
        let one = unified(&value!({"a": 1, "list": (long(0))}), &value!({"a": 2, "list": (long(0))}));
        assert_eq!(one.lines().filter(|line| line.starts_with(['+', '-'])).count(), 2);
        // Nothing in order is left of this one.
        assert!(!unified(&long(0), &long(100_000)).is_empty());
    }
}
