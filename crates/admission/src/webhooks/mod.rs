//! Admission webhooks: MutatingAdmissionWebhook and ValidatingAdmissionWebhook.
//! What to ask whom, and what an answer means, is decided here; the way out is
//! a [`Caller`].

mod caller;
mod destination;
mod hooks;
mod review;

use std::sync::Arc;
use std::time::Duration;

use apimachinery::{Status, Value};
use apiserver::{Admission, Authorizer, Notes, Operation, RemotePlugin, Version};
use async_trait::async_trait;

pub use caller::{Caller, HttpsCaller};
pub use destination::Destination;
use hooks::{Hook, Hooks, Mutating, Validating};
use review::{Reply, Review};

use crate::matching::{is_exempt, unconverted};
use crate::policies::{Asker, Conditioned, Inputs, Scope};

/// Asks webhooks in turn, each of which may change the object.
pub(crate) struct MutatingAdmissionWebhook(pub Webhooks);

/// Asks webhooks all at once, each of which may refuse.
pub(crate) struct ValidatingAdmissionWebhook(pub Webhooks);

/// What both need.
#[derive(Clone)]
pub(crate) struct Webhooks {
    pub caller: Arc<dyn Caller>,
    pub authorizers: Arc<[Arc<dyn Authorizer>]>,
}

/// Why a webhook's answer did not come to be one.
enum Trouble {
    /// It could not be asked, or said nothing sensible: its failure policy counts.
    Calling(String),
    /// Its refusal, or the request's own fault.
    Refusal(Box<Status>),
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
        let mut any_changed = false;
        for hook in index.of(admission) {
            let Some(version) = hook.matcher.matches(admission, object) else { continue };
            if !self.0.is_wanted(hook, admission, version, object)? {
                continue;
            }
            let key = hook.key();
            if !notes.reinvocation.calls_for(&key) {
                continue;
            }
            let reply = match self.0.ask(hook, admission, version, object, true).await {
                Ok(reply) => reply,
                Err(Trouble::Calling(_)) if !hook.fails => continue,
                Err(trouble) => return Err(told(trouble)),
            };
            notes.warnings.extend(reply.warnings);
            let mut changed = false;
            if let Some(patch) = &reply.patch {
                let before = admission.served(version, object).map_err(unconverted)?;
                let patched = patch.apply(before).map_err(|error| Status::internal(error.to_string()))?;
                let taken = admission.taken_back(version, patched).map_err(unconverted)?;
                changed = taken != *object;
                *object = taken;
                any_changed |= changed;
            }
            notes.reinvocation.has_run(&key, changed, hook.looks_again);
        }
        if any_changed { admission.prune(object) } else { Ok(()) }
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
                && self.0.is_wanted(hook, admission, version, object)?
            {
                wanted.push((hook, version));
            }
        }
        let asked = wanted.iter().map(|(hook, version)| self.0.ask(hook, admission, version, object, false));
        let replies = futures::future::join_all(asked).await;
        let mut refusal = None;
        for (reply, (hook, _)) in replies.into_iter().zip(&wanted) {
            match reply {
                Ok(reply) => notes.warnings.extend(reply.warnings),
                Err(Trouble::Calling(_)) if !hook.fails => {}
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
        Trouble::Calling(why) => Status::internal(why),
        Trouble::Refusal(status) => *status,
    }
}

impl Webhooks {
    /// Whether the hook's conditions hold of the write.
    fn is_wanted(
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
        match hook.conditions.hold(&Scope::new(&inputs, &asker, admission)) {
            Conditioned::Matches => Ok(true),
            Conditioned::Passes => Ok(false),
            Conditioned::Failed(why) if hook.fails => Err(admission.forbid(object, why)),
            Conditioned::Failed(_) => Ok(false),
        }
    }

    async fn ask(
        &self,
        hook: &Hook,
        admission: &Admission<'_>,
        version: &Version,
        object: &Value,
        mutates: bool,
    ) -> Result<Reply, Trouble> {
        let refusal = |status: Status| Trouble::Refusal(Box::new(status));
        if admission.dry_run && !hook.may_dry_run {
            let why = format!("admission webhook {:?} does not support dry run", hook.name);
            return Err(refusal(Status::bad_request(why)));
        }
        let review = Review::of(hook, admission, version, object).map_err(refusal)?;
        let failed = |why: String| Trouble::Calling(format!("failed calling webhook {:?}: {why}", hook.name));
        let posted = |url: &str, why: &str| failed(format!("failed to call webhook: Post {url:?}: {why}"));
        let destination = Destination::of(&hook.client, hook.timeout_seconds, admission)
            .map_err(|(url, why)| posted(&url, &why))?;
        let patience = Duration::from_secs(hook.timeout_seconds);
        let answer =
            self.caller.post(&destination, review.body(), patience).await.map_err(|error| match error {
                caller::Error::Unreached(why) => posted(&destination.url, &why),
                caller::Error::Answered(why) => failed(format!("failed to call webhook: {why}")),
            })?;
        match review.read(&answer, &hook.name, mutates && admission.operation != Operation::Delete) {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(status)) => Err(refusal(status)),
            Err(why) => Err(failed(why)),
        }
    }
}
