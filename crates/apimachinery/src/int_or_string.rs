//! `util/intstr`: a number, a text or a percentage, such as `maxUnavailable`.

use crate::Value;

/// A whole number or a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntOrString {
    Int(i32),
    String(String),
}

impl IntOrString {
    /// What a canonical tree holds; `None` for null and anything else.
    pub fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Int(number) => i32::try_from(*number).ok().map(Self::Int),
            Value::String(text) => Some(Self::String(text.clone())),
            _ => None,
        }
    }

    /// The number that this stands for among `total`: itself, or a percentage
    /// of `total`, rounded up or down. `None` where the text is no percentage.
    pub fn scaled(&self, total: i32, round_up: bool) -> Option<i32> {
        match self {
            Self::Int(number) => Some(*number),
            Self::String(text) => {
                let percent: i64 = text.strip_suffix('%')?.parse().ok()?;
                let product = percent.checked_mul(total.into())?;
                let up = i64::from(round_up && product % 100 > 0);
                i32::try_from(product / 100 + up).ok()
            }
        }
    }
}

impl From<IntOrString> for Value {
    fn from(source: IntOrString) -> Self {
        match source {
            IntOrString::Int(number) => Value::Int(number.into()),
            IntOrString::String(text) => Value::String(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_as_asked() {
        let text = |text: &str| IntOrString::String(text.into());
        assert_eq!(text("25%").scaled(3, true), Some(1));
        assert_eq!(text("25%").scaled(3, false), Some(0));
        assert_eq!(text("100%").scaled(7, true), Some(7));
        assert_eq!(IntOrString::Int(2).scaled(7, true), Some(2));
        assert_eq!(text("x").scaled(7, true), None);
        assert_eq!(text("5").scaled(7, true), None);
    }
}
