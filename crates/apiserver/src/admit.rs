//! Runs the admission plugins, in their order.

use apimachinery::{Status, Value};

use crate::catalogue::Resource;
use crate::extend::admission::Plugin;
use crate::generic::default_in_storage;
use crate::{Admission, ApiServer, Notes};

impl ApiServer {
    /// Mutating admission; `resource` is defaulted again where a plugin looked
    /// at the object. What a webhook or a policy changed, the plugins before it
    /// see in a second round, where they ask for one.
    pub(crate) async fn mutate(
        &self,
        admission: &Admission<'_>,
        resource: &Resource,
        object: &mut Value,
        notes: &mut Notes,
    ) -> Result<(), Status> {
        self.mutate_once(admission, resource, object, notes).await?;
        if notes.reinvocation.begins_again() {
            self.mutate_once(admission, resource, object, notes).await?;
        }
        Ok(())
    }

    async fn mutate_once(
        &self,
        admission: &Admission<'_>,
        resource: &Resource,
        object: &mut Value,
        notes: &mut Notes,
    ) -> Result<(), Status> {
        let mut looked = false;
        for plugin in &self.plugins {
            match plugin {
                Plugin::Local(plugin) if plugin.handles(admission) => {
                    plugin.admit(admission, object, notes)?;
                    looked = true;
                }
                Plugin::Remote(plugin) if plugin.handles(admission) => {
                    plugin.admit(admission, object, notes).await?;
                    looked = true;
                }
                Plugin::Local(_) | Plugin::Remote(_) => {}
            }
        }
        if looked && !object.is_null() && admission.subresource.is_empty() {
            default_in_storage(resource, object, self.edge.clock.now());
        }
        Ok(())
    }

    /// Validating admission.
    pub(crate) async fn validate(
        &self,
        admission: &Admission<'_>,
        object: &Value,
        notes: &mut Notes,
    ) -> Result<(), Status> {
        for plugin in &self.plugins {
            match plugin {
                Plugin::Local(plugin) if plugin.handles(admission) => {
                    plugin.validate(admission, object, notes)?;
                }
                Plugin::Remote(plugin) if plugin.handles(admission) => {
                    plugin.validate(admission, object, notes).await?;
                }
                Plugin::Local(_) | Plugin::Remote(_) => {}
            }
        }
        Ok(())
    }
}
