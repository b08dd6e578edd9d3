//! OpenAPI 3.0 as protobuf: gnostic's messages (`openapi.v3.Document`).
//!
//! As in version 2, the messages are data, and what a message has no member for
//! goes into its extensions as text, which is JSON here: gnostic keeps the form
//! that the document came in.

use apimachinery::protobuf::{write_bytes, write_double, write_message, write_number};
use apimachinery::{Value, json};

use super::protobuf::{self, each_named, write, write_any, write_texts};

type Message = protobuf::Message<Form>;

/// How a member is written.
enum Form {
    Text,
    Texts,
    Bool,
    Integer,
    Double,
    Anys,
    /// A scalar by its type; of others nothing is told.
    Scalar,
    One(&'static Message),
    /// The message, or a reference to one.
    OrReference(&'static Message),
    OrReferences(&'static Message),
    /// A map, as a message of names and values.
    Named(&'static Message),
    /// A map of messages or references, likewise.
    NamedOrReference(&'static Message),
    /// As [`Form::NamedOrReference`], whose names are those of codes.
    Responses,
    /// A list of schemas in a message of its own.
    Items,
    /// A schema or a truth value.
    SchemaOrBool,
}

use Form::{
    Anys, Bool, Double, Integer, Items, Named, NamedOrReference, One, OrReference, OrReferences, Responses,
    Scalar, SchemaOrBool, Text, Texts,
};

static DOCUMENT: Message = Message {
    members: &[
        ("openapi", 1, Text),
        ("info", 2, One(&INFO)),
        ("paths", 4, Named(&PATH_ITEM)),
        ("components", 5, One(&COMPONENTS)),
    ],
    extensions: 9,
};

static INFO: Message =
    Message { members: &[("title", 1, Text), ("description", 2, Text), ("version", 6, Text)], extensions: 7 };

static COMPONENTS: Message = Message {
    members: &[
        ("schemas", 1, NamedOrReference(&SCHEMA)),
        ("securitySchemes", 7, NamedOrReference(&SECURITY_SCHEME)),
    ],
    extensions: 10,
};

static SECURITY_SCHEME: Message = Message {
    members: &[("type", 1, Text), ("description", 2, Text), ("name", 3, Text), ("in", 4, Text)],
    extensions: 9,
};

static PATH_ITEM: Message = Message {
    members: &[
        ("summary", 2, Text),
        ("description", 3, Text),
        ("get", 4, One(&OPERATION)),
        ("put", 5, One(&OPERATION)),
        ("post", 6, One(&OPERATION)),
        ("delete", 7, One(&OPERATION)),
        ("options", 8, One(&OPERATION)),
        ("head", 9, One(&OPERATION)),
        ("patch", 10, One(&OPERATION)),
        ("trace", 11, One(&OPERATION)),
        ("parameters", 13, OrReferences(&PARAMETER)),
    ],
    extensions: 14,
};

static OPERATION: Message = Message {
    members: &[
        ("tags", 1, Texts),
        ("summary", 2, Text),
        ("description", 3, Text),
        ("operationId", 5, Text),
        ("parameters", 6, OrReferences(&PARAMETER)),
        ("requestBody", 7, OrReference(&REQUEST_BODY)),
        ("responses", 8, Responses),
        ("deprecated", 10, Bool),
    ],
    extensions: 13,
};

static PARAMETER: Message = Message {
    members: &[
        ("name", 1, Text),
        ("in", 2, Text),
        ("description", 3, Text),
        ("required", 4, Bool),
        ("deprecated", 5, Bool),
        ("allowEmptyValue", 6, Bool),
        ("schema", 10, OrReference(&SCHEMA)),
    ],
    extensions: 14,
};

static REQUEST_BODY: Message = Message {
    members: &[("description", 1, Text), ("content", 2, Named(&MEDIA_TYPE)), ("required", 3, Bool)],
    extensions: 4,
};

static RESPONSE: Message =
    Message { members: &[("description", 1, Text), ("content", 3, Named(&MEDIA_TYPE))], extensions: 5 };

static MEDIA_TYPE: Message = Message { members: &[("schema", 1, OrReference(&SCHEMA))], extensions: 5 };

static SCHEMA: Message = Message {
    members: &[
        ("nullable", 1, Bool),
        ("readOnly", 3, Bool),
        ("writeOnly", 4, Bool),
        ("deprecated", 8, Bool),
        ("title", 9, Text),
        ("multipleOf", 10, Double),
        ("maximum", 11, Double),
        ("exclusiveMaximum", 12, Bool),
        ("minimum", 13, Double),
        ("exclusiveMinimum", 14, Bool),
        ("maxLength", 15, Integer),
        ("minLength", 16, Integer),
        ("pattern", 17, Text),
        ("maxItems", 18, Integer),
        ("minItems", 19, Integer),
        ("uniqueItems", 20, Bool),
        ("maxProperties", 21, Integer),
        ("minProperties", 22, Integer),
        ("required", 23, Texts),
        ("enum", 24, Anys),
        ("type", 25, Text),
        ("allOf", 26, OrReferences(&SCHEMA)),
        ("oneOf", 27, OrReferences(&SCHEMA)),
        ("anyOf", 28, OrReferences(&SCHEMA)),
        ("not", 29, One(&SCHEMA)),
        ("items", 30, Items),
        ("properties", 31, NamedOrReference(&SCHEMA)),
        ("additionalProperties", 32, SchemaOrBool),
        ("default", 33, Scalar),
        ("description", 34, Text),
        ("format", 35, Text),
    ],
    extensions: 36,
};

/// The document (see `v3::document`) as gnostic's message.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 << 10);
    write(&DOCUMENT, document, &mut out);
    out
}

impl protobuf::Form for Form {
    fn write(&self, number: u32, value: &Value, out: &mut Vec<u8>) {
        match self {
            Text if value.text().is_empty() => {}
            Text => write_bytes(number, value.text().as_bytes(), out),
            Texts => write_texts(number, value, out),
            // False is as good as nothing.
            Bool if !value.is_true() => {}
            Bool => write_number(number, 1, out),
            Integer => write_number(number, value.as_i64().unwrap_or(0) as u64, out),
            Double => write_double(number, value.as_f64().unwrap_or(0.0), out),
            Anys => {
                value.items().iter().for_each(|value| write_any::<Form>(number, value, out));
            }
            Scalar => write_message(number, out, |out| match value {
                Value::Bool(truth) => write_number(2, (*truth).into(), out),
                Value::String(text) => write_bytes(3, text.as_bytes(), out),
                Value::Int(_) | Value::Float(_) => write_double(1, value.as_f64().unwrap_or(0.0), out),
                _ => {}
            }),
            One(message) => write_message(number, out, |out| write(message, value, out)),
            OrReference(message) => {
                write_message(number, out, |out| write_or_reference(message, value, out));
            }
            OrReferences(message) => {
                for item in value.items() {
                    write_message(number, out, |out| write_or_reference(message, item, out));
                }
            }
            Named(message) => write_message(number, out, |out| {
                each_named(1, value, out, |value, out| write(message, value, out));
            }),
            NamedOrReference(message) => write_message(number, out, |out| {
                each_named(1, value, out, |value, out| write_or_reference(message, value, out));
            }),
            Responses => write_message(number, out, |out| {
                each_named(2, value, out, |value, out| write_or_reference(&RESPONSE, value, out));
            }),
            Items => write_message(number, out, |out| {
                let schemas =
                    if value.as_array().is_some() { value.items() } else { std::slice::from_ref(value) };
                for schema in schemas {
                    write_message(1, out, |out| write_or_reference(&SCHEMA, schema, out));
                }
            }),
            SchemaOrBool => write_message(number, out, |out| match value {
                Value::Bool(allowed) => write_number(2, (*allowed).into(), out),
                schema => write_message(1, out, |out| write_or_reference(&SCHEMA, schema, out)),
            }),
        }
    }

    fn any(value: &Value) -> String {
        format!("{}\n", json::to_string(value))
    }
}

fn write_or_reference(message: &Message, value: &Value, out: &mut Vec<u8>) {
    match value["$ref"].as_str() {
        Some(reference) => write_message(2, out, |out| write_bytes(1, reference.as_bytes(), out)),
        None => write_message(1, out, |out| write(message, value, out)),
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::super::v2_protobuf::tests::field;
    use super::*;

    #[test]
    fn members_have_gnostics_numbers() {
        let document = value!({
            "openapi": "3.0.0",
            "paths": {"/api/": {"get": {"operationId": "getAPI", "x-kubernetes-action": "get",
                "responses": {"200": {"content": {"a/b": {"schema": {"$ref": "#/components/schemas/a.B"}}}}}},
                "parameters": [{"in": "query", "name": "pretty", "schema": {"uniqueItems": true, "type": "string"}}]}},
            "components": {"schemas": {"a.B": {"type": "object", "properties": {
                "f": {"items": {"type": "string"}, "default": "x"},
                "m": {"additionalProperties": {"$ref": "r"}, "default": {}}}}}}
        });
        let bytes = encode(&document);
        let text = |path: &[u32]| String::from_utf8_lossy(field(&bytes, path)).into_owned();
        assert_eq!(text(&[1]), "3.0.0");
        assert_eq!(text(&[4, 1, 1]), "/api/");
        assert_eq!(text(&[4, 1, 2, 4, 5]), "getAPI");
        assert_eq!(text(&[4, 1, 2, 4, 13, 2, 2]), "\"get\"\n");
        assert_eq!(text(&[4, 1, 2, 4, 8, 2, 1]), "200");
        assert_eq!(text(&[4, 1, 2, 4, 8, 2, 2, 1, 3, 1, 2, 1, 2, 1]), "#/components/schemas/a.B");
        assert_eq!(text(&[4, 1, 2, 13, 1, 1]), "pretty");
        assert_eq!(text(&[4, 1, 2, 13, 1, 10, 1, 25]), "string");
        assert_eq!(text(&[5, 1, 1, 1]), "a.B");
        assert_eq!(text(&[5, 1, 1, 2, 1, 31, 1, 2, 1, 30, 1, 1, 25]), "string");
        assert_eq!(text(&[5, 1, 1, 2, 1, 31, 1, 2, 1, 33, 3]), "x");
    }
}
