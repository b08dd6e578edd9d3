//! Making and stopping the pod's sandbox, with its network and its files.

use std::fs;
use std::net::IpAddr;

use super::{Job, NewSandbox};
use crate::pod::spec::PodExt;
use crate::sandbox::{self, ResolvConf};

impl Job {
    pub(super) async fn create_sandbox(&self) -> Result<NewSandbox, String> {
        let made = self.try_create_sandbox().await;
        if let Err(why) = &made {
            self.events.warning("FailedCreatePodSandBox", format!("Failed to create pod sandbox: {why}"));
        }
        made
    }

    async fn try_create_sandbox(&self) -> Result<NewSandbox, String> {
        let drivers = &self.context.drivers;
        if let Some(dead) = &self.sandbox {
            self.events.normal("SandboxChanged", "Pod sandbox changed, it will be killed and re-created.");
            self.remove_sandbox(dead).await?;
        }
        let config = &self.context.config;
        let wanted = sandbox::config(
            &self.pod,
            self.sandboxes,
            &config.cgroup_root,
            &config.cluster_domain,
            self.context.logs(),
        );
        let made = drivers.runtime.run_sandbox(wanted).await.map_err(|error| error.to_string())?;
        self.context.sandboxes.lock().insert(made.id.clone(), self.pod.uid().to_owned());
        let prepared = async {
            let addresses = match &made.network_namespace {
                Some(namespace) => {
                    let ports = sandbox::port_mappings(&self.pod);
                    let attached = drivers.network.attach(made.id.as_str(), namespace, &ports).await;
                    attached.map_err(|why| format!("failed to set up the pod's network: {why}"))?.addresses
                }
                None => Vec::new(),
            };
            self.write_files(addresses.clone()).await?;
            Ok(addresses)
        };
        match prepared.await {
            Ok(addresses) => Ok(NewSandbox { id: made.id, namespace: made.network_namespace, addresses }),
            Err(why) => {
                // The next attempt starts from nothing.
                if let Err(error) = self.remove_sandbox(&made.id).await {
                    tracing::warn!(
                        pod = self.pod.display(),
                        error,
                        "a half made sandbox stays until the pod is deleted"
                    );
                }
                Err(why)
            }
        }
    }

    /// /etc/hosts, /etc/resolv.conf, /etc/hostname and the shared memory.
    async fn write_files(&self, addresses: Vec<IpAddr>) -> Result<(), String> {
        let pod = self.pod.clone();
        let written = self.context.blocking(move |context| -> std::io::Result<()> {
            let directory = context.volumes.pod_directory(pod.uid());
            fs::create_dir_all(&directory)?;
            let spec = pod.spec();
            let aliases = spec.host_aliases.as_deref().unwrap_or_default();
            let hosts = if pod.is_host_network() {
                let node = fs::read_to_string("/etc/hosts").unwrap_or_default();
                sandbox::hosts_of_node(&node, aliases)
            } else {
                let full = sandbox::domain_name(&pod, &context.config.cluster_domain);
                sandbox::hosts(&addresses, &sandbox::hostname(&pod), full.as_deref(), aliases)
            };
            let node =
                ResolvConf::parse(&fs::read_to_string(&context.config.resolv_conf).unwrap_or_default());
            let resolv = sandbox::resolv_conf(
                &pod,
                &node,
                &context.config.cluster_dns,
                &context.config.cluster_domain,
            );
            fs::write(directory.join("etc-hosts"), hosts)?;
            fs::write(directory.join("resolv.conf"), resolv.text())?;
            if !pod.is_host_network() {
                let name = sandbox::kernel_hostname(&pod, &context.config.cluster_domain);
                fs::write(directory.join("hostname"), format!("{name}\n"))?;
            }
            if spec.host_ipc != Some(true) {
                context.volumes.shared_memory(pod.uid())?;
            }
            Ok(())
        });
        match written.await {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(format!("the pod's files cannot be written: {error}")),
            None => Err("the program stops".into()),
        }
    }

    pub(super) async fn remove_sandbox(&self, id: &runtime::SandboxId) -> Result<(), String> {
        let drivers = &self.context.drivers;
        drivers.runtime.stop_sandbox(id).await.map_err(|error| error.to_string())?;
        drivers.network.detach(id.as_str()).await?;
        let containers =
            drivers.runtime.sandbox_status(id).await.map(|status| status.containers).unwrap_or_default();
        drivers.runtime.remove_sandbox(id).await.map_err(|error| error.to_string())?;
        for container in &containers {
            drivers.images.release(container.id.as_str()).await.map_err(|error| error.to_string())?;
        }
        self.context.sandboxes.lock().remove(id);
        Ok(())
    }

    /// Ends the sandbox of a pod that is over; its containers' ends and logs stay.
    pub(super) async fn stop_sandbox(&self) -> Result<(), String> {
        let Some(id) = &self.sandbox else { return Ok(()) };
        let drivers = &self.context.drivers;
        drivers.network.detach(id.as_str()).await?;
        drivers.runtime.stop_sandbox(id).await.map_err(|error| error.to_string())
    }
}
