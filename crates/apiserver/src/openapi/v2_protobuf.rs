//! OpenAPI 2.0 as protobuf: gnostic's messages (`openapi.v2.Document`), which
//! kubectl reads far faster than JSON.
//!
//! The messages are data: which member has which number and form. What a
//! message has no member for goes into its vendor extensions as YAML text.

use apimachinery::protobuf::{write_bytes, write_double, write_message, write_number};
use apimachinery::{Value, yaml};

use super::protobuf::{self, each_named, write, write_any, write_texts};

type Message = protobuf::Message<Form>;

/// How a member is written.
enum Form {
    Text,
    Texts,
    Bool,
    Integer,
    Double,
    /// Any value, as YAML.
    Any,
    Anys,
    One(&'static Message),
    Many(&'static Message),
    /// A message whose field 1 is this one, or each of these.
    Wrapped(&'static Message),
    /// A map, as a message of names and values.
    Named(&'static Message),
    /// A schema or a truth value.
    SchemaOrBool,
    /// A message with texts.
    WrappedTexts,
    Parameters,
    NamedParameters,
    Responses,
    Security,
    SecurityDefinitions,
    Paths,
}

use Form::{
    Any, Anys, Bool, Double, Integer, Many, Named, NamedParameters, One, Parameters, Paths, Responses,
    SchemaOrBool, Security, SecurityDefinitions, Text, Texts, Wrapped, WrappedTexts,
};

static DOCUMENT: Message = Message {
    members: &[
        ("swagger", 1, Text),
        ("info", 2, One(&INFO)),
        ("host", 3, Text),
        ("basePath", 4, Text),
        ("schemes", 5, Texts),
        ("consumes", 6, Texts),
        ("produces", 7, Texts),
        ("paths", 8, Paths),
        ("definitions", 9, Named(&SCHEMA)),
        ("parameters", 10, NamedParameters),
        ("security", 12, Security),
        ("securityDefinitions", 13, SecurityDefinitions),
    ],
    extensions: 16,
};

static INFO: Message = Message {
    members: &[
        ("title", 1, Text),
        ("version", 2, Text),
        ("description", 3, Text),
        ("termsOfService", 4, Text),
    ],
    extensions: 7,
};

static PATH_ITEM: Message = Message {
    members: &[
        ("$ref", 1, Text),
        ("get", 2, One(&OPERATION)),
        ("put", 3, One(&OPERATION)),
        ("post", 4, One(&OPERATION)),
        ("delete", 5, One(&OPERATION)),
        ("options", 6, One(&OPERATION)),
        ("head", 7, One(&OPERATION)),
        ("patch", 8, One(&OPERATION)),
        ("parameters", 9, Parameters),
    ],
    extensions: 10,
};

static OPERATION: Message = Message {
    members: &[
        ("tags", 1, Texts),
        ("summary", 2, Text),
        ("description", 3, Text),
        ("operationId", 5, Text),
        ("produces", 6, Texts),
        ("consumes", 7, Texts),
        ("parameters", 8, Parameters),
        ("responses", 9, Responses),
        ("schemes", 10, Texts),
        ("deprecated", 11, Bool),
        ("security", 12, Security),
    ],
    extensions: 13,
};

static BODY_PARAMETER: Message = Message {
    members: &[
        ("description", 1, Text),
        ("name", 2, Text),
        ("in", 3, Text),
        ("required", 4, Bool),
        ("schema", 5, One(&SCHEMA)),
    ],
    extensions: 6,
};

static QUERY_PARAMETER: Message = Message {
    members: &[
        ("required", 1, Bool),
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("allowEmptyValue", 5, Bool),
        ("type", 6, Text),
        ("format", 7, Text),
        ("collectionFormat", 9, Text),
        ("default", 10, Any),
        ("maximum", 11, Double),
        ("minimum", 13, Double),
        ("pattern", 17, Text),
        ("uniqueItems", 20, Bool),
        ("enum", 21, Anys),
    ],
    extensions: 23,
};

/// Of paths and of headers, which are alike.
static PATH_PARAMETER: Message = Message {
    members: &[
        ("required", 1, Bool),
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("type", 5, Text),
        ("format", 6, Text),
        ("collectionFormat", 8, Text),
        ("default", 9, Any),
        ("maximum", 10, Double),
        ("minimum", 12, Double),
        ("pattern", 16, Text),
        ("uniqueItems", 19, Bool),
        ("enum", 20, Anys),
    ],
    extensions: 22,
};

static RESPONSE: Message =
    Message { members: &[("description", 1, Text), ("schema", 2, Wrapped(&SCHEMA))], extensions: 5 };

static API_KEY: Message = Message {
    members: &[("type", 1, Text), ("name", 2, Text), ("in", 3, Text), ("description", 4, Text)],
    extensions: 5,
};

static SCHEMA: Message = Message {
    members: &[
        ("$ref", 1, Text),
        ("format", 2, Text),
        ("title", 3, Text),
        ("description", 4, Text),
        ("default", 5, Any),
        ("multipleOf", 6, Double),
        ("maximum", 7, Double),
        ("exclusiveMaximum", 8, Bool),
        ("minimum", 9, Double),
        ("exclusiveMinimum", 10, Bool),
        ("maxLength", 11, Integer),
        ("minLength", 12, Integer),
        ("pattern", 13, Text),
        ("maxItems", 14, Integer),
        ("minItems", 15, Integer),
        ("uniqueItems", 16, Bool),
        ("maxProperties", 17, Integer),
        ("minProperties", 18, Integer),
        ("required", 19, Texts),
        ("enum", 20, Anys),
        ("additionalProperties", 21, SchemaOrBool),
        ("type", 22, WrappedTexts),
        ("items", 23, Wrapped(&SCHEMA)),
        ("allOf", 24, Many(&SCHEMA)),
        ("properties", 25, Named(&SCHEMA)),
        ("discriminator", 26, Text),
        ("readOnly", 27, Bool),
        ("example", 30, Any),
    ],
    extensions: 31,
};

/// The document (see `v2::document`) as gnostic's message.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 << 20);
    write(&DOCUMENT, document, &mut out);
    out
}

impl protobuf::Form for Form {
    fn write(&self, number: u32, value: &Value, out: &mut Vec<u8>) {
        match self {
            Text => write_bytes(number, value.text().as_bytes(), out),
            Texts => write_texts(number, value, out),
            Bool => write_number(number, value.is_true().into(), out),
            Integer => write_number(number, value.as_i64().unwrap_or(0) as u64, out),
            Double => write_double(number, value.as_f64().unwrap_or(0.0), out),
            Any => write_any::<Form>(number, value, out),
            Anys => {
                value.items().iter().for_each(|value| write_any::<Form>(number, value, out));
            }
            One(message) => write_message(number, out, |out| write(message, value, out)),
            Many(message) => {
                for item in value.items() {
                    write_message(number, out, |out| write(message, item, out));
                }
            }
            Wrapped(message) => write_message(number, out, |out| match value {
                Value::Array(items) => {
                    items.iter().for_each(|item| write_message(1, out, |out| write(message, item, out)));
                }
                value => write_message(1, out, |out| write(message, value, out)),
            }),
            WrappedTexts => write_message(number, out, |out| match value {
                texts @ Value::Array(_) => write_texts(1, texts, out),
                text => write_bytes(1, text.text().as_bytes(), out),
            }),
            Named(message) => write_message(number, out, |out| {
                each_named(1, value, out, |value, out| write(message, value, out));
            }),
            SchemaOrBool => write_message(number, out, |out| match value {
                Value::Bool(allowed) => write_number(2, (*allowed).into(), out),
                schema => write_message(1, out, |out| write(&SCHEMA, schema, out)),
            }),
            Parameters => {
                for item in value.items() {
                    write_message(number, out, |out| match item["$ref"].as_str() {
                        Some(reference) => {
                            write_message(2, out, |out| write_bytes(1, reference.as_bytes(), out));
                        }
                        None => write_message(1, out, |out| write_parameter(item, out)),
                    });
                }
            }
            NamedParameters => {
                write_message(number, out, |out| each_named(1, value, out, write_parameter));
            }
            Responses => write_message(number, out, |out| {
                each_named(1, value, out, |value, out| {
                    write_message(1, out, |out| write(&RESPONSE, value, out))
                });
            }),
            Paths => write_message(number, out, |out| {
                each_named(2, value, out, |value, out| write(&PATH_ITEM, value, out));
            }),
            Security => {
                for requirement in value.items() {
                    write_message(number, out, |out| {
                        each_named(1, requirement, out, |scopes, out| {
                            write_texts(1, scopes, out);
                        });
                    });
                }
            }
            SecurityDefinitions => write_message(number, out, |out| {
                each_named(1, value, out, |value, out| {
                    write_message(2, out, |out| write(&API_KEY, value, out))
                });
            }),
        }
    }

    fn any(value: &Value) -> String {
        yaml::to_string(value).unwrap_or_default()
    }
}

fn write_parameter(parameter: &Value, out: &mut Vec<u8>) {
    let (number, message) = match parameter["in"].text() {
        "body" => return write_message(1, out, |out| write(&BODY_PARAMETER, parameter, out)),
        "query" => (3, &QUERY_PARAMETER),
        "path" => (4, &PATH_PARAMETER),
        _ => (1, &PATH_PARAMETER),
    };
    write_message(2, out, |out| write_message(number, out, |out| write(message, parameter, out)));
}

#[cfg(test)]
pub(super) mod tests {
    use apimachinery::value;

    use super::*;

    /// Fields of a message: number and content of those with a length.
    fn fields(mut bytes: &[u8]) -> Vec<(u32, &[u8])> {
        fn varint(bytes: &mut &[u8]) -> u64 {
            let mut value = 0;
            for shift in (0..64).step_by(7) {
                let byte = bytes[0];
                *bytes = &bytes[1..];
                value |= u64::from(byte & 0x7f) << shift;
                if byte < 0x80 {
                    break;
                }
            }
            value
        }
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let tag = varint(&mut bytes);
            match tag & 7 {
                0 => {
                    varint(&mut bytes);
                }
                1 => bytes = &bytes[8..],
                _ => {
                    let length = usize::try_from(varint(&mut bytes)).unwrap();
                    found.push((u32::try_from(tag >> 3).unwrap(), &bytes[..length]));
                    bytes = &bytes[length..];
                }
            }
        }
        found
    }

    pub fn field<'a>(bytes: &'a [u8], path: &[u32]) -> &'a [u8] {
        path.iter().fold(bytes, |bytes, number| {
            fields(bytes).into_iter().find(|(have, _)| have == number).map_or(&[][..], |(_, content)| content)
        })
    }

    #[test]
    fn members_have_gnostics_numbers() {
        let document = value!({
            "swagger": "2.0",
            "paths": {"/api/": {"get": {"operationId": "getAPI", "parameters": [{"in": "query", "name": "pretty"}],
                "x-kubernetes-action": "get"}}},
            "definitions": {"a.B": {"type": "object", "properties": {"f": {"items": {"type": "string"}}},
                "x-kubernetes-group-version-kind": [{"group": "g", "kind": "B", "version": "v1"}]}},
            "security": [{"BearerToken": []}]
        });
        let bytes = encode(&document);
        let text = |path: &[u32]| String::from_utf8_lossy(field(&bytes, path)).into_owned();
        assert_eq!(text(&[1]), "2.0");
        assert_eq!(text(&[8, 2, 1]), "/api/");
        assert_eq!(text(&[8, 2, 2, 2, 5]), "getAPI");
        assert_eq!(text(&[8, 2, 2, 2, 8, 1, 2, 3, 4]), "pretty");
        assert_eq!(text(&[8, 2, 2, 2, 13, 1]), "x-kubernetes-action");
        assert_eq!(text(&[8, 2, 2, 2, 13, 2, 2]), "get\n");
        assert_eq!(text(&[9, 1, 1]), "a.B");
        assert_eq!(text(&[9, 1, 2, 22, 1]), "object");
        assert_eq!(text(&[9, 1, 2, 25, 1, 2, 23, 1, 22, 1]), "string");
        assert_eq!(text(&[9, 1, 2, 31, 2, 2]), "- group: g\n  kind: B\n  version: v1\n");
        assert_eq!(text(&[12, 1, 1]), "BearerToken");
    }
}
