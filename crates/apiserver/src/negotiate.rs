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
    /// A document of no resource (discovery).
    Document,
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
    /// Whether a router stands before it, which knows media types alone. Custom resources have
    /// none.
    pub routed: bool,
}

/// One clause of an Accept header.
struct Clause<'a> {
    kind: &'a str,
    subtype: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality: f32,
}

impl Clause<'_> {
    /// Whether it stands before `other`, as Go's goautoneg puts it: which is no order, so that
    /// the way of sorting counts too.
    fn precedes(&self, other: &Self) -> bool {
        self.quality > other.quality
            || (self.kind != "*" && other.kind == "*")
            || (self.subtype != "*" && other.subtype == "*")
    }

    /// Whether it takes a media type, known by its two parts.
    fn takes(&self, media: &str) -> bool {
        media.split_once('/').is_some_and(|(kind, subtype)| match (self.kind, self.subtype) {
            ("*", "*") => true,
            (own, "*") => own == kind,
            own => own == (kind, subtype),
        })
    }

    fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(have, _)| *have == name).map_or("", |(_, value)| value)
    }

    /// The form that the clause asks for; None where that cannot be served.
    fn wanted(&self, served: Served) -> Option<Wanted> {
        let forms = [(JSON, Format::Json), (YAML, Format::Yaml), (PROTOBUF, Format::Protobuf)];
        let mut taken = forms.into_iter().filter(|(media, _)| self.takes(media));
        taken.find_map(|(_, format)| self.wanted_in(format, served))
    }

    fn wanted_in(&self, format: Format, served: Served) -> Option<Wanted> {
        match self.parameter("stream") {
            "" => {}
            "watch" if format != Format::Yaml => {}
            _ => return None,
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
            "PartialObjectMetadata" | "PartialObjectMetadataList" if served.answer != Answer::Document => {
                Some(Shape::Metadata(version))
            }
            _ => None,
        }
    }
}

/// The clauses, best first.
fn clauses(header: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = Vec::new();
    for text in header.split(',') {
        let mut parts = text.split(';');
        let media = parts.next().unwrap_or("").trim_matches(' ');
        let (kind, subtype) = match media.split_once('/') {
            Some((kind, subtype)) if !subtype.contains('/') => {
                (kind.trim_matches(' '), subtype.trim_matches(' '))
            }
            None if media == "*" => ("*", "*"),
            _ => continue,
        };
        let mut clause = Clause { kind, subtype, parameters: Vec::new(), quality: 1.0 };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim_matches(' ') {
                _ if value.is_empty() || value.contains('=') => {}
                "q" => clause.quality = value.parse().unwrap_or(0.0),
                name => clause.parameters.push((name, value.trim_matches(' '))),
            }
        }
        let mut at = clauses.len();
        while at > 0 && clause.precedes(&clauses[at - 1]) {
            at -= 1;
        }
        clauses.insert(at, clause);
    }
    clauses
}

/// The Accept header; the first, where there are several.
fn accepted(headers: &HeaderMap) -> &str {
    headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// Whether the router, which looks for whole names alone, finds a type that it serves.
fn routes(header: &str, served: &[&str]) -> bool {
    header.split(',').any(|clause| {
        let media = clause.split(';').next().unwrap_or("").trim();
        media == "*/*" || served.contains(&media)
    })
}

/// Chooses the answer's form.
///
/// # Errors
/// 406 where nothing that the client takes is served.
pub(crate) fn accept(headers: &HeaderMap, served: Served) -> Result<Wanted, Status> {
    let text = accepted(headers);
    if text.is_empty() {
        return Ok(Wanted::JSON);
    }
    // Before the resource itself looks, the router wants one type by its name.
    if served.routed && !routes(text, &SERVED) {
        let streams: &[&str] = match served.answer {
            Answer::List | Answer::Watch => &STREAMS,
            _ => &[],
        };
        return Err(unrouted(&[&SERVED, streams].concat()));
    }
    match clauses(text).iter().find_map(|clause| clause.wanted(served)) {
        // A stream of YAML there is none, and nothing else is looked for.
        Some(wanted) if served.answer == Answer::Watch && wanted.format == Format::Yaml => {
            Err(Status::not_acceptable(&STREAMS))
        }
        Some(wanted) => Ok(wanted),
        None => Err(Status::not_acceptable(&SERVED)),
    }
}

/// 406 of the router, which knows media types alone.
fn unrouted(served: &[&str]) -> Status {
    let why = format!("406: Not Acceptable\n\nAvailable representations: {}", served.join(", "));
    let mut status = Status::failure(406, "NotAcceptable", why);
    status.details = Some(apimachinery::status::Details::default());
    status
}

/// Whether the client takes one of these media types, where the router has them alone.
///
/// # Errors
/// 406 where it does not.
pub(crate) fn takes(headers: &HeaderMap, media_types: &[&str]) -> Result<(), Status> {
    let text = accepted(headers);
    if text.is_empty() || routes(text, media_types) { Ok(()) } else { Err(unrouted(media_types)) }
}

/// Which of the media types the client likes best; None where it takes none.
/// Without an Accept header it is the first.
pub(crate) fn preferred(headers: &HeaderMap, offers: &[&str]) -> Option<usize> {
    let text = accepted(headers);
    if text.is_empty() {
        return (!offers.is_empty()).then_some(0);
    }
    clauses(text).iter().find_map(|clause| offers.iter().position(|offer| clause.takes(offer)))
}

/// The form of the aggregated discovery document, where that is what the client likes best.
pub(crate) fn aggregated(headers: &HeaderMap) -> Option<Format> {
    let forms = [(JSON, Format::Json), (YAML, Format::Yaml), (PROTOBUF, Format::Protobuf)];
    let best = clauses(accepted(headers)).iter().find_map(|clause| {
        let (_, format) = forms.into_iter().find(|(media, _)| clause.takes(media))?;
        match ["as", "g", "v"].map(|name| clause.parameter(name)) {
            ["", "", ""] => Some(None),
            ["APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2"] => Some(Some(format)),
            _ => None,
        }
    });
    best.flatten()
}

/// A page for people that is an object for who asks for its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Text,
    /// In a version of config.k8s.io.
    Object(Wanted, &'static str),
}

/// The form of a page; None where the client takes none.
pub(crate) fn page(headers: &HeaderMap, kind: &str) -> Option<Page> {
    let text = accepted(headers);
    if text.is_empty() {
        return Some(Page::Text);
    }
    clauses(text).iter().find_map(|clause| {
        let (asked, group) = (clause.parameter("as"), clause.parameter("g"));
        let version = ["v1beta1", "v1alpha1"].into_iter().find(|known| *known == clause.parameter("v"));
        let forms = [(JSON, Format::Json), (YAML, Format::Yaml)];
        let object = forms.into_iter().find(|(media, _)| clause.takes(media));
        match (object, version) {
            (Some((_, format)), Some(version)) if asked == kind && group == "config.k8s.io" => {
                let pretty = clause.parameter("pretty") == "1";
                Some(Page::Object(Wanted { format, shape: Shape::Object, pretty }, version))
            }
            _ if asked.is_empty() && group.is_empty() && clause.takes("text/plain") => Some(Page::Text),
            _ => None,
        }
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
        // Something was said, and it names no type.
        "" if headers.get(CONTENT_TYPE).is_some_and(|value| !value.is_empty()) => {
            Err(Status::unknown_body_format(if protobuf { &SERVED } else { &SERVED[..2] }))
        }
        "" | JSON => Ok(Input::Json(body)),
        YAML => Ok(Input::Yaml(body)),
        PROTOBUF if protobuf => Ok(Input::Protobuf(body)),
        _ => Err(Status::unknown_body_format(if protobuf { &SERVED } else { &SERVED[..2] })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Served = Served { answer: Answer::Object, protobuf: true, table: true, routed: true };

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
            ("application/*;q=0.9, application/yaml;q=0.1", Format::Yaml, Shape::Object),
            ("application/json;q=x, application/yaml", Format::Yaml, Shape::Object),
            ("text/html, *;q=0.1, */*", Format::Json, Shape::Object),
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
        let custom = Served { answer: Answer::List, protobuf: false, table: true, routed: false };
        let header = "application/vnd.kubernetes.protobuf";
        assert_eq!(asked(header, custom).unwrap_err().code, 406);
        assert!(asked("application/*", custom).is_ok(), "no router stands before custom resources");
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
            assert_eq!(takes(&headers, &[JSON]).is_ok(), taken, "{header}");
        }
    }

    #[test]
    fn discovery_is_aggregated_for_who_likes_that_best() {
        let v2 = "g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        let beta = "g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
        let cases = [
            (format!("application/json;{v2}"), Some(Format::Json)),
            (format!("application/json;{beta},application/json;{v2},application/json"), Some(Format::Json)),
            (format!("application/vnd.kubernetes.protobuf;{v2}"), Some(Format::Protobuf)),
            (format!("application/json,application/json;{v2}"), None),
            (format!("application/json;{beta}"), None),
        ];
        for (header, form) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, header.parse().unwrap());
            assert_eq!(aggregated(&headers), form, "{header}");
        }
    }

    #[test]
    fn a_page_is_an_object_for_who_asks_for_its_kind() {
        let json = Wanted { format: Format::Json, shape: Shape::Object, pretty: false };
        let cases = [
            ("*/*", Some(Page::Text)),
            ("text/*", Some(Page::Text)),
            ("application/json", None),
            ("application/json, text/plain", Some(Page::Text)),
            ("application/json;v=v1beta1;g=config.k8s.io;as=Flagz", Some(Page::Object(json, "v1beta1"))),
            ("application/json;v=v1beta1;g=config.k8s.io;as=Statusz", None),
            ("application/json;v=v1;g=config.k8s.io;as=Flagz", None),
        ];
        for (header, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, header.parse().unwrap());
            assert_eq!(page(&headers, "Flagz"), expected, "{header}");
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
        let watch = Served { answer: Answer::Watch, ..ALL };
        assert_eq!(
            asked("application/yaml", watch).unwrap_err().message,
            "only the following media types are accepted: application/json;stream=watch, \
             application/vnd.kubernetes.protobuf;stream=watch"
        );
    }
}
