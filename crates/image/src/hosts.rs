//! Where to ask for a registry's images: mirrors, plain HTTP, authorities and
//! credentials by `hosts.toml`, in containerd's format and places.
//!
//! `DIR/HOST/hosts.toml`, or `DIR/_default/hosts.toml` for hosts without one.
//! Source: containerd's documentation "Registry Configuration".

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde::Deserialize;

use crate::{Error, RegistryAuth, Result};

/// One place to ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Host and port.
    pub(crate) host: String,
    pub(crate) plain_http: bool,
    pub(crate) skip_verify: bool,
    pub(crate) authorities: Vec<PathBuf>,
    /// What the file says for this host (`header.authorization`).
    pub(crate) auth: RegistryAuth,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct File {
    server: Option<String>,
    host: BTreeMap<String, Host>,
    #[serde(flatten)]
    own: Host,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Host {
    capabilities: Option<Vec<String>>,
    skip_verify: bool,
    ca: Option<Several<PathBuf>>,
    header: BTreeMap<String, Several<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Several<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> Several<T> {
    fn all(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// The places to ask for images of `registry`, in order; the registry itself is
/// the last.
pub(crate) fn endpoints(directory: &Path, registry: &str) -> Result<Vec<Endpoint>> {
    let candidates = [registry.replace(':', "_") + "_", registry.to_owned(), "_default".to_owned()];
    for name in &candidates {
        let path = directory.join(name).join("hosts.toml");
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                return parse(&text, registry, &directory.join(name))
                    .map_err(|e| Error::System(format!("{}: {e}", path.display())));
            }
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) => {}
            Err(error) => return Err(Error::io(format!("read {}", path.display()))(error)),
        }
    }
    Ok(vec![own(registry)])
}

/// The registry itself: over TLS, but for this machine's own loopback.
fn own(registry: &str) -> Endpoint {
    let host = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let loopback = name == "localhost"
        || name == "[::1]"
        || name.parse::<std::net::Ipv4Addr>().is_ok_and(|a| a.is_loopback());
    Endpoint { host: host.to_owned(), plain_http: loopback, ..Endpoint::default() }
}

fn parse(text: &str, registry: &str, directory: &Path) -> std::result::Result<Vec<Endpoint>, String> {
    let file: File = toml::from_str(text).map_err(|e| e.to_string())?;
    // Order counts among mirrors, and a map has none: it is taken from the text.
    let mut hosts: Vec<(&String, &Host)> = file.host.iter().collect();
    hosts.sort_by_key(|(url, _)| text.find(url.as_str()).unwrap_or(usize::MAX));
    let mut out = Vec::new();
    for (url, host) in hosts {
        if host.capabilities.as_ref().is_some_and(|list| !list.iter().any(|c| c == "pull")) {
            continue;
        }
        out.push(endpoint(url, host, directory)?);
    }
    out.push(match &file.server {
        Some(url) => endpoint(url, &file.own, directory)?,
        None => own(registry),
    });
    Ok(out)
}

fn endpoint(url: &str, host: &Host, directory: &Path) -> std::result::Result<Endpoint, String> {
    let (plain_http, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => (false, url),
    };
    let rest = rest.trim_end_matches('/');
    let rest = rest.strip_suffix("/v2").unwrap_or(rest);
    if rest.is_empty() || rest.contains('/') {
        return Err(format!("{url}: a host with an optional port is wanted; paths are not supported"));
    }
    let authorities = host.ca.iter().flat_map(Several::all).map(|path| directory.join(path)).collect();
    let auth = authorization(&host.header).map_err(|why| format!("{url}: {why}"))?;
    Ok(Endpoint { host: rest.to_owned(), plain_http, skip_verify: host.skip_verify, authorities, auth })
}

/// The credentials that a host's headers hold. Other headers are refused, for
/// they would not be sent.
fn authorization(headers: &BTreeMap<String, Several<String>>) -> std::result::Result<RegistryAuth, String> {
    let mut auth = RegistryAuth::Anonymous;
    for (name, values) in headers {
        let [value] = values.all() else { return Err(format!("header {name}: one value is wanted")) };
        if !name.eq_ignore_ascii_case("authorization") {
            return Err(format!("header {name}: only authorization is supported"));
        }
        auth = match value.split_once(' ') {
            Some((scheme, text)) if scheme.eq_ignore_ascii_case("basic") => basic(text.trim())
                .ok_or_else(|| "header authorization: base64 of user:password is wanted".to_owned())?,
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                RegistryAuth::Bearer(token.trim().to_owned())
            }
            _ => return Err("header authorization: Basic or Bearer is wanted".to_owned()),
        };
    }
    Ok(auth)
}

fn basic(text: &str) -> Option<RegistryAuth> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (username, password) = text.split_once(':')?;
    Some(RegistryAuth::Basic { username: username.to_owned(), password: password.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_file_the_registry_is_asked() {
        let nowhere = Path::new("/nonexistent");
        let asked = |registry| endpoints(nowhere, registry).unwrap().remove(0);
        assert_eq!(
            (asked("docker.io").host.as_str(), asked("docker.io").plain_http),
            ("registry-1.docker.io", false)
        );
        assert!(
            asked("localhost:5000").plain_http
                && asked("127.0.0.1:5000").plain_http
                && asked("[::1]:5000").plain_http
        );
        assert!(!asked("registry.example:5000").plain_http);
    }

    #[test]
    fn mirrors_come_first_in_their_order() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("registry.example")).unwrap();
        let text = "server = \"https://registry.example\"\n[host.\"http://z:1\"]\ncapabilities = [\"pull\", \"resolve\"]\n[host.\"https://a:2\"]\nskip_verify = true\nca = \"ca.pem\"\n[host.\"https://push\"]\ncapabilities = [\"push\"]\n";
        std::fs::write(directory.path().join("registry.example/hosts.toml"), text).unwrap();
        let found = endpoints(directory.path(), "registry.example").unwrap();
        assert_eq!(
            found.iter().map(|e| (e.host.as_str(), e.plain_http, e.skip_verify)).collect::<Vec<_>>(),
            [("z:1", true, false), ("a:2", false, true), ("registry.example", false, false)]
        );
        assert_eq!(found[1].authorities, [directory.path().join("registry.example/ca.pem")]);
        std::fs::write(directory.path().join("registry.example/hosts.toml"), "host = 3").unwrap();
        assert!(
            endpoints(directory.path(), "registry.example").unwrap_err().to_string().contains("hosts.toml")
        );
    }

    #[test]
    fn a_host_may_have_credentials_of_its_own() {
        let read = |header: &str| {
            let text = format!("[host.\"https://mirror:5000\".header]\n{header}\n");
            parse(&text, "registry.example", Path::new("/")).map(|mut found| found.remove(0).auth)
        };
        let basic = RegistryAuth::Basic { username: "user".to_owned(), password: "pass:word".to_owned() };
        assert!(read("authorization = \"Basic dXNlcjpwYXNzOndvcmQ=\"") == Ok(basic.clone()));
        assert!(read("Authorization = [\"basic dXNlcjpwYXNzOndvcmQ=\"]") == Ok(basic));
        assert!(read("authorization = \"Bearer abc\"") == Ok(RegistryAuth::Bearer("abc".to_owned())));
        assert!(read("authorization = \"Basic ?\"").is_err());
        assert!(read("authorization = \"Digest abc\"").is_err());
        assert!(read("authorization = [\"Basic YTpi\", \"Basic YTpi\"]").is_err());
        assert!(read("x-custom = \"a\"").unwrap_err().contains("x-custom"));
    }
}
