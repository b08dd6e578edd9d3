//! What the expressions of policies and webhooks may name, and of which types.

use std::sync::{Arc, LazyLock};

use cel::{CompileError, Environment, ObjectType, Program, Type};

pub(crate) const AUTHORIZER: Type = Type::Opaque("kubernetes.authorization.Authorizer");
const RESOURCE_CHECK: Type = Type::Opaque("kubernetes.authorization.ResourceCheck");

/// `request`: admission.k8s.io/v1 AdmissionRequest without the objects.
pub(crate) static REQUEST: LazyLock<Type> = LazyLock::new(|| {
    let texts = |name: &str, members: [&'static str; 3]| {
        Type::object(name, members.map(|member| (member, Type::String)))
    };
    let kind = || texts("kubernetes.GroupVersionKind", ["group", "version", "kind"]);
    let resource = || texts("kubernetes.GroupVersionResource", ["group", "version", "resource"]);
    let user = Type::object(
        "kubernetes.UserInfo",
        [
            ("username", Type::String),
            ("uid", Type::String),
            ("groups", Type::list(Type::String)),
            ("extra", Type::map(Type::String, Type::list(Type::String))),
        ],
    );
    let mut request = vec![
        ("kind", kind()),
        ("resource", resource()),
        ("subResource", Type::String),
        ("requestKind", kind()),
        ("requestResource", resource()),
        ("requestSubResource", Type::String),
        ("name", Type::String),
        ("operation", Type::String),
        ("userInfo", user),
        ("dryRun", Type::Bool),
        ("options", Type::Dyn),
    ];
    // `namespace` is a word of the language: expressions write it escaped.
    request.push(("namespace", Type::String));
    Type::object("kubernetes.AdmissionRequest", request)
});

/// `namespaceObject`.
static NAMESPACE: LazyLock<Type> = LazyLock::new(|| {
    let map = || Type::map(Type::String, Type::String);
    let metadata = Type::object(
        "kubernetes.NamespaceMetadata",
        [
            ("name", Type::String),
            ("generateName", Type::String),
            ("namespace", Type::String),
            ("labels", map()),
            ("annotations", map()),
            ("UID", Type::String),
            ("creationTimestamp", Type::Timestamp),
            ("deletionGracePeriodSeconds", Type::Int),
            ("deletionTimestamp", Type::Timestamp),
            ("generation", Type::Int),
            ("resourceVersion", Type::String),
            ("finalizers", Type::list(Type::String)),
        ],
    );
    let spec = Type::object("kubernetes.NamespaceSpec", [("finalizers", Type::list(Type::String))]);
    let condition = Type::object(
        "kubernetes.NamespaceCondition",
        [
            ("status", Type::String),
            ("type", Type::String),
            ("lastTransitionTime", Type::Timestamp),
            ("message", Type::String),
            ("reason", Type::String),
        ],
    );
    let status = Type::object(
        "kubernetes.NamespaceStatus",
        [("conditions", Type::list(condition)), ("phase", Type::String)],
    );
    Type::object("kubernetes.Namespace", [("metadata", metadata), ("spec", spec), ("status", status)])
});

fn without_authorizer(object: &Type) -> Environment {
    Environment::new()
        .with("object", object.clone())
        .with("oldObject", object.clone())
        .with("request", REQUEST.clone())
        .with("namespaceObject", NAMESPACE.clone())
}

fn base(object: &Type) -> Environment {
    without_authorizer(object)
        .with("authorizer", AUTHORIZER)
        .with("authorizer.requestResource", RESOURCE_CHECK)
}

/// Of a webhook's matchConditions.
pub fn hook_conditions() -> Environment {
    base(&Type::Dyn)
}

/// Of one policy's expressions: variables come to be known one by one.
pub struct Environments {
    conditions: Environment,
    body: Environment,
    /// Messages may not ask the authorizer.
    messages: Environment,
    variables: Vec<(String, Type)>,
}

impl Environments {
    /// `has_params`: the policy names a kind of parameters; `has_variables`:
    /// expressions may ask for variables, which those of validations may only
    /// where the policy has some.
    pub fn new(has_params: bool, has_variables: bool) -> Self {
        Self::typed(&Type::Dyn, has_params.then_some(&Type::Dyn), has_variables)
    }

    /// Where it is known of which types objects and parameters are.
    pub fn typed(object: &Type, params: Option<&Type>, has_variables: bool) -> Self {
        let with_params = |environment: Environment| match params {
            Some(params) => environment.with("params", params.clone()),
            None => environment,
        };
        let mut made = Self {
            conditions: with_params(base(object)),
            body: with_params(base(object)),
            messages: with_params(without_authorizer(object)),
            variables: Vec::new(),
        };
        if has_variables {
            made.declare_variables();
        }
        made
    }

    /// Of matchConditions, which see no variables.
    pub fn conditions(&self) -> &Environment {
        &self.conditions
    }

    /// Of messageExpressions.
    pub fn messages(&self) -> &Environment {
        &self.messages
    }

    /// Of validations and audit annotations.
    pub fn body(&self) -> &Environment {
        &self.body
    }

    /// Of mutations, which also make values of `Object` and `JSONPatch`.
    pub fn mutations(&self) -> Environment {
        self.body.clone().with_open_objects().with_struct(json_patch())
    }

    /// Compiles a variable's expression; later ones may name it, of any type
    /// where it does not compile.
    ///
    /// # Errors
    /// What is wrong with the expression.
    pub fn add_variable(&mut self, name: &str, expression: &str) -> Result<Program, CompileError> {
        let compiled = Program::compile(expression, &self.body);
        let ty = compiled.as_ref().map_or(Type::Dyn, |program| of_variable(program.result()));
        self.variables.push((name.to_owned(), ty));
        self.declare_variables();
        compiled
    }

    fn declare_variables(&mut self) {
        let fields = self.variables.iter().map(|(name, ty)| (name.as_str(), ty.clone()));
        let ty = Type::object("kubernetes.variables", fields);
        self.messages.declare("variables", ty.clone());
        self.body.declare("variables", ty);
    }
}

/// What is known of a variable's type where it is named: that of plain values, lists and maps.
fn of_variable(ty: &Type) -> Type {
    match ty {
        Type::List(list) => Type::list(of_variable(&list.element)),
        Type::Map(map) => Type::map(of_variable(&map.key), of_variable(&map.value)),
        Type::Bool
        | Type::Bytes
        | Type::Double
        | Type::Duration
        | Type::Int
        | Type::Null
        | Type::String
        | Type::Timestamp
        | Type::Uint => ty.clone(),
        _ => Type::Dyn,
    }
}

/// One operation of a JSON patch.
fn json_patch() -> Arc<ObjectType> {
    let ty = Type::object(
        "JSONPatch",
        [("op", Type::String), ("path", Type::String), ("from", Type::String), ("value", Type::Dyn)],
    );
    match ty {
        Type::Object(object) => object,
        _ => unreachable!("made an object above"),
    }
}
