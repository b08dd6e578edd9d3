//! What differs between two values, as a unified diff of their indented JSON.
//!
//! Matching is that of Python's difflib, which upstream's library follows:
//! the longest common block first, then what is left and right of it.

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
    let mut blocks = Vec::new();
    matching(&a, &b, 0, 0, &mut blocks);
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

/// The longest block in both, the earliest of several.
fn longest(a: &[&str], b: &[&str]) -> Block {
    let mut best = Block { a: 0, b: 0, length: 0 };
    // How long the common block is that ends at each line of `b`.
    let mut ending = vec![0usize; b.len() + 1];
    for (i, left) in a.iter().enumerate() {
        let mut next = vec![0usize; b.len() + 1];
        for (j, right) in b.iter().enumerate() {
            if left == right {
                let length = ending[j] + 1;
                next[j + 1] = length;
                if length > best.length {
                    best = Block { a: i + 1 - length, b: j + 1 - length, length };
                }
            }
        }
        ending = next;
    }
    best
}

fn matching(a: &[&str], b: &[&str], from_a: usize, from_b: usize, out: &mut Vec<Block>) {
    let found = longest(a, b);
    if found.length == 0 {
        return;
    }
    matching(&a[..found.a], &b[..found.b], from_a, from_b, out);
    out.push(Block { a: from_a + found.a, b: from_b + found.b, length: found.length });
    let (after_a, after_b) = (found.a + found.length, found.b + found.length);
    matching(&a[after_a..], &b[after_b..], from_a + after_a, from_b + after_b, out);
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
}
