//! The types whose JSON is a text of their own: canonical forms and errors.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Type;
use crate::quantity::{Quantity, QuantityError};
use crate::{Value, time};

/// Why a text is not of its type; displays as upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScalarError {
    #[error(transparent)]
    Quantity(#[from] QuantityError),
    /// A time or a duration.
    #[error("{0}")]
    Time(String),
    #[error("illegal base64 data at input byte {0}")]
    Base64(usize),
}

/// The canonical value of `text` as a `Time`, `MicroTime`, `Duration` or
/// `Quantity`; null is Go's zero time.
pub(super) fn canonical(ty: Type, text: &str) -> Result<Value, ScalarError> {
    let time = |canonical: Result<Option<String>, String>| {
        Ok(canonical.map_err(ScalarError::Time)?.map_or(Value::Null, Value::String))
    };
    match ty {
        Type::Time => time(time::canonical(text)),
        Type::MicroTime => time(time::canonical_micro(text)),
        Type::Duration => {
            let nanos = time::parse_duration(text).map_err(ScalarError::Time)?;
            Ok(Value::String(time::format_duration(nanos)))
        }
        Type::Quantity => Ok(Value::String(Quantity::canonical(text.trim())?)),
        _ => Ok(Value::String(text.to_owned())),
    }
}

/// Checks base64 as Go's decoder does (line ends may stand anywhere); returns
/// the text as Go encodes the bytes again, or `None` where that is `text` itself.
pub(super) fn canonical_base64(text: &str) -> Result<Option<String>, ScalarError> {
    if STANDARD_CHECK(text.as_bytes()) {
        return Ok(None);
    }
    let joined: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    match STANDARD_LENIENT.decode(&joined) {
        Ok(bytes) => Ok(Some(STANDARD.encode(bytes))),
        Err(error) => Err(ScalarError::Base64(offset(text, &joined, error))),
    }
}

/// Go ignores stray bits in the last character, so decode and encode again.
const STANDARD_LENIENT: base64::engine::GeneralPurpose = base64::engine::GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    base64::engine::GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Whether the text is plainly canonical, checked without decoding.
#[allow(non_upper_case_globals)]
const STANDARD_CHECK: fn(&[u8]) -> bool = |text| {
    if text.len() % 4 != 0 {
        return false;
    }
    let plain =
        text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')).count();
    // Padding has stray bits to check: leave it to the decoder.
    plain == text.len()
};

/// Where Go says that the data is corrupt.
fn offset(text: &str, joined: &str, error: base64::DecodeError) -> usize {
    let at = match error {
        base64::DecodeError::InvalidByte(at, b'=') => at,
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
        // Go names the group that is short, or the end.
        base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => joined.len() / 4 * 4,
    };
    if text.len() == joined.len() {
        return at;
    }
    // Count the line ends before it.
    let mut kept = 0;
    text.bytes()
        .position(|byte| {
            let counts = !matches!(byte, b'\n' | b'\r');
            kept += usize::from(counts);
            counts && kept == at + 1
        })
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_checked() {
        assert_eq!(canonical_base64("YWJj"), Ok(None));
        assert_eq!(canonical_base64("YQ=="), Ok(Some("YQ==".into())));
        assert_eq!(canonical_base64("YW\nJj\n"), Ok(Some("YWJj".into())));
        assert_eq!(canonical_base64("YW!j"), Err(ScalarError::Base64(2)));
        assert_eq!(canonical_base64("YWJ"), Err(ScalarError::Base64(0)));
        assert_eq!(canonical_base64(""), Ok(None));
    }
}
