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

pub use answer::Answer;
pub use caller::{Caller, HttpsCaller};
pub use destination::Destination;
use hooks::{Hook, Hooks, Mutating, Validating};
use review::{JSON_PATCH, Reply, Review, Verdict};

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
        let plugin = self.name();
        notes.reinvocation.begins(plugin, object);
        let mut any_changed = false;
        for hook in index.of(admission) {
            let Some(version) = hook.matcher.matches(admission, object) else { continue };
            if !self.0.is_wanted(hook, admission, version, object)? {
                continue;
            }
            let key = hook.key();
            if !notes.reinvocation.calls_for(plugin, &key) {
                continue;
            }
            let made = self.ask(hook, admission, version, object, notes).await;
            let changed = matches!(made, Ok(Some(Patched { differs: true, .. })));
            notes.reinvocation.has_run(plugin, &key, changed, hook.looks_again);
            match made {
                Ok(Some(patched)) => {
                    *object = patched.object;
                    any_changed = true;
                }
                Ok(None) => {}
                Err(Trouble::Calling(_)) if !hook.fails => {}
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
        let (patch, sort) = match hook.note(reply, notes) {
            Verdict::Passes => return Ok(None),
            Verdict::Refuses(status) => return Err(Trouble::Refusal(status)),
            Verdict::Patches(patch, sort) => (patch, sort),
        };
        let patch = Patch::decode(&patch)
            .map_err(|why| hook.failed(&format!("received undecodable patch in webhook response: {why}")))?;
        if patch.is_empty() {
            return Ok(None);
        }
        let refusal = |status: Status| Trouble::Refusal(Box::new(status));
        if object.is_null() {
            return Err(refusal(Status::internal(format!(
                "admission webhook {:?} attempted to modify the object, which is not supported for this operation",
                hook.name
            ))));
        }
        if sort != JSON_PATCH {
            return Err(hook.failed(&format!("unsupported patch type {sort:?}")));
        }
        let before = admission.served(version, object).map_err(|status| refusal(unconverted(status)))?;
        let patched =
            patch.apply(before.clone()).map_err(|error| refusal(Status::internal(error.to_string())))?;
        let decoded = admission.decoded(version, patched).map_err(refusal)?;
        let differs = decoded != before;
        let object = admission.taken_back(version, decoded).map_err(refusal)?;
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
                Ok(reply) => {
                    if let Verdict::Refuses(status) = hook.note(reply, notes) {
                        refusal.get_or_insert(*status);
                    }
                }
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
            Conditioned::Failed(why) if hook.fails => {
                Err(Status::forbidden(admission.definition.group_resource(), admission.name, &why))
            }
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
        let posted =
            |url: &str, why: &str| hook.failed(&format!("failed to call webhook: Post {url:?}: {why}"));
        let destination = Destination::of(&hook.client, hook.timeout_seconds, admission)
            .map_err(|(url, why)| posted(&url, &why))?;
        let patience = Duration::from_secs(hook.timeout_seconds);
        let answer = self.caller.post(&destination, review.body(), patience).await;
        let answer = answer.map_err(|error| match error {
            caller::Error::Unusable(why) => hook.failed(&format!("could not get REST client: {why}")),
            caller::Error::Unreached(why) => posted(&destination.url, &why),
        })?;
        review.read(&answer, &hook.name, mutates).map_err(|why| hook.failed(&why))
    }
}

impl Hook {
    /// The call came to nothing.
    fn failed(&self, why: &str) -> Trouble {
        Trouble::Calling(format!("failed calling webhook {:?}: {why}", self.name))
    }

    /// Keeps what the webhook said beside its verdict.
    fn note(&self, reply: Reply, notes: &mut Notes) -> Verdict {
        notes.warnings.extend(reply.warnings);
        let keyed = reply.audit.into_iter().map(|(key, note)| (format!("{}/{key}", self.name), note));
        notes.audit.extend(keyed);
        reply.verdict
    }
}
