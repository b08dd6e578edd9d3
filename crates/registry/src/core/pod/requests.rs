//! What a pod requests, added up over its containers (KEP-753's rule for
//! sidecars): for quota, limits and the pod's own requests.
//!
//! Works on trees, since admission and registry hold nothing typed.

use std::collections::BTreeMap;

use apimachinery::Value;
use apimachinery::quantity::Quantity;

/// Amounts by resource name, in the order of names.
pub type Amounts = BTreeMap<String, Quantity>;

fn read(amounts: &Value) -> Amounts {
    amounts
        .members()
        .filter_map(|(name, amount)| Some((name.to_owned(), Quantity::parse(amount.text()).ok()?)))
        .collect()
}

fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        match sum.get_mut(name) {
            Some(known) => *known += *amount,
            None => {
                sum.insert(name.clone(), *amount);
            }
        }
    }
}

fn raise(most: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        if most.get(name).is_none_or(|known| known < amount) {
            most.insert(name.clone(), *amount);
        }
    }
}

/// The sum over containers and sidecars, or what an init container needs at
/// its time if that is more; `of` is `requests` or `limits`.
pub fn over_containers(spec: &Value, of: &str) -> Amounts {
    let mut sum = Amounts::new();
    for container in spec["containers"].items() {
        add(&mut sum, &read(&container["resources"][of]));
    }
    let mut sidecars = Amounts::new();
    let mut most = Amounts::new();
    for container in spec["initContainers"].items() {
        let own = read(&container["resources"][of]);
        if container["restartPolicy"].text() == "Always" {
            add(&mut sum, &own);
            add(&mut sidecars, &own);
            raise(&mut most, &sidecars);
        } else {
            let mut at_its_time = own;
            add(&mut at_its_time, &sidecars);
            raise(&mut most, &at_its_time);
        }
    }
    raise(&mut sum, &most);
    sum
}

/// What the containers of a pod spec request together.
pub fn of_containers(spec: &Value) -> Amounts {
    over_containers(spec, "requests")
}

/// What a pod requests: its own requests where it has some, else those of its
/// containers, and the overhead of its runtime class.
pub fn requests(spec: &Value) -> Amounts {
    total(spec, "requests")
}

/// As [`requests`], of limits; the overhead counts where there is a limit.
pub fn limits(spec: &Value) -> Amounts {
    total(spec, "limits")
}

fn total(spec: &Value, of: &str) -> Amounts {
    let mut sum = over_containers(spec, of);
    for (name, amount) in read(&spec["resources"][of]) {
        sum.insert(name, amount);
    }
    let overhead = read(&spec["overhead"]);
    if of == "requests" {
        add(&mut sum, &overhead);
    } else {
        for (name, amount) in overhead {
            if let Some(limit) = sum.get_mut(&name)
                && !limit.is_zero()
            {
                *limit += amount;
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    fn cpu(amounts: &Amounts) -> String {
        amounts.get("cpu").map(Quantity::to_string).unwrap_or_default()
    }

    #[test]
    fn init_containers_count_at_their_time_and_sidecars_always() {
        let request = |cpu: &str| value!({"resources": {"requests": {"cpu": cpu}}});
        let sidecar =
            |cpu: &str| value!({"restartPolicy": "Always", "resources": {"requests": {"cpu": cpu}}});
        for (init, containers, expected) in [
            (vec![], vec![request("1"), request("2")], "3"),
            (vec![request("5")], vec![request("1")], "5"),
            (vec![sidecar("1"), request("5")], vec![request("1")], "6"),
            (vec![request("5"), sidecar("1")], vec![request("1")], "5"),
            (vec![sidecar("2")], vec![request("1")], "3"),
        ] {
            let spec = value!({"initContainers": init, "containers": containers});
            assert_eq!(cpu(&of_containers(&spec)), expected, "{spec:?}");
        }
    }

    #[test]
    fn overhead_counts_and_the_pods_own_requests_win() {
        let spec = value!({
            "containers": [{"resources": {"requests": {"cpu": "1"}}}],
            "overhead": {"cpu": "250m"},
            "resources": {"requests": {"cpu": "3"}}
        });
        assert_eq!(cpu(&requests(&spec)), "3250m");
        assert!(limits(&spec).is_empty());
    }
}
