//! The arithmetic of rolling updates (`deployment/util`). Pure.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use crate::percent::scaled;

/// How far a rolling update may go beyond and below the wanted replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    pub max_surge: i32,
    pub max_unavailable: i32,
}

/// Percentages of `replicas`: surge rounds up, unavailable down; both zero
/// would stand still, so that one may be missing
/// (`deploymentutil.ResolveFenceposts`).
pub fn fence(deployment: &Deployment) -> Fence {
    let Some(rolling) = deployment
        .spec
        .strategy
        .as_ref()
        .filter(|strategy| strategy.type_.as_deref() != Some("Recreate"))
        .and_then(|strategy| strategy.rolling_update.as_ref())
    else {
        return Fence { max_surge: 0, max_unavailable: 0 };
    };
    let replicas = wanted(deployment);
    let max_surge = scaled(rolling.max_surge.as_ref(), replicas, true);
    let max_unavailable = scaled(rolling.max_unavailable.as_ref(), replicas, false);
    match (max_surge, max_unavailable) {
        (0, 0) => Fence { max_surge: 0, max_unavailable: 1 },
        _ => Fence { max_surge, max_unavailable: max_unavailable.min(replicas) },
    }
}

pub fn wanted(deployment: &Deployment) -> i32 {
    deployment.spec.replicas.unwrap_or(1)
}

pub fn replicas(set: &ReplicaSet) -> i32 {
    set.spec.replicas.unwrap_or(1)
}

pub fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}

/// Sum over sets.
pub fn sum<'a>(sets: impl IntoIterator<Item = &'a ReplicaSet>, count: fn(&ReplicaSet) -> i32) -> i32 {
    sets.into_iter().map(count).sum()
}

/// The replicas that the new set should have now (`NewRSNewReplicas`);
/// `current` is what it has, `total` what all sets have.
pub fn new_set_replicas(deployment: &Deployment, recreate: bool, current: i32, total: i32) -> i32 {
    let wanted = wanted(deployment);
    if recreate {
        return wanted;
    }
    let room = wanted + fence(deployment).max_surge - total;
    if room <= 0 {
        return current;
    }
    current + room.min(wanted - current)
}

/// What the old sets should have now: first those pods go that were not
/// available anyway, then as many as availability allows
/// (`reconcileOldReplicaSets`). Gives the new counts in the order of `old`.
pub fn old_set_replicas(deployment: &Deployment, new: &ReplicaSet, old: &[&ReplicaSet]) -> Vec<i32> {
    let mut counts: Vec<i32> = old.iter().map(|set| replicas(set)).collect();
    let old_total: i32 = counts.iter().sum();
    if old_total == 0 {
        return counts;
    }
    let least_available = wanted(deployment) - fence(deployment).max_unavailable;
    let new_unavailable = replicas(new) - available(new);
    let mut budget = old_total + replicas(new) - least_available - new_unavailable;
    if budget <= 0 {
        return counts;
    }
    // Oldest first.
    let mut order: Vec<usize> = (0..old.len()).collect();
    order.sort_by_key(|at| age_key(old[*at]));
    for at in &order {
        let unhealthy = counts[*at] - available(old[*at]).min(counts[*at]);
        let gone = unhealthy.min(budget).max(0);
        counts[*at] -= gone;
        budget -= gone;
    }
    let mut spare = available(new) + old.iter().map(|set| available(set)).sum::<i32>() - least_available;
    for at in order {
        if spare <= 0 {
            break;
        }
        let gone = counts[at].min(spare);
        counts[at] -= gone;
        spare -= gone;
    }
    counts
}

/// Order by age, then name.
pub fn age_key(set: &ReplicaSet) -> (Option<jiff::Timestamp>, String) {
    let created = set.metadata.creation_timestamp.as_ref().map(|time| time.0);
    (created, set.metadata.name.clone().unwrap_or_default())
}

/// Spreads a change of the Deployment's size over its sets in proportion to
/// their own (`sync.scale`). `desired` tells what each set was last scaled
/// for (its annotation). Gives the new counts in the order of `sets`.
pub fn proportional(
    deployment: &Deployment,
    sets: &[&ReplicaSet],
    desired: impl Fn(&ReplicaSet) -> i32,
) -> Vec<i32> {
    let mut counts: Vec<i32> = sets.iter().map(|set| replicas(set)).collect();
    let total: i32 = counts.iter().sum();
    let allowed = match wanted(deployment) {
        0 => 0,
        wanted => wanted + fence(deployment).max_surge,
    };
    let to_add = allowed - total;
    // Larger sets first; of equals, the newer when growing and the older when shrinking.
    let mut order: Vec<usize> = (0..sets.len()).filter(|at| counts[*at] > 0).collect();
    order.sort_by(|a, b| {
        counts[*b].cmp(&counts[*a]).then_with(|| {
            let by_age = age_key(sets[*a]).cmp(&age_key(sets[*b]));
            if to_add > 0 { by_age.reverse() } else { by_age }
        })
    });
    let mut added = 0;
    let before = counts.clone();
    for at in &order {
        if to_add == 0 {
            break;
        }
        let share = share(before[*at], allowed, desired(sets[*at]));
        let left = to_add - added;
        let step = if to_add > 0 { share.min(left).max(0) } else { share.max(left).min(0) };
        counts[*at] += step;
        added += step;
    }
    if let Some(first) = order.first().filter(|_| to_add != 0) {
        counts[*first] = (counts[*first] + to_add - added).max(0);
    }
    counts
}

/// A set's share of a change, rounded to the nearest.
fn share(replicas: i32, allowed: i32, annotated: i32) -> i32 {
    if annotated <= 0 {
        return 0;
    }
    let new_size = f64::from(replicas) * f64::from(allowed) / f64::from(annotated);
    new_size.round() as i32 - replicas
}
