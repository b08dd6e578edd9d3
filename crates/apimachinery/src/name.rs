//! Generated names: the suffix of `metadata.generateName`.
//!
//! Randomness comes in from the caller.

/// Letters and digits that make no words and are not mistaken for each other.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Bytes of the suffix.
const SUFFIX: usize = 5;

/// Longest prefix that is kept, so that the whole is at most 63 bytes.
const MAX_PREFIX: usize = 63 - SUFFIX;

/// `prefix`, cut where it is too long, and five random letters. `below(n)`
/// gives a random number less than `n`.
pub fn generate(prefix: &str, mut below: impl FnMut(u64) -> u64) -> String {
    let mut end = prefix.len().min(MAX_PREFIX);
    while !prefix.is_char_boundary(end) {
        end -= 1;
    }
    let mut name = String::with_capacity(end + SUFFIX);
    name.push_str(&prefix[..end]);
    name.push_str(&suffix(SUFFIX, &mut below));
    name
}

/// `length` random letters of the same alphabet.
pub fn suffix(length: usize, mut below: impl FnMut(u64) -> u64) -> String {
    (0..length)
        .map(|_| {
            let at = below(ALPHABET.len() as u64) as usize;
            char::from(ALPHABET[at.min(ALPHABET.len() - 1)])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_use_the_alphabet() {
        let mut next = 0;
        let mut below = |limit: u64| {
            next += 7;
            next % limit
        };
        let name = generate("web-", &mut below);
        assert_eq!(name.len(), 9);
        assert!(name.starts_with("web-"));
        assert!(name[4..].bytes().all(|letter| ALPHABET.contains(&letter)));
        assert_eq!(generate(&"x".repeat(200), &mut below).len(), 63);
        assert_eq!(generate("é".repeat(40).as_str(), &mut below).len(), 63);
        assert_ne!(generate("a", &mut below), generate("a", &mut below));
    }
}
