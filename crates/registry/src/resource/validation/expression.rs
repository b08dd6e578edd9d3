//! Expressions that choose devices: compiled against what is declared of a
//! device.

use apimachinery::field::{Errors, Path};
use cel::{Environment, Program, Sizes, Type};
use std::sync::LazyLock;

const EXPRESSION_MAX: usize = 10 << 10;
/// What one run may cost, estimated (upstream's `CELSelectorExpressionMaxCost`).
const COST_MAX: u64 = 1_000_000;
/// Attributes and capacities of one device, together.
const MEMBERS_MAX: u64 = 32;
const DOMAIN_MAX: u64 = 63;
const IDENTIFIER_MAX: u64 = 32;
const DRIVER_MAX: u64 = 63;
/// The longest text that is an attribute.
const ATTRIBUTE_MAX: u64 = 64;

/// `device`, with its attributes and capacities by domain and identifier.
static ENVIRONMENT: LazyLock<Environment> = LazyLock::new(|| {
    let by_name = |value: Type| Type::map(Type::String, Type::map(Type::String, value));
    let device = Type::object(
        "kubernetes.DRADevice",
        [
            ("allowMultipleAllocations", Type::Bool),
            ("attributes", by_name(Type::Dyn)),
            ("capacity", by_name(Type::Opaque("kubernetes.Quantity"))),
            ("driver", Type::String),
        ],
    );
    Environment::new().with("device", device).with_bindings()
});

static SIZES: LazyLock<Sizes> = LazyLock::new(|| {
    let by_name = |inner: Sizes| Sizes::map(Sizes::of(DOMAIN_MAX), inner, MEMBERS_MAX);
    let members = |value: Sizes| Sizes::map(Sizes::of(IDENTIFIER_MAX), value, MEMBERS_MAX);
    Sizes::object([
        ("allowMultipleAllocations", Sizes::of(1)),
        ("attributes", by_name(members(Sizes::of(ATTRIBUTE_MAX)).open())),
        ("capacity", by_name(members(Sizes::of(0)))),
        ("driver", Sizes::of(DRIVER_MAX)),
    ])
});

fn sizes(variable: &str) -> Option<&'static Sizes> {
    (variable == "device").then_some(&*SIZES)
}

/// Whether an expression is of a fit length, compiles, tells yes or no, and
/// costs no more than it may.
pub fn check(expression: &str, path: &Path<'_>, errors: &mut Errors) {
    if expression.len() > EXPRESSION_MAX {
        errors.too_long(path, EXPRESSION_MAX);
        return;
    }
    match Program::compile(expression, &ENVIRONMENT) {
        Err(error) => errors.invalid(path, expression, &format!("compilation failed: {error}")),
        Ok(program) if !matches!(program.result(), Type::Bool | Type::Dyn) => {
            let why = format!("must evaluate to bool or the unknown type, not {}", program.result());
            errors.invalid(path, expression, &why);
        }
        Ok(program) if program.estimate(sizes).max > COST_MAX => {
            errors.forbidden(path, "too complex, exceeds cost limit");
        }
        Ok(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_choose_devices() {
        for (expression, expected) in [
            (r#"device.driver == "gpu.ex.com""#, ""),
            (r#"device.attributes["ex.com"].model"#, ""),
            (r#"device.attributes["ex.com"].model.startsWith("a")"#, ""),
            (r#"device.capacity["ex.com"].memory.compareTo(quantity("1Gi")) >= 0"#, ""),
            (r#"cel.bind(own, device.attributes["ex.com"], own.a && own.b)"#, ""),
            ("device.allowMultipleAllocations", ""),
            ("device.driver", "must evaluate to bool or the unknown type, not string"),
            ("device.capacity", "must evaluate to bool or the unknown type, not map("),
            ("device.name == 'x'", "undefined field 'name'"),
            ("driver == 'x'", "undeclared reference to 'driver'"),
            ("", "compilation failed: "),
            (
                "device.attributes.all(a, device.attributes.all(b, device.attributes.all(c, device.attributes.all(d, \
                 device.attributes.all(e, a == b && c == d && d == e)))))",
                "too complex, exceeds cost limit",
            ),
        ] {
            let mut errors = Errors::new();
            check(expression, &Path::Root.child("e"), &mut errors);
            let told = errors.to_string();
            assert_eq!(errors.is_empty(), expected.is_empty(), "{expression}: {told}");
            assert!(told.contains(expected), "{expression}: {told}");
        }
        let mut errors = Errors::new();
        check(&"a".repeat(EXPRESSION_MAX + 1), &Path::Root.child("e"), &mut errors);
        assert!(errors.to_string().contains("Too long"), "{errors}");
    }
}
