//! Numbers that may be percentages (`intstr.GetScaledValueFromIntOrPercent`). Pure.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// The number, or so much of `total`, rounded up or down. None is 0.
pub fn scaled(value: Option<&IntOrString>, total: i32, up: bool) -> i32 {
    match value {
        None => 0,
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(text)) => {
            let percent: i64 = text.strip_suffix('%').and_then(|number| number.parse().ok()).unwrap_or(0);
            let product = percent * i64::from(total);
            let whole = if up { (product + 99) / 100 } else { product / 100 };
            i32::try_from(whole).unwrap_or(i32::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_as_asked() {
        let percent = IntOrString::String("25%".into());
        for (total, up, expected) in [(4, true, 1), (5, true, 2), (5, false, 1), (3, false, 0), (0, true, 0)]
        {
            assert_eq!(scaled(Some(&percent), total, up), expected, "{total} {up}");
        }
        assert_eq!(scaled(Some(&IntOrString::Int(7)), 3, false), 7);
        assert_eq!(scaled(None, 3, true), 0);
    }
}
