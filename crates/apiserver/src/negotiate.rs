//! Media types: what the client sends and what it wants.

use apimachinery::Status;
use apimachinery::table::IncludeObject;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};

use crate::input::Input;

pub(crate) const JSON: &str = "application/json";
pub(crate) const YAML: &str = "application/yaml";
pub(crate) const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
/// In the order of upstream's messages.
const SERVED: [&str; 3] = [JSON, YAML, PROTOBUF];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Yaml,
    Protobuf,
}

/// Whether the object itself is wanted or something made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Object,
    Table(IncludeObject),
    /// PartialObjectMetadata and its list.
    Metadata,
}

/// What the answer should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub format: Format,
    pub shape: Shape,
    pub pretty: bool,
}

impl Wanted {
    pub const JSON: Self = Self { format: Format::Json, shape: Shape::Object, pretty: false };
}

/// One clause of an Accept header.
struct Clause<'a> {
    media: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality: f32,
}

fn clauses(header: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = header
        .split(',')
        .filter_map(|clause| {
            let mut parts = clause.split(';').map(str::trim);
            let media = parts.next().filter(|media| !media.is_empty())?;
            let parameters: Vec<(&str, &str)> = parts
                .filter_map(|part| part.split_once('='))
                .map(|(name, value)| (name.trim(), value.trim()))
                .collect();
            let quality = parameters
                .iter()
                .find(|(name, _)| *name == "q")
                .and_then(|(_, q)| q.parse().ok())
                .unwrap_or(1.0);
            Some(Clause { media, parameters, quality })
        })
        .collect();
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    clauses
}

/// Chooses the answer's form. `tables` says whether the request has a table
/// form, `protobuf` whether its kind has one in protobuf.
pub(crate) fn accept(headers: &HeaderMap, protobuf: bool, tables: bool) -> Result<Wanted, Status> {
    let mut text = String::new();
    for header in headers.get_all(ACCEPT) {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(header.to_str().unwrap_or(""));
    }
    if text.is_empty() {
        return Ok(Wanted::JSON);
    }
    for clause in clauses(&text) {
        let format = match clause.media {
            JSON | "*/*" => Format::Json,
            YAML => Format::Yaml,
            PROTOBUF if protobuf => Format::Protobuf,
            _ => continue,
        };
        let parameter = |name: &str| {
            clause.parameters.iter().find(|(have, _)| *have == name).map(|(_, value)| *value).unwrap_or("")
        };
        let meta = parameter("g") == "meta.k8s.io" && matches!(parameter("v"), "v1" | "v1beta1");
        let shape = match parameter("as") {
            "" => Shape::Object,
            "Table" if meta && tables => Shape::Table(IncludeObject::Metadata),
            "PartialObjectMetadata" | "PartialObjectMetadataList" if meta => Shape::Metadata,
            _ => continue,
        };
        let pretty = parameter("pretty") == "1";
        return Ok(Wanted { format, shape, pretty });
    }
    let served: &[&str] = if protobuf { &SERVED } else { &SERVED[..2] };
    if !tables || clauses(&text).iter().any(|clause| served.contains(&clause.media)) {
        return Err(Status::not_acceptable(served));
    }
    // Nothing of it is known here: the answer comes from before the resource.
    let mut status = Status::failure(
        406,
        "NotAcceptable",
        format!("406: Not Acceptable\n\nAvailable representations: {}", served.join(", ")),
    );
    status.details = Some(apimachinery::status::Details::default());
    Err(status)
}

/// The media type of the request's body, without parameters; "" without one.
pub(crate) fn content_type(headers: &HeaderMap) -> &str {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    text.split(';').next().unwrap_or("").trim()
}

/// The body by its media type.
pub(crate) fn input(headers: &HeaderMap, body: Bytes, protobuf: bool) -> Result<Input, Status> {
    match content_type(headers) {
        "" | JSON => Ok(Input::Json(body)),
        YAML => Ok(Input::Yaml(body)),
        PROTOBUF if protobuf => Ok(Input::Protobuf(body)),
        _ => Err(Status::unknown_body_format(if protobuf { &SERVED } else { &SERVED[..2] })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_clause_that_can_be_served_counts() {
        let cases = [
            ("", Format::Json, Shape::Object),
            ("*/*", Format::Json, Shape::Object),
            ("application/vnd.kubernetes.protobuf,application/json", Format::Protobuf, Shape::Object),
            ("text/html, application/yaml", Format::Yaml, Shape::Object),
            ("application/json;q=0.5, application/yaml", Format::Yaml, Shape::Object),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
                Format::Json,
                Shape::Table(IncludeObject::Metadata),
            ),
            ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", Format::Json, Shape::Object),
            ("application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", Format::Json, Shape::Metadata),
        ];
        for (header, format, shape) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, header.parse().unwrap());
            let wanted = accept(&headers, true, true).unwrap();
            assert_eq!((wanted.format, wanted.shape), (format, shape), "{header}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, "text/html".parse().unwrap());
        assert_eq!(accept(&headers, true, true).unwrap_err().code, 406);
    }
}
