//! One API server for one test.

use std::sync::Arc;

use apiserver::ApiServer;
use client::Resource;
use edge::Edge;
use testapi::{Client, Disk};

pub struct Cluster {
    pub server: Arc<ApiServer>,
}

pub const PODS: Resource = Resource::new("", "v1", "pods");
pub const SERVICES: Resource = Resource::new("", "v1", "services");

impl Cluster {
    pub async fn start() -> Self {
        let edge = Edge::simulated(7, "2026-11-01T00:00:00Z".parse().expect("a time"));
        Self { server: Disk::new(&edge).serve(&edge).await }
    }

    pub fn client(&self, user: &str, groups: &[&str]) -> Client {
        testapi::client(&self.server, user, groups)
    }

    pub fn admin(&self) -> Client {
        self.client("admin", &["system:masters"])
    }
}
