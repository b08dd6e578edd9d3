//! Admission webhooks: MutatingAdmissionWebhook and ValidatingAdmissionWebhook.
//! What to ask whom, and what an answer means, is decided here; the way out is
//! a [`Caller`].

mod answer;
mod caller;
mod destination;
mod hooks;
mod review;

use std::sync::Arc;
use std::time::Duration;

use apimachinery::patch::json::Patch;
use apimachinery::{Status, Value};
use apiserver::{Admission, Authorizer, Notes, RemotePlugin, Version};
use async_trait::async_trait;
use tokio::time::Instant;

pub use answer::Answer;
pub use caller::{Caller, HttpsCaller};
pub use destination::Destination;
use hooks::{Hook, Hooks, Mutating, Sort, Validating};
use review::{JSON_PATCH, Reply, Review, Verdict};

use crate::matching::{is_exempt, unconverted};
use crate::metrics::{Call, ConditionMetrics, Conditional, WebhookMetrics};
use crate::policies::{Asker, Inputs};

/// Asks webhooks in turn, each of which may change the object.
pub(crate) struct MutatingAdmissionWebhook(pub Webhooks);

/// Asks webhooks all at once, each of which may refuse.
pub(crate) struct ValidatingAdmissionWebhook(pub Webhooks);

/// What both need.
#[derive(Clone)]
pub(crate) struct Webhooks {
    pub caller: Arc<dyn Caller>,
    pub authorizers: Arc<[Arc<dyn Authorizer>]>,
    pub metrics: WebhookMetrics,
    pub conditions: ConditionMetrics,
}

/// Why a webhook's answer did not come to be one.
enum Trouble {
    /// It could not be asked, or said nothing sensible: its failure policy counts.
    /// The code is for metrics.
    Calling { why: String, code: u16 },
    /// Its refusal.
    Refusal(Box<Status>),
    /// What cannot be asked or done, whatever the failure policy.
    Internal(Box<Status>),
}

impl Trouble {
    fn internal(status: Status) -> Self {
        Trouble::Internal(Box::new(status))
    }
}

#[async_trait]
impl RemotePlugin for MutatingAdmissionWebhook {
    fn name(&self) -> &'static str {
        "MutatingAdmissionWebhook"
    }

    fn handles(&self, admission: &Admission<'_>) -> bool {
        !is_exempt(admission) && admission.view.derived::<Hooks<Mutating>>().concern(admission)
    }

    async fn admit(
        &self,
        admission: &Admission<'_>,
        object: &mut Value,
        notes: &mut Notes,
    ) -> Result<(), Status> {
        let index = admission.view.derived::<Hooks<Mutating>>();
        let plugin = self.name();
        notes.reinvocation.begins(plugin, object);
        let mut any_changed = false;
        for hook in index.of(admission) {
            let Some(version) = hook.matcher.matches(admission, object) else { continue };
            if !self.0.is_wanted::<Mutating>(hook, admission, version, object)? {
                continue;
            }
            let key = hook.key();
            if !notes.reinvocation.calls_for(plugin, &key) {
                continue;
            }
            let started = Instant::now();
            let made = self.ask(hook, admission, version, object, notes).await;
            self.0.count::<Mutating>(hook, admission, made.as_ref().err(), started.elapsed());
            let changed = matches!(made, Ok(Some(Patched { differs: true, .. })));
            notes.reinvocation.has_run(plugin, &key, changed, hook.looks_again);
            match made {
                Ok(Some(patched)) => {
                    *object = patched.object;
                    any_changed = true;
                }
                Ok(None) => {}
                Err(Trouble::Calling { .. }) if !hook.fails => {}
                Err(trouble) => return Err(told(trouble)),
            }
        }
        if any_changed {
            admission.prune(object)?;
        }
        notes.reinvocation.ends(plugin, object);
        Ok(())
    }
}

/// What a patch made of an object.
struct Patched {
    object: Value,
    /// Whether the patch made anything of it.
    differs: bool,
}

impl MutatingAdmissionWebhook {
    /// Asks one webhook, and makes its changes where it wants any.
    async fn ask(
        &self,
        hook: &Hook,
        admission: &Admission<'_>,
        version: &Version,
        object: &Value,
        notes: &mut Notes,
    ) -> Result<Option<Patched>, Trouble> {
        let reply = self.0.ask(hook, admission, version, object, true).await?;
        let Some((patch, sort)) = hook.heard(reply, notes)? else { return Ok(None) };
        let patch = Patch::decode(&patch).map_err(|why| {
            hook.failed(503, &format!("received undecodable patch in webhook response: {why}"))
        })?;
        if patch.is_empty() {
            return Ok(None);
        }
        if object.is_null() {
            return Err(Trouble::internal(Status::internal(format!(
                "admission webhook {:?} attempted to modify the object, which is not supported for this operation",
                hook.name
            ))));
        }
        if sort != JSON_PATCH {
            return Err(hook.failed(400, &format!("unsupported patch type {sort:?}")));
        }
        let before =
            admission.served(version, object).map_err(|status| Trouble::internal(unconverted(status)))?;
        let patched = patch
            .apply(before.clone())
            .map_err(|error| Trouble::internal(Status::internal(error.to_string())))?;
        let decoded = admission.decoded(version, patched).map_err(Trouble::internal)?;
        let differs = decoded != before;
        let object = admission.taken_back(version, decoded).map_err(Trouble::internal)?;
        Ok(Some(Patched { object, differs }))
    }
}

#[async_trait]
impl RemotePlugin for ValidatingAdmissionWebhook {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionWebhook"
    }

    fn handles(&self, admission: &Admission<'_>) -> bool {
        !is_exempt(admission) && admission.view.derived::<Hooks<Validating>>().concern(admission)
    }

    async fn validate(
        &self,
        admission: &Admission<'_>,
        object: &Value,
        notes: &mut Notes,
    ) -> Result<(), Status> {
        let index = admission.view.derived::<Hooks<Validating>>();
        let mut wanted: Vec<(&Hook, &Version)> = Vec::new();
        for hook in index.of(admission) {
            if let Some(version) = hook.matcher.matches(admission, object)
                && self.0.is_wanted::<Validating>(hook, admission, version, object)?
            {
                wanted.push((hook, version));
            }
        }
        let asked = wanted.iter().map(|(hook, version)| async {
            let started = Instant::now();
            (self.0.ask(hook, admission, version, object, false).await, started.elapsed())
        });
        let replies = futures::future::join_all(asked).await;
        let mut refusal = None;
        for ((reply, took), (hook, _)) in replies.into_iter().zip(&wanted) {
            let heard = reply.and_then(|reply| hook.heard(reply, notes));
            self.0.count::<Validating>(hook, admission, heard.as_ref().err(), took);
            match heard {
                Ok(_) => {}
                Err(Trouble::Calling { .. }) if !hook.fails => {}
                Err(trouble) => {
                    refusal.get_or_insert_with(|| told(trouble));
                }
            }
        }
        refusal.map_or(Ok(()), Err)
    }
}

fn told(trouble: Trouble) -> Status {
    match trouble {
        Trouble::Calling { why, .. } => Status::internal(why),
        Trouble::Refusal(status) | Trouble::Internal(status) => *status,
    }
}

impl Webhooks {
    /// Whether the hook's conditions hold of the write.
    fn is_wanted<S: Sort>(
        &self,
        hook: &Hook,
        admission: &Admission<'_>,
        version: &Version,
        object: &Value,
    ) -> Result<bool, Status> {
        if hook.conditions.is_empty() {
            return Ok(true);
        }
        let inputs = Inputs::of(admission, version, object).map_err(unconverted)?;
        let asker = Asker::new(&self.authorizers, admission);
        let counted =
            Conditional { name: &hook.name, kind: "webhook", sort: S::LABEL, operation: admission.operation };
        let wanted = match hook.conditions.hold(&inputs, &asker, admission, (&self.conditions, counted)) {
            Ok(wanted) => wanted,
            Err(failed) if hook.fails => {
                let resource = admission.definition.group_resource();
                return Err(Status::forbidden(resource, admission.name, &failed.why));
            }
            Err(_) => false,
        };
        if !wanted {
            self.conditions.excluded(Conditional { sort: S::EXCLUDED, ..counted });
        }
        Ok(wanted)
    }

    async fn ask(
        &self,
        hook: &Hook,
        admission: &Admission<'_>,
        version: &Version,
        object: &Value,
        mutates: bool,
    ) -> Result<Reply, Trouble> {
        if admission.dry_run && !hook.may_dry_run {
            let why = format!("admission webhook {:?} does not support dry run", hook.name);
            return Err(Trouble::internal(Status::bad_request(why)));
        }
        let review = Review::of(hook, admission, version, object).map_err(Trouble::internal)?;
        let posted =
            |url: &str, why: &str| hook.failed(503, &format!("failed to call webhook: Post {url:?}: {why}"));
        let destination = Destination::of(&hook.client, hook.timeout_seconds, admission)
            .map_err(|(url, why)| posted(&url, &why))?;
        let patience = Duration::from_secs(hook.timeout_seconds);
        let answer = self.caller.post(&destination, review.body(), patience).await;
        let answer = answer.map_err(|error| match error {
            caller::Error::Unusable(why) => hook.failed(500, &format!("could not get REST client: {why}")),
            caller::Error::Unreached(why) => posted(&destination.url, &why),
        })?;
        let code = if answer.is_success() { 503 } else { answer.code };
        review.read(&answer, &hook.name, mutates).map_err(|why| hook.failed(code, &why))
    }

    /// Counts a call.
    fn count<S: Sort>(
        &self,
        hook: &Hook,
        admission: &Admission<'_>,
        trouble: Option<&Trouble>,
        took: Duration,
    ) {
        let call = match trouble {
            None => Call::Passed,
            Some(Trouble::Refusal(status)) => Call::Refused(status.code),
            Some(Trouble::Calling { code, .. }) if hook.fails => Call::FailedClosed(*code),
            Some(Trouble::Calling { code, .. }) => Call::FailedOpen(*code),
            Some(Trouble::Internal(_)) => Call::Internal,
        };
        self.metrics.called(&hook.name, S::LABEL, admission.operation, call, took);
    }
}

impl Hook {
    /// The call came to nothing; `code` is for metrics.
    fn failed(&self, code: u16, why: &str) -> Trouble {
        Trouble::Calling { why: format!("failed calling webhook {:?}: {why}", self.name), code }
    }

    /// Keeps what the webhook said beside its verdict. Gives its patch and the
    /// patch's sort.
    ///
    /// # Errors
    /// It refuses.
    fn heard(&self, reply: Reply, notes: &mut Notes) -> Result<Option<(Vec<u8>, String)>, Trouble> {
        notes.warnings.extend(reply.warnings);
        let keyed = reply.audit.into_iter().map(|(key, note)| (format!("{}/{key}", self.name), note));
        notes.audit.extend(keyed);
        match reply.verdict {
            Verdict::Passes => Ok(None),
            Verdict::Patches(patch, sort) => Ok(Some((patch, sort))),
            Verdict::Refuses(status) => Err(Trouble::Refusal(status)),
        }
    }
}
