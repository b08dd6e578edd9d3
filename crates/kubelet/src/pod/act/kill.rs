//! Ending a container: its preStop hook, then its signal, within its grace.

use std::time::Duration;

use jiff::Timestamp;

use super::Job;
use crate::pod::record::Instance;
use crate::pod::spec::PodExt;

/// What is left for the signal when a hook has used up the grace.
const LEAST_GRACE: Duration = Duration::from_secs(2);

impl Job {
    /// `again`: a kill is under way and only its grace is cut.
    pub(super) async fn kill(
        &self,
        name: &str,
        instance: &Instance,
        deadline: Timestamp,
        message: &str,
        again: bool,
    ) {
        let events = self.events.of(name);
        let left = || {
            let left = deadline.duration_since(self.context.now());
            Duration::try_from(left).unwrap_or(Duration::ZERO)
        };
        let whole = left();
        let mut hooked = false;
        if !again {
            events.normal("Killing", message);
            let container = self.pod.container(name).map(|(_, container)| container);
            let hook =
                container.as_ref().and_then(|one| Some((one, one.lifecycle.as_ref()?.pre_stop.as_ref()?)));
            if let Some((container, hook)) = hook
                && instance.is_running()
                && whole > Duration::from_secs(1)
            {
                hooked = true;
                if let Err(why) = self.run_hook(container, &instance.id, hook, Some(whole)).await {
                    events.warning("FailedPreStopHook", format!("PreStopHook failed: {why}"));
                }
            }
        }
        let grace = if hooked { left().max(LEAST_GRACE) } else { left() };
        let signal = self.stop_signal(name);
        if let Err(error) =
            self.context.drivers.runtime.stop_container(&instance.id, signal.as_deref(), grace).await
        {
            events.warning("FailedKillPod", format!("error killing container {name}: {error}"));
            // What cannot be stopped is tried again with the next step.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// The pod's own choice; None leaves it to the image.
    fn stop_signal(&self, name: &str) -> Option<String> {
        let (_, container) = self.pod.container(name)?;
        container.lifecycle.as_ref()?.stop_signal.clone()
    }
}
