//! Damage: bytes changed, taken out, repeated, moved between inputs, and words
//! that mean something to one parser or another.

use edge::Random;

/// What means something somewhere.
const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "\\u00e9",
    "null",
    "true",
    "false",
    "-0",
    "1e999",
    "-1e-999",
    "0.1",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "1e3",
    "~",
    "- ",
    "? ",
    "&a ",
    "*a",
    "<<: ",
    "!!binary ",
    "!!int ",
    "|\n",
    ">-\n",
    "---\n",
    "...\n",
    "\n",
    "\t",
    "  ",
    "# ",
    "%YAML 1.1\n",
    "'",
    "y",
    "0x1F",
    "0o7",
    "1_000",
    "12:30:45",
    ".inf",
    ".nan",
    "=",
    "$patch",
    "$setElementOrder/containers",
    "$deleteFromPrimitiveList/finalizers",
    "$retainKeys",
    "delete",
    "replace",
    "/spec",
    "/-",
    "~0",
    "~1",
    "add",
    "remove",
    "test",
    "move",
    "copy",
    "op",
    "path",
    "from",
    "value",
    "f:",
    "k:",
    "v:",
    "i:",
    ".",
    "{}",
    "metadata",
    "managedFields",
    "name",
    "apiVersion",
    "kind",
    "spec",
    " in ",
    " notin ",
    "!=",
    "==",
    "!",
    "(",
    ")",
    "has(",
    ".all(x, ",
    ".map(y, ",
    "self",
    "oldSelf",
    "&&",
    "||",
    "? ",
    "in",
    "matches('",
    "duration('1h')",
    "timestamp('2026-01-01T00:00:00Z')",
    "[0]",
    "1u",
    "b'x'",
    "r'x'",
    "'''",
    "Ki",
    "Mi",
    "m",
    "n",
    "E",
    "e9",
    "\u{feff}",
    "\u{2028}",
    "é",
    "日本",
    "k8s\0",
    "\u{0}",
    "-----BEGIN CERTIFICATE REQUEST-----\n",
    "-----END CERTIFICATE REQUEST-----\n",
    "eyJhbGciOiJub25lIn0",
    "..",
];

/// An input made of one or two of `pool`.
pub fn mutate(pool: &[Vec<u8>], random: &dyn Random) -> Vec<u8> {
    let mut input = pick(pool, random).cloned().unwrap_or_default();
    for _ in 0..=random.below(4) {
        once(&mut input, pool, random);
    }
    input
}

fn pick<'a, T>(list: &'a [T], random: &dyn Random) -> Option<&'a T> {
    list.get(below(list.len(), random))
}

fn below(bound: usize, random: &dyn Random) -> usize {
    // Far below what a machine word holds.
    random.below(bound as u64) as usize
}

/// A place in the input, or its end.
fn place(input: &[u8], random: &dyn Random) -> usize {
    below(input.len() + 1, random)
}

/// A stretch of the input, mostly a short one.
fn stretch(input: &[u8], random: &dyn Random) -> std::ops::Range<usize> {
    let start = place(input, random);
    let most = if random.below(4) == 0 { input.len() - start } else { (input.len() - start).min(16) };
    start..start + below(most + 1, random)
}

fn once(input: &mut Vec<u8>, pool: &[Vec<u8>], random: &dyn Random) {
    match random.below(9) {
        0 => {
            if let Some(byte) = {
                let at = below(input.len(), random);
                input.get_mut(at)
            } {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => {
            let at = place(input, random);
            input.insert(at, random.below(256) as u8);
        }
        2 => drop(input.drain(stretch(input, random))),
        3 => {
            let copied = input[stretch(input, random)].to_vec();
            let at = place(input, random);
            input.splice(at..at, copied);
        }
        4 | 5 => {
            let word = pick(WORDS, random).copied().unwrap_or("");
            let at = place(input, random);
            let end = if random.below(2) == 0 { at } else { (at + word.len()).min(input.len()) };
            input.splice(at..end, word.bytes());
        }
        6 => {
            // One thing many times: nesting, long lists, long texts.
            let word = pick(WORDS, random).copied().unwrap_or("");
            let times = 1 << random.below(11);
            let at = place(input, random);
            input.splice(at..at, word.repeat(times).bytes());
        }
        7 => {
            let other = pick(pool, random).cloned().unwrap_or_default();
            let part = other[stretch(&other, random)].to_vec();
            let into = stretch(input, random);
            input.splice(into, part);
        }
        _ => input.truncate(place(input, random)),
    }
}

#[cfg(test)]
mod tests {
    use edge::SeededRandom;

    use super::*;

    #[test]
    fn the_same_seed_does_the_same_damage() {
        let pool = vec![b"{\"a\":[1,2,3]}".to_vec(), b"x: y\n".to_vec()];
        let made = |seed: u64| {
            let random = SeededRandom::new(seed);
            (0..200).map(|_| mutate(&pool, &random)).collect::<Vec<_>>()
        };
        assert_eq!(made(7), made(7));
        assert_ne!(made(7), made(8));
        assert!(mutate(&[], &SeededRandom::new(1)).len() < 1 << 20);
    }
}
