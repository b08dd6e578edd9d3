//! Frames of an attached connection: a kind, a length (u32, little endian), and
//! that many bytes.

/// Longest payload of a frame.
pub(crate) const LONGEST: usize = 64 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Stdin = 0,
    Stdout = 1,
    Stderr = 2,
    /// Columns and rows, u16 each, little endian.
    Resize = 3,
    CloseStdin = 4,
    /// Exit code, i32, little endian; the last frame.
    Exit = 5,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        [Self::Stdin, Self::Stdout, Self::Stderr, Self::Resize, Self::CloseStdin, Self::Exit]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// Appends a frame.
pub(crate) fn push(out: &mut Vec<u8>, kind: Kind, payload: &[u8]) {
    out.push(kind as u8);
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(payload);
}

/// Takes the next whole frame off the front of `bytes`. An error means that
/// the other side does not speak this protocol.
pub(crate) fn take(bytes: &mut Vec<u8>) -> Result<Option<(Kind, Vec<u8>)>, ()> {
    let Some(header) = bytes.first_chunk::<5>() else { return Ok(None) };
    let kind = Kind::of(header[0]).ok_or(())?;
    let length = u32::from_le_bytes([header[1], header[2], header[3], header[4]]) as usize;
    if length > LONGEST {
        return Err(());
    }
    if bytes.len() < 5 + length {
        return Ok(None);
    }
    let payload = bytes[5..5 + length].to_vec();
    bytes.drain(..5 + length);
    Ok(Some((kind, payload)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_whole() {
        let mut bytes = Vec::new();
        push(&mut bytes, Kind::Stdout, b"hello");
        push(&mut bytes, Kind::CloseStdin, b"");
        let last = bytes.pop().unwrap();
        assert_eq!(take(&mut bytes), Ok(Some((Kind::Stdout, b"hello".to_vec()))));
        assert_eq!(take(&mut bytes), Ok(None));
        bytes.push(last);
        assert_eq!(take(&mut bytes), Ok(Some((Kind::CloseStdin, vec![]))));
        assert!(take(&mut vec![9, 0, 0, 0, 0]).is_err());
        assert!(take(&mut vec![1, 255, 255, 255, 255]).is_err());
    }
}
