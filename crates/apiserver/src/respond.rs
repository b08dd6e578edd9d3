//! The one place where answers become HTTP.

use std::collections::HashSet;

use apimachinery::Status;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Response, StatusCode};

use crate::body::Body;
use crate::catalogue::Resource;
use crate::generic::Outcome;
use crate::negotiate::{Format, Wanted};
use crate::{ApiServer, output};

/// Answers beyond this are compressed for clients that can read it.
const COMPRESS_FROM: usize = 128 * 1024;

/// What caches are told of nearly every answer.
pub(crate) const NOT_KEPT: HeaderValue = HeaderValue::from_static("no-cache, private");

/// A small answer of this type.
pub(crate) fn plain(code: u16, media_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::Full(body.into()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, NOT_KEPT);
    response
}

/// Whether the client reads gzip.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let text = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or("");
    text.split(',').any(|coding| coding.trim() == "gzip")
}

/// As [`plain`], compressed where it is long and the client reads that.
pub(crate) fn sized(
    code: u16,
    media_type: &'static str,
    body: impl Into<Bytes>,
    gzip: bool,
) -> Response<Body> {
    let body = body.into();
    if !gzip || body.len() < COMPRESS_FROM {
        return plain(code, media_type, body);
    }
    let mut response = plain(code, media_type, Bytes::new());
    compress(&mut response, [body].into_iter());
    response
}

/// Makes the answer one of these bytes, compressed, for a client that reads that.
pub(crate) fn gzip(response: &mut Response<Body>, body: Bytes) {
    compress(response, [body].into_iter());
}

fn compress(response: &mut Response<Body>, chunks: impl Iterator<Item = Bytes> + Send + 'static) {
    response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
    *response.body_mut() = Body::stream(futures::stream::iter(compressed(chunks)));
}

/// A refusal.
pub(crate) fn status(status: &Status, wanted: Wanted) -> Response<Body> {
    let body = output::encode(&status.to_value(), wanted);
    let mut response = plain(status.code, output::media_type(wanted.format, false), body);
    if let Some(seconds) =
        status.details.as_ref().map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0)
    {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A refusal of rights or of whom to act as, which holds words of the client.
pub(crate) fn refused(refusal: &Status, wanted: Wanted) -> Response<Body> {
    let mut response = status(refusal, wanted);
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A request that took longer than it may: a Status that does not say its kind,
/// written past all that knows of media types.
pub(crate) fn timed_out() -> Response<Body> {
    let why = "request did not complete within the allotted timeout";
    let mut status = Status::timeout(why, 0).to_value();
    if let Some(object) = status.as_object_mut() {
        object.remove("kind");
        object.remove("apiVersion");
    }
    plain(504, "text/plain; charset=utf-8", output::encode(&status, Wanted::JSON))
}

/// What Go's ServeMux says of a path that nobody serves.
pub(crate) fn no_such_page() -> Response<Body> {
    text(404, "404 page not found\n")
}

/// An error that is no Status, as Go's `http.Error` writes it.
pub(crate) fn text(code: u16, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = plain(code, "text/plain; charset=utf-8", text);
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What all warnings may have together before each is cut, and what is left of
/// each then; in letters.
const WARNINGS: usize = 4096;
const CUT_WARNING: usize = 256;

/// A Warning header for each text.
pub(crate) fn add_warnings(response: &mut Response<Body>, warnings: &[String]) {
    for warning in told(warnings) {
        let escaped = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{escaped}\"").as_bytes()) {
            response.headers_mut().append(http::header::WARNING, value);
        }
    }
}

/// The warnings that are told: each once, and none that no header can hold.
/// Where they are too long together, each is cut, and those after enough are
/// left out.
fn told(warnings: &[String]) -> Vec<&str> {
    // A body of a client's can make a warning of each of its lines.
    let mut known = HashSet::new();
    let is_told = |warning: &&str| !warning.is_empty() && !warning.chars().any(char::is_control);
    let texts = warnings.iter().map(String::as_str).filter(is_told);
    let seen: Vec<&str> = texts.filter(|warning| known.insert(*warning)).collect();
    let length = |text: &str| text.chars().count();
    if seen.iter().map(|warning| length(warning)).sum::<usize>() <= WARNINGS {
        return seen;
    }
    let mut written = 0;
    let mut cut = Vec::new();
    for warning in seen {
        if written >= WARNINGS {
            break;
        }
        let end = warning.char_indices().nth(CUT_WARNING).map_or(warning.len(), |(at, _)| at);
        written += length(&warning[..end]);
        cut.push(&warning[..end]);
    }
    cut
}

impl ApiServer {
    /// What came of a request, in the form that the client wants.
    pub(crate) fn respond(
        &self,
        outcome: Outcome,
        resource: &Resource,
        version: usize,
        wanted: Wanted,
        gzip: bool,
    ) -> Result<Response<Body>, Status> {
        let now = self.edge.clock.now();
        let media_type = output::media_type(wanted.format, false);
        match outcome {
            Outcome::Object { code, object } => {
                Ok(sized(code, media_type, output::object(&object, version, wanted, now)?, gzip))
            }
            Outcome::Tree { code, value } => {
                Ok(sized(code, media_type, output::tree(resource, version, value, wanted, now)?, gzip))
            }
            Outcome::List(listed) => {
                let mut chunks = output::list(listed, wanted, now)?;
                let first = chunks.next().unwrap_or_default();
                let second = chunks.next();
                let total = first.len() + second.as_ref().map_or(0, Bytes::len);
                if second.is_none() {
                    return Ok(sized(200, media_type, first, gzip));
                }
                let chunks = [first].into_iter().chain(second).chain(chunks);
                let mut response = plain(200, media_type, Bytes::new());
                if gzip && total >= COMPRESS_FROM.min(64 * 1024) {
                    compress(&mut response, chunks);
                } else {
                    *response.body_mut() = Body::stream(futures::stream::iter(chunks));
                }
                Ok(response)
            }
            Outcome::Watch(watching) => {
                let media_type = output::media_type(wanted.format, true);
                let media_type = if wanted.format == Format::Yaml { "application/json" } else { media_type };
                let mut response = plain(200, media_type, Bytes::new());
                let (resource, version) = (&watching.resource, watching.version);
                let version = &resource.versions[version].name;
                let told = self.metrics.events(&resource.group, version, &resource.resource);
                let clock = self.edge.clock.clone();
                let events = output::watch(watching, wanted, clock, self.recent.clone(), told);
                *response.body_mut() = Body::stream(events);
                Ok(response)
            }
        }
    }
}

/// Chunks as one gzip stream, at upstream's level.
fn compressed(chunks: impl Iterator<Item = Bytes> + Send) -> impl Iterator<Item = Bytes> + Send {
    use std::io::Write;
    let mut encoder = Some(GzEncoder::new(Vec::with_capacity(32 * 1024), Compression::new(1)));
    let mut chunks = chunks.fuse();
    std::iter::from_fn(move || {
        let writer = encoder.as_mut()?;
        loop {
            let Some(chunk) = chunks.next() else {
                let rest = encoder.take()?.finish().unwrap_or_default();
                return Some(Bytes::from(rest));
            };
            // Writing to memory cannot fail.
            let _ = writer.write_all(&chunk);
            if writer.get_ref().len() >= 16 * 1024 {
                return Some(Bytes::from(std::mem::take(writer.get_mut())));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_told_once_and_within_bounds() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        for (warnings, kept) in [
            (texts(&["a", "", "b", "a"]), texts(&["a", "b"])),
            (texts(&["a\nb", "é \"q\""]), texts(&["é \"q\""])),
            (texts(&[&"é".repeat(4095), "b"]), texts(&[&"é".repeat(4095), "b"])),
            (texts(&[&"é".repeat(4096), "b"]), texts(&[&"é".repeat(256), "b"])),
        ] {
            assert_eq!(told(&warnings), kept);
        }
        let many: Vec<String> = (0..20).map(|at| format!("{at:0>300}")).collect();
        assert_eq!(told(&many).len(), 16);
    }
}
