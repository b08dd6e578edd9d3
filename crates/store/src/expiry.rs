//! Deletes what has outlived its time: one timer at the next expiry, none where
//! nothing expires. An expiry is an ordinary transaction, so it is decided,
//! kept and told like any other.

use std::sync::{Arc, Weak};
use std::time::Duration;

use edge::{Clock, Edge, Task};
use futures::future::join_all;

use crate::hub::Hub;
use crate::{Error, Store, Txn};

/// How many expiries are proposed at once.
const BATCH: usize = 256;

/// The wait after a refused deletion, for example while the disk is full.
const RETRY: Duration = Duration::from_secs(5);

/// Starts the timer; it ends with the store, or when the task is aborted.
pub(crate) fn start(edge: &Edge, hub: Arc<Hub>, store: Weak<dyn Store>) -> Task<()> {
    let clock = edge.clock.clone();
    edge.tasks.spawn(async move {
        while !hub.is_closed() {
            let now = clock.now();
            let wait = match hub.next_expiry() {
                None => None,
                Some(at) if at > now => Some(Duration::try_from(at.duration_since(now)).unwrap_or(RETRY)),
                Some(_) => match expire(&hub, &store, &*clock).await {
                    None => return,
                    Some(true) => continue,
                    Some(false) => {
                        // Whatever else changes meanwhile, it is not tried sooner.
                        tokio::time::sleep(RETRY).await;
                        continue;
                    }
                },
            };
            match wait {
                None => hub.expiry_changed.notified().await,
                Some(wait) => {
                    // Either the time has come or the next expiry is another one.
                    let _ = tokio::time::timeout(wait, hub.expiry_changed.notified()).await;
                }
            }
        }
    })
}

/// Proposes to delete what is due; whether the store accepts writes, `None`
/// where there is no store any more.
async fn expire(hub: &Hub, store: &Weak<dyn Store>, clock: &dyn Clock) -> Option<bool> {
    let store = store.upgrade()?;
    let due = hub.expired(clock.now(), BATCH);
    let deletions = due.iter().map(|entry| store.commit(Txn::delete(entry.key.clone(), entry.revision)));
    let refused = |result: &Result<_, Error>| !matches!(result, Ok(_) | Err(Error::Conflict { .. }));
    Some(!join_all(deletions).await.iter().any(refused))
}
