//! Runs the admission plugins, in their order.

use apimachinery::{Status, Value};

use crate::catalogue::Resource;
use crate::generic::default_in_storage;
use crate::{Admission, AdmissionPlugin, ApiServer, Notes};

impl ApiServer {
    /// Mutating admission; `resource` is defaulted again where a plugin looked
    /// at the object. What a first round changed, the plugins before it see in
    /// a second one.
    pub(crate) fn mutate(
        &self,
        admission: &Admission<'_>,
        resource: &Resource,
        object: &mut Value,
        notes: &mut Notes,
    ) -> Result<(), Status> {
        let mut looked = false;
        for plugin in self.handling(admission) {
            plugin.admit(admission, object, notes)?;
            looked = true;
        }
        if looked && !object.is_null() && admission.subresource.is_empty() {
            default_in_storage(resource, object);
        }
        Ok(())
    }

    /// Validating admission.
    pub(crate) fn validate(
        &self,
        admission: &Admission<'_>,
        object: &Value,
        notes: &mut Notes,
    ) -> Result<(), Status> {
        for plugin in self.handling(admission) {
            plugin.validate(admission, object, notes)?;
        }
        Ok(())
    }

    fn handling<'a>(&'a self, admission: &'a Admission<'_>) -> impl Iterator<Item = &'a dyn AdmissionPlugin> {
        self.plugins
            .iter()
            .map(AsRef::as_ref)
            .filter(move |plugin: &&dyn AdmissionPlugin| plugin.handles(admission))
    }
}
