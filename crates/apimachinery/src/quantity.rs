//! `resource.Quantity`: exact numbers with the suffixes of Kubernetes.
//!
//! Numbers are a 128-bit mantissa and a power of ten, so that sums and
//! comparisons are exact. Source: apimachinery `api/resource`.

use std::cmp::Ordering;
use std::fmt;

/// Why a text is no quantity; the words are upstream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    #[error("unable to parse quantity's suffix")]
    Suffix,
    #[error("unable to parse numeric part of quantity")]
    Numeric,
}

/// How a quantity is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `12e6`
    DecimalExponent,
    /// `12Mi`
    BinarySi,
    /// `12M`
    DecimalSi,
}

/// An exact number, `mantissa · 10^scale`, and how to write it.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    mantissa: i128,
    scale: i32,
    format: Format,
}

/// The smallest power of ten that is kept; what is finer is rounded up.
const NANO: i32 = -9;

/// What was read of a quantity's text.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

impl Quantity {
    pub const ZERO: Quantity = Quantity { mantissa: 0, scale: 0, format: Format::DecimalSi };

    pub const fn new(value: i64, format: Format) -> Self {
        Self { mantissa: value as i128, scale: 0, format }
    }

    /// A number of thousandths, such as CPU.
    pub const fn from_milli(value: i64) -> Self {
        Self { mantissa: value as i128, scale: -3, format: Format::DecimalSi }
    }

    /// Reads a quantity as `ParseQuantity` does.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        parse(text).map(|(quantity, _)| quantity)
    }

    /// The text that upstream keeps for `text`: mostly the canonical form, but
    /// some texts that upstream takes for canonical (`1e3`, `1.500`) as they are.
    pub fn canonical(text: &str) -> Result<String, QuantityError> {
        let (quantity, kept) = parse(text)?;
        Ok(if kept { text.to_owned() } else { quantity.to_string() })
    }

    pub fn is_zero(&self) -> bool {
        self.mantissa == 0
    }

    pub fn is_negative(&self) -> bool {
        self.mantissa < 0
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// The value in units, rounded up (away from zero); saturating.
    pub fn value(&self) -> i64 {
        self.scaled(0)
    }

    /// The value in thousandths, rounded up (away from zero); saturating.
    pub fn milli_value(&self) -> i64 {
        self.scaled(-3)
    }

    /// The value in units of `10^scale`, rounded up (away from zero); saturating.
    pub fn scaled(&self, scale: i32) -> i64 {
        let number = at_scale(self.mantissa, self.scale, scale).0;
        number.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    /// The nearest float.
    pub fn as_f64(&self) -> f64 {
        self.mantissa as f64 * 10f64.powi(self.scale)
    }

    fn aligned(self, other: Self) -> (i128, i128, i32) {
        let scale = self.scale.min(other.scale);
        (at_scale(self.mantissa, self.scale, scale).0, at_scale(other.mantissa, other.scale, scale).0, scale)
    }
}

impl std::ops::Add for Quantity {
    type Output = Quantity;

    /// The sum, in the format of the left side unless that is zero.
    fn add(self, other: Self) -> Self {
        let (left, right, scale) = self.aligned(other);
        let format = if self.is_zero() { other.format } else { self.format };
        Self { mantissa: left.saturating_add(right), scale, format }
    }
}

impl std::ops::AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::ops::Neg for Quantity {
    type Output = Quantity;

    fn neg(self) -> Self {
        Self { mantissa: -self.mantissa, ..self }
    }
}

impl std::ops::Sub for Quantity {
    type Output = Quantity;

    /// The difference, in the format of the left side unless that is zero.
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl std::ops::SubAssign for Quantity {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        let (left, right, _) = self.aligned(*other);
        left.cmp(&right)
    }
}

impl std::str::FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Quantity {
    /// The canonical form: the largest suffix without a fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0");
        }
        if self.format == Format::BinarySi {
            let (units, exact) = at_scale(self.mantissa, self.scale, 0);
            if exact && units.unsigned_abs() >= 1024 {
                return fmt_binary(units, f);
            }
        }
        fmt_decimal(self.mantissa, self.scale, self.format == Format::DecimalExponent, f)
    }
}

fn fmt_binary(mut units: i128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let mut power = 0;
    while units % 1024 == 0 && power < SUFFIXES.len() - 1 {
        units /= 1024;
        power += 1;
    }
    write!(f, "{units}{}", SUFFIXES[power])
}

fn fmt_decimal(
    mut mantissa: i128,
    mut scale: i32,
    exponent: bool,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    const SUFFIXES: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    while mantissa % 10 == 0 {
        mantissa /= 10;
        scale += 1;
    }
    let largest = if exponent { i32::MAX } else { 18 };
    while scale.rem_euclid(3) != 0 || scale > largest {
        match mantissa.checked_mul(10) {
            Some(product) => mantissa = product,
            None => break,
        }
        scale -= 1;
    }
    match (exponent, scale) {
        (true, 0) => write!(f, "{mantissa}"),
        (true, _) => write!(f, "{mantissa}e{scale}"),
        (false, _) => {
            let suffix = SUFFIXES.get(((scale + 9) / 3).max(0) as usize).copied().unwrap_or("");
            write!(f, "{mantissa}{suffix}")
        }
    }
}

/// `mantissa · 10^from` in units of `10^to`, rounded away from zero, and
/// whether that is exact. Saturates.
fn at_scale(mantissa: i128, from: i32, to: i32) -> (i128, bool) {
    let mut number = mantissa;
    if from >= to {
        for _ in 0..from.saturating_sub(to) {
            match number.checked_mul(10) {
                Some(0) => break,
                Some(product) => number = product,
                None => return (if number < 0 { i128::MIN } else { i128::MAX }, false),
            }
        }
        return (number, true);
    }
    let mut exact = true;
    for _ in 0..to.saturating_sub(from) {
        exact &= number % 10 == 0;
        number /= 10;
        if number == 0 {
            exact &= mantissa == 0;
            break;
        }
    }
    if !exact {
        number += mantissa.signum();
    }
    (number, exact)
}

/// Splits as upstream's parser does, oddities included (`.` and `+` are zero).
fn split(text: &str) -> Result<Parts<'_>, QuantityError> {
    let bytes = text.as_bytes();
    let digits_from =
        |from: usize| from + bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let negative = bytes.first() == Some(&b'-');
    let start = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
    let first = start + bytes[start..].iter().take_while(|&&byte| byte == b'0').count();
    let mut at = digits_from(first);
    let whole = if first == at { "0" } else { &text[first..at] };
    let mut fraction = "";
    if bytes.get(at) == Some(&b'.') {
        let end = digits_from(at + 1);
        fraction = &text[at + 1..end];
        at = end;
    }
    let suffix = &text[at..];
    let mut rest = suffix.bytes().skip_while(|byte| b"eEinumkKMGTP".contains(byte)).peekable();
    if matches!(rest.peek(), Some(b'-' | b'+')) {
        rest.next();
    }
    match rest.all(|byte| byte.is_ascii_digit()) {
        true => Ok(Parts { negative, whole, fraction, suffix }),
        false => Err(QuantityError::Format),
    }
}

/// Base, exponent and format of a suffix.
fn interpret(suffix: &str) -> Option<(u32, i32, Format)> {
    let decimal = |exponent| Some((10, exponent, Format::DecimalSi));
    let binary = |exponent| Some((2, exponent, Format::BinarySi));
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            Some((10, exponent.parse().ok()?, Format::DecimalExponent))
        }
    }
}

/// Parses, and tells whether upstream keeps the text as it is instead of
/// writing the canonical form.
fn parse(text: &str) -> Result<(Quantity, bool), QuantityError> {
    if text.is_empty() {
        return Err(QuantityError::Format);
    }
    let parts = split(text)?;
    let (base, exponent, mut format) = interpret(parts.suffix).ok_or(QuantityError::Suffix)?;
    let mut mantissa: i128 = 0;
    let digits = parts.whole.bytes().chain(parts.fraction.bytes());
    for digit in digits {
        mantissa = mantissa
            .checked_mul(10)
            .and_then(|number| number.checked_add((digit - b'0').into()))
            .ok_or(QuantityError::Numeric)?;
    }
    let places = parts.fraction.len() as i32;
    let mut scale = if base == 10 { exponent.saturating_sub(places) } else { -places };
    let written = mantissa;
    if base == 2 {
        mantissa = mantissa.checked_mul(1 << exponent).unwrap_or(i128::MAX);
    }
    let kept = keeps_text(&parts, base, exponent, scale, written);
    if scale < NANO {
        mantissa = at_scale(mantissa, scale, NANO).0;
        scale = NANO;
    }
    if format == Format::BinarySi {
        if at_scale(mantissa, scale, 0).0 > i64::MAX.into() {
            (mantissa, scale) = (i64::MAX.into(), 0);
        }
        if scale < 0 && mantissa > 0 && mantissa < 10i128.pow(scale.unsigned_abs()) {
            format = Format::DecimalSi;
        }
    }
    if parts.negative {
        mantissa = -mantissa;
    }
    if mantissa == 0 {
        scale = 0;
    }
    Ok((Quantity { mantissa, scale, format }, kept))
}

/// Whether the text passes for canonical with upstream's quick test.
fn keeps_text(parts: &Parts<'_>, base: u32, exponent: i32, scale: i32, written: i128) -> bool {
    let digits = (parts.whole.len() + parts.fraction.len()) as i32;
    if base == 2 {
        let room = 15 - digits - (exponent * 3 / 10) - 1;
        return parts.fraction.is_empty() && room >= 0 && written & 7 != 0;
    }
    let last_three = parts.whole.bytes().chain(parts.fraction.bytes()).rev().take(3);
    let round = digits >= 3 && last_three.eq("000".bytes());
    digits <= 18 && scale >= NANO && scale % 3 == 0 && !round && !parts.whole.starts_with('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_forms_are_upstreams() {
        for (text, canonical) in [
            ("0", "0"),
            ("00", "0"),
            ("-0", "0"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("0.5", "500m"),
            ("1.5", "1500m"),
            ("1.500", "1.500"),
            ("0.0001", "100u"),
            ("1.5Gi", "1536Mi"),
            ("0.5Gi", "512Mi"),
            ("1024Mi", "1Gi"),
            ("8Gi", "8Gi"),
            ("1025Ki", "1025Ki"),
            ("0.5", "500m"),
            ("1048576", "1048576"),
            ("100M", "100M"),
            ("100000000", "100M"),
            ("1e3", "1e3"),
            ("1e4", "10e3"),
            ("12E", "12E"),
            ("1000E", "1000E"),
            ("-1Gi", "-1Gi"),
            ("0.1Ki", "102400m"),
            ("1Ki", "1Ki"),
            ("512Ki", "512Ki"),
            ("0.0000000001", "1n"),
            ("k", "0"),
            ("9Ei", "9223372036854775807"),
        ] {
            assert_eq!(Quantity::canonical(text).as_deref(), Ok(canonical), "{text}");
        }
    }

    #[test]
    fn bad_texts_are_refused_in_upstreams_words() {
        for (text, error) in [
            ("", QuantityError::Format),
            ("abc", QuantityError::Format),
            ("1 Gi", QuantityError::Format),
            ("1e", QuantityError::Suffix),
            ("1KiB", QuantityError::Format),
            ("1Kk", QuantityError::Suffix),
            ("1.2.3", QuantityError::Format),
        ] {
            assert_eq!(Quantity::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn sums_and_comparisons_are_exact() {
        let quantity = |text: &str| Quantity::parse(text).unwrap();
        assert_eq!((quantity("100m") + quantity("0.9")).to_string(), "1");
        assert_eq!((quantity("1Gi") - quantity("1Mi")).to_string(), "1023Mi");
        assert!(quantity("1Gi") > quantity("1G"));
        assert_eq!(quantity("1000m"), quantity("1"));
        assert_eq!(quantity("1.5").milli_value(), 1500);
        assert_eq!(quantity("1n").milli_value(), 1);
        assert_eq!(quantity("1500m").value(), 2);
        assert_eq!((quantity("0") + quantity("1Gi")).to_string(), "1Gi");
    }
}
