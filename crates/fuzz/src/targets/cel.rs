//! Expressions: compiled or refused, and run within their budget.

use apimachinery::value;
use cel::{Environment, Meter, PER_CALL_LIMIT, Program, Type, Val};

use crate::Target;

pub const TARGET: Target = Target { name: "cel", seeds, check };

fn seeds() -> Vec<Vec<u8>> {
    [
        "self.a > 1 && self.b.all(x, x.startsWith('y')) || !has(self.c)",
        "self.b.map(x, x + 'z').filter(y, size(y) > 1).exists_one(z, z == 'a') ? 1 : 2u",
        "{'a': [1, 2.5, b'x', null]}['a'][0] == 1 && 'k' in {'k': 1}",
        "duration('1h') + duration('2m') > duration('3s') && timestamp('2026-01-01T00:00:00Z').getHours() == 0",
        "cel.bind(x, self.a, x * x - x / 3 % 2) < 10",
        "quantity('1Gi').add(quantity('1Mi')).isGreaterThan(quantity('0')) && ip('10.0.0.1').family() == 4",
        "self.s.matches('^a+$') && self.s.split(',').join('-').replace('a', 'b').lowerAscii() != ''",
        "self.?d.orValue('x') + string(1) + string(1.5) + r'\\n' + '''three'''",
        "url('https://a.b/c?d=e').getQuery()['d'][0] == 'e' || semver('1.2.3').major() == 1",
        "'%s is %d'.format(['x', 3]) == 'x is 3' && [3, 1, 2].sort() == [1, 2, 3]",
        "'%.3f %.2e %x %o %b'.format([1.5, 2.5, 'a', 8, true]) == '' || format.dns1123Label().validate('a').hasValue()",
        "-9223372036854775808 - 1 == 0 || 1 / 0 == 0",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

fn check(input: &[u8]) -> String {
    let source = String::from_utf8_lossy(input);
    // What the API takes at most.
    if source.len() > 10 << 10 {
        return "too long".into();
    }
    let own = Type::object(
        "object",
        [
            ("a", Type::Int),
            ("b", Type::list(Type::String)),
            ("c", Type::Dyn),
            ("d", Type::String),
            ("s", Type::String),
        ],
    );
    let environment = Environment::new().with("self", own.clone()).with_bindings();
    let program = match Program::compile(&source, &environment) {
        Ok(program) => program,
        Err(error) => return error.to_string(),
    };
    let estimate = program.estimate(|_| None);
    assert!(estimate.min <= estimate.max, "the least is no more than the most");
    let tree = value!({"a": 3, "b": ["ya", "yb"], "c": {"x": [1, 2.5, null]}, "s": "aa,b"});
    let meter = Meter::new(PER_CALL_LIMIT);
    match program.evaluate(&[("self", Val::typed(&tree, &own))], &meter) {
        Ok(value) => format!("{} {}", value.type_name(), program.result()),
        Err(error) => error.to_string(),
    }
}
