//! Tells of each ValidatingAdmissionPolicy what is wrong with the types in its
//! expressions: `status.typeChecking`. A policy works as before, whatever is
//! told (validatingadmissionpolicy-status-controller, which lives here since
//! only the API knows its kinds' types).
//!
//! Looks whenever a policy or a definition changed, and never on a period.

use std::collections::BTreeSet;
use std::sync::Arc;

use admission::policies::Environments;
use api::facts;
use apimachinery::schema::{self, TypeId};
use apimachinery::{Status, Value, value};
use apiserver::{ApiServer, Changes, View};
use cel::{FieldType, ObjectType, Program, Type};

use super::ignore_absent;

const GROUP: &str = "admissionregistration.k8s.io";
const POLICIES: (&str, &str) = (GROUP, "validatingadmissionpolicies");
const DEFINITIONS: (&str, &str) = ("apiextensions.k8s.io", "customresourcedefinitions");
/// So many kinds of one policy are looked at.
const MOST_KINDS: usize = 10;

/// The loop; changes count from its making on.
pub(super) struct PolicyTypes {
    changes: Option<Changes>,
}

impl PolicyTypes {
    pub fn new(server: &ApiServer) -> Self {
        Self { changes: server.changes(POLICIES.0, POLICIES.1) }
    }

    /// Passes at once and whenever something changed, until the store closes.
    pub async fn run(self, server: Arc<ApiServer>) {
        let Some(mut changes) = self.changes else { return };
        loop {
            if let Err(status) = pass(&server).await {
                tracing::warn!(why = status.message, "policies could not be told of their types");
            }
            if !changes.next().await {
                return;
            }
        }
    }
}

async fn pass(server: &ApiServer) -> Result<(), Status> {
    let view = server.view();
    let looked_at = view.list(POLICIES.0, POLICIES.1, "").filter_map(|stored| {
        let tree = stored.tree();
        let generation = unseen(&tree)?;
        Some((stored.name().to_owned(), generation, warnings(&view, &tree["spec"])))
    });
    let looked_at: Vec<_> = looked_at.collect();
    for (name, generation, warnings) in looked_at {
        let mut change = |tree: &mut Value, _: &View| {
            // One that changed since is looked at again.
            if unseen(tree) == Some(generation) {
                tell(tree, generation, &warnings);
            }
            Ok(Vec::new())
        };
        ignore_absent(server.modify(POLICIES, ("", &name), false, &mut change).await.map(drop))?;
    }
    Ok(())
}

/// The generation of a policy that was not looked at yet.
fn unseen(policy: &Value) -> Option<i64> {
    let generation = policy["metadata"]["generation"].as_i64()?;
    (generation > policy["status"]["observedGeneration"].as_i64().unwrap_or(0)).then_some(generation)
}

fn tell(policy: &mut Value, generation: i64, warnings: &[Value]) {
    let mut checked = Value::object();
    if !warnings.is_empty() {
        checked.set("expressionWarnings", warnings.to_vec());
    }
    let status = policy.entry("status");
    status.set("observedGeneration", generation);
    status.set("typeChecking", checked);
}

/// What is wrong with the expressions of a policy's validations.
fn warnings(view: &View, spec: &Value) -> Vec<Value> {
    let objects: Vec<(String, Type)> = kinds(view, &spec["matchConstraints"])
        .into_iter()
        .filter_map(|kind| Some((kind.to_string(), type_of(view, &kind)?)))
        .collect();
    let params = Kind::of_params(&spec["paramKind"]);
    let params = params.map(|kind| type_of(view, &kind).unwrap_or(Type::Dyn));
    check(spec, &objects, params.as_ref())
}

/// Checks every expression against each type that objects may have.
fn check(spec: &Value, objects: &[(String, Type)], params: Option<&Type>) -> Vec<Value> {
    let environments: Vec<(&str, Environments)> = objects
        .iter()
        .map(|(kind, ty)| {
            let mut environments = Environments::typed(ty, params, false);
            for variable in spec["variables"].items() {
                // What is wrong with a variable is told where it is used.
                let _ = environments.add_variable(variable["name"].text(), variable["expression"].text());
            }
            (kind.as_str(), environments)
        })
        .collect();
    let mut warnings = Vec::new();
    for (at, validation) in spec["validations"].items().iter().enumerate() {
        for field in ["expression", "messageExpression"] {
            let source = validation[field].text();
            if source.is_empty() {
                continue;
            }
            let problems = environments.iter().filter_map(|(kind, environments)| {
                let error = Program::compile(source, environments.body()).err()?;
                Some(format!("{kind}: compilation failed: {error}\n"))
            });
            let problems: Vec<String> = problems.collect();
            if !problems.is_empty() {
                warnings.push(value!({
                    "fieldRef": (format!("spec.validations[{at}].{field}")),
                    "warning": (problems.join("\n"))
                }));
            }
        }
    }
    warnings
}

/// A kind by its names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    group: String,
    version: String,
    kind: String,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { group, version, kind } = self;
        let slash = if group.is_empty() { "" } else { "/" };
        write!(f, "{group}{slash}{version}, Kind={kind}")
    }
}

impl Kind {
    fn of_params(told: &Value) -> Option<Self> {
        let api_version = told["apiVersion"].as_str()?;
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let (group, version, kind) = (group.into(), version.into(), told["kind"].text().into());
        Some(Self { group, version, kind })
    }
}

/// The kinds that a policy's rules name; rules with wildcards name none.
fn kinds(view: &View, constraints: &Value) -> BTreeSet<Kind> {
    let mut kinds = BTreeSet::new();
    for rule in constraints["resourceRules"].items() {
        let texts = |name: &str| -> Vec<String> {
            let mut texts: Vec<String> =
                rule[name].items().iter().map(|text| text.text().to_owned()).collect();
            texts.sort();
            texts
        };
        let (groups, versions) = (texts("apiGroups"), texts("apiVersions"));
        if groups.iter().chain(&versions).any(|text| text.contains('*')) {
            continue;
        }
        let mut resources = texts("resources");
        resources.retain(|resource| !resource.contains(['*', '/']));
        let mut count = 0;
        for group in &groups {
            for version in &versions {
                for resource in &resources {
                    let Some((definition, _)) = view.catalogue().find(group, version, resource) else {
                        continue;
                    };
                    let kind = definition.kind.to_string();
                    kinds.insert(Kind { group: group.clone(), version: version.clone(), kind });
                    count += 1;
                    if count == MOST_KINDS {
                        return kinds;
                    }
                }
            }
        }
    }
    kinds
}

fn type_of(view: &View, kind: &Kind) -> Option<Type> {
    match facts::types().kind(&kind.group, &kind.version, &kind.kind) {
        Some(id) => Some(built_in(id, &mut Vec::new())),
        None => custom(view, kind),
    }
}

fn custom(view: &View, kind: &Kind) -> Option<Type> {
    view.list(DEFINITIONS.0, DEFINITIONS.1, "").find_map(|stored| {
        let tree = stored.tree();
        let spec = &tree["spec"];
        if spec["group"].text() != kind.group || spec["names"]["kind"].text() != kind.kind {
            return None;
        }
        let mut versions = spec["versions"].items().iter();
        let version = versions.find(|version| version["name"].text() == kind.version)?;
        cel::type_of(&version["schema"]["openAPIV3Schema"], true)
    })
}

/// The type of a struct; within itself it is of any.
fn built_in(id: TypeId, around: &mut Vec<TypeId>) -> Type {
    if around.contains(&id) {
        return Type::Dyn;
    }
    around.push(id);
    let known = facts::types().get(id);
    let fields = known.fields.iter().filter_map(|field| {
        let ty = of_field(field.ty, around);
        Some((cel::escape(field.json)?, FieldType { member: field.json.to_owned(), ty }))
    });
    let ty = Type::Object(Arc::new(ObjectType { name: known.name.to_owned(), fields: fields.collect() }));
    around.pop();
    ty
}

fn of_field(ty: schema::Type, around: &mut Vec<TypeId>) -> Type {
    match ty {
        schema::Type::String | schema::Type::Quantity | schema::Type::Duration => Type::String,
        schema::Type::Bytes => Type::Bytes,
        schema::Type::Bool => Type::Bool,
        schema::Type::Int32 | schema::Type::Int64 => Type::Int,
        schema::Type::Float => Type::Double,
        schema::Type::Time | schema::Type::MicroTime => Type::Timestamp,
        schema::Type::IntOrString
        | schema::Type::RawExtension
        | schema::Type::FieldsV1
        | schema::Type::Json
        | schema::Type::Any
        | schema::Type::SchemaOr(..) => Type::Dyn,
        schema::Type::Struct(id) => built_in(id, around),
        schema::Type::List(item) => Type::list(of_field(*item, around)),
        schema::Type::Map(item) => Type::map(Type::String, of_field(*item, around)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment() -> (String, Type) {
        let id = facts::types().kind("apps", "v1", "Deployment").unwrap();
        ("apps/v1, Kind=Deployment".into(), built_in(id, &mut Vec::new()))
    }

    #[test]
    fn expressions_are_checked_against_the_types_of_objects() {
        for (expression, told) in [
            ("object.spec.replicas > 1", ""),
            ("object.spec.replicas > '1'", "no matching overload for '_>_' applied to '(int, string)'"),
            ("object.spec.nothing == 1", "undefined field 'nothing'"),
            ("object.metadata.labels['app'] == 'x' || oldObject == null", ""),
            ("object.spec.template.spec.containers.all(c, c.image.startsWith(variables.registry))", ""),
            ("object.spec.template.spec.containers.all(c, c.picture == '')", "undefined field 'picture'"),
            ("object.spec.strategy.rollingUpdate.maxSurge == 1", ""),
            ("variables.registry + 1 == 2", "no matching overload for '_+_' applied to '(string, int)'"),
            ("request.operation == 'CREATE' && params.spec.any == 1", ""),
        ] {
            let spec = value!({
                "variables": [{"name": "registry", "expression": "object.metadata.name + '/'"}],
                "validations": [{"expression": expression}]
            });
            let warnings = check(&spec, &[deployment()], Some(&Type::Dyn));
            match told {
                "" => assert!(warnings.is_empty(), "{expression}: {warnings:?}"),
                told => {
                    assert_eq!(warnings[0]["fieldRef"].text(), "spec.validations[0].expression");
                    let warning = warnings[0]["warning"].text();
                    assert!(
                        warning
                            .starts_with("apps/v1, Kind=Deployment: compilation failed: ERROR: <input>:1:")
                            && warning.contains(told)
                            && warning.ends_with('\n'),
                        "{expression}: {warning}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_policy_is_told_once_of_each_generation() {
        let mut policy = value!({"metadata": {"name": "p", "generation": 2}, "spec": {}});
        assert_eq!(unseen(&policy), Some(2));
        tell(&mut policy, 2, &[]);
        assert_eq!(policy["status"], value!({"observedGeneration": 2, "typeChecking": {}}));
        assert_eq!(unseen(&policy), None);
    }

    #[test]
    fn types_within_themselves_have_an_end() {
        let id = facts::types().kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition").unwrap();
        assert!(matches!(built_in(id, &mut Vec::new()), Type::Object(_)));
    }
}
