//! Leader election by a Lease, as client-go's `tools/leaderelection` does it:
//! of several programs with the same loops one runs them.
//!
//! Who sees the record change times it by a clock of its own from that moment
//! on; the times that stand in it are for people. The decision is [`decide`],
//! which does no I/O. Stricter than upstream, a leader counts its time from the
//! sending of what was acknowledged, and stops at once where it reads another's
//! name: it has stopped before anybody else may start.

use std::sync::Arc;
use std::time::Duration;

use client::{Api, Error, Transport};
use edge::Edge;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use crate::{EventType, Recorder, Reference};

#[cfg(test)]
mod tests;

/// Candidates wait up to so much longer than [`Timing::retry`], as a part of it.
const JITTER: f64 = 1.2;
/// How long the leader's tasks may take to end before the lease is left to expire.
const ENDING: Duration = Duration::from_secs(5);

/// When a leader is renewed, gives up and is succeeded. The defaults are
/// upstream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A record that did not change for so long is free. Whole seconds count.
    pub lease: Duration,
    /// A leader that was not acknowledged for so long stops.
    pub renew_deadline: Duration,
    /// Between two tries.
    pub retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

impl Timing {
    /// # Errors
    /// Which time must be longer than which.
    pub fn check(&self) -> Result<(), String> {
        if self.retry.is_zero() {
            return Err("the retry period must be longer than nothing".into());
        }
        if self.renew_deadline <= self.retry.mul_f64(JITTER) {
            return Err(format!(
                "the renew deadline ({:?}) must be longer than {JITTER} times the retry period ({:?})",
                self.renew_deadline, self.retry
            ));
        }
        let whole = Duration::from_secs(self.lease.as_secs());
        if whole <= self.renew_deadline {
            return Err(format!(
                "the lease duration ({whole:?} in whole seconds) must be longer than the renew deadline ({:?})",
                self.renew_deadline
            ));
        }
        Ok(())
    }

    /// How long one try may take.
    fn patience(&self) -> Duration {
        self.renew_deadline / 2
    }
}

/// The part of a Lease that elections are about.
#[derive(Clone, Debug, Default, PartialEq)]
struct Record {
    /// "" is nobody: the last leader gave the lease back.
    holder: String,
    seconds: i32,
    acquired: Option<Timestamp>,
    renewed: Option<Timestamp>,
    transitions: i32,
}

impl Record {
    fn of(lease: &Lease) -> Self {
        let Some(spec) = &lease.spec else { return Self::default() };
        Self {
            holder: spec.holder_identity.clone().unwrap_or_default(),
            seconds: spec.lease_duration_seconds.unwrap_or_default(),
            acquired: spec.acquire_time.as_ref().map(|time| time.0),
            renewed: spec.renew_time.as_ref().map(|time| time.0),
            transitions: spec.lease_transitions.unwrap_or_default(),
        }
    }

    fn spec(&self) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.holder.clone()),
            lease_duration_seconds: Some(self.seconds),
            acquire_time: self.acquired.map(MicroTime),
            renew_time: self.renewed.map(MicroTime),
            lease_transitions: Some(self.transitions),
            ..LeaseSpec::default()
        }
    }

    /// Whether its holder may still lead, where it was seen to change so long ago.
    fn holds(&self, age: Duration) -> bool {
        age < Duration::from_secs(self.seconds.max(0).unsigned_abs().into())
    }
}

/// What to do about the lease.
#[derive(Debug, PartialEq)]
enum Step {
    /// There is none.
    Create(Record),
    /// It is free.
    Take(Record),
    /// It is ours.
    Renew(Record),
    /// Another leads.
    Wait,
}

/// Decides for the candidate `identity`, whose leases last `seconds`, at the time
/// `now`. `observed` is the record with the time since it was seen to change.
fn decide(observed: Option<(&Record, Duration)>, identity: &str, seconds: i32, now: Timestamp) -> Step {
    let mine = Record {
        holder: identity.to_owned(),
        seconds,
        acquired: Some(now),
        renewed: Some(now),
        transitions: 0,
    };
    match observed {
        None => Step::Create(mine),
        Some((record, _)) if record.holder == identity => {
            Step::Renew(Record { acquired: record.acquired, transitions: record.transitions, ..mine })
        }
        Some((record, age)) if !record.holder.is_empty() && record.holds(age) => Step::Wait,
        Some((record, _)) => Step::Take(Record { transitions: record.transitions.saturating_add(1), ..mine }),
    }
}

/// The lease as this candidate saw it last.
struct Observed {
    lease: Lease,
    record: Record,
    /// When the record was seen to change.
    at: Instant,
}

/// A candidate for one Lease of `kube-system`.
pub struct Election {
    edge: Edge,
    leases: Api<Lease>,
    name: &'static str,
    identity: String,
    timing: Timing,
    recorder: Recorder,
    observed: Option<Observed>,
    /// When the last try that succeeded was begun.
    renewed: Instant,
}

/// Where the leases of the control plane lie.
const NAMESPACE: &str = "kube-system";

impl Election {
    /// The candidate `identity` for the lease `name`, which is the component's name too.
    pub fn new(
        edge: &Edge,
        transport: Arc<dyn Transport>,
        name: &'static str,
        identity: impl Into<String>,
        timing: Timing,
    ) -> Self {
        Self {
            edge: edge.clone(),
            leases: Api::namespaced(transport.clone(), NAMESPACE),
            name,
            identity: identity.into(),
            timing,
            recorder: Recorder::start(edge, transport, name, ""),
            observed: None,
            renewed: Instant::now(),
        }
    }

    /// Leads whenever it is this candidate's turn, until `stop` is ready; then the
    /// lease is given back.
    ///
    /// `lead` starts what the leader alone does, in the task group of the edge that
    /// it is given. Where the lease is lost the group is stopped, and once all of it
    /// has ended the next term is campaigned for.
    pub async fn run(mut self, stop: impl Future<Output = ()>, mut lead: impl FnMut(&Edge)) {
        tokio::pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => return,
                () = self.acquire() => {}
            }
            let term = self.edge.with_tasks(self.edge.tasks.child());
            tracing::info!(lease = self.name, identity = self.identity, "leads");
            self.record("became leader");
            lead(&term);
            let is_told_to_stop = tokio::select! {
                biased;
                () = &mut stop => true,
                () = self.hold() => false,
            };
            term.tasks.stop();
            self.record("stopped leading");
            if is_told_to_stop {
                // Who is still at work must not be succeeded.
                match timeout(ENDING, term.tasks.ended()).await {
                    Ok(()) => self.release().await,
                    Err(_) => tracing::warn!(
                        lease = self.name,
                        "some tasks did not end: the lease is left to expire"
                    ),
                }
                return;
            }
            tracing::warn!(lease = self.name, "the lease is lost: stopped, and campaigns again");
            term.tasks.ended().await;
        }
    }

    /// Tries until the lease is ours.
    async fn acquire(&mut self) {
        tracing::info!(lease = self.name, identity = self.identity, "campaigns");
        let mut told = String::new();
        loop {
            let why = match timeout(self.timing.patience(), self.attempt()).await {
                Ok(Ok(true)) if self.renewed.elapsed() < self.timing.renew_deadline => return,
                // The program was stopped for a while: by now it may be another's.
                Ok(Ok(true)) => "the answer came too late".to_owned(),
                Ok(Ok(false)) => format!("{} leads", self.holder()),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer".to_owned(),
            };
            if why != told {
                tracing::info!(lease = self.name, why, "waits for the lease");
                told = why;
            }
            sleep(self.timing.retry.mul_f64(1.0 + JITTER * self.edge.random.fraction())).await;
        }
    }

    /// Renews the lease until it is lost.
    async fn hold(&mut self) {
        loop {
            let end = self.renewed + self.timing.renew_deadline;
            sleep_until(end.min(Instant::now() + self.timing.retry)).await;
            // Later than planned, where the whole program was stopped for a while.
            let now = Instant::now();
            if now >= end {
                return;
            }
            match timeout_at(end.min(now + self.timing.patience()), self.attempt()).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => {
                    tracing::warn!(lease = self.name, holder = self.holder(), "another has taken the lease");
                    return;
                }
                Ok(Err(error)) => tracing::warn!(lease = self.name, %error, "the lease was not renewed"),
                Err(_) => tracing::warn!(lease = self.name, "the lease was not renewed: no answer"),
            }
        }
    }

    /// Tries once to get or keep the lease; false where another leads.
    async fn attempt(&mut self) -> Result<bool, Error> {
        let begun = Instant::now();
        // A leader's own record is mostly the newest: one request instead of two.
        if let Some(Observed { record, lease, at }) = &self.observed
            && record.holder == self.identity
            && record.holds(at.elapsed())
            && let Step::Renew(record) = self.decide()
        {
            match self.update(lease.clone(), record, begun).await {
                Ok(()) => return Ok(true),
                Err(error) => tracing::debug!(lease = self.name, %error, "reads the lease before writing it"),
            }
        }
        match self.leases.find(self.name).await? {
            Some(lease) => self.observe(lease),
            None => self.observed = None,
        }
        match (self.decide(), &self.observed) {
            (Step::Wait, _) => return Ok(false),
            (Step::Take(record) | Step::Renew(record), Some(Observed { lease, .. })) => {
                self.update(lease.clone(), record, begun).await?;
            }
            (Step::Create(record) | Step::Take(record) | Step::Renew(record), _) => {
                let metadata = ObjectMeta {
                    name: Some(self.name.into()),
                    namespace: Some(NAMESPACE.into()),
                    ..ObjectMeta::default()
                };
                let lease = self.leases.create(&Lease { metadata, spec: Some(record.spec()) }).await?;
                self.won(lease, begun);
            }
        }
        Ok(true)
    }

    fn decide(&self) -> Step {
        let observed = self.observed.as_ref().map(|observed| (&observed.record, observed.at.elapsed()));
        let seconds = i32::try_from(self.timing.lease.as_secs()).unwrap_or(i32::MAX);
        decide(observed, &self.identity, seconds, self.edge.clock.now())
    }

    /// Writes a record of ours over the lease as it was seen.
    async fn update(&mut self, mut lease: Lease, record: Record, begun: Instant) -> Result<(), Error> {
        lease.spec = Some(record.spec());
        let lease = self.leases.update(&lease).await?;
        self.won(lease, begun);
        Ok(())
    }

    /// A write was acknowledged that was begun then.
    fn won(&mut self, lease: Lease, begun: Instant) {
        self.renewed = begun;
        self.observed = Some(Observed { record: Record::of(&lease), lease, at: begun });
    }

    fn observe(&mut self, lease: Lease) {
        let record = Record::of(&lease);
        let known = self.observed.as_ref().filter(|observed| observed.record == record);
        let at = known.map_or_else(Instant::now, |observed| observed.at);
        self.observed = Some(Observed { lease, record, at });
    }

    fn holder(&self) -> &str {
        self.observed.as_ref().map_or("nobody", |observed| &observed.record.holder)
    }

    /// Gives the lease back, so that the next leader need not wait for its end.
    async fn release(&self) {
        match timeout(self.timing.renew_deadline, self.try_release()).await {
            Ok(Ok(())) => tracing::info!(lease = self.name, "gave the lease back"),
            Ok(Err(error)) => tracing::warn!(lease = self.name, %error, "the lease was not given back"),
            Err(_) => tracing::warn!(lease = self.name, "the lease was not given back: no answer"),
        }
    }

    async fn try_release(&self) -> Result<(), Error> {
        loop {
            let Some(mut lease) = self.leases.find(self.name).await? else { return Ok(()) };
            let record = Record::of(&lease);
            if record.holder != self.identity {
                return Ok(());
            }
            let now = Some(self.edge.clock.now());
            let free = Record { holder: String::new(), seconds: 1, acquired: now, renewed: now, ..record };
            lease.spec = Some(free.spec());
            match self.leases.update(&lease).await {
                // A renewal that was under way came first.
                Err(error) if error.is_conflict() => {}
                other => return other.map(drop),
            }
        }
    }

    fn record(&self, what: &str) {
        let Some(observed) = &self.observed else { return };
        let message = format!("{} {what}", self.identity);
        self.recorder.event(&Reference::to(&observed.lease), EventType::Normal, "LeaderElection", message);
    }
}
