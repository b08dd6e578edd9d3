//! Word that something of a resource changed, for the loops that the API
//! server runs by itself: they look at a view then, not at events.

use std::sync::Arc;

use store::{Scope, SharedStore, Watch};

use crate::ApiServer;

/// A subscription to changes below a resource's prefix. Changes that happen
/// while nobody waits are told at the next wait, together.
pub struct Changes {
    store: SharedStore,
    prefix: Arc<str>,
    watch: Option<Watch>,
}

impl ApiServer {
    /// Changes of a resource from now on; None where it is not stored.
    pub fn changes(&self, group: &str, plural: &str) -> Option<Changes> {
        let catalogue = self.catalogue();
        let prefix = catalogue.resource(group, plural)?.prefix()?.into();
        let mut changes = Changes { store: self.store.clone(), prefix, watch: None };
        changes.begin();
        Some(changes)
    }
}

impl Changes {
    fn begin(&mut self) {
        self.watch = self.store.watch(Scope::prefix(self.prefix.clone()), self.store.revision()).ok();
    }

    /// Waits for a change; false when the store closes. May be dropped while
    /// it waits.
    pub async fn next(&mut self) -> bool {
        let Some(watch) = &mut self.watch else { return false };
        match watch.next_batch().await {
            Ok(_) => true,
            Err(store::Error::Closed) => false,
            // Too far behind: whatever happened is told as one change.
            Err(_) => {
                self.begin();
                true
            }
        }
    }
}
