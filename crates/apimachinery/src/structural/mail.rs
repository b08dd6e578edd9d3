//! Addresses of mail (RFC 5322) as Go's `net/mail` takes one: `name@domain`,
//! with a name before or a comment behind it, or a group of one.

use crate::netip;

/// Whether `text` is one address.
pub(super) fn is_address(text: &str) -> bool {
    let mut rest = Rest(text);
    rest.addresses(true) == Some(1) && rest.skip_comments() && rest.0.is_empty()
}

/// What is not read yet.
struct Rest<'a>(&'a str);

/// May stand in an atom.
fn is_atom(letter: char) -> bool {
    is_visible(letter) && !"()<>[]:;@\\,\"".contains(letter)
}

fn is_visible(letter: char) -> bool {
    matches!(letter, '!'..='~') || !letter.is_ascii()
}

impl<'a> Rest<'a> {
    fn skip_space(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    fn take(&mut self, wanted: char) -> bool {
        let after = self.0.strip_prefix(wanted);
        self.0 = after.unwrap_or(self.0);
        after.is_some()
    }

    /// How many addresses come next; None where that cannot be read.
    fn addresses(&mut self, allows_group: bool) -> Option<usize> {
        self.skip_space();
        if self.0.is_empty() {
            return None;
        }
        let start = self.0;
        if self.specification().is_some() {
            self.skip_space();
            return (!self.take('(') || self.comment()).then_some(1);
        }
        self.0 = start;
        if !start.starts_with('<') {
            self.phrase()?;
        }
        self.skip_space();
        if allows_group && self.take(':') {
            return self.group();
        }
        (self.take('<') && self.specification().is_some() && self.take('>')).then_some(1)
    }

    fn group(&mut self) -> Option<usize> {
        self.skip_space();
        let mut count = 0;
        if self.take(';') {
            return self.skip_comments().then_some(count);
        }
        loop {
            count += self.addresses(false)?;
            if !self.skip_comments() {
                return None;
            }
            if self.take(';') {
                return self.skip_comments().then_some(count);
            }
            if !self.take(',') {
                return None;
            }
        }
    }

    /// `local@domain`.
    fn specification(&mut self) -> Option<()> {
        self.skip_space();
        if self.0.starts_with('"') {
            self.quoted().filter(|local| !local.is_empty())?;
        } else {
            self.dotted_atom()?;
        }
        if !self.take('@') {
            return None;
        }
        self.skip_space();
        if !self.take('[') {
            return self.dotted_atom();
        }
        let (literal, after) = self.0.split_once(']')?;
        self.0 = after;
        netip::parse_addr(literal).is_ok_and(|address| address.zone.is_empty()).then_some(())
    }

    /// Words, one at least.
    fn phrase(&mut self) -> Option<()> {
        let mut words = 0;
        loop {
            if words > 0 && !self.skip_comments() {
                return None;
            }
            self.skip_space();
            if self.0.is_empty() {
                return Some(());
            }
            let word =
                if self.0.starts_with('"') { self.quoted().map(|_| ()) } else { self.atom().map(|_| ()) };
            if word.is_none() {
                return (words > 0).then_some(());
            }
            words += 1;
        }
    }

    /// A text in quotes, which are not part of what is returned.
    fn quoted(&mut self) -> Option<&'a str> {
        let inner = self.0.strip_prefix('"')?;
        let mut is_escaped = false;
        for (at, letter) in inner.char_indices() {
            let is_fit = is_visible(letter) || matches!(letter, ' ' | '\t');
            match letter {
                _ if !is_fit => return None,
                _ if is_escaped => is_escaped = false,
                '"' => {
                    self.0 = &inner[at + 1..];
                    return Some(&inner[..at]);
                }
                '\\' => is_escaped = true,
                _ => {}
            }
        }
        None
    }

    fn atom(&mut self) -> Option<&'a str> {
        let end = self.0.find(|letter| !is_atom(letter)).unwrap_or(self.0.len());
        let (atom, after) = self.0.split_at(end);
        self.0 = after;
        Some(atom).filter(|atom| !atom.is_empty())
    }

    fn dotted_atom(&mut self) -> Option<()> {
        let atom = self.atom()?;
        let is_dotted = atom.starts_with('.') || atom.contains("..") || atom.ends_with('.');
        (!is_dotted).then_some(())
    }

    /// Whether the comments that follow, if any, are whole.
    fn skip_comments(&mut self) -> bool {
        self.skip_space();
        while self.take('(') {
            if !self.comment() {
                return false;
            }
            self.skip_space();
        }
        true
    }

    /// What is behind the opening parenthesis, others within.
    fn comment(&mut self) -> bool {
        let mut depth = 1;
        let mut letters = self.0.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\\' => drop(letters.next()),
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.0 = &self.0[at + 1..];
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_taken() {
        for (text, expected) in [
            ("a@b", true),
            ("a.b@c.d", true),
            (" a@b ", true),
            ("a@ b", true),
            ("A <a@b>", true),
            ("A B <a@b>", true),
            ("\"A, B\" <a@b>", true),
            ("<a@b>", true),
            ("\"a b\"@c", true),
            ("a@[1.2.3.4]", true),
            ("a@b (c (d))", true),
            ("é@日本", true),
            ("g: a@b;", true),
            ("g: a@b, c@d;", false),
            ("g:;", false),
            ("", false),
            ("a", false),
            ("a@", false),
            ("@b", false),
            ("a@b c", false),
            ("a@b, c@d", false),
            (".a@b", false),
            ("a.@b", false),
            ("a..b@c", false),
            ("a@b.", false),
            ("\"\"@b", false),
            ("a@[x]", false),
            ("A <a@b", false),
            ("a@b (c", false),
        ] {
            assert_eq!(is_address(text), expected, "{text}");
        }
    }
}
