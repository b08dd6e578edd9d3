//! Runs the admission plugins, in their order, and counts what each takes.

use apimachinery::{Status, Value};
use tokio::time::Instant;

use crate::catalogue::Resource;
use crate::extend::admission::Plugin;
use crate::generic::default_in_storage;
use crate::metrics::Step;
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
        let started = Instant::now();
        let mut admitted = self.mutate_once(admission, resource, object, notes).await;
        if admitted.is_ok() && notes.reinvocation.begins_again() {
            admitted = self.mutate_once(admission, resource, object, notes).await;
        }
        self.timings.step(admission.operation, Step::Admit, admitted.is_err(), started.elapsed());
        admitted
    }

    async fn mutate_once(
        &self,
        admission: &Admission<'_>,
        resource: &Resource,
        object: &mut Value,
        notes: &mut Notes,
    ) -> Result<(), Status> {
        let mut looked = false;
        for (at, plugin) in self.handling(admission) {
            let started = Instant::now();
            let admitted = match plugin {
                Plugin::Local(plugin) => plugin.admit(admission, object, notes),
                Plugin::Remote(plugin) => plugin.admit(admission, object, notes).await,
            };
            self.timings.plugin(at, admission.operation, Step::Admit, admitted.is_err(), started.elapsed());
            admitted?;
            looked = true;
        }
        if looked && !object.is_null() && admission.subresource.is_empty() {
            default_in_storage(resource, object, self.edge.clock.now());
        }
        Ok(())
    }

    /// The plugins that look at this write, with their places.
    fn handling<'a>(&'a self, admission: &'a Admission<'_>) -> impl Iterator<Item = (usize, &'a Plugin)> {
        self.plugins.iter().enumerate().filter(|(_, plugin)| plugin.handles(admission))
    }

    /// Validating admission.
    pub(crate) async fn validate(
        &self,
        admission: &Admission<'_>,
        object: &Value,
        notes: &mut Notes,
    ) -> Result<(), Status> {
        let started = Instant::now();
        let admitted = self.validate_by_each(admission, object, notes).await;
        self.timings.step(admission.operation, Step::Validate, admitted.is_err(), started.elapsed());
        admitted
    }

    async fn validate_by_each(
        &self,
        admission: &Admission<'_>,
        object: &Value,
        notes: &mut Notes,
    ) -> Result<(), Status> {
        for (at, plugin) in self.handling(admission) {
            let started = Instant::now();
            let admitted = match plugin {
                Plugin::Local(plugin) => plugin.validate(admission, object, notes),
                Plugin::Remote(plugin) => plugin.validate(admission, object, notes).await,
            };
            self.timings.plugin(
                at,
                admission.operation,
                Step::Validate,
                admitted.is_err(),
                started.elapsed(),
            );
            admitted?;
        }
        Ok(())
    }
}
