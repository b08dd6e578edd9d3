//! The library of URLs, as Go's net/url reads them.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::error::Error;
use crate::value::{Key, Val};

/// A URL in its parts, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    scheme: String,
    /// With the port, if any.
    host: String,
    path: String,
    query: String,
}

impl Url {
    /// `https://host/path` or `/path`.
    pub fn parse(text: &str) -> Result<Url, String> {
        let refuse =
            |why: &str| Err(format!("URL parse error during conversion from string: parse {text:?}: {why}"));
        if text.is_empty() {
            return refuse("empty url");
        }
        if text.chars().any(char::is_control) {
            return refuse("net/url: invalid control character in URL");
        }
        let (scheme, rest) = match text.split_once(':') {
            Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
            Some(("", _)) => return refuse("missing protocol scheme"),
            _ => (String::new(), text),
        };
        if scheme.is_empty() && !rest.starts_with('/') {
            return refuse("invalid URI for request");
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, path) = match rest.strip_prefix("//").filter(|_| !scheme.is_empty()) {
            Some(rest) => match rest.find('/') {
                Some(at) => (&rest[..at], &rest[at..]),
                None => (rest, ""),
            },
            None if !rest.starts_with('/') => return refuse("invalid URI for request"),
            None => ("", rest),
        };
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        if host.contains([' ', '<', '>', '"']) {
            return refuse("invalid character in host name");
        }
        if let Some(port) = port(host)
            && !port.bytes().all(|byte| byte.is_ascii_digit())
        {
            return refuse(&format!("invalid port {:?} after host", format!(":{port}")));
        }
        if let Some(at) = path.find('%') {
            let escape: String = path[at..].chars().take(3).collect();
            if escape.len() != 3 || !escape[1..].bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return refuse(&format!("invalid URL escape {escape:?}"));
            }
        }
        Ok(Url { scheme, host: host.to_owned(), path: escaped_path(path), query: query.to_owned() })
    }

    fn hostname(&self) -> &str {
        let host = match port(&self.host) {
            Some(port) => &self.host[..self.host.len() - port.len() - 1],
            None => &self.host,
        };
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    fn query<'a>(&self) -> Val<'a> {
        let mut all: BTreeMap<Key<'a>, Vec<Val<'a>>> = BTreeMap::new();
        for pair in self.query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decoded(name), decoded(value)) else { continue };
            all.entry(Key::String(name.into())).or_default().push(Val::string(value));
        }
        Val::Map(Rc::new(all.into_iter().map(|(name, values)| (name, Val::list(values))).collect()))
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// What follows the last colon outside brackets.
fn port(host: &str) -> Option<&str> {
    let after = host.rfind(']').map_or(0, |at| at + 1);
    host[after..].rfind(':').map(|at| &host[after + at + 1..])
}

fn escaped_path(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b' ' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80.. => {
                escaped.push_str(&format!("%{byte:02X}"));
            }
            other => escaped.push(other as char),
        }
    }
    escaped
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

pub(super) fn call<'a>(function: &str, args: &[Val<'a>]) -> Result<Val<'a>, Error> {
    let owned = |text: &str| Val::string(text.to_owned());
    Ok(match (function, args) {
        ("url", [Val::String(text)]) => Val::Url(Rc::new(Url::parse(text).map_err(Error::failed)?)),
        ("isURL", [Val::String(text)]) => Val::Bool(Url::parse(text).is_ok()),
        ("getScheme", [Val::Url(url)]) => owned(&url.scheme),
        ("getHost", [Val::Url(url)]) => owned(&url.host),
        ("getHostname", [Val::Url(url)]) => owned(url.hostname()),
        ("getPort", [Val::Url(url)]) => owned(port(&url.host).unwrap_or("")),
        ("getEscapedPath", [Val::Url(url)]) => owned(&url.path),
        ("getQuery", [Val::Url(url)]) => url.query(),
        _ => return Err(Error::no_overload()),
    })
}
