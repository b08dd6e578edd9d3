//! The decision by a table, and candidates under faults: never do two lead, and
//! one always follows.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use apimachinery::status::GroupResource;
use apimachinery::{Status, Value};
use async_trait::async_trait;
use client::{Document, List, ListOptions, Request, Resource, Verb, WatchStream};
use edge::{Random, SeededRandom, SimulatedClock, Tasks};
use jiff::SignedDuration;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Sleep;

use super::*;

const LEASES: GroupResource<'static> = GroupResource { group: "coordination.k8s.io", resource: "leases" };

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn a_candidate_decides_by_what_it_saw() {
    let record = |holder: &str, seconds, acquired, renewed, transitions| Record {
        holder: holder.into(),
        seconds,
        acquired: Some(at(acquired)),
        renewed: Some(at(renewed)),
        transitions,
    };
    let others = record("b", 15, 10, 20, 3);
    let mine = record("a", 15, 10, 20, 3);
    let free = record("", 1, 20, 20, 3);
    let empty = Record::default();
    let taken = |transitions| Step::Take(record("a", 15, 100, 100, transitions));
    let cases = [
        ("there is none", None, 0, Step::Create(record("a", 15, 100, 100, 0))),
        ("it was just renewed", Some(&others), 0, Step::Wait),
        ("it ends soon", Some(&others), 14_999, Step::Wait),
        ("it has ended", Some(&others), 15_000, taken(4)),
        ("it was given back", Some(&free), 0, taken(4)),
        ("it is ours", Some(&mine), 0, Step::Renew(record("a", 15, 10, 100, 3))),
        ("it is ours and nobody took it", Some(&mine), 60_000, Step::Renew(record("a", 15, 10, 100, 3))),
        ("nobody ever held it", Some(&empty), 0, taken(1)),
    ];
    for (what, observed, age, wanted) in cases {
        let observed = observed.map(|record| (record, Duration::from_millis(age)));
        assert_eq!(decide(observed, "a", 15, at(100)), wanted, "{what}");
    }
}

#[test]
fn times_must_leave_room_for_each_other() {
    let timing = |lease, renew_deadline, retry| Timing {
        lease: Duration::from_millis(lease),
        renew_deadline: Duration::from_millis(renew_deadline),
        retry: Duration::from_millis(retry),
    };
    assert_eq!(Timing::default().check(), Ok(()));
    assert_eq!(timing(3000, 2000, 500).check(), Ok(()));
    for (wrong, wanted) in [
        (timing(10_000, 10_000, 2000), "longer than the renew deadline"),
        (timing(10_900, 10_500, 2000), "in whole seconds"),
        (timing(15_000, 2400, 2000), "1.2 times the retry period"),
        (timing(15_000, 10_000, 0), "longer than nothing"),
    ] {
        let refusal = wrong.check().unwrap_err();
        assert!(refusal.contains(wanted), "{refusal}");
    }
}

/// An API that holds one lease, and who leads by it.
struct World {
    random: SeededRandom,
    lease: Mutex<Option<(Value, u64)>>,
    is_stormy: Mutex<bool>,
    /// By identity: until when each leader is paused.
    leaders: Mutex<BTreeMap<String, watch::Receiver<Instant>>>,
    events: Mutex<Vec<String>>,
    terms: Mutex<u32>,
    wrong: Mutex<Vec<String>>,
}

impl World {
    fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            random: SeededRandom::new(seed),
            lease: Mutex::default(),
            is_stormy: Mutex::new(false),
            leaders: Mutex::default(),
            events: Mutex::default(),
            terms: Mutex::default(),
            wrong: Mutex::default(),
        })
    }

    fn leaders(&self) -> Vec<String> {
        self.leaders.lock().keys().cloned().collect()
    }

    fn record(&self) -> Record {
        let lease = self.lease.lock().clone().unwrap().0;
        Record::of(&serde_json::from_value(serde_json::to_value(&lease).unwrap()).unwrap())
    }

    fn serve(&self, request: Request) -> Result<Document, Error> {
        let mut lease = self.lease.lock();
        let next = lease.as_ref().map_or(1, |(_, revision)| revision + 1);
        let written = match request.verb {
            Verb::Create { object, .. } | Verb::Patch { body: object, .. }
                if request.resource.plural == "events" =>
            {
                self.events.lock().push(object["message"].text().to_owned());
                return Ok(Document::new(serde_json::to_vec(&object).unwrap().into(), 1));
            }
            Verb::Create { object, .. } if lease.is_none() => object,
            Verb::Create { .. } => return Err(Status::already_exists(LEASES, "x").into()),
            Verb::Update { object, .. } => {
                let based_on = object["metadata"]["resourceVersion"].text().parse::<u64>().ok();
                if lease.as_ref().map(|(_, revision)| *revision) != based_on {
                    return Err(Status::conflict(LEASES, "x", "changed").into());
                }
                object
            }
            Verb::Get => {
                let (object, revision) = lease.clone().ok_or_else(|| Status::not_found(LEASES, "x"))?;
                return Ok(Document::new(serde_json::to_vec(&object).unwrap().into(), revision));
            }
            other => panic!("not asked of an election: {other:?}"),
        };
        *lease = Some((written.clone(), next));
        Ok(Document::new(serde_json::to_vec(&written).unwrap().into(), next))
    }
}

/// A candidate's way to the world, on which requests and answers are late or lost,
/// and which is cut until some time.
struct Link(Arc<World>, watch::Receiver<Instant>);

#[async_trait]
impl Transport for Link {
    async fn call(&self, request: Request) -> Result<Document, Error> {
        let is_stormy = *self.0.is_stormy.lock();
        let delay = || Duration::from_millis(self.0.random.below(if is_stormy { 3000 } else { 20 }));
        let fate = if is_stormy { self.0.random.below(16) } else { 15 };
        sleep(delay()).await;
        if fate < 2 || *self.1.borrow() > Instant::now() {
            return Err(Error::Unreachable("the request is lost".into()));
        }
        let answer = self.0.serve(request);
        sleep(delay()).await;
        match fate {
            2 | 3 => Err(Error::Unreachable("the answer is lost".into())),
            4 => std::future::pending().await,
            _ => answer,
        }
    }

    async fn list(&self, _: &Resource, _: Option<&str>, _: &ListOptions) -> Result<List, Error> {
        panic!("an election lists nothing")
    }

    async fn watch(&self, _: &Resource, _: Option<&str>, _: &ListOptions) -> Result<WatchStream, Error> {
        panic!("an election watches nothing")
    }
}

/// A program that may be paused as a whole: nothing of it runs meanwhile.
struct Pausable<F> {
    inner: Pin<Box<F>>,
    until: watch::Receiver<Instant>,
    resume: Option<Pin<Box<Sleep>>>,
}

impl<F: Future> Future for Pausable<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let until = *self.until.borrow();
        if until > Instant::now() {
            let resume = self.resume.insert(Box::pin(tokio::time::sleep_until(until)));
            ready!(resume.as_mut().poll(context));
        }
        self.inner.as_mut().poll(context)
    }
}

struct Candidate {
    edge: Edge,
    clock: Arc<SimulatedClock>,
    identity: String,
    pause: watch::Sender<Instant>,
    cut: watch::Sender<Instant>,
    stop: watch::Sender<bool>,
}

/// Takes its leader from the list when the term's tasks end.
struct Leading(Arc<World>, String);

impl Drop for Leading {
    fn drop(&mut self) {
        self.0.leaders.lock().remove(&self.1);
    }
}

impl Candidate {
    fn start(world: &Arc<World>, number: u32) -> Self {
        let offset = world.random.below(1_000_000).cast_signed() - 500_000;
        let clock = Arc::new(SimulatedClock::starting_at(at(1_800_000_000 + offset)));
        let edge = Edge {
            clock: clock.clone(),
            random: Arc::new(SeededRandom::new(world.random.next_u64())),
            tasks: Tasks::new(tokio::runtime::Handle::current()),
        };
        let identity = format!("c-{number}");
        let (cut, until) = watch::channel(Instant::now());
        let link = Arc::new(Link(world.clone(), until));
        let election = Election::new(&edge, link, "x", &identity, Timing::default());
        let (pause, until) = watch::channel(Instant::now());
        let (stop, mut stopped) = watch::channel(false);
        let stop_told = async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let lead = {
            let (world, identity, until) = (world.clone(), identity.clone(), until.clone());
            move |term: &Edge| {
                let mut leaders = world.leaders.lock();
                let others: Vec<_> =
                    leaders.iter().filter(|(_, until)| *until.borrow() < Instant::now()).collect();
                if !others.is_empty() {
                    world.wrong.lock().push(format!("{identity} leads beside {others:?}"));
                }
                leaders.insert(identity.clone(), until.clone());
                *world.terms.lock() += 1;
                let leading = Leading(world.clone(), identity.clone());
                term.tasks.spawn(async move {
                    let _leading = leading;
                    std::future::pending::<()>().await;
                });
            }
        };
        let inner = Box::pin(election.run(stop_told, lead));
        edge.tasks.spawn(Pausable { inner, until, resume: None });
        Self { edge, clock, identity, pause, cut, stop }
    }
}

/// Waits until exactly one leads.
async fn one_leads(world: &World, within: Duration) -> String {
    let end = Instant::now() + within;
    loop {
        match world.leaders().as_slice() {
            [one] => return one.clone(),
            leaders => assert!(Instant::now() < end, "{leaders:?} lead"),
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// A lease's end, and the longest pause of a candidate before it sees the last
/// renewal and before it looks again.
const SUCCESSION: Duration = Duration::from_millis(15_000 + 2 * 4_400 + 100);

#[tokio::test(start_paused = true)]
async fn one_leads_and_is_succeeded() {
    let world = World::new(7);
    let candidates: Vec<_> = (0..3).map(|number| Candidate::start(&world, number)).collect();
    let first = one_leads(&world, Duration::from_secs(1)).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(world.leaders().concat(), first, "a leader that is acknowledged stays");
    let record = world.record();
    assert_eq!((&record.holder, record.seconds, record.transitions), (&first, 15, 0));
    assert!(record.renewed > record.acquired);
    let of = |identity: &str| candidates.iter().find(|one| one.identity == identity).unwrap();

    // Gone without a word: the lease ends first.
    let begun = Instant::now();
    of(&first).edge.tasks.stop();
    sleep(Duration::from_secs(1)).await;
    let second = one_leads(&world, SUCCESSION).await;
    assert!(begun.elapsed() > Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(world.record().transitions, 1);

    // Told to stop: the next one need not wait.
    of(&second).stop.send_replace(true);
    sleep(Duration::from_millis(200)).await;
    let record = world.record();
    assert_eq!((record.holder.as_str(), record.seconds), ("", 1));
    let third = one_leads(&world, Duration::from_secs(5)).await;
    assert_eq!((world.record().holder, world.record().transitions), (third.clone(), 2));
    sleep(Duration::from_secs(1)).await;
    let told = [format!("{first} became leader"), format!("{second} became leader")];
    let told = [&told[..], &[format!("{second} stopped leading"), format!("{third} became leader")]].concat();
    assert_eq!(*world.events.lock(), told);

    // What another wrote over it ends a term at the next look.
    let mut stolen = world.lease.lock().clone().unwrap();
    stolen.0.set_at(&["spec", "holderIdentity"], "thief");
    stolen.1 += 1;
    *world.lease.lock() = Some(stolen);
    sleep(Duration::from_secs(3)).await;
    assert!(world.leaders().is_empty());
    assert_eq!(one_leads(&world, SUCCESSION).await, third);
}

#[tokio::test(start_paused = true)]
async fn never_do_two_lead_in_a_storm() {
    let mut terms = 0;
    for seed in 0..200 {
        let world = World::new(seed);
        let random = SeededRandom::new(seed + 1000);
        let mut candidates: Vec<_> = (0..3).map(|number| Candidate::start(&world, number)).collect();
        *world.is_stormy.lock() = true;
        for number in 3..23 {
            sleep(Duration::from_millis(random.below(20_000))).await;
            let which = usize::try_from(random.below(3)).unwrap();
            let one = &candidates[which];
            let end = Instant::now() + Duration::from_millis(random.below(40_000));
            match random.below(8) {
                0 => {
                    one.edge.tasks.stop();
                    candidates[which] = Candidate::start(&world, number);
                }
                1 => {
                    one.stop.send_replace(true);
                    candidates[which] = Candidate::start(&world, number);
                }
                2 | 3 => {
                    // Nothing wakes a paused one before its time.
                    one.pause.send_modify(|until| *until = end.max(*until));
                }
                4 | 5 => drop(one.cut.send_replace(end)),
                _ => one.clock.jump(SignedDuration::from_secs(random.below(7200).cast_signed() - 3600)),
            }
        }
        *world.is_stormy.lock() = false;
        // The last pause, and whatever a stopped one still does, too.
        sleep(Duration::from_secs(60)).await;
        let leader = one_leads(&world, SUCCESSION).await;
        candidates.iter().find(|one| one.identity == leader).unwrap().edge.tasks.stop();
        sleep(Duration::from_secs(1)).await;
        one_leads(&world, SUCCESSION).await;
        terms += *world.terms.lock();
        candidates.iter().for_each(|one| one.edge.tasks.stop());
        assert!(world.wrong.lock().is_empty(), "seed {seed}: {:?}", world.wrong.lock());
    }
    assert!(terms > 1000, "{terms} terms say little");
}
