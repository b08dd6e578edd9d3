//! URLs as Go's `net/url` reads them: what it takes, and why it does not take
//! the rest.

use crate::field::quote;
use crate::netip;

/// A URL in its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Url {
    /// In small letters.
    pub scheme: String,
    /// As written, where there is one.
    pub user: Option<String>,
    /// With the port, if any.
    pub host: String,
    /// As written.
    path: String,
    /// As written.
    pub query: String,
    /// Without escapes.
    pub fragment: String,
}

/// What of a URL a text is; each lets other letters stand unescaped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Path,
    Host,
    Zone,
    User,
    Query,
    Fragment,
}

/// Reads an absolute URL or an absolute path.
///
/// # Errors
/// Why it is none, in Go's words.
pub fn parse_request_uri(text: &str) -> Result<Url, String> {
    parse_part(text, true).map_err(|why| refusal(text, &why))
}

/// Reads any URL, with its fragment.
///
/// # Errors
/// Why it is none, in Go's words.
pub fn parse(text: &str) -> Result<Url, String> {
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let mut url = parse_part(rest, false).map_err(|why| refusal(rest, &why))?;
    url.fragment = lossy(unescape(fragment, Part::Fragment).map_err(|why| refusal(text, &why))?);
    Ok(url)
}

fn refusal(text: &str, why: &str) -> String {
    format!("parse {}: {why}", quote(text))
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

fn parse_part(text: &str, is_request: bool) -> Result<Url, String> {
    if text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return Err("net/url: invalid control character in URL".into());
    }
    if text.is_empty() && is_request {
        return Err("empty url".into());
    }
    if text == "*" {
        return Ok(Url { path: "*".into(), ..Url::default() });
    }
    let (scheme, rest) = split_scheme(text)?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut url = Url { scheme: scheme.to_ascii_lowercase(), query: query.into(), ..Url::default() };
    if !rest.starts_with('/') {
        if !scheme.is_empty() {
            // Opaque: nothing more is looked at.
            return Ok(url);
        }
        if is_request {
            return Err("invalid URI for request".into());
        }
        if rest.split('/').next().is_some_and(|segment| segment.contains(':')) {
            return Err("first path segment in URL cannot contain colon".into());
        }
    }
    let has_authority = !scheme.is_empty() || (!is_request && !rest.starts_with("///"));
    let mut path = rest;
    if let Some(rest) = rest.strip_prefix("//").filter(|_| has_authority) {
        let (authority, after) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        (url.user, url.host) = parse_authority(&url.scheme, authority)?;
        path = after;
    }
    unescape(path, Part::Path)?;
    url.path = path.into();
    Ok(url)
}

fn split_scheme(text: &str) -> Result<(&str, &str), String> {
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return Err("missing protocol scheme".into()),
            b':' => return Ok((&text[..at], &text[at + 1..])),
            _ => break,
        }
    }
    Ok(("", text))
}

fn parse_authority(scheme: &str, authority: &str) -> Result<(Option<String>, String), String> {
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let host = parse_host(scheme, host)?;
    let Some(user) = user else { return Ok((None, host)) };
    let is_valid = |letter: char| letter.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(letter);
    if !user.chars().all(is_valid) {
        return Err("net/url: invalid userinfo".into());
    }
    user.splitn(2, ':').try_for_each(|part| unescape(part, Part::User).map(drop))?;
    Ok((Some(user.into()), host))
}

fn parse_host(scheme: &str, host: &str) -> Result<String, String> {
    let check_port = |port: &str| match is_optional_port(port) {
        true => Ok(()),
        false => Err(format!("invalid port {} after host", quote(port))),
    };
    match host.rfind('[') {
        Some(0) => {
            let close = host.rfind(']').ok_or("missing ']' in host")?;
            let port = &host[close + 1..];
            check_port(port)?;
            let name = &host[1..close];
            let plain = match name.find("%25") {
                Some(zone) => {
                    lossy(unescape(&name[..zone], Part::Host)?) + &lossy(unescape(&name[zone..], Part::Zone)?)
                }
                None => lossy(unescape(name, Part::Host)?),
            };
            let address = netip::parse_addr(&plain).map_err(|why| format!("invalid host: {why}"))?;
            if address.ip.is_ipv4() {
                return Err("invalid IP-literal".into());
            }
            return Ok(format!("[{plain}]{port}"));
        }
        Some(_) => return Err("invalid IP-literal".into()),
        None => {}
    }
    if let (Some(first), Some(last)) = (host.find(':'), host.rfind(':')) {
        let is_strict = matches!(scheme, "http" | "https");
        check_port(&host[if is_strict { first } else { last }..])?;
    }
    unescape(host, Part::Host).map(lossy)
}

/// "", or a colon with digits.
fn is_optional_port(port: &str) -> bool {
    port.is_empty()
        || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether a byte may not stand as it is.
fn needs_escape(byte: u8, part: Part) -> bool {
    if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
        return false;
    }
    if matches!(part, Part::Host | Part::Zone) {
        return !b"!$&'()*+,;=:[]<>\"".contains(&byte);
    }
    match byte {
        b'$' | b'&' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'?' | b'@' => match part {
            Part::Path => byte == b'?',
            Part::User => b"@/?:".contains(&byte),
            Part::Fragment => false,
            Part::Query | Part::Host | Part::Zone => true,
        },
        b'!' | b'(' | b')' | b'*' => part != Part::Fragment,
        _ => true,
    }
}

fn unescape(text: &str, part: Part) -> Result<Vec<u8>, String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if byte == b'%' {
            let digits = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
            let value = digits
                .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
                .and_then(|digits| u8::from_str_radix(digits, 16).ok());
            let escape = &bytes[at..bytes.len().min(at + 3)];
            let bad = || {
                // A letter may be cut in two.
                Err(format!("invalid URL escape {}", quote(&String::from_utf8_lossy(escape))))
            };
            let Some(value) = value else { return bad() };
            let is_percent = value == b'%';
            if part == Part::Host && value < 0x80 && !is_percent {
                return bad();
            }
            if part == Part::Zone && !is_percent && value != b' ' && needs_escape(value, Part::Host) {
                return bad();
            }
            out.push(value);
            at += 3;
            continue;
        }
        if matches!(part, Part::Host | Part::Zone) && byte < 0x80 && needs_escape(byte, part) {
            return Err(format!("invalid character {} in host name", quote(&char::from(byte).to_string())));
        }
        out.push(if byte == b'+' && part == Part::Query { b' ' } else { byte });
        at += 1;
    }
    Ok(out)
}

impl Url {
    fn host_and_port(&self) -> (&str, &str) {
        let (host, port) = match self.host.rfind(':') {
            Some(colon) if is_optional_port(&self.host[colon..]) => {
                (&self.host[..colon], &self.host[colon + 1..])
            }
            _ => (&*self.host, ""),
        };
        (host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host), port)
    }

    /// The host without port and brackets.
    pub fn hostname(&self) -> &str {
        self.host_and_port().0
    }

    /// "" where there is none.
    pub fn port(&self) -> &str {
        self.host_and_port().1
    }

    /// The path as it was written where that is a valid way, else escaped.
    pub fn escaped_path(&self) -> String {
        let is_valid = self
            .path
            .bytes()
            .all(|byte| b"!$&'()*+,;=:@[]%".contains(&byte) || !needs_escape(byte, Part::Path));
        if is_valid {
            return self.path.clone();
        }
        let mut escaped = String::with_capacity(self.path.len());
        for byte in unescape(&self.path, Part::Path).unwrap_or_default() {
            if needs_escape(byte, Part::Path) {
                escaped.push_str(&format!("%{byte:02X}"));
            } else {
                escaped.push(char::from(byte));
            }
        }
        escaped
    }

    /// The parameters of the query, in their order; what cannot be read is left out.
    pub fn parameters(&self) -> Vec<(String, String)> {
        let pairs = self.query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';'));
        pairs
            .filter_map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                let read = |text: &str| unescape(text, Part::Query).ok().map(lossy);
                Some((read(name)?, read(value)?))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_and_refused_as_go_does() {
        let whys = [
            ("https://a.b/c?d=e", ""),
            ("/p", ""),
            ("*", ""),
            ("mailto:a@b", ""),
            ("http://[::1]:80/", ""),
            ("http://a\"b/", ""),
            ("/a?b%zz", ""),
            ("", "empty url"),
            ("a", "invalid URI for request"),
            ("1:a", "invalid URI for request"),
            (":a", "missing protocol scheme"),
            ("a\u{1}", "net/url: invalid control character in URL"),
            ("http://a b", "invalid character \" \" in host name"),
            ("http://a:x", "invalid port \":x\" after host"),
            ("http://a:1:2", "invalid port \":1:2\" after host"),
            ("ftp://a:1:2", ""),
            ("http://%41", "invalid URL escape \"%41\""),
            ("/%z", "invalid URL escape \"%z\""),
            ("http://[::1", "missing ']' in host"),
            ("http://[1.2.3.4]", "invalid IP-literal"),
            ("http://a[b]", "invalid IP-literal"),
            ("http://[x]", "invalid host: ParseAddr(\"x\"): unable to parse IP"),
            ("http://a^b@c", "net/url: invalid userinfo"),
        ];
        for (text, why) in whys {
            let expected =
                if why.is_empty() { String::new() } else { format!("parse {}: {why}", quote(text)) };
            assert_eq!(parse_request_uri(text).err().unwrap_or_default(), expected, "{text}");
        }
        assert_eq!(parse("a:b/c").map(|url| url.scheme), Ok("a".to_owned()));
        let why = "parse \"1:b\": first path segment in URL cannot contain colon";
        assert_eq!(parse("1:b"), Err(why.to_owned()));
    }

    #[test]
    fn a_url_has_parts() {
        let url = parse("HTTPS://u:p@[fe80::1%25e]:8080/a b/%7e?x=1+2&y=%41&z;=3#f%20g").unwrap();
        assert_eq!((&*url.scheme, url.user.as_deref()), ("https", Some("u:p")));
        assert_eq!((&*url.host, url.hostname(), url.port()), ("[fe80::1%e]:8080", "fe80::1%e", "8080"));
        assert_eq!((url.escaped_path(), &*url.fragment), ("/a%20b/~".to_owned(), "f g"));
        let parameters = [("x", "1 2"), ("y", "A")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(url.parameters(), parameters);
        assert_eq!(parse("http://a/%7e").unwrap().escaped_path(), "/%7e");
    }
}
