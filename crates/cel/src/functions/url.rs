//! The library of URLs, as Go's net/url reads them.

use std::collections::BTreeMap;
use std::rc::Rc;

use apimachinery::url::{self, Url};

use crate::error::Error;
use crate::value::{Key, Val};

/// An absolute URL or an absolute path.
pub(super) fn parse(text: &str) -> Result<Url, String> {
    url::parse_request_uri(text)
        .and_then(|_| url::parse(text))
        .map_err(|why| format!("URL parse error during conversion from string: {why}"))
}

fn query<'a>(url: &Url) -> Val<'a> {
    let mut all: BTreeMap<Key<'a>, Vec<Val<'a>>> = BTreeMap::new();
    for (name, value) in url.parameters() {
        all.entry(Key::String(name.into())).or_default().push(Val::string(value));
    }
    Val::Map(Rc::new(all.into_iter().map(|(name, values)| (name, Val::list(values))).collect()))
}

pub(super) fn call<'a>(function: &str, args: &[Val<'a>]) -> Result<Val<'a>, Error> {
    let owned = |text: &str| Val::string(text.to_owned());
    Ok(match (function, args) {
        ("url", [Val::String(text)]) => Val::Url(Rc::new(parse(text).map_err(Error::failed)?)),
        ("isURL", [Val::String(text)]) => Val::Bool(parse(text).is_ok()),
        ("getScheme", [Val::Url(url)]) => owned(&url.scheme),
        ("getHost", [Val::Url(url)]) => owned(&url.host),
        ("getHostname", [Val::Url(url)]) => owned(url.hostname()),
        ("getPort", [Val::Url(url)]) => owned(url.port()),
        ("getEscapedPath", [Val::Url(url)]) => Val::string(url.escaped_path()),
        ("getQuery", [Val::Url(url)]) => query(url),
        _ => return Err(Error::no_overload()),
    })
}
