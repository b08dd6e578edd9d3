//! Where a webhook is: by its URL, or by its service in a view.

use apimachinery::Value;
use apiserver::{Admission, Unresolved, service_address};

/// What to connect to and what to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// As messages name it.
    pub url: String,
    /// The name or address to dial.
    pub host: String,
    pub port: u16,
    /// The name that the certificate must have.
    pub server_name: String,
    /// `/path?timeout=10s`.
    pub path: String,
    /// PEM; empty trusts those that the machine trusts.
    pub authorities: Vec<u8>,
}

impl Destination {
    /// Of a `clientConfig`.
    ///
    /// # Errors
    /// The URL that is meant, and why nothing is there.
    pub(super) fn of(
        client: &Value,
        timeout_seconds: u64,
        admission: &Admission<'_>,
    ) -> Result<Self, (String, String)> {
        use base64::Engine;
        let bundle = base64::engine::general_purpose::STANDARD.decode(client["caBundle"].text());
        let authorities = bundle.unwrap_or_default();
        let service = &client["service"];
        if service.is_null() {
            return by_url(client["url"].text(), timeout_seconds, authorities);
        }
        let (namespace, name) = (service["namespace"].text(), service["name"].text());
        let port = service["port"].as_i64().unwrap_or(443);
        let path = service["path"].as_str().filter(|path| !path.is_empty()).unwrap_or("/");
        let server_name = format!("{name}.{namespace}.svc");
        let path = format!("{path}?timeout={timeout_seconds}s");
        let url = format!("https://{server_name}:{port}{path}");
        let found = service_address(admission.view, namespace, name, &port.to_string(), admission.random);
        match found {
            Ok((host, port)) => Ok(Self { url, host, port, server_name, path, authorities }),
            Err(Unresolved::NoService) => Err((url, format!("service {name:?} not found"))),
            Err(Unresolved::Unready(why)) => Err((url, why)),
        }
    }
}

fn by_url(url: &str, timeout_seconds: u64, authorities: Vec<u8>) -> Result<Destination, (String, String)> {
    let rest = url.strip_prefix("https://").unwrap_or(url);
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let path = format!("{}?timeout={timeout_seconds}s", clean(path));
    let shown = format!("https://{authority}{path}");
    // An IPv6 address stands in brackets.
    let after = authority.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match authority[after..].rfind(':') {
        Some(at) => match authority[after + at + 1..].parse() {
            Ok(port) => (&authority[..after + at], port),
            Err(_) => {
                let why = format!("dial tcp: address {}: invalid port", &authority[after + at + 1..]);
                return Err((shown, why));
            }
        },
        None => (authority, 443),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok(Destination { url: shown, server_name: host.clone(), host, port, path, authorities })
}

/// A path without empty steps, `.` and `..`, as client-go joins it.
fn clean(path: &str) -> String {
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                steps.pop();
            }
            step => steps.push(step),
        }
    }
    format!("/{}", steps.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        for (url, host, port, shown) in [
            ("https://127.0.0.1:1/hook", "127.0.0.1", 1, "https://127.0.0.1:1/hook?timeout=5s"),
            ("https://hook.example", "hook.example", 443, "https://hook.example/?timeout=5s"),
            ("https://[::1]:8443/a/b", "::1", 8443, "https://[::1]:8443/a/b?timeout=5s"),
            ("https://hook.example/a//b/../c/", "hook.example", 443, "https://hook.example/a/c?timeout=5s"),
        ] {
            let found = by_url(url, 5, Vec::new()).expect(url);
            assert_eq!((found.host.as_str(), found.port, found.url.as_str()), (host, port, shown));
        }
    }
}
