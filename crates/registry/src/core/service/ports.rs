//! Which node ports a Service gets, keeps and gives up (upstream's service allocators).
//!
//! Pure: the table of ports is read and written in `allocation`.

use std::collections::{BTreeSet, HashMap, HashSet};

use apimachinery::field::Path;
use apimachinery::{Status, Value};

use super::allocation::{Refusal, failed, refused};
use super::defaults::{needs_health_check_port, needs_node_ports, node_ports};
use super::node_ports::{NodePorts, in_range};
use crate::changes::items;

/// A dry run's first node port: a number that no Service is given.
const DRY_RUN_PORT: i64 = 32_769;

/// Types whose ports may have node ports.
fn may_have_ports(service: &Value) -> bool {
    matches!(service["spec"]["type"].text(), "NodePort" | "LoadBalancer")
}

/// Whether a write takes a node port or gives one up.
pub(super) fn concerns(service: &Value, old: Option<&Value>) -> bool {
    let takes = may_have_ports(service)
        && (needs_node_ports(service)
            || needs_health_check_port(service)
            || node_ports(service).next().is_some());
    takes || old.is_some_and(|old| !all_ports(old).is_empty())
}

/// Gives `service` its node ports out of `table`, and takes back what it has no more;
/// `old` is None for a create.
pub(super) fn give(
    service: &mut Value,
    old: Option<&Value>,
    table: &mut NodePorts,
    dry_run: bool,
    random: &mut dyn FnMut() -> u64,
) -> Result<(), Refusal> {
    let has_ports = may_have_ports(service);
    let mut taking = Taking { ports: table, dry_run, random, own: BTreeSet::new() };
    match old {
        _ if !has_ports => {}
        None => taking.give_new(service)?,
        Some(old) => taking.give_changed(service, old)?,
    }
    let health = needs_health_check_port(service);
    if health && !old.is_some_and(needs_health_check_port) {
        taking.give_health_port(service)?;
    }
    // What goes goes last: a write does not get what it gives up.
    let mut kept: HashSet<u16> = HashSet::new();
    if has_ports {
        kept.extend(node_ports(service).filter_map(|port| u16::try_from(port).ok()));
    }
    if health {
        kept.extend(health_port(service));
    }
    for port in old.map(all_ports).unwrap_or_default() {
        if !kept.contains(&port) {
            table.release(port);
        }
    }
    Ok(())
}

/// The node ports of a Service, with the one for health, once each.
pub(super) fn all_ports(service: &Value) -> Vec<u16> {
    let ports = node_ports(service).filter_map(|port| u16::try_from(port).ok());
    let mut ports: Vec<u16> = ports.chain(health_port(service)).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn health_port(service: &Value) -> Option<u16> {
    let port = service["spec"]["healthCheckNodePort"].as_i64().filter(|&port| port != 0)?;
    u16::try_from(port).ok()
}

/// The node ports that one write takes.
struct Taking<'a> {
    ports: &'a mut NodePorts,
    dry_run: bool,
    random: &'a mut dyn FnMut() -> u64,
    /// What this write took.
    own: BTreeSet<i64>,
}

impl Taking<'_> {
    /// Takes `port`. As upstream, a dry run asks of no range.
    fn take(&mut self, port: i64) -> Result<(), String> {
        let number = u16::try_from(port).ok().filter(|_| in_range(port));
        if number.is_none() && !self.dry_run {
            let range = NodePorts::range();
            return Err(format!(
                "provided port is not in the valid range. The range of valid ports is {range}"
            ));
        }
        let taken = number.is_some_and(|number| self.ports.is_taken(number));
        if taken || !self.own.insert(port) {
            return Err("provided port is already allocated".into());
        }
        if let Some(number) = number {
            self.ports.take(number);
        }
        Ok(())
    }

    /// Takes `port` for the Service's port `at`.
    fn take_asked(&mut self, port: i64, at: usize) -> Result<(), Refusal> {
        self.take(port).map_err(|why| {
            let spec = Path::Root.child("spec");
            let list = spec.child("ports");
            refused(&list.index(at).child("nodePort"), port.into(), &why)
        })
    }

    /// Takes some port; `whose` is what lacks one when there is none.
    fn take_any(&mut self, whose: &str) -> Result<i64, Refusal> {
        let port = if self.dry_run {
            Some(self.own.last().map_or(DRY_RUN_PORT, |last| last + 1))
        } else {
            self.ports.take_any((self.random)()).map(i64::from)
        };
        let port = port.ok_or_else(|| failed(&format!("failed to allocate a {whose}: range is full")))?;
        self.own.insert(port);
        Ok(port)
    }

    /// Of a new Service, ports of one number share a node port, whichever of them asks for it.
    fn give_new(&mut self, service: &mut Value) -> Result<(), Refusal> {
        let all = needs_node_ports(service);
        let mut asked: HashMap<i64, i64> = HashMap::new();
        for port in service["spec"]["ports"].items() {
            let (number, node) = numbers(port);
            if node != 0 {
                asked.entry(number).or_insert(node);
            }
        }
        let mut given: HashMap<i64, i64> = HashMap::new();
        for (at, port) in items(service.entry("spec"), "ports").iter_mut().enumerate() {
            let (number, own) = numbers(port);
            if own == 0 && !all {
                continue;
            }
            let node = match (given.get(&number), asked.get(&number)) {
                (Some(&shared), _) if own == 0 || own == shared => shared,
                (Some(_), _) => {
                    self.take_asked(own, at)?;
                    own
                }
                (None, Some(&node)) => {
                    self.take_asked(node, at)?;
                    node
                }
                (None, None) => self.take_any("nodePort")?,
            };
            given.entry(number).or_insert(node);
            port.set("nodePort", node);
        }
        Ok(())
    }

    /// Of a changed Service, each port without a node port gets one.
    fn give_changed(&mut self, service: &mut Value, old: &Value) -> Result<(), Refusal> {
        let all = needs_node_ports(service);
        let before: HashSet<i64> = node_ports(old).collect();
        let mut seen: HashSet<(String, i64)> = HashSet::new();
        for (at, port) in items(service.entry("spec"), "ports").iter_mut().enumerate() {
            let (_, mut node) = numbers(port);
            if node == 0 && !all {
                continue;
            }
            if node == 0 {
                node = self.take_any("nodePort")?;
                port.set("nodePort", node);
            } else if !before.contains(&node) && !self.own.contains(&node) {
                self.take_asked(node, at)?;
            }
            let protocol = port["protocol"].text();
            if !seen.insert((protocol.to_owned(), node)) {
                let why = format!("duplicate nodePort: {{{protocol} {node}}}");
                return Err(Refusal::Failed(Status::unknown(why)));
            }
        }
        Ok(())
    }

    fn give_health_port(&mut self, service: &mut Value) -> Result<(), Refusal> {
        let asked = service["spec"]["healthCheckNodePort"].as_i64().unwrap_or(0);
        if asked == 0 {
            let port = self.take_any("HealthCheck NodePort 0")?;
            service.entry("spec").set("healthCheckNodePort", port);
            return Ok(());
        }
        self.take(asked).map_err(|why| {
            failed(&format!("failed to allocate requested HealthCheck NodePort {asked}: {why}"))
        })
    }
}

/// The number and the node port of a Service's port; 0 is none.
fn numbers(port: &Value) -> (i64, i64) {
    (port["port"].as_i64().unwrap_or(0), port["nodePort"].as_i64().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use apimachinery::value;

    use super::*;

    /// The node ports of each port, then the one for health; or why there are none.
    fn given(
        spec: Value,
        old: Option<Value>,
        table: &mut NodePorts,
        dry_run: bool,
    ) -> Result<Vec<i64>, String> {
        let mut service = value!({"spec": spec});
        let old = old.map(|spec| value!({"spec": spec}));
        let mut seed = 0;
        let mut random = || {
            seed += 1;
            seed
        };
        give(&mut service, old.as_ref(), table, dry_run, &mut random).map_err(|refusal| match refusal {
            Refusal::Invalid(errors) => errors.to_string(),
            Refusal::Failed(status) => status.message,
        })?;
        let of = |port: &Value| port.as_i64().unwrap_or(0);
        let mut all: Vec<i64> =
            service["spec"]["ports"].items().iter().map(|port| of(&port["nodePort"])).collect();
        all.push(of(&service["spec"]["healthCheckNodePort"]));
        Ok(all)
    }

    fn port(number: i64, protocol: &str, node: i64) -> Value {
        value!({"port": number, "protocol": protocol, "nodePort": node})
    }

    fn of_type(kind: &str, ports: Vec<Value>) -> Value {
        value!({"type": kind, "ports": ports})
    }

    #[test]
    fn new_services_share_a_node_port_by_number() {
        let taken = "nodePort: Invalid value: 30000: provided port is already allocated";
        for (ports, expected) in [
            (vec![port(53, "UDP", 0), port(53, "TCP", 0)], Ok(vec![30_087, 30_087, 0])),
            (vec![port(53, "UDP", 0), port(53, "TCP", 31_000)], Ok(vec![31_000, 31_000, 0])),
            (vec![port(53, "UDP", 31_000), port(53, "TCP", 31_001)], Ok(vec![31_000, 31_001, 0])),
            (vec![port(80, "TCP", 0), port(81, "TCP", 0)], Ok(vec![30_087, 30_088, 0])),
            // Of several numbers it is not one node port, whatever the protocols.
            (
                vec![port(80, "TCP", 31_000), port(81, "UDP", 31_000)],
                Err("spec.ports[1].nodePort: Invalid value: 31000: provided port is already allocated".into()),
            ),
            (vec![port(80, "TCP", 30_000)], Err(format!("spec.ports[0].{taken}"))),
            (
                vec![port(80, "TCP", 8080)],
                Err("spec.ports[0].nodePort: Invalid value: 8080: provided port is not in the valid range. The range of \
                     valid ports is 30000-32767"
                    .into()),
            ),
        ] {
            let mut table = NodePorts::default();
            table.take(30_000);
            assert_eq!(given(of_type("NodePort", ports.clone()), None, &mut table, false), expected, "{ports:?}");
        }
    }

    #[test]
    fn a_balancer_may_do_without() {
        let spec = value!({
            "type": "LoadBalancer", "allocateLoadBalancerNodePorts": false,
            "ports": [{"port": 80}, {"port": 81, "nodePort": 31_000}]
        });
        let mut table = NodePorts::default();
        assert_eq!(given(spec, None, &mut table, false), Ok(vec![0, 31_000, 0]));
        let nothing = value!({"spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false}});
        assert!(!concerns(&nothing, None));
        assert!(!concerns(&value!({"spec": {"type": "ClusterIP", "ports": [{"nodePort": 31_000}]}}), None));
    }

    #[test]
    fn changes_keep_take_and_give_up() {
        let old = || of_type("NodePort", vec![port(80, "TCP", 31_000), port(81, "TCP", 31_001)]);
        for (spec, expected, left) in [
            (old(), Ok(vec![31_000, 31_001, 0]), [true, true]),
            (of_type("NodePort", vec![port(80, "TCP", 31_000)]), Ok(vec![31_000, 0]), [true, false]),
            (of_type("ClusterIP", vec![port(80, "TCP", 31_000)]), Ok(vec![31_000, 0]), [false, false]),
            // What is given up goes last, so that it is not given anew.
            (of_type("NodePort", vec![port(80, "TCP", 0)]), Ok(vec![30_087, 0]), [false, false]),
            (
                of_type("NodePort", vec![port(80, "TCP", 31_000), port(80, "UDP", 31_000)]),
                Ok(vec![31_000, 31_000, 0]),
                [true, false],
            ),
            (
                of_type("NodePort", vec![port(80, "TCP", 31_000), port(81, "TCP", 31_000)]),
                Err("duplicate nodePort: {TCP 31000}".to_owned()),
                [true, true],
            ),
        ] {
            let mut table = NodePorts::default();
            table.take(31_000);
            table.take(31_001);
            assert_eq!(given(spec.clone(), Some(old()), &mut table, false), expected, "{spec:?}");
            assert_eq!([31_000, 31_001].map(|port| table.is_taken(port)), left, "{spec:?}");
        }
    }

    #[test]
    fn the_port_for_health_is_taken_once() {
        let local = |port: i64| {
            value!({
                "type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "externalTrafficPolicy": "Local",
                "healthCheckNodePort": port
            })
        };
        let mut table = NodePorts::default();
        assert_eq!(given(local(0), None, &mut table, false), Ok(vec![30_087]));
        assert_eq!(given(local(30_087), Some(local(30_087)), &mut table, false), Ok(vec![30_087]));
        assert!(table.is_taken(30_087));
        let told =
            "failed to allocate requested HealthCheck NodePort 30087: provided port is already allocated";
        assert!(given(local(30_087), None, &mut table, false).is_err_and(|why| why.contains(told)));
        assert_eq!(given(of_type("ClusterIP", vec![]), Some(local(30_087)), &mut table, false), Ok(vec![0]));
        assert!(!table.is_taken(30_087));
    }

    #[test]
    fn dry_runs_show_what_nobody_is_given() {
        let mut table = NodePorts::default();
        let ports = vec![port(80, "TCP", 0), port(81, "TCP", 0), port(82, "TCP", 8080)];
        let shown = given(of_type("NodePort", ports), None, &mut table, true);
        assert_eq!(shown, Ok(vec![DRY_RUN_PORT, DRY_RUN_PORT + 1, 8080, 0]));
        table.take(31_000);
        let asked = of_type("NodePort", vec![port(80, "TCP", 31_000)]);
        assert!(given(asked, None, &mut table, true).is_err());
    }
}
