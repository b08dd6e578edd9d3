//! Links in what a proxied server answers: a page that refers to `/style.css`
//! means its own server, whose paths lie behind the proxy's. Pure.

/// The path under which a proxied server is reached.
pub(crate) struct Prefix<'a> {
    /// Without a slash at its end.
    pub path: &'a str,
    /// By which name the client knows this server.
    pub own_host: &'a str,
    /// By which address the proxied server was asked.
    pub backend_host: &'a str,
}

impl Prefix<'_> {
    /// The link as the client can follow it; None where it may stay as it is:
    /// it is relative, leads elsewhere, or goes through the proxy already.
    pub(crate) fn link(&self, link: &str) -> Option<String> {
        let (scheme, behind) = match link.split_once("//") {
            Some((scheme, behind)) if scheme.is_empty() || is_scheme(scheme) => (scheme, Some(behind)),
            _ => ("", None),
        };
        let (host, rest) = match behind {
            None => ("", link),
            Some(behind) => behind.split_at(behind.find(['/', '?', '#']).unwrap_or(behind.len())),
        };
        if !host.is_empty() && host != self.own_host && host != self.backend_host {
            return None;
        }
        let (path, tail) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
        if !path.starts_with('/') {
            return None;
        }
        let path = match path.starts_with(self.path) {
            true if host.is_empty() => return None,
            true => path.to_owned(),
            false => joined(self.path, path),
        };
        let server = match !host.is_empty() && host == self.own_host {
            true => format!("{scheme}//{host}"),
            false => String::new(),
        };
        Some(format!("{server}{path}{tail}"))
    }

    /// A page with its links rewritten; everything else stays byte for byte.
    pub(crate) fn page(&self, page: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(page.len() + 256);
        let mut rest = page;
        while let Some(at) = rest.iter().position(|byte| *byte == b'<') {
            out.extend_from_slice(&rest[..at]);
            rest = &rest[at..];
            rest = match rest.get(1) {
                Some(byte) if byte.is_ascii_alphabetic() => self.tag(rest, &mut out),
                Some(b'!') if rest.starts_with(b"<!--") => copied(rest, through(rest, b"-->"), &mut out),
                Some(b'!' | b'?' | b'/') => copied(rest, through(rest, b">"), &mut out),
                _ => copied(rest, 1, &mut out),
            };
        }
        out.extend_from_slice(rest);
        out
    }

    /// Copies a start tag, and what is text up to its end; gives what follows.
    fn tag<'p>(&self, page: &'p [u8], out: &mut Vec<u8>) -> &'p [u8] {
        let length = page[1..].iter().position(|byte| ends_name(*byte)).map_or(page.len(), |at| at + 1);
        let name = String::from_utf8_lossy(&page[1..length]).to_ascii_lowercase();
        let links = LINKS.iter().find(|(element, _)| *element == name).map_or(&[][..], |(_, links)| links);
        let mut rest = copied(page, length, out);
        loop {
            let gap = rest.iter().position(|byte| !is_gap(*byte)).unwrap_or(rest.len());
            rest = copied(rest, gap, out);
            match rest.first() {
                None => return rest,
                Some(b'>') => break,
                Some(_) => rest = self.attribute(rest, links, out),
            }
        }
        rest = copied(rest, 1, out);
        if TEXT.contains(&name.as_str()) {
            let end = format!("</{name}");
            let found = rest.windows(end.len()).position(|part| part.eq_ignore_ascii_case(end.as_bytes()));
            return copied(rest, found.unwrap_or(rest.len()), out);
        }
        rest
    }

    fn attribute<'p>(&self, page: &'p [u8], links: &[&str], out: &mut Vec<u8>) -> &'p [u8] {
        // A sign at the start belongs to the name.
        let ends = |byte: &u8| ends_name(*byte) || *byte == b'=';
        let length = page[1..].iter().position(ends).map_or(page.len(), |at| at + 1);
        let name = String::from_utf8_lossy(&page[..length]).to_ascii_lowercase();
        let rest = copied(page, length, out);
        let sign = rest.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(rest.len());
        if rest.get(sign) != Some(&b'=') {
            return rest;
        }
        let blanks = rest[sign + 1..].iter().position(|byte| !byte.is_ascii_whitespace());
        let rest = copied(rest, blanks.map_or(rest.len(), |blanks| sign + 1 + blanks), out);
        let (value, whole) = match rest.first() {
            Some(quote @ (b'"' | b'\'')) => {
                let inside = &rest[1..];
                let end = inside.iter().position(|byte| byte == quote).unwrap_or(inside.len());
                (&inside[..end], (end + 2).min(rest.len()))
            }
            _ => {
                let end = rest.iter().position(|byte| byte.is_ascii_whitespace() || *byte == b'>');
                let end = end.unwrap_or(rest.len());
                (&rest[..end], end)
            }
        };
        let link = links.contains(&name.as_str()).then(|| unescaped(&String::from_utf8_lossy(value)));
        match link.and_then(|link| self.link(&link)) {
            Some(link) => {
                out.extend_from_slice(format!("\"{}\"", escaped(&link)).as_bytes());
                &rest[whole..]
            }
            None => copied(rest, whole, out),
        }
    }
}

/// Elements with the attributes that are links.
const LINKS: &[(&str, &[&str])] = &[
    ("a", &["href"]),
    ("applet", &["codebase"]),
    ("area", &["href"]),
    ("audio", &["src"]),
    ("base", &["href"]),
    ("blockquote", &["cite"]),
    ("body", &["background"]),
    ("button", &["formaction"]),
    ("command", &["icon"]),
    ("del", &["cite"]),
    ("embed", &["src"]),
    ("form", &["action"]),
    ("frame", &["longdesc", "src"]),
    ("head", &["profile"]),
    ("html", &["manifest"]),
    ("iframe", &["longdesc", "src"]),
    ("img", &["longdesc", "src", "usemap"]),
    ("input", &["src", "usemap", "formaction"]),
    ("ins", &["cite"]),
    ("link", &["href"]),
    ("object", &["classid", "codebase", "data", "usemap"]),
    ("q", &["cite"]),
    ("script", &["src"]),
    ("source", &["src"]),
    ("video", &["poster", "src"]),
];

/// Elements whose content is text, whatever it looks like.
const TEXT: &[&str] = &[
    "iframe",
    "noembed",
    "noframes",
    "noscript",
    "plaintext",
    "script",
    "style",
    "textarea",
    "title",
    "xmp",
];

fn is_scheme(text: &str) -> bool {
    text.strip_suffix(':').is_some_and(|scheme| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.chars().all(|one| one.is_ascii_alphanumeric() || "+-.".contains(one))
    })
}

/// `prefix` and the absolute `path`, without `.`, `..` and empty parts.
fn joined(prefix: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in prefix.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let end = if path.ends_with('/') && !parts.is_empty() { "/" } else { "" };
    format!("/{}{end}", parts.join("/"))
}

fn ends_name(byte: u8) -> bool {
    is_gap(byte) || byte == b'>'
}

fn is_gap(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == b'/'
}

fn through(page: &[u8], end: &[u8]) -> usize {
    page.windows(end.len()).position(|part| part == end).map_or(page.len(), |at| at + end.len())
}

fn copied<'p>(page: &'p [u8], length: usize, out: &mut Vec<u8>) -> &'p [u8] {
    out.extend_from_slice(&page[..length]);
    &page[length..]
}

/// What links need of HTML's references.
const REFERENCES: [(&str, &str); 6] =
    [("&lt;", "<"), ("&gt;", ">"), ("&#34;", "\""), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];

fn unescaped(text: &str) -> String {
    REFERENCES.iter().fold(text.to_owned(), |text, (reference, one)| text.replace(reference, one))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: Prefix<'_> =
        Prefix { path: "/api/v1/p/proxy", own_host: "localhost:8001", backend_host: "10.0.0.1:80" };

    #[test]
    fn links_to_the_same_server_go_through_the_proxy() {
        let rows = [
            ("/a", Some("/api/v1/p/proxy/a")),
            ("/a/../b//c/?q=/x#y", Some("/api/v1/p/proxy/b/c/?q=/x#y")),
            ("/", Some("/api/v1/p/proxy/")),
            ("/api/v1/p/proxy/a", None),
            ("a/b", None),
            ("?q", None),
            ("#top", None),
            ("", None),
            ("http://elsewhere/a", None),
            ("//elsewhere/a", None),
            ("http://10.0.0.1:80/a", Some("/api/v1/p/proxy/a")),
            ("http://10.0.0.1:80", None),
            ("http://localhost:8001/a", Some("http://localhost:8001/api/v1/p/proxy/a")),
            ("javascript:open('//x/y')", None),
            ("mailto:a@b", None),
        ];
        for (link, expected) in rows {
            assert_eq!(PREFIX.link(link).as_deref(), expected, "{link}");
        }
    }

    #[test]
    fn pages_change_in_their_links_alone() {
        let rows = [
            ("<a href=\"/rewriteme\">test</a>", "<a href=\"/api/v1/p/proxy/rewriteme\">test</a>"),
            ("<A class=x HREF='/a?b&amp;c'>", "<A class=x HREF=\"/api/v1/p/proxy/a?b&amp;c\">"),
            ("<img src=/i.png>", "<img src=\"/api/v1/p/proxy/i.png\">"),
            ("<img src = /i.png alt='>' />", "<img src = \"/api/v1/p/proxy/i.png\" alt='>' />"),
            ("<br/><link href=\"a.css\"/>", "<br/><link href=\"a.css\"/>"),
            ("<!-- <a href=\"/x\"> -->", "<!-- <a href=\"/x\"> -->"),
            ("<script>'<a href=\"/x\">'</script>", "<script>'<a href=\"/x\">'</script>"),
            ("<script src=\"/x.js\"></script>", "<script src=\"/api/v1/p/proxy/x.js\"></script>"),
            ("<p title=\"/x\">1 < 2 <a", "<p title=\"/x\">1 < 2 <a"),
            ("<a href=", "<a href="),
            ("<a href=\"/x", "<a href=\"/api/v1/p/proxy/x\""),
            ("<!doctype html>\n</p>", "<!doctype html>\n</p>"),
        ];
        for (page, expected) in rows {
            assert_eq!(String::from_utf8(PREFIX.page(page.as_bytes())).unwrap(), expected, "{page}");
        }
    }
}
