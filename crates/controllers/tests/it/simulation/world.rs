//! Everything that runs in one seed, and how its parts die and come back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use apimachinery::{Value, value};
use apiserver::{ApiServer, UserInfo};
use client::{Error, Transport};
use controllers::Context;
use edge::{Edge, SeededRandom, SimulatedClock, Tasks};
use jiff::SignedDuration;
use scheduler::{Placement, Scheduler};
use testapi::{Client, Disk};

use super::faults::{Api, Faulty, Line};
use super::invariants::budgets_hold::Evictions;
use super::invariants::no_name_runs_twice::Running;
use super::nodes;
use crate::cluster::{
    BUDGETS, DAEMON_SETS, DEPLOYMENTS, JOBS, NODES, PODS, REPLICA_SETS, REVISIONS, STATEFUL_SETS, deployment,
    stateful_set,
};

/// What a user wants of a set of pods now.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub replicas: i64,
    pub image: String,
}

/// A machine that is a node.
struct Machine {
    name: &'static str,
    line: Arc<Line>,
    tasks: Tasks,
}

pub struct World {
    pub edge: Edge,
    clock: Arc<SimulatedClock>,
    disk: Disk,
    pub api: Arc<Api>,
    server_tasks: Tasks,
    loops: [Tasks; 2],
    machines: Vec<Machine>,
    /// People: their requests are lost only with the API.
    pub admin: Client,
    pub running: Arc<Running>,
    pub evictions: Evictions,
    pub web: Wanted,
    pub db: Wanted,
    pub agent: Wanted,
}

pub const NODE_NAMES: [&str; 3] = ["n1", "n2", "n3"];
/// Pods of the Deployment `guarded`, and how many its budget keeps.
pub const GUARDED: i64 = 4;
pub const KEPT: i64 = 3;
pub const COMPLETIONS: i64 = 5;
pub const PARALLELISM: i64 = 2;

impl World {
    pub async fn start(seed: u64) -> Self {
        let start = "2026-11-01T00:00:00Z".parse().expect("a time");
        let clock = Arc::new(SimulatedClock::starting_at(start));
        let edge = Edge {
            clock: clock.clone(),
            random: Arc::new(SeededRandom::new(seed)),
            tasks: Tasks::new(tokio::runtime::Handle::current()),
        };
        let disk = Disk::new(&edge);
        let server_tasks = edge.tasks.child();
        let server = disk.serve(&edge.with_tasks(server_tasks.clone())).await;
        let api = Api::new(server, &edge);
        let admin = Client(transport(&api, UserInfo::new("admin", &["system:masters"]), "kubectl", true));
        let running = Arc::new(Running::default());
        let mut machines = Vec::new();
        for name in NODE_NAMES {
            let node = value!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
            admin.create(&NODES, "", node).await.expect("a node");
            let user = UserInfo::new(format!("system:node:{name}"), &["system:masters"]);
            let machine = Machine { name, line: Arc::default(), tasks: edge.tasks.child() };
            machine.line.mend(&edge);
            let line = Some(machine.line.clone());
            let way = Faulty { api: api.clone(), user, agent: "kubelet".into(), reliable: false, line };
            nodes::start(&edge.with_tasks(machine.tasks.clone()), Arc::new(way), name, running.clone());
            machines.push(machine);
        }
        let of = |replicas, image: &str| Wanted { replicas, image: image.into() };
        let world = Self {
            loops: [edge.tasks.child(), edge.tasks.child()],
            machines,
            edge,
            clock,
            disk,
            api,
            server_tasks,
            admin,
            running,
            evictions: Evictions::default(),
            web: of(3, "image-0"),
            db: of(2, "image-0"),
            agent: of(NODE_NAMES.len() as i64, "image-0"),
        };
        world.start_controllers();
        world.start_scheduler();
        world.create_workloads().await;
        world.api.stormy.store(true, Ordering::Relaxed);
        world
    }

    async fn create_workloads(&self) {
        let account = client::Resource::new("", "v1", "serviceaccounts");
        let admin = &self.admin;
        admin
            .eventually("the default account", || async {
                admin.get(&account, "default", "default").await.is_ok()
            })
            .await;
        let mut agent = deployment("agent", 0, "image-0");
        agent.set("kind", "DaemonSet");
        agent.get_mut("spec").expect("a spec").remove("replicas");
        let job = value!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"},
            "spec": {
                "completions": COMPLETIONS, "parallelism": PARALLELISM, "backoffLimit": 100,
                "template": {"metadata": {"labels": {"app": "once"}}, "spec": {
                    "restartPolicy": "Never", "containers": [{"name": "main", "image": "succeeds"}]
                }}
            }
        });
        let budget = value!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "guarded"},
            "spec": {"minAvailable": KEPT, "selector": {"matchLabels": {"app": "guarded"}}}
        });
        for (resource, object) in [
            (&DEPLOYMENTS, deployment("web", self.web.replicas, &self.web.image)),
            (&DEPLOYMENTS, deployment("guarded", GUARDED, "image-0")),
            (&BUDGETS, budget),
            (&STATEFUL_SETS, stateful_set("db", self.db.replicas, &self.db.image)),
            (&DAEMON_SETS, agent),
            (&JOBS, job),
        ] {
            admin.create(resource, "default", object).await.expect("created");
        }
    }

    fn start_controllers(&self) {
        let api = self.api.clone();
        let identities = move |name: &str| -> Arc<dyn Transport> {
            let user = match name {
                "kube-controller-manager" => UserInfo::new("system:kube-controller-manager", &[]),
                name => UserInfo::new(
                    format!("system:serviceaccount:kube-system:{name}"),
                    &["system:serviceaccounts", "system:serviceaccounts:kube-system"],
                ),
            };
            transport(&api, user, name, false)
        };
        let edge = self.edge.with_tasks(self.loops[0].clone());
        controllers::start_all(&Context::new(edge, Arc::new(identities)).with_root_ca("PEM"));
    }

    fn start_scheduler(&self) {
        let user = UserInfo::new("system:kube-scheduler", &[]);
        let edge = self.edge.with_tasks(self.loops[1].clone());
        Scheduler::start(&edge, transport(&self.api, user, "kube-scheduler", false), Placement::SameRuntime);
    }

    /// The controllers die in the middle of what they do, and start anew.
    pub async fn crash_controllers(&mut self) {
        self.loops[0].stop();
        self.pause(2000).await;
        self.loops[0] = self.edge.tasks.child();
        self.start_controllers();
    }

    pub async fn crash_scheduler(&mut self) {
        self.loops[1].stop();
        self.pause(1000).await;
        self.loops[1] = self.edge.tasks.child();
        self.start_scheduler();
    }

    /// The API's process dies; another starts on the same disk.
    pub async fn crash_api(&mut self) {
        self.api.crash();
        self.server_tasks.stop();
        self.pause(3000).await;
        self.server_tasks = self.edge.tasks.child();
        let server: Arc<ApiServer> = self.disk.serve(&self.edge.with_tasks(self.server_tasks.clone())).await;
        self.api.revive(server);
    }

    /// A node of those that there are.
    pub fn any_node(&self) -> &'static str {
        self.machines[self.edge.random.below(self.machines.len() as u64) as usize].name
    }

    fn machine(&self, node: &str) -> &Machine {
        self.machines.iter().find(|machine| machine.name == node).expect("a machine")
    }

    /// Nothing is heard of a node any more, and it hears nothing; what runs on
    /// it runs on.
    pub fn silence(&self, node: &str) {
        self.machine(node).line.cut();
    }

    pub fn hear(&self, node: &str) {
        self.machine(node).line.mend(&self.edge);
    }

    /// A machine is no more, and all that ran on it.
    pub fn destroy(&mut self, node: &str) {
        self.machine(node).tasks.stop();
        self.machines.retain(|machine| machine.name != node);
        self.running.end(node);
        self.agent.replicas -= 1;
    }

    /// The wall clock jumps, forward or back.
    pub fn jump(&self) {
        let seconds = self.edge.random.below(90) as i64 - 30;
        self.clock.jump(SignedDuration::from_secs(seconds));
    }

    /// A random time up to so many milliseconds.
    pub async fn pause(&self, most: u64) {
        tokio::time::sleep(Duration::from_millis(self.edge.random.below(most))).await;
    }

    /// Asks until the API is there to answer.
    pub async fn insist<F>(&self, ask: impl Fn() -> F) -> Result<Value, Error>
    where
        F: Future<Output = Result<Value, Error>>,
    {
        loop {
            match ask().await {
                Err(Error::Unreachable(_)) => tokio::time::sleep(Duration::from_millis(200)).await,
                answer => return answer,
            }
        }
    }

    /// Waits ten minutes, in pretended time, until `holds` of an object.
    pub async fn eventually<F: Future<Output = bool>>(
        &self,
        what: &str,
        (resource, name): (&client::Resource, &str),
        holds: impl Fn() -> F,
    ) {
        for _ in 0..600 {
            if holds().await {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let object = self.admin.get(resource, "default", name).await;
        let pods = self.pods_of(name).await;
        let text = |tree: &Value| apimachinery::json::to_string(tree);
        let pods: Vec<_> = pods.iter().map(text).collect();
        let object = object.map(|object| text(&object));
        panic!("after ten minutes still not: {what}\n{object:?}\n{}", pods.join("\n"));
    }

    /// The pods of an app, in order of name.
    pub async fn pods_of(&self, app: &str) -> Vec<Value> {
        let mut pods = self.admin.list(&PODS, "default").await;
        pods.retain(|pod| pod["metadata"]["labels"]["app"].text() == app);
        pods
    }

    /// What there is, object by object with its revision.
    pub async fn trace(&self) -> Vec<String> {
        let mut trace = Vec::new();
        for resource in
            [&DEPLOYMENTS, &REPLICA_SETS, &STATEFUL_SETS, &DAEMON_SETS, &JOBS, &REVISIONS, &BUDGETS, &PODS]
        {
            for object in self.admin.list(resource, "default").await {
                let metadata = &object["metadata"];
                let (name, revision) = (metadata["name"].text(), metadata["resourceVersion"].text());
                trace.push(format!("{}/{name}@{revision}", resource.plural));
            }
        }
        trace
    }

    pub fn stop(&self) {
        self.edge.tasks.stop();
    }
}

fn transport(api: &Arc<Api>, user: UserInfo, agent: &str, reliable: bool) -> Arc<dyn Transport> {
    Arc::new(Faulty { api: api.clone(), user, agent: agent.to_owned(), reliable, line: None })
}
