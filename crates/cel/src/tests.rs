//! Expressions as upstream's users write them: values, errors, costs.

use apimachinery::{Value, value};

use crate::{
    Answer, Asked, Authorizer, Environment, Error, Meter, Program, Question, Type, Val, sizes_of, type_of,
};

/// The tree that `source` gives with `self` as variable, or the error's text.
fn run_on(source: &str, own: &Value) -> String {
    let environment = Environment::new().with("self", Type::Dyn);
    let program = match Program::compile(source, &environment) {
        Ok(program) => program,
        Err(error) => return error.to_string(),
    };
    let meter = Meter::new(1_000_000);
    match program.evaluate(&[("self", Val::untyped(own))], &meter) {
        Ok(value) => match value.tree() {
            Some(tree) => apimachinery::json::to_string(&tree),
            None => value.type_name().into_owned(),
        },
        Err(error) => error.to_string(),
    }
}

fn run(source: &str) -> String {
    run_on(source, &Value::Null)
}

#[test]
fn the_language() {
    for (source, result) in [
        ("1 + 2 * 3", "7"),
        ("7 / 2", "3"),
        ("1 / 0", "division by zero"),
        ("1.5 < 2", "true"),
        ("dyn(1u) == 1", "true"),
        ("'a' + 'b'", r#""ab""#),
        ("true || 1 / 0 == 1", "true"),
        ("1 / 0 == 1 || true", "true"),
        ("1 / 0 == 1 || false", "division by zero"),
        ("[1, 2, 3].map(x, x * 2)", "[2,4,6]"),
        ("[1, 2, 3].filter(x, x > 1)", "[2,3]"),
        ("[1, 2, 3].exists(x, x == 2)", "true"),
        ("[1, 2, 3].all(x, x < 3)", "false"),
        ("[1, 0].exists(x, 1 / x == 1)", "true"),
        ("[0, 1].exists(x, 1 / x == 1)", "true"),
        ("[0, 1].all(x, 1 / x == 1)", "division by zero"),
        ("[1, 2].exists_one(x, x == 1)", "true"),
        ("{'a': 1}.all(k, v, k == 'a' && v == 1)", "true"),
        ("[5, 6].transformList(i, v, i + v)", "[5,7]"),
        ("{'a': 1, 'b': 2}.transformMap(k, v, v > 1, v * 2)", r#"{"b":4}"#),
        ("[1, 2].transformMapEntry(i, v, {string(v): i})", r#"{"1":0,"2":1}"#),
        ("has({'a': 1}.a) && !has({'a': 1}.b)", "true"),
        ("{'a': 1}.b", "no such key: b"),
        ("{'a': 1}['b']", "no such key: b"),
        ("has(dyn(1).b) || dyn(1).?b.hasValue()", "false"),
        ("dyn(1).b", "no such key: b"),
        ("size(dyn(1))", "no such overload: size"),
        ("'abc'.substring(4)", "index out of range: 4"),
        (
            "timestamp(string(dyn('2024-01-02')))",
            "type conversion error from 'string' to 'google.protobuf.Timestamp'",
        ),
        ("[1][3]", "index out of bounds: 3"),
        ("[1, 2][?5].orValue(9)", "9"),
        ("{'a': {'b': 1}}.?a.?b.orValue(0)", "1"),
        ("optional.of(2).optMap(x, x + 1).value()", "3"),
        ("optional.none().hasValue()", "false"),
        ("type(1) == int && type('') == string", "true"),
        ("int('12') + 1", "13"),
        ("int('x')", "type conversion error from 'string' to 'int'"),
        ("duration('1h').getMinutes()", "60"),
        ("timestamp('2026-01-02T03:04:05Z').getFullYear()", "2026"),
        ("timestamp('2026-01-02T03:04:05Z') + duration('1h') > timestamp('2026-01-02T04:00:00Z')", "true"),
        ("string(1.0) + string(true)", r#""1true""#),
        ("string(timestamp('2020-01-01T00:30:00.5+01:00'))", r#""2020-01-01T00:30:00.5+01:00""#),
        (
            "string(timestamp('2020-01-01T00:30:00-07:30') + duration('30m'))",
            r#""2020-01-01T01:00:00-07:30""#,
        ),
        ("timestamp('2020-01-01T00:30:00+01:00') == timestamp('2019-12-31T23:30:00Z')", "true"),
        ("timestamp('2020-01-01T00:30:00+01:00').getHours()", "23"),
        ("duration('1h2m3s4ms').getMilliseconds()", "3723004"),
        ("'x' in ['x', 'y'] && 'a' in {'a': 1}", "true"),
        ("size('äö') == 2", "true"),
    ] {
        let got = run(source);
        assert_eq!(got, result, "{source}");
    }
}

#[test]
fn the_libraries() {
    for (source, result) in [
        ("'Hello'.lowerAscii()", r#""hello""#),
        ("'a,b,c'.split(',', 2)", r#"["a","b,c"]"#),
        ("'abc'.split('')", r#"["a","b","c"]"#),
        ("'tacocat'.substring(4)", r#""cat""#),
        ("'tacocat'.indexOf('ac') + 'tacocat'.lastIndexOf('at')", "6"),
        ("'a b a'.replace('a', 'c', 1)", r#""c b a""#),
        ("['a', 'b'].join('-')", r#""a-b""#),
        ("'%s has %d of %.2f'.format(['x', 3, 1.5])", r#""x has 3 of 1.50""#),
        ("'%s'.format([['a', 'b']])", r#""[\"a\", \"b\"]""#),
        ("'%s'.format([{'k': 1.5}])", r#""{\"k\":1.500000}""#),
        ("'%.1f %f'.format([12345.67, dyn('Infinity')])", r#""12,345.7 ∞""#),
        ("size('%.70000f'.format([0.5])) == 70002 && size('%.70000e'.format([0.5])) == 70000", "true"),
        ("'%e'.format([1052.5])", "\"1.052500×10⁰³\""),
        ("'%x %X %o %b'.format(['hi', 255, 8, true])", r#""6869 FF 10 1""#),
        (
            "'%d'.format([dyn('a')])",
            "error during formatting: decimal clause can only be used on integers, was given string",
        ),
        ("string(1e20)", r#""1e+20""#),
        ("{'a': 1, 'a': 2}['a']", "2"),
        ("{'a': 1, 'a': 1 + 1}['a']", "Failed with repeated key: a"),
        ("'abc'.indexOf('', 9)", "3"),
        ("int(dyn({}))", "no such overload: int(map)"),
        ("dyn(1) + dyn('a')", "no such overload"),
        ("[1][dyn(1.5)]", "unsupported index value 1.5 in list"),
        (
            "ip(dyn('1.2.3') + '')",
            "IP Address \"1.2.3\" parse error during conversion from string: ParseAddr(\"1.2.3\"): IPv4 address too short",
        ),
        ("sign(quantity('-1'))", "-1"),
        ("'abc 123'.find('[0-9]+')", r#""123""#),
        ("'1 2 3'.findAll('[0-9]', 2)", r#"["1","2"]"#),
        ("'x1'.matches('^x[0-9]$')", "true"),
        ("[3, 1, 2].isSorted() || [1, 2].sum() == 3", "true"),
        ("[3, 1, 2].min() + [3, 1, 2].max()", "4"),
        ("[3, 1, 2].sort()", "[1,2,3]"),
        ("[{'n': 2}, {'n': 1}].sortBy(x, x.n)[0].n", "1"),
        ("[1, 1, 2].distinct()", "[1,2]"),
        ("[[1], [2]].flatten()", "[1,2]"),
        ("[1, 2, 3].slice(1, 2)", "[2]"),
        ("[1].first().value() == lists.range(2).last().value()", "true"),
        ("sets.contains([1, 2], [2]) && sets.intersects([1], [1, 2])", "true"),
        ("url('https://user@h:80/p a?x=1&x=2').getHost()", r#""h:80""#),
        ("url('https://h/p?x=1&x=2').getQuery()['x']", r#"["1","2"]"#),
        ("isURL('https://h') && !isURL('h')", "true"),
        ("ip('10.0.0.1').family() == 4 && isIP('::1')", "true"),
        ("cidr('10.0.0.0/8').containsIP('10.1.2.3')", "true"),
        ("cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')", "true"),
        ("string(cidr('10.1.2.3/8').masked())", r#""10.0.0.0/8""#),
        ("quantity('1Gi').isGreaterThan(quantity('1G'))", "true"),
        ("quantity('50k').add(20).asInteger()", "50020"),
        ("isQuantity('1x')", "false"),
        ("semver('1.2.3').isLessThan(semver('1.10.0'))", "true"),
        ("semver('v1.0', true).major()", "1"),
        ("format.dns1123Label().validate('Up').hasValue()", "true"),
        ("format.named('none').hasValue()", "false"),
    ] {
        assert_eq!(run(source), result, "{source}");
    }
}

#[test]
fn trees_are_read_where_they_lie() {
    let pod = value!({"spec": {"containers": [{"name": "a", "ports": [{"containerPort": 80}]}]}});
    assert_eq!(run_on("self.spec.containers.exists(c, c.ports[0].containerPort == 80)", &pod), "true");
    assert_eq!(run_on("self.spec.containers[0]", &pod), r#"{"name":"a","ports":[{"containerPort":80}]}"#);
    assert_eq!(run_on("self.spec.nodeName", &pod), "no such key: nodeName");
    assert_eq!(
        run_on("self.spec.containers == [{'name': dyn('a'), 'ports': dyn([{'containerPort': 80}])}]", &pod),
        "true"
    );
}

#[test]
fn fields_compare_as_their_schema_means_them() {
    let schema = value!({"type": "object", "properties": {
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "other": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "keyed": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}}}},
        "open": {"type": "array", "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
            "properties": {"known": {"type": "integer"}}}},
        "none": {"type": "string", "nullable": true},
        "spans": {"type": "array", "items": {"type": "string", "format": "duration"}}
    }});
    let own = type_of(&schema, false).expect("a type");
    let tree = value!({
        "set": ["a", "b"], "other": ["b", "a"],
        "keyed": [{"k": "x", "v": 1}, {"k": "y", "v": 2}],
        "open": [{"known": 1, "unknown": "a"}, {"known": 1, "unknown": "b"}, {"known": 1, "unknown": "a"}],
        "none": Value::Null, "spans": []
    });
    for (source, result) in [
        ("self.set == self.other", "true"),
        ("(self.set + self.other).size()", "2"),
        ("self.keyed == self.keyed", "true"),
        ("(self.keyed + self.keyed).size()", "2"),
        ("self.open[0] == self.open[1]", "false"),
        ("self.open[0] == self.open[2]", "true"),
        ("has(self.none)", "false"),
        ("self.none == 'a'", "no such key: none"),
        ("self.spans.sum() == duration('0')", "true"),
    ] {
        let environment = Environment::new().with("self", own.clone());
        let program = Program::compile(source, &environment).expect(source);
        let got = match program.evaluate(&[("self", Val::typed(&tree, &own))], &Meter::new(1_000_000)) {
            Ok(value) => apimachinery::json::to_string(&value.tree().expect("a tree")),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, result, "{source}");
    }
}

fn compile_error(source: &str) -> String {
    let schema = value!({"type": "object", "properties": {
        "a": {"type": "integer"},
        "l": {"type": "array", "items": {"type": "string"}}
    }});
    let own = type_of(&schema, false).expect("a type");
    let old = Type::optional(own.clone());
    let environment = Environment::new().with("self", own).with("oldSelf", old);
    Program::compile(source, &environment).expect_err(source).to_string()
}

#[test]
fn what_does_not_compile_is_told_as_upstream_tells_it() {
    for (source, told) in [
        (
            "self.a >",
            "ERROR: <input>:1:9: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}\n | self.a >\n | ........^",
        ),
        (
            "",
            "ERROR: <input>:1:0: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}",
        ),
        (
            "self.true == 1",
            "ERROR: <input>:1:6: Syntax error: mismatched input 'true' expecting IDENTIFIER\n | self.true == 1\n | .....^",
        ),
        ("self.none == 1", "ERROR: <input>:1:5: undefined field 'none'\n | self.none == 1\n | ....^"),
        (
            "oldSelf.a == 1",
            "ERROR: <input>:1:11: found no matching overload for '_==_' applied to '(optional_type(int), int)'\n | oldSelf.a == 1\n | ..........^",
        ),
        ("other", "ERROR: <input>:1:1: undeclared reference to 'other' (in container '')\n | other\n | ^"),
        (
            "self.l.foo()",
            "ERROR: <input>:1:11: undeclared reference to 'foo' (in container '')\n | self.l.foo()\n | ..........^",
        ),
        (
            "self.a.startsWith('x')",
            "ERROR: <input>:1:18: found no matching overload for 'startsWith' applied to 'int.(string)'\n | self.a.startsWith('x')\n | .................^",
        ),
        (
            "'x'.matches('(')",
            "ERROR: <input>:1:13: invalid matches argument\n | 'x'.matches('(')\n | ............^",
        ),
        (
            "'%d'.format(['x'])",
            "ERROR: <input>:1:14: error during formatting: decimal clause can only be used on integers, was given string\n | '%d'.format(['x'])\n | .............^",
        ),
        (
            "'%.f'.format([1.5])",
            "ERROR: <input>:1:13: could not parse formatting clause: error while parsing precision: error while converting precision to integer: strconv.Atoi: parsing \"\": invalid syntax\n | '%.f'.format([1.5])\n | ............^",
        ),
        ("'%s'.format([])", "ERROR: <input>:1:12: index 0 out of range\n | '%s'.format([])\n | ...........^"),
        ("true && 1", "ERROR: <input>:1:9: expected type 'bool' but found 'int'\n | true && 1\n | ........^"),
        (
            "[dyn(1), 2] == []",
            "ERROR: <input>:1:10: expected type 'dyn' but found 'int'\n | [dyn(1), 2] == []\n | .........^",
        ),
        (
            "[{'a': 1}].sort()",
            "ERROR: <input>:1:16: found no matching overload for 'sort' applied to 'list(map(string, int)).()'\n | [{'a': 1}].sort()\n | ...............^",
        ),
        ("int('x') == 1", "type conversion error from 'string' to 'int'"),
        ("'x'.find('[')", "error parsing regexp: missing closing ]: `[`"),
        ("[1, 'a']", "ERROR: <input>:1:5: expected type 'int' but found 'string'\n | [1, 'a']\n | ....^"),
        (
            "cel.bind(x, 1, true)",
            "ERROR: <input>:1:1: undeclared reference to 'cel' (in container '')\n | cel.bind(x, 1, true)\n | ^\nERROR: <input>:1:9: undeclared reference to 'bind' (in container '')\n | cel.bind(x, 1, true)\n | ........^\nERROR: <input>:1:10: undeclared reference to 'x' (in container '')\n | cel.bind(x, 1, true)\n | .........^",
        ),
        (
            "jsonpatch.escapeKey('a')",
            "ERROR: <input>:1:1: undeclared reference to 'jsonpatch' (in container '')\n | jsonpatch.escapeKey('a')\n | ^\nERROR: <input>:1:20: undeclared reference to 'escapeKey' (in container '')\n | jsonpatch.escapeKey('a')\n | ...................^",
        ),
        (
            "'%s'.format([1, 'a'])",
            "ERROR: <input>:1:12: too many arguments supplied to string.format (expected 1, got 2)\n | '%s'.format([1, 'a'])\n | ...........^",
        ),
    ] {
        assert_eq!(compile_error(source), told, "{source}");
    }
}

#[test]
fn costs_are_counted_and_limited() {
    let own = value!({"l": [1, 2, 3]});
    let environment = Environment::new().with("self", Type::Dyn);
    let program = Program::compile("self.l.all(x, true)", &environment).expect("compiles");
    let meter = Meter::new(100);
    program.evaluate(&[("self", Val::untyped(&own))], &meter).expect("runs");
    // self, l, the result, and three rounds of accumulator, condition, accumulator.
    assert_eq!(meter.spent(), 3 + 3 * 3);
    let error = program.evaluate(&[("self", Val::untyped(&own))], &Meter::new(5)).expect_err("too much");
    assert_eq!(error, Error::TooExpensive);
    assert_eq!(error.to_string(), "operation cancelled: actual cost limit exceeded");
}

#[test]
fn estimates_follow_the_sizes_of_the_schema() {
    let estimate = |list: Value, rule: &str| {
        let schema = value!({"type": "object", "properties": {}});
        let mut schema = schema;
        schema.set_at(&["properties", "l"], list);
        let environment = Environment::new().with("self", type_of(&schema, false).expect("a type"));
        let sizes = sizes_of(&schema, false).expect("sizes");
        Program::compile(rule, &environment).expect("compiles").estimate(|_| Some(&sizes)).max
    };
    let limited = value!({"type": "array", "maxItems": 10, "items": {"type": "integer"}});
    assert_eq!(estimate(limited, "self.l.all(x, true)"), 3 + 10 * 3);
    // What is always of one size costs nothing to compare, and what has no size of its own one.
    let numbers = value!({"type": "array", "maxItems": 10, "items": {"type": "integer"}});
    assert_eq!(estimate(numbers, "self.l.all(x, x == 0)"), 3 + 10 * 4);
    let text = value!({"type": "string"});
    assert_eq!(estimate(text.clone(), "quantity('1') == quantity('2')"), 3);
    assert_eq!(estimate(text.clone(), "optional.of(1) == optional.none()"), 3);
    assert!(estimate(text, "quantity('1') != quantity('2')") > 1_000_000_000);
    let endless = value!({"type": "array", "items": {"type": "string"}});
    let rule = "self.l.all(x, self.l.all(y, self.l.all(z, x == y && y == z)))";
    assert!(estimate(endless.clone(), rule) > 100 * 10_000_000);
    // One place of any type is no larger than a request; what is made of it may be.
    let any = value!({"x-kubernetes-int-or-string": true});
    assert_eq!(estimate(any.clone(), "self.l == self.l"), 2 * 2 + (3 * 1024 * 1024 - 2) / 10 + 1);
    assert!(estimate(any, "'x' + string(self.l) == 'a'") < 1_000_000);
    assert!(estimate(endless.clone(), "self.l.distinct().size() > 1") > 100 * 10_000_000);
    assert!(estimate(endless, "self.l.all(x, 'x' + string(1) == x)") > 100 * 10_000_000);
}

struct Admins;

impl Authorizer for Admins {
    fn answer(&self, question: &Question) -> Answer {
        let allowed = question.verb == "get" && question.resource == "pods" && question.namespace == "x";
        Answer { allowed, reason: "because".into(), error: String::new() }
    }
}

#[test]
fn the_authorizer_is_asked() {
    let ty = Type::Opaque("kubernetes.authorization.Authorizer");
    let environment = Environment::new().with("authorizer", ty);
    let ask = |source: &str| {
        let program = Program::compile(source, &environment).expect("compiles");
        let value = program.evaluate(&[("authorizer", Asked::by(&Admins))], &Meter::new(1_000_000));
        value.expect("runs").tree()
    };
    let allowed = "authorizer.group('').resource('pods').namespace('x').check('get').allowed()";
    assert_eq!(ask(allowed), Some(Value::Bool(true)));
    let refused = "authorizer.group('').resource('pods').check('get').allowed()";
    assert_eq!(ask(refused), Some(Value::Bool(false)));
}

#[test]
fn nesting_and_chains_end_at_upstreams_limit() {
    let limit = "ERROR: <input>:-1:0: expression recursion limit exceeded: 250";
    let deep =
        |open: &str, close: &str, times: usize| format!("{}1{}", open.repeat(times), close.repeat(times));
    for (source, fits) in [
        (format!("1{}", " + 1".repeat(250)), true),
        (format!("1{}", " + 1".repeat(251)), false),
        (format!("1{}", " + 1".repeat(20_000)), false),
        (format!("self{}", ".a".repeat(40_000)), false),
        (format!("self{}", "[0]".repeat(30_000)), false),
        (deep("!(", ")", 30_000), false),
        (deep("[", "]", 200), true),
        (deep("[", "]", 30_000), false),
        (deep("[1].map(x, ", ")", 100), true),
        (deep("[1].map(x, ", ")", 5_000), false),
        (vec!["true"; 10_000].join(" && "), true),
    ] {
        let shown: String = source.chars().take(20).collect();
        let told = run(&source);
        assert_eq!(told == limit, !fits, "{shown}: {}", told.chars().take(200).collect::<String>());
    }
    let mixed = format!("self.a{}", " == self.a".repeat(250));
    assert_eq!(run(&mixed), "ERROR: <input>:-1:0: max recursion depth exceeded");
    let long = format!("'{}'", "a".repeat(100_000));
    let told = "ERROR: <input>:-1:0: expression code point size exceeds limit: size: 100002, limit 100000";
    assert_eq!(run(&long), told);
}
