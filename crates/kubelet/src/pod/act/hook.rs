//! postStart and preStop.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, HTTPGetAction, LifecycleHandler};
use runtime::ContainerId;

use super::Job;
use crate::probes::check;

/// A hook that asks over HTTP waits so long for its answer.
const HTTP_PATIENCE: Duration = Duration::from_secs(30);

impl Job {
    /// Runs a hook to its end, or to `limit`.
    pub(super) async fn run_hook(
        &self,
        container: &Container,
        id: &ContainerId,
        hook: &LifecycleHandler,
        limit: Option<Duration>,
    ) -> Result<(), String> {
        let work = async {
            if let Some(exec) = &hook.exec {
                let command = exec.command.clone().unwrap_or_default();
                let done =
                    self.context.drivers.runtime.exec_sync(id, &command, limit.unwrap_or_default()).await;
                return match done {
                    Ok(output) if output.exit_code == 0 => Ok(()),
                    Ok(output) => Err(format!(
                        "command '{}' exited with {}: {}",
                        command.join(" "),
                        output.exit_code,
                        String::from_utf8_lossy(&[output.stdout, output.stderr].concat())
                    )),
                    Err(error) => Err(error.to_string()),
                };
            }
            if let Some(get) = &hook.http_get {
                return self.ask(container, get).await;
            }
            if let Some(sleep) = &hook.sleep {
                tokio::time::sleep(Duration::from_secs(sleep.seconds.max(0) as u64)).await;
            }
            Ok(())
        };
        match limit {
            None => work.await,
            Some(limit) => tokio::time::timeout(limit, work)
                .await
                .unwrap_or_else(|_| Err(format!("it ran longer than the grace of {} s", limit.as_secs()))),
        }
    }
    /// Any answer will do. Hooks were made for HTTPS before servers spoke it:
    /// one that does not is asked again without, and that is told.
    async fn ask(&self, container: &Container, hook: &HTTPGetAction) -> Result<(), String> {
        let address = self.context.facts(&self.pod, &self.addresses).pod_ips.first().copied();
        let get = async |action: &HTTPGetAction| {
            check::ask(action, container, address, HTTP_PATIENCE, "kube-lifecycle").await
        };
        let answer = get(hook).await;
        if !answer.as_ref().is_err_and(|why| why.ends_with(check::NOT_TLS)) {
            return answer;
        }
        get(&HTTPGetAction { scheme: Some("HTTP".into()), ..hook.clone() }).await?;
        self.events.warning(
            "LifecycleHTTPFallback",
            "request to HTTPS lifecycle hook got HTTP response, retry with HTTP succeeded",
        );
        Ok(())
    }
}
