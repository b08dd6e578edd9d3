//! `corten apiserver`: the API alone.

use anyhow::{Context, Result};
use edge::Edge;

use crate::cli::Apiserver;
use crate::control_plane::{Config, ControlPlane};
use crate::{log, up};

pub fn run(options: &Apiserver) -> Result<()> {
    log::start(options.logging.log_format);
    let runtime = up::runtime("api", 2)?;
    let edge = Edge::system_on(runtime.handle().clone());
    runtime.block_on(async {
        let config = Config {
            data_dir: options.data.data_dir.clone(),
            bind: options.bind,
            service_ranges: options.service_cidr.clone(),
            advertise: Vec::new(),
            warn_ineffective: false,
        };
        let control_plane = ControlPlane::start(&config, &edge).await?;
        tracing::info!(
            address = %control_plane.address(), kubeconfig = %control_plane.kubeconfig().display(), "the API is served"
        );
        up::told_to_stop().await.context("signals")?;
        control_plane.stop().await;
        edge.tasks.stop();
        Ok(())
    })
}
