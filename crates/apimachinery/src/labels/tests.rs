//! Selectors by table, and text forms that come back.

use proptest::prelude::*;

use super::*;
use crate::value;

#[test]
fn matching() {
    let labels = value!({"app": "web", "tier": "front", "n": "5"});
    for (selector, expected) in [
        ("", true),
        ("app", true),
        ("!app", false),
        ("!none", true),
        ("app=web", true),
        ("app==web,tier!=back", true),
        ("none!=x", true),
        ("app in (web, api)", true),
        ("app notin (web)", false),
        ("none notin (web)", true),
        ("n>4,n<6", true),
        ("n>5", false),
        ("app>1", false),
        ("in=in", false),
        ("app=", false),
        ("app in ()", false),
        ("none notin ()", true),
        (" app = web , tier ", true),
    ] {
        let parsed = Selector::parse(selector).unwrap_or_else(|error| panic!("{selector}: {error}"));
        assert_eq!(parsed.matches(&labels), expected, "{selector}");
    }
}

#[test]
fn errors_carry_upstreams_texts() {
    for (selector, message) in [
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("app in x", "unable to parse requirement: found 'x' expected: '('"),
        ("!!", "unable to parse requirement: found '!', expected: identifier"),
        ("app=bad value", "found 'value', expected: ',' or 'end of string'"),
        ("app in (x", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("=x", "found '=', expected: !, identifier, or 'end of string'"),
        ("app,,tier", "found ',', expected: identifier after ','"),
        (
            "tier>abc",
            "unable to parse requirement: values[0]: Invalid value: \"abc\": for 'Gt', 'Lt' operators, the value \
             must be an integer",
        ),
        (
            "-bad=x",
            "unable to parse requirement: <nil>: Invalid value: \"-bad\": name part must consist of alphanumeric \
             characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  \
             or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ),
    ] {
        let error = Selector::parse(selector).expect_err(selector);
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn label_selector_objects() {
    let labels = value!({"app": "web"});
    let matches =
        |selector: Value| Selector::of_label_selector(&selector).map(|selector| selector.matches(&labels));
    assert_eq!(matches(Value::Null), Ok(false));
    assert_eq!(matches(value!({})), Ok(true));
    assert_eq!(matches(value!({"matchLabels": {"app": "web"}})), Ok(true));
    assert_eq!(
        matches(value!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["b", "web"]}]})),
        Ok(true)
    );
    assert_eq!(
        matches(value!({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]})),
        Ok(false)
    );
    let error =
        Selector::of_label_selector(&value!({"matchExpressions": [{"key": "a", "operator": "Like"}]}));
    assert_eq!(
        error.map_err(|error| error.to_string()),
        Err("\"Like\" is not a valid label selector operator".into())
    );
}

proptest! {
    #[test]
    fn any_text_parses_or_is_refused(text in ".{0,40}") {
        let _ = Selector::parse(&text);
    }

    #[test]
    fn written_selectors_read_back(
        parts in proptest::collection::vec(("[a-z]{1,3}", 0_u8..8, proptest::collection::vec("[a-z0-9]{1,3}", 1..3)), 0..5),
    ) {
        let operators = [
            Operator::In, Operator::NotIn, Operator::Equals, Operator::DoubleEquals, Operator::NotEquals,
            Operator::Exists, Operator::DoesNotExist, Operator::GreaterThan,
        ];
        let mut requirements = Vec::new();
        for (key, operator, values) in parts {
            let operator = operators[usize::from(operator)];
            let values = match operator {
                Operator::In | Operator::NotIn => values,
                Operator::Exists | Operator::DoesNotExist => Vec::new(),
                Operator::GreaterThan => vec!["7".to_owned()],
                _ => values[..1].to_vec(),
            };
            requirements.push(Requirement::new(&key, operator, values).expect("made of valid parts"));
        }
        let selector = Selector::of(requirements);
        prop_assert_eq!(Selector::parse(&selector.to_string()), Ok(selector));
    }
}
