//! Media types: what the client sends and what it wants.

use apimachinery::Status;
use apimachinery::table::{IncludeObject, MetaVersion};
use bytes::Bytes;
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};

use crate::input::Input;

pub(crate) const JSON: &str = "application/json";
pub(crate) const YAML: &str = "application/yaml";
pub(crate) const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
/// In the order of upstream's messages.
const SERVED: [&str; 3] = [JSON, YAML, PROTOBUF];
const STREAMS: [&str; 2] =
    ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];

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
    Table(MetaVersion, IncludeObject),
    /// PartialObjectMetadata and its list.
    Metadata(MetaVersion),
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
    /// How a client that takes nothing of what is served is told so.
    pub const UNASKED: Self = Self { format: Format::Json, shape: Shape::Object, pretty: true };
}

/// What a request is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A document of no resource that no router stands before (discovery).
    Document,
    /// A document of no resource behind the router.
    Routed,
    Object,
    List,
    /// The events of a list.
    Watch,
}

/// What a request can be answered with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Served {
    pub answer: Answer,
    /// Whether its own kind has a protobuf form. Metadata always has one.
    pub protobuf: bool,
    /// Whether it can be shown as a Table.
    pub table: bool,
}

impl Served {
    /// The media types that messages name.
    fn media_types(self) -> &'static [&'static str] {
        if self.protobuf { &SERVED } else { &SERVED[..2] }
    }

    fn streams(self) -> &'static [&'static str] {
        if self.protobuf { &STREAMS } else { &STREAMS[..1] }
    }
}

/// One clause of an Accept header.
struct Clause<'a> {
    media: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality: f32,
}

impl Clause<'_> {
    /// How much of the media type is left open.
    fn wildcards(&self) -> usize {
        self.media.split('/').filter(|part| *part == "*").count()
    }

    fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(have, _)| *have == name).map_or("", |(_, value)| value)
    }

    /// The form that the clause asks for; None where that cannot be served.
    fn wanted(&self, served: Served) -> Option<Wanted> {
        let format = match self.media {
            JSON | "*/*" | "application/*" => Format::Json,
            // A stream of YAML there is none.
            YAML if served.answer != Answer::Watch => Format::Yaml,
            PROTOBUF => Format::Protobuf,
            _ => return None,
        };
        if !matches!(self.parameter("stream"), "" | "watch") {
            return None;
        }
        let asks = ["as", "g", "v"].iter().any(|name| !self.parameter(name).is_empty());
        let shape = if asks { self.shape(served, format)? } else { Shape::Object };
        if format == Format::Protobuf && shape == Shape::Object && !served.protobuf {
            return None;
        }
        Some(Wanted { format, shape, pretty: self.parameter("pretty") == "1" })
    }

    fn shape(&self, served: Served, format: Format) -> Option<Shape> {
        let version = match (self.parameter("g"), self.parameter("v")) {
            ("meta.k8s.io", "v1") => MetaVersion::V1,
            ("meta.k8s.io", "v1beta1") => MetaVersion::V1Beta1,
            _ => return None,
        };
        match self.parameter("as") {
            "Table" if served.table && format != Format::Protobuf => {
                Some(Shape::Table(version, IncludeObject::Metadata))
            }
            "PartialObjectMetadata" | "PartialObjectMetadataList"
                if !matches!(served.answer, Answer::Document | Answer::Routed) =>
            {
                Some(Shape::Metadata(version))
            }
            _ => None,
        }
    }
}

/// Best first: by quality, then what is exact before what is open, then in
/// their order.
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
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality).then(a.wildcards().cmp(&b.wildcards())));
    clauses
}

/// Chooses the answer's form.
///
/// # Errors
/// 406 where nothing that the client takes is served.
pub(crate) fn accept(headers: &HeaderMap, served: Served) -> Result<Wanted, Status> {
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
    let clauses = clauses(&text);
    // Before the resource itself looks, the router wants one type by its name.
    let routed = served.answer == Answer::Document
        || clauses.iter().any(|clause| clause.media == "*/*" || SERVED.contains(&clause.media));
    if !routed {
        let streams: &[&str] = match served.answer {
            Answer::List | Answer::Watch => served.streams(),
            _ => &[],
        };
        return Err(unrouted(&[served.media_types(), streams].concat()));
    }
    let found = clauses.iter().find_map(|clause| clause.wanted(served));
    found.ok_or_else(|| {
        let streams = served.answer == Answer::Watch;
        Status::not_acceptable(if streams { served.streams() } else { served.media_types() })
    })
}

/// 406 of the router, which knows media types alone.
fn unrouted(served: &[&str]) -> Status {
    let why = format!("406: Not Acceptable\n\nAvailable representations: {}", served.join(", "));
    let mut status = Status::failure(406, "NotAcceptable", why);
    status.details = Some(apimachinery::status::Details::default());
    status
}

/// Whether the client takes this media type, where the router has it alone.
///
/// # Errors
/// 406 where it does not.
pub(crate) fn takes(headers: &HeaderMap, media_type: &str) -> Result<(), Status> {
    let text = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let taken = text.is_empty()
        || clauses(text).iter().any(|clause| clause.media == "*/*" || clause.media == media_type);
    if taken { Ok(()) } else { Err(unrouted(&[media_type])) }
}

/// Which of the media types the client likes best; None where it takes none.
/// Without an Accept header it is the first.
pub(crate) fn preferred(headers: &HeaderMap, offers: &[&str]) -> Option<usize> {
    let text = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    if text.is_empty() {
        return (!offers.is_empty()).then_some(0);
    }
    clauses(text).iter().find_map(|clause| {
        let (kind, subtype) = clause.media.split_once('/')?;
        offers.iter().position(|offer| {
            let (offered, offered_subtype) = offer.split_once('/').unwrap_or((offer, ""));
            (kind == "*" || kind == offered) && (subtype == "*" || subtype == offered_subtype)
        })
    })
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

    const ALL: Served = Served { answer: Answer::Object, protobuf: true, table: true };

    fn asked(header: &str, served: Served) -> Result<Wanted, Status> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, header.parse().unwrap());
        accept(&headers, served)
    }

    #[test]
    fn the_best_clause_that_can_be_served_counts() {
        let table = |version| Shape::Table(version, IncludeObject::Metadata);
        let cases = [
            ("", Format::Json, Shape::Object),
            ("*/*", Format::Json, Shape::Object),
            ("application/vnd.kubernetes.protobuf,application/json", Format::Protobuf, Shape::Object),
            ("text/html, application/yaml", Format::Yaml, Shape::Object),
            ("application/json;q=0.5, application/yaml", Format::Yaml, Shape::Object),
            ("*/*, application/yaml", Format::Yaml, Shape::Object),
            ("application/*;q=0.9, application/yaml;q=0.1", Format::Json, Shape::Object),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
                Format::Json,
                table(MetaVersion::V1),
            ),
            ("application/yaml;as=Table;v=v1beta1;g=meta.k8s.io", Format::Yaml, table(MetaVersion::V1Beta1)),
            ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", Format::Json, Shape::Object),
            (
                "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/json",
                Format::Json,
                Shape::Object,
            ),
            (
                "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
                Format::Json,
                Shape::Metadata(MetaVersion::V1),
            ),
        ];
        for (header, format, shape) in cases {
            let wanted = asked(header, ALL).unwrap();
            assert_eq!((wanted.format, wanted.shape), (format, shape), "{header}");
        }
    }

    #[test]
    fn metadata_has_protobuf_whatever_the_kind() {
        let custom = Served { answer: Answer::List, protobuf: false, table: true };
        let header = "application/vnd.kubernetes.protobuf";
        assert_eq!(asked(header, custom).unwrap_err().code, 406);
        let partial = format!("{header};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");
        assert_eq!(asked(&partial, custom).unwrap().shape, Shape::Metadata(MetaVersion::V1));
    }

    #[test]
    fn a_page_of_one_type_is_for_who_takes_that() {
        let cases = [("", true), ("*/*", true), ("application/json", true), ("x/y, application/json", true)];
        for (header, taken) in
            cases.into_iter().chain([("application/yaml", false), ("application/*", false)])
        {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, header.parse().unwrap());
            assert_eq!(takes(&headers, JSON).is_ok(), taken, "{header}");
        }
    }

    #[test]
    fn a_review_is_no_table() {
        let review = Served { table: false, ..ALL };
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        assert_eq!(asked(table, review).unwrap_err().code, 406);
        assert_eq!(asked(&format!("{table},application/json"), review).unwrap().shape, Shape::Object);
    }

    #[test]
    fn what_cannot_be_served_is_refused() {
        for header in [
            "text/html",
            "application/*",
            "application/json;as=Odd;v=v1;g=meta.k8s.io",
            "application/json;g=x",
        ] {
            let status = asked(header, ALL).unwrap_err();
            assert_eq!((status.code, status.details.is_some()), (406, !header.contains("json")), "{header}");
        }
        let watch = Served { answer: Answer::Watch, protobuf: true, table: true };
        assert_eq!(
            asked("application/yaml", watch).unwrap_err().message,
            "only the following media types are accepted: application/json;stream=watch, \
             application/vnd.kubernetes.protobuf;stream=watch"
        );
    }
}
