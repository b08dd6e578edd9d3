//! CronJob: Jobs by the clock.
//!
//! Watches CronJobs and Jobs; owns the Jobs it creates and the status of its
//! CronJobs. A Job's name tells its scheduled time, so that none is created
//! twice.

mod act;
mod due;
mod metrics;
mod plan;
#[cfg(test)]
mod tests;

use client::Resource;
use informer::{ObjectKey, Options, Whole};
use k8s_openapi::api::batch::v1::CronJob;

use crate::Context;

/// Starts the controller's watches and workers.
pub fn start(context: &Context) {
    let queue = context.queue::<ObjectKey>("cronjob");
    let crons = context.informer::<Whole<CronJob>>(Resource::of::<CronJob>(), Options::default());
    let jobs = context.jobs().clone();

    let zones = plan::Zones { local: edge::local_zone(), find: edge::zone };
    let (changed, clock, known) = (queue.clone(), context.edge.clock.clone(), zones.clone());
    crons.on_change(move |change| {
        let of = |cron: &CronJob| (cron.spec.schedule.clone(), time_zone(cron).cloned());
        let wait = match (change.old, change.new) {
            // What a new schedule would have done before it was set is not made up for.
            (Some(old), Some(new)) if of(&old.0) != of(&new.0) => {
                plan::read_schedule(&new.0, &known).ok().map(|(schedule, zone)| {
                    due::until_next(&due::Since::of(&new.0), &schedule, &zone, clock.now())
                })
            }
            _ => None,
        };
        match wait.flatten() {
            Some(after) => changed.add_after(change.key.clone(), after),
            None => changed.add(change.key.clone()),
        }
    });

    let changed = queue.clone();
    jobs.on_change(move |change| {
        for job in [change.old, change.new].into_iter().flatten() {
            for owner in job.metadata.owner_references.iter().flatten() {
                if owner.controller == Some(true) && owner.kind == "CronJob" {
                    changed.add(ObjectKey::new(change.key.namespace.clone(), owner.name.clone()));
                }
            }
        }
    });

    let reconciler = act::CronJobs {
        edge: context.edge.clone(),
        transport: context.transport("cronjob-controller"),
        recorder: context.recorder("cronjob-controller"),
        crons: crons.clone(),
        jobs: jobs.clone(),
        zones,
        metrics: metrics::Metrics::among(context.metrics()),
    };
    context.run(queue, reconciler, 5, async move {
        crons.synced().await;
        jobs.synced().await;
    });
}

fn time_zone(cron: &CronJob) -> Option<&String> {
    cron.spec.time_zone.as_ref()
}
