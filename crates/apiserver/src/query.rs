//! The query of a request, as options.

use std::borrow::Cow;
use std::time::Duration;

use apimachinery::{Status, time};
use client::ListOptions;

use crate::generic::ListRules;

/// Names and values in the order of the query, decoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>, Box<str>);

impl Query {
    pub fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true).into_owned(), decode(value, true).into_owned())
        });
        Self(pairs.collect(), text.into())
    }

    /// As it came.
    pub fn text(&self) -> &str {
        &self.1
    }

    /// The first value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// True but for absent, `false` and `0`: `watch=maybe` is a watch.
    pub fn is_set(&self, name: &str) -> bool {
        self.get(name).is_some_and(truth)
    }

    /// A whole number; None where it is absent.
    pub fn number(&self, name: &str) -> Result<Option<i64>, Status> {
        match self.get(name) {
            None => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| {
                let digits = text.trim_start_matches(['+', '-']);
                let why = if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    "value out of range"
                } else {
                    "invalid syntax"
                };
                Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: {why}"))
            }),
        }
    }

    /// meta/v1 ListOptions.
    pub fn list_options(&self) -> Result<ListOptions, Status> {
        let text = |name: &str| self.get(name).filter(|value| !value.is_empty()).map(str::to_owned);
        let from_now = matches!(self.get("resourceVersion").unwrap_or(""), "" | "0");
        let says_how = self.get("sendInitialEvents").is_some()
            || self.get("resourceVersionMatch").is_some_and(|matching| !matching.is_empty());
        // A watch from now on begins with what there is, as if that had been asked for.
        let begins = from_now && !says_how && self.is_set("watch");
        Ok(ListOptions {
            label_selector: text("labelSelector"),
            field_selector: text("fieldSelector"),
            metric_label_selector: None,
            limit: self.number("limit")?.and_then(|limit| u64::try_from(limit).ok()).unwrap_or(0),
            continue_token: text("continue"),
            resource_version: text("resourceVersion"),
            resource_version_match: match self.get("resourceVersionMatch") {
                None | Some("") => begins.then_some("NotOlderThan"),
                Some("Exact") => Some("Exact"),
                Some("NotOlderThan") => Some("NotOlderThan"),
                // Refused for that, and for whatever else is wrong with the options.
                Some(other) => return Err(self.refuse_match(other)),
            },
            allow_watch_bookmarks: self.is_set("allowWatchBookmarks"),
            send_initial_events: self.get("sendInitialEvents").map(truth).or(begins.then_some(true)),
            timeout_seconds: self.number("timeoutSeconds")?.and_then(|seconds| u64::try_from(seconds).ok()),
        })
    }

    fn refuse_match(&self, matching: &str) -> Status {
        let asked = ListRules {
            is_watch: self.is_set("watch"),
            matching,
            revision: self.get("resourceVersion").unwrap_or(""),
            continues: self.get("continue").is_some_and(|token| !token.is_empty()),
            initial_events: self.get("sendInitialEvents").is_some(),
        };
        asked.check().err().unwrap_or_else(|| Status::bad_request("unknown resourceVersionMatch"))
    }

    /// `timeout` of any request that is no watch.
    pub fn timeout(&self) -> Result<Option<Duration>, Status> {
        let Some(text) = self.get("timeout").filter(|text| !text.is_empty()) else { return Ok(None) };
        let nanos = time::parse_duration(text).map_err(|why| {
            Status::bad_request(format!("invalid timeout specified in the request URL - {why}"))
        })?;
        Ok(u64::try_from(nanos).ok().filter(|nanos| *nanos > 0).map(Duration::from_nanos))
    }

    /// `gracePeriodSeconds` of a deletion.
    pub fn grace_period(&self) -> Result<Option<i64>, Status> {
        self.number("gracePeriodSeconds")
    }
}

fn truth(value: &str) -> bool {
    !value.eq_ignore_ascii_case("false") && value != "0"
}

/// Undoes percent-encoding; `plus` reads `+` as a space. What is no UTF-8
/// becomes replacement letters.
pub(crate) fn decode(text: &str, plus: bool) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte == b'%' || (plus && byte == b'+')) {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |at: usize| bytes.get(at).and_then(|byte| (*byte as char).to_digit(16));
        match bytes[at] {
            b'%' => match (hex(at + 1), hex(at + 2)) {
                (Some(high), Some(low)) => {
                    out.push((high * 16 + low) as u8);
                    at += 2;
                }
                _ => out.push(b'%'),
            },
            b'+' if plus => out.push(b' '),
            byte => out.push(byte),
        }
        at += 1;
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// A path with a query of these pairs.
pub(crate) fn with(path: &str, pairs: &[(String, String)]) -> String {
    use std::fmt::Write;
    let mut out = path.to_owned();
    for (at, (name, value)) in pairs.iter().enumerate() {
        out.push(if at == 0 { '?' } else { '&' });
        out.push_str(name);
        out.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
                out.push(byte as char);
            } else {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_as_go_reads_them() {
        let query = Query::parse("labelSelector=a%3Db%2Cc&watch=maybe&x=1+2&limit=5&x=3");
        assert_eq!(query.get("labelSelector"), Some("a=b,c"));
        assert!(query.is_set("watch") && !query.is_set("dryRun"));
        assert_eq!(query.get("x"), Some("1 2"));
        assert_eq!(query.all("x").count(), 2);
        assert_eq!(query.list_options().unwrap().limit, 5);
        for (text, why) in
            [("x", "invalid syntax"), ("", "invalid syntax"), ("99999999999999999999", "value out of range")]
        {
            let query = Query::parse(&format!("limit={text}&gracePeriodSeconds={text}"));
            let message = format!("strconv.ParseInt: parsing {text:?}: {why}");
            assert_eq!(query.list_options().unwrap_err().message, message);
            assert_eq!(query.grace_period().unwrap_err().message, message);
        }
    }

    #[test]
    fn a_watch_from_now_on_begins_with_what_there_is() {
        let cases = [
            ("watch=1", Some(true), Some("NotOlderThan")),
            ("watch=1&resourceVersion=0", Some(true), Some("NotOlderThan")),
            ("watch=1&resourceVersion=5", None, None),
            ("watch=1&sendInitialEvents=false", Some(false), None),
            ("watch=0", None, None),
            ("", None, None),
        ];
        for (query, initial, matching) in cases {
            let options = Query::parse(query).list_options().unwrap();
            assert_eq!(
                (options.send_initial_events, options.resource_version_match),
                (initial, matching),
                "{query}"
            );
        }
    }
}
