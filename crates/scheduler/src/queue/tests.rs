//! The queue under a clock of its own.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::testing::{pod, sized};

fn shared(name: &str) -> SharedPod {
    Arc::new(pod(name, json!({})))
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn popped(queue: &mut Queue, now: Instant) -> Option<String> {
    queue.pop(now).map(|pod| pod.name.clone())
}

#[tokio::test(start_paused = true)]
async fn priority_goes_before_arrival() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.put(shared("first"), 0, false, now);
    queue.put(shared("second"), 0, false, now);
    queue.put(shared("important"), -10, false, now);
    queue.put(shared("gated"), -20, true, now);
    let order: Vec<_> = std::iter::from_fn(|| popped(&mut queue, now)).collect();
    assert_eq!(order, ["important", "first", "second"]);
    assert_eq!(queue.pending(), Pending { gated: 1, ..Pending::default() });
    queue.put(shared("gated"), -20, false, now);
    assert_eq!(popped(&mut queue, now).as_deref(), Some("gated"));
}

#[tokio::test(start_paused = true)]
async fn failures_pause_longer_and_longer() {
    let (mut queue, mut now) = (Queue::default(), Instant::now());
    let failing = shared("p");
    queue.put(failing.clone(), 0, false, now);
    for pause in [1, 2, 4, 8, 10, 10] {
        assert_eq!(popped(&mut queue, now).as_deref(), Some("p"));
        queue.set_failed(&failing.key(), now);
        assert_eq!(queue.next_wake(), Some(now + seconds(pause)));
        assert_eq!(popped(&mut queue, now + seconds(pause) - Duration::from_millis(1)), None);
        now += seconds(pause);
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_change_that_helps_wakes_an_unschedulable_pod() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let waiting = shared("p");
    queue.put(waiting.clone(), 0, false, now);
    popped(&mut queue, now);
    queue.set_unschedulable(&waiting.key(), ["A", "B"].into(), now);
    let hint_of =
        |name: &'static str| move |plugin: &'static str, _: &PodInfo| Hint::queue_if(plugin == name);
    queue.on_change(now, hint_of("C"));
    assert_eq!(popped(&mut queue, now), None);
    queue.on_change(now + seconds(20), hint_of("B"));
    assert_eq!(queue.pending().active, 1);
    assert_eq!(popped(&mut queue, now + seconds(20)).as_deref(), Some("p"));
}

#[tokio::test(start_paused = true)]
async fn a_hinted_pod_waits_its_pause_only_behind_others() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let waiting = shared("p");
    queue.put(waiting.clone(), 0, false, now);
    popped(&mut queue, now);
    queue.set_unschedulable(&waiting.key(), ["A"].into(), now);
    queue.put(shared("other"), 0, false, now);
    queue.on_change(now, |_, _| Hint::Queue);
    assert_eq!(queue.pending().backoff, 1);
    assert_eq!(popped(&mut queue, now).as_deref(), Some("other"));
    assert_eq!(popped(&mut queue, now).as_deref(), Some("p"));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_forgotten() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let waiting = shared("p");
    queue.put(waiting.clone(), 0, false, now);
    popped(&mut queue, now);
    queue.set_unschedulable(&waiting.key(), ["A"].into(), now);
    assert_eq!(queue.next_wake(), Some(now + seconds(300)));
    assert_eq!(popped(&mut queue, now + seconds(299)), None);
    assert_eq!(popped(&mut queue, now + seconds(300)).as_deref(), Some("p"));
}

#[tokio::test(start_paused = true)]
async fn a_pods_own_change_counts_unless_it_is_its_status() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let waiting = Arc::new(sized("p", "4", "1Gi"));
    queue.put(waiting.clone(), 0, false, now);
    popped(&mut queue, now);
    queue.set_unschedulable(&waiting.key(), ["A"].into(), now);
    let mut told = sized("p", "4", "1Gi");
    let condition = json!({"status": {"conditions": [{"type": "PodScheduled", "status": "False"}]}});
    told.wishes = pod("p", condition).wishes;
    queue.put(Arc::new(told), 0, false, now);
    assert_eq!(queue.pending().unschedulable, 1);
    queue.put(Arc::new(sized("p", "1", "1Gi")), 0, false, now);
    assert_eq!(queue.pending().unschedulable, 0);
}

#[tokio::test(start_paused = true)]
async fn a_new_pod_of_the_same_name_begins_anew() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.put(shared("p"), 0, false, now);
    popped(&mut queue, now);
    assert!(queue.working(&shared("p").key(), "p").is_some());
    let next = Arc::new(pod("p", json!({"metadata": {"uid": "another"}})));
    queue.put(next.clone(), 0, false, now);
    assert!(queue.working(&next.key(), "p").is_none());
    assert_eq!(queue.pop(now).unwrap().uid, "another");
    queue.remove(&next.key());
    queue.set_failed(&next.key(), now);
    assert_eq!((queue.pending(), queue.next_wake()), (Pending::default(), None));
}
