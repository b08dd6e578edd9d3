//! Reads what an autoscaler goes by, and sets its target's scale.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::Value;
use apimachinery::labels::Selector;
use async_trait::async_trait;
use client::{Api, Error, ListOptions, Request, Resource, Transport, Verb, WriteOptions};
use edge::Edge;
use informer::{Informer, ObjectKey, Outcome, Reconciler, Recorder, Reference, Whole};
use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, MetricIdentifier, MetricSpec,
};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::behavior::History;
use super::metrics::Metrics;
use super::plan::{Observed, Plan, Scale, needs_metrics, plan, rescaled};
use super::readings::{self, Reading};
use crate::everything::{Everything, Kind};

/// `--horizontal-pod-autoscaler-sync-period`.
const PERIOD: Duration = Duration::from_secs(15);
/// Tries against others who write the scale at the same time.
const TRIES: usize = 5;

const POD_METRICS: Resource = Resource::new("metrics.k8s.io", "v1beta1", "pods");

/// What is known of each autoscaler.
#[derive(Default)]
pub(super) struct Memory {
    histories: BTreeMap<ObjectKey, History>,
    /// What its target's selector was at the last look.
    selectors: BTreeMap<ObjectKey, Selector>,
}

pub(super) struct Autoscalers {
    pub edge: Edge,
    pub transport: Arc<dyn Transport>,
    pub recorder: Recorder,
    pub autoscalers: Informer<Whole<HorizontalPodAutoscaler>>,
    pub everything: Arc<Everything>,
    pub memory: Mutex<Memory>,
    pub metrics: Metrics,
}

#[async_trait]
impl Reconciler<ObjectKey> for Autoscalers {
    fn name(&self) -> &'static str {
        "horizontalpodautoscaler"
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Error> {
        let Some(autoscaler) = self.autoscalers.get(key) else {
            let mut memory = self.memory.lock();
            memory.histories.remove(key);
            memory.selectors.remove(key);
            self.metrics.forget(key);
            return Ok(Outcome::Done);
        };
        let (autoscaler, since) = (&autoscaler.0, Instant::now());
        let found = self.scale(&key.namespace, &autoscaler.spec.scale_target_ref).await;
        let mut times = Vec::new();
        let observed = self.observe(key, autoscaler, &found, &mut times).await;
        let observed =
            observed.inspect_err(|_| self.metrics.reconciled(("none", "internal"), since.elapsed()))?;
        let mut history = self.memory.lock().histories.get(key).cloned().unwrap_or_default();
        let mut plan = plan(&observed, &mut history);
        for (computed, took) in plan.computed.iter().zip(times) {
            self.metrics.computed(computed, took);
        }
        if let (Some(rescale), Ok((kind, _))) = (plan.rescale.clone(), &found) {
            let result = self.rescale(kind, autoscaler, rescale.to).await;
            plan = rescaled(&observed, &mut history, plan, result.map_err(|error| error.to_string()));
        }
        self.memory.lock().histories.insert(key.clone(), history);
        let (labels, desired) = (plan.labels(), plan.status.desired_replicas);
        let told = self.tell(key, autoscaler, plan).await;
        let labels = if told.is_err() { (labels.0, "internal") } else { labels };
        if labels.1 == "none" {
            self.metrics.desired(key, desired);
        }
        self.metrics.reconciled(labels, since.elapsed());
        told?;
        Ok(Outcome::Again(PERIOD))
    }
}

impl Autoscalers {
    async fn observe<'a>(
        &self,
        key: &ObjectKey,
        autoscaler: &'a HorizontalPodAutoscaler,
        found: &Result<(Arc<Kind>, Value), String>,
        times: &mut Vec<Duration>,
    ) -> Result<Observed<'a>, Error> {
        let scale = found.as_ref().map(|(_, scale)| read(scale)).map_err(Clone::clone);
        let mut observed = Observed {
            autoscaler,
            scale,
            pods: Ok(Vec::new()),
            rivals: Vec::new(),
            readings: Vec::new(),
            now: self.edge.clock.now(),
        };
        let Ok(scale) = &observed.scale else { return Ok(observed) };
        if !needs_metrics(autoscaler, scale.replicas) || scale.selector.is_empty() {
            return Ok(observed);
        }
        match Selector::parse(&scale.selector) {
            Ok(selector) => {
                self.memory.lock().selectors.insert(key.clone(), selector);
                let api = Api::<Pod>::namespaced(self.transport.clone(), key.namespace.clone());
                let (pods, _) = api.list(&ListOptions::labels(scale.selector.clone())).await?;
                observed.rivals = self.rivals(&key.namespace, &pods);
                observed.pods = Ok(pods);
            }
            Err(error) => {
                observed.pods = Err(error.to_string());
                return Ok(observed);
            }
        }
        for metric in autoscaler.spec.metrics.iter().flatten() {
            let since = Instant::now();
            observed.readings.push(self.read(&key.namespace, &scale.selector, metric).await);
            times.push(since.elapsed());
        }
        observed.now = self.edge.clock.now();
        Ok(observed)
    }

    /// The autoscalers whose targets have one of these pods; two are enough.
    fn rivals(&self, namespace: &str, pods: &[Pod]) -> Vec<String> {
        let memory = self.memory.lock();
        let of_namespace = memory.selectors.iter().filter(|(key, _)| key.namespace == namespace);
        let choosing = of_namespace.filter(|(_, selector)| {
            pods.iter().any(|pod| selector.matches(&pod.metadata.labels.clone().unwrap_or_default()))
        });
        choosing.map(|(key, _)| format!("{{{} {}}}", key.name, key.namespace)).take(2).collect()
    }

    fn request(&self, kind: &Kind, namespace: &str, name: &str, verb: Verb) -> Request {
        Request {
            resource: kind.resource.clone(),
            namespace: kind.namespaced.then(|| namespace.to_owned()),
            name: Some(name.to_owned()),
            subresource: Some("scale".into()),
            verb,
        }
    }

    /// The target's resource and its scale.
    async fn scale(
        &self,
        namespace: &str,
        target: &CrossVersionObjectReference,
    ) -> Result<(Arc<Kind>, Value), String> {
        let api_version = target.api_version.as_deref().unwrap_or("");
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
        let kind = self.everything.kind_of(api_version, &target.kind);
        let kind = kind.ok_or_else(|| format!("no matches for kind {:?} in group {group:?}", target.kind))?;
        let request = self.request(&kind, namespace, &target.name, Verb::Get);
        let scale = self.transport.call(request).await.and_then(|document| document.tree());
        scale.map(|scale| (kind, scale)).map_err(|error| error.to_string())
    }

    async fn rescale(&self, kind: &Kind, autoscaler: &HorizontalPodAutoscaler, to: i32) -> Result<(), Error> {
        let namespace = autoscaler.metadata.namespace.as_deref().unwrap_or("");
        let name = &autoscaler.spec.scale_target_ref.name;
        let mut tries = 1;
        loop {
            let read = self.request(kind, namespace, name, Verb::Get);
            let mut object = self.transport.call(read).await?.tree()?;
            object.set_at(&["spec", "replicas"], i64::from(to));
            let verb = Verb::Update { object, options: WriteOptions::default() };
            match self.transport.call(self.request(kind, namespace, name, verb)).await {
                Err(error) if error.is_conflict() && tries < TRIES => tries += 1,
                other => return other.map(drop),
            }
        }
    }

    /// What the metrics APIs say of one metric.
    async fn read(&self, namespace: &str, selector: &str, metric: &MetricSpec) -> Result<Reading, String> {
        match (&metric.resource, &metric.container_resource, &metric.pods, &metric.object, &metric.external) {
            (Some(source), ..) => {
                let items = self.pod_metrics(namespace, selector).await?;
                readings::resource(&items, &source.name, None)
            }
            (_, Some(source), ..) => {
                let items = self.pod_metrics(namespace, selector).await?;
                readings::resource(&items, &source.name, Some(&source.container))
            }
            (_, _, Some(source), ..) => {
                let path = format!("pods/*/{}", source.metric.name);
                let options = ListOptions::labels(selector);
                readings::pods(&self.custom(namespace, path, &source.metric, options).await?)
            }
            (_, _, _, Some(source), _) => {
                let described = &source.described_object;
                let api_version = described.api_version.as_deref().unwrap_or("");
                let name = &source.metric.name;
                let kind = self.everything.kind_of(api_version, &described.kind);
                let path = match kind {
                    // An autoscaler sees no namespace but its own.
                    Some(kind) if kind.resource.plural == "namespaces" => format!("metrics/{name}"),
                    Some(kind) if kind.resource.group.is_empty() => {
                        format!("{}/{}/{name}", kind.resource.plural, described.name)
                    }
                    Some(kind) => {
                        format!("{}.{}/{}/{name}", kind.resource.plural, kind.resource.group, described.name)
                    }
                    None => {
                        return Err(format!(
                            "unable to fetch metrics from custom metrics API: unable to map kind {} to resource",
                            described.kind
                        ));
                    }
                };
                let options = ListOptions::default();
                readings::object(&self.custom(namespace, path, &source.metric, options).await?)
            }
            (_, _, _, _, Some(source)) => {
                let resource = Resource {
                    group: "external.metrics.k8s.io".into(),
                    version: "v1beta1".into(),
                    plural: source.metric.name.clone().into(),
                };
                let options = ListOptions {
                    label_selector: selector_text(source.metric.selector.as_ref()),
                    ..ListOptions::default()
                };
                let items = self.items(&resource, namespace, &options).await;
                let items = items
                    .map_err(|error| format!("unable to fetch metrics from external metrics API: {error}"))?;
                readings::external(&items)
            }
            // The plan says so.
            _ => Ok(Reading::External(Vec::new())),
        }
    }

    async fn items(
        &self,
        resource: &Resource,
        namespace: &str,
        options: &ListOptions,
    ) -> Result<Vec<Value>, Error> {
        let list = self.transport.list(resource, Some(namespace), options).await?;
        list.items.iter().map(client::Document::tree).collect()
    }

    async fn pod_metrics(&self, namespace: &str, selector: &str) -> Result<Vec<Value>, String> {
        let items = self.items(&POD_METRICS, namespace, &ListOptions::labels(selector)).await;
        items.map_err(|error| format!("unable to fetch metrics from resource metrics API: {error}"))
    }

    /// MetricValues of the custom metrics API, where one is aggregated: its
    /// paths go on where others end.
    async fn custom(
        &self,
        namespace: &str,
        path: String,
        metric: &MetricIdentifier,
        options: ListOptions,
    ) -> Result<Vec<Value>, String> {
        let resource = Resource {
            group: "custom.metrics.k8s.io".into(),
            version: "v1beta2".into(),
            plural: path.into(),
        };
        let options =
            ListOptions { metric_label_selector: selector_text(metric.selector.as_ref()), ..options };
        match self.items(&resource, namespace, &options).await {
            Err(error) if error.is_not_found() => Err("unable to fetch metrics from custom metrics API: no \
                                                       custom metrics API (custom.metrics.k8s.io) registered"
                .into()),
            other => {
                other.map_err(|error| format!("unable to fetch metrics from custom metrics API: {error}"))
            }
        }
    }

    async fn tell(
        &self,
        key: &ObjectKey,
        autoscaler: &HorizontalPodAutoscaler,
        plan: Plan,
    ) -> Result<(), Error> {
        let about = Reference::to(autoscaler);
        for (kind, reason, message) in plan.events {
            self.recorder.event(&about, kind, reason, message);
        }
        if autoscaler.status.as_ref() == Some(&plan.status) {
            return Ok(());
        }
        let updated = HorizontalPodAutoscaler { status: Some(plan.status), ..autoscaler.clone() };
        let api = Api::<HorizontalPodAutoscaler>::namespaced(self.transport.clone(), key.namespace.clone());
        match api.update_status(&updated).await {
            // The informer is about to show what came between.
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            other => other.map(drop),
        }
    }
}

fn read(scale: &Value) -> Scale {
    let count = |value: &Value| value.as_i64().and_then(|count| i32::try_from(count).ok()).unwrap_or(0);
    Scale {
        replicas: count(&scale["spec"]["replicas"]),
        observed: count(&scale["status"]["replicas"]),
        selector: scale["status"]["selector"].text().to_owned(),
    }
}

/// A selector as the query has it; None chooses everything.
fn selector_text(selector: Option<&LabelSelector>) -> Option<String> {
    let tree = Value::from_serialize(selector?).unwrap_or_default();
    Selector::of_label_selector(&tree).ok().map(|selector| selector.to_string())
}
