//! Tags, varints and lengths.

use super::ProtobufError;

pub(super) const VARINT: u8 = 0;
pub(super) const FIXED64: u8 = 1;
pub(super) const BYTES: u8 = 2;
pub(super) const FIXED32: u8 = 5;

/// A field of a message, its value not yet looked at.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub number: u32,
    pub wire: u8,
    /// Of a varint or fixed number.
    pub number_value: u64,
    /// Of what has a length.
    pub bytes: &'a [u8],
}

/// The fields of a message in their order.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn varint(&mut self) -> Result<u64, ProtobufError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.bytes.split_first().ok_or(ProtobufError::UnexpectedEnd)?;
            self.bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(ProtobufError::Overflow)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], ProtobufError> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(ProtobufError::UnexpectedEnd)?;
        self.bytes = rest;
        Ok(taken)
    }

    pub fn next(&mut self) -> Result<Option<Entry<'a>>, ProtobufError> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let wire = (tag & 7) as u8;
        let number = (tag >> 3) as u32;
        if number == 0 {
            return Err(ProtobufError::IllegalTag(wire));
        }
        let mut entry = Entry { number, wire, number_value: 0, bytes: &[] };
        match wire {
            VARINT => entry.number_value = self.varint()?,
            FIXED64 => {
                let bytes: [u8; 8] = self.take(8)?.try_into().expect("took eight bytes");
                entry.number_value = u64::from_le_bytes(bytes);
            }
            BYTES => {
                let length = usize::try_from(self.varint()?).map_err(|_| ProtobufError::UnexpectedEnd)?;
                entry.bytes = self.take(length)?;
            }
            FIXED32 => {
                let bytes: [u8; 4] = self.take(4)?.try_into().expect("took four bytes");
                entry.number_value = u32::from_le_bytes(bytes).into();
            }
            _ => return Err(ProtobufError::IllegalWireType(wire)),
        }
        Ok(Some(entry))
    }
}

pub(super) fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn write_tag(number: u32, wire: u8, out: &mut Vec<u8>) {
    write_varint(u64::from(number) << 3 | u64::from(wire), out);
}

/// A varint field.
pub fn write_number(number: u32, value: u64, out: &mut Vec<u8>) {
    write_tag(number, VARINT, out);
    write_varint(value, out);
}

/// A field of a double.
pub fn write_double(number: u32, value: f64, out: &mut Vec<u8>) {
    write_tag(number, FIXED64, out);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A field of bytes or a text.
pub fn write_bytes(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    write_tag(number, BYTES, out);
    write_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// A field with a length that is known only when `body` has written it.
pub fn write_message(number: u32, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    write_tag(number, BYTES, out);
    // Room for the usual length of one byte; a longer one moves the body.
    out.push(0);
    let start = out.len();
    body(out);
    let length = out.len() - start;
    if length < 0x80 {
        out[start - 1] = length as u8;
        return;
    }
    let mut prefix = Vec::with_capacity(5);
    write_varint(length as u64, &mut prefix);
    let more = prefix.len() - 1;
    out.resize(out.len() + more, 0);
    out.copy_within(start..start + length, start + more);
    out[start - 1..start - 1 + prefix.len()].copy_from_slice(&prefix);
}
