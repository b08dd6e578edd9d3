//! get: one object as it is now.

use apimachinery::Status;

use super::commit::Published;
use super::{Outcome, Target};
use crate::{ApiServer, SubresourceKind};

impl ApiServer {
    pub(crate) fn get(&self, target: &Target) -> Result<Outcome, Status> {
        let object = self.read(target)?;
        match target.subresource().map(|subresource| &subresource.kind) {
            Some(SubresourceKind::Scale(scale)) => {
                let value = super::scale::of_target(target, scale, &object.tree())?;
                Ok(Outcome::Tree { code: 200, value })
            }
            _ => Ok(Outcome::Object { code: 200, object }),
        }
    }

    pub(crate) fn read(&self, target: &Target) -> Result<Published, Status> {
        let snapshot = self.store.snapshot();
        match snapshot.get(&target.key(&target.name)) {
            Some(entry) => Ok(Published::of(&target.resource, entry)),
            None => Err(target.not_found()),
        }
    }
}
