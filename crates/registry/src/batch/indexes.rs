//! Sets of indexes as text: `1,3-5,7`, rising.

use apimachinery::field::quote;

/// How many indexes below `completions` the text names; an error says what is
/// wrong with it.
pub fn count(text: &str, completions: i64) -> Result<i64, String> {
    let mut total = 0;
    let mut last: Option<i64> = None;
    if text.is_empty() {
        return Ok(0);
    }
    for part in text.split(',') {
        let (start, end) = interval(part, completions)?;
        if let Some(last) = last.filter(|last| start <= *last) {
            return Err(not_rising(last, start));
        }
        total += end - start + 1;
        last = Some(end);
    }
    Ok(total)
}

/// The first index that both texts name, as upstream finds it: what cannot be
/// read is passed over.
pub fn overlap(one: &str, other: &str, completions: i64) -> Option<i64> {
    let read = |text: &str| -> Vec<(i64, i64)> {
        let parts = text.split(',').filter(|_| !text.is_empty());
        parts.filter_map(|part| interval(part, completions).ok()).collect()
    };
    let (one, other) = (read(one), read(other));
    let (mut at, mut other_at) = (0, 0);
    while let (Some((start, end)), Some((other_start, other_end))) = (one.get(at), other.get(other_at)) {
        if start <= other_end && other_start <= end {
            return Some(*start.max(other_start));
        }
        if start <= other_start {
            at += 1;
        } else {
            other_at += 1;
        }
    }
    None
}

fn not_rising(before: i64, now: i64) -> String {
    format!("non-increasing order, previous: {before}, current: {now}")
}

fn interval(text: &str, completions: i64) -> Result<(i64, i64), String> {
    let parts: Vec<&str> = text.split('-').collect();
    let number = |part: &str| {
        let number: i64 = part
            .parse()
            .map_err(|_| format!("cannot convert string to integer for index: {}", quote(part)))?;
        if number >= completions { Err(format!("too large index: {}", quote(part))) } else { Ok(number) }
    };
    match parts[..] {
        [one] => number(one).map(|number| (number, number)),
        [from, to] => {
            let (start, end) = (number(from)?, number(to)?);
            if start >= end { Err(not_rising(start, end)) } else { Ok((start, end)) }
        }
        _ => Err(format!(
            "the fragment {} violates the requirement that an index interval can have at most two parts separated by \
             '-'",
            quote(text)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_named_once() {
        for (one, other, expected) in [
            ("", "1", None),
            ("1,3-5", "2,6", None),
            ("1,3-5", "4", Some(4)),
            ("0-8", "2-3", Some(2)),
            ("x,2", "2", Some(2)),
            ("7", "1,3,7-9", Some(7)),
        ] {
            assert_eq!(overlap(one, other, 10), expected, "{one} {other}");
        }
    }

    #[test]
    fn indexes_rise_below_the_completions() {
        for (text, expected) in [
            ("", Ok(0)),
            ("1,3-5,7", Ok(5)),
            ("3,1", Err("non-increasing order, previous: 3, current: 1")),
            ("5-3", Err("non-increasing order, previous: 5, current: 3")),
            ("10", Err("too large index: \"10\"")),
            ("a", Err("cannot convert string to integer for index: \"a\"")),
        ] {
            assert_eq!(count(text, 10), expected.map_err(str::to_owned), "{text}");
        }
        assert!(count("1-2-3", 10).is_err());
    }
}
