//! The status that a ResourceQuota deserves. Pure.

use std::collections::{BTreeMap, BTreeSet};

use api::quota::{Usage, counted};
use apimachinery::Value;
use apimachinery::quantity::{Format, Quantity};
use k8s_openapi::api::core::v1::{ResourceQuota, ResourceQuotaStatus};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

fn hard(quota: &ResourceQuota) -> BTreeMap<String, Text> {
    quota.spec.as_ref().and_then(|spec| spec.hard.clone()).unwrap_or_default()
}

/// Group and plural of the resources that the quota counts.
pub fn resources(quota: &ResourceQuota) -> BTreeSet<(&str, &str)> {
    let hard = quota.spec.iter().flat_map(|spec| spec.hard.iter().flatten());
    hard.filter_map(|(name, _)| counted(name)).collect()
}

/// Whether its status does not speak of its specification.
pub fn is_open(quota: &ResourceQuota) -> bool {
    let status = quota.status.clone().unwrap_or_default();
    let (limits, shown) = (hard(quota), status.hard.unwrap_or_default());
    let used = status.used.unwrap_or_default();
    limits != shown || limits.keys().any(|name| counted(name).is_some() && !used.contains_key(name))
}

/// The status, where it has another: `objects` are those of each counted
/// resource that exists.
pub fn plan(
    quota: &ResourceQuota,
    objects: &BTreeMap<(&str, &str), Vec<Value>>,
) -> Option<ResourceQuotaStatus> {
    let spec = quota.spec.as_ref().and_then(|spec| Value::from_serialize(spec).ok()).unwrap_or_default();
    let old = quota.status.clone().unwrap_or_default();
    let (limits, before) = (hard(quota), old.used.clone().unwrap_or_default());
    let mut sums: BTreeMap<&str, Quantity> = BTreeMap::new();
    for ((group, plural), list) in objects {
        let own: Vec<&String> =
            limits.keys().filter(|name| counted(name) == Some((*group, *plural))).collect();
        sums.extend(own.iter().map(|name| (name.as_str(), Quantity::new(0, Format::DecimalSi))));
        for object in list {
            let usage = Usage::of(group, plural, object);
            if !usage.in_scopes(&spec, object) {
                continue;
            }
            for name in &own {
                if let (Some(sum), Some(amount)) = (sums.get_mut(name.as_str()), usage.amount(name)) {
                    *sum += amount;
                }
            }
        }
    }
    // What cannot be counted here keeps what was known of it.
    let used = limits.keys().filter_map(|name| {
        let known = before.get(name);
        let text = match sums.get(name.as_str()) {
            Some(sum)
                if known.is_some_and(|known| Quantity::parse(&known.0).is_ok_and(|known| known == *sum)) =>
            {
                known.cloned()?
            }
            Some(sum) => Text(sum.to_string()),
            None => known.cloned()?,
        };
        Some((name.clone(), text))
    });
    let used: BTreeMap<String, Text> = used.collect();
    let status = ResourceQuotaStatus { used: Some(used), hard: Some(limits) };
    let shown = |status: &ResourceQuotaStatus| {
        (status.hard.clone().unwrap_or_default(), status.used.clone().unwrap_or_default())
    };
    (shown(&status) != shown(&old)).then_some(status)
}
