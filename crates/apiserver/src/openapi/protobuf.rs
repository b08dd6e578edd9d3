//! OpenAPI documents as gnostic's messages: what versions 2 and 3 write alike.
//! Their messages are data, and each has its own forms of members.

use apimachinery::Value;
use apimachinery::protobuf::{write_bytes, write_message};

/// A message.
pub(super) struct Message<F: 'static> {
    /// Names, numbers and forms.
    pub members: &'static [(&'static str, u32, F)],
    /// The number of its extensions.
    pub extensions: u32,
}

/// How a version writes members.
pub(super) trait Form: 'static {
    fn write(&self, number: u32, value: &Value, out: &mut Vec<u8>);

    /// The text of a value that no message describes.
    fn any(value: &Value) -> String;
}

/// Writes a message: the members that are there, then its extensions.
pub(super) fn write<F: Form>(message: &Message<F>, value: &Value, out: &mut Vec<u8>) {
    for (name, number, form) in message.members {
        let member = &value[*name];
        if !member.is_null() {
            form.write(*number, member, out);
        }
    }
    for (name, extension) in value.members().filter(|(name, _)| name.starts_with("x-")) {
        write_message(message.extensions, out, |out| {
            write_bytes(1, name.as_bytes(), out);
            write_any::<F>(2, extension, out);
        });
    }
}

/// A value that no message describes.
pub(super) fn write_any<F: Form>(number: u32, value: &Value, out: &mut Vec<u8>) {
    write_message(number, out, |out| write_bytes(2, F::any(value).as_bytes(), out));
}

/// Field `number` once for each text.
pub(super) fn write_texts(number: u32, texts: &Value, out: &mut Vec<u8>) {
    texts.items().iter().for_each(|text| write_bytes(number, text.text().as_bytes(), out));
}

/// Field `number` once for each member: its name and its value.
pub(super) fn each_named(number: u32, map: &Value, out: &mut Vec<u8>, write: impl Fn(&Value, &mut Vec<u8>)) {
    for (name, value) in map.members() {
        write_message(number, out, |out| {
            write_bytes(1, name.as_bytes(), out);
            write_message(2, out, |out| write(value, out));
        });
    }
}
