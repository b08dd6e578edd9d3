//! ResourceQuota: what a write uses is charged against the quotas of its
//! namespace in the same transaction, so that two writers never share what is
//! left.

use std::collections::BTreeMap;

use api::quota::Usage;
use apimachinery::quantity::{Format, Quantity};
use apimachinery::{Status, Value, value};
use apiserver::{Admission, AdmissionPlugin, Change, Companion, Notes, Operation, Stored};

/// See the module.
pub(crate) struct ResourceQuota;

impl AdmissionPlugin for ResourceQuota {
    fn name(&self) -> &'static str {
        "ResourceQuota"
    }

    fn handles(&self, admission: &Admission<'_>) -> bool {
        let quota =
            admission.definition.group.is_empty() && admission.definition.resource == "resourcequotas";
        admission.definition.is_namespaced()
            && admission.definition.prefix().is_some()
            && admission.subresource.is_empty()
            && matches!(admission.operation, Operation::Create | Operation::Update)
            && !quota
    }

    fn validate(&self, admission: &Admission<'_>, object: &Value, notes: &mut Notes) -> Result<(), Status> {
        let mut quotas = admission.view.list("", "resourcequotas", admission.namespace).peekable();
        if quotas.peek().is_none() {
            return Ok(());
        }
        let definition = admission.definition;
        let now = Usage::of(&definition.group, &definition.resource, object);
        let before = admission.old.map(|old| Usage::of(&definition.group, &definition.resource, old));
        for stored in quotas {
            if let Some(companion) = charge(admission, object, &stored, &now, before.as_ref())? {
                notes.companions.push(companion);
            }
        }
        Ok(())
    }
}

/// Charges one quota; nothing where it does not count the object.
fn charge(
    admission: &Admission<'_>,
    object: &Value,
    stored: &Stored,
    now: &Usage,
    before: Option<&Usage>,
) -> Result<Option<Companion>, Status> {
    let quota = stored.tree();
    if !now.in_scopes(&quota["spec"], object) {
        return Ok(None);
    }
    let hard = amounts(&quota["status"]["hard"]);
    if admission.operation == Operation::Create {
        let unsaid = now.unsaid(hard.keys());
        if !unsaid.is_empty() {
            let why = format!("failed quota: {}: must specify {}", stored.name(), unsaid.join("; "));
            return Err(admission.forbid(object, why));
        }
    }
    let mut delta: BTreeMap<String, Quantity> = BTreeMap::new();
    for name in hard.keys() {
        let used = now.amount(name).unwrap_or_else(nothing);
        let freed = before.and_then(|before| before.amount(name)).unwrap_or_else(nothing);
        let more = used - freed;
        if !more.is_zero() {
            delta.insert(name.clone(), more);
        }
    }
    if delta.is_empty() {
        return Ok(None);
    }
    let mut used = amounts(&quota["status"]["used"]);
    let mut exceeded: Vec<&String> = Vec::new();
    for (name, more) in &delta {
        let total = used.get(name).cloned().unwrap_or_else(nothing) + *more;
        if !more.is_negative() && total > hard[name] {
            exceeded.push(name);
        }
    }
    if !exceeded.is_empty() {
        let list = |amounts: &BTreeMap<String, Quantity>| {
            let parts: Vec<String> = exceeded
                .iter()
                .map(|name| format!("{name}={}", amounts.get(*name).cloned().unwrap_or_else(nothing)))
                .collect();
            parts.join(",")
        };
        let why = format!(
            "exceeded quota: {}, requested: {}, used: {}, limited: {}",
            stored.name(),
            list(&delta),
            list(&used),
            list(&hard)
        );
        return Err(admission.forbid(object, why));
    }
    for (name, more) in delta {
        let total = used.remove(&name).unwrap_or_else(nothing) + more;
        used.insert(name, if total.is_negative() { nothing() } else { total });
    }
    let mut charged = quota;
    let mut written = value!({});
    for (name, amount) in used {
        written.set(name, amount.to_string());
    }
    charged.entry("status").set("used", written);
    Ok(Some(Companion {
        group: String::new(),
        resource: "resourcequotas".into(),
        namespace: stored.namespace().to_owned(),
        name: stored.name().to_owned(),
        manager: "",
        change: Change::Update { revision: stored.revision(), object: charged },
    }))
}

fn amounts(map: &Value) -> BTreeMap<String, Quantity> {
    map.members()
        .filter_map(|(name, amount)| Some((name.to_owned(), Quantity::parse(amount.text()).ok()?)))
        .collect()
}

fn nothing() -> Quantity {
    Quantity::new(0, Format::DecimalSi)
}
