//! The table of kinds: which strategy, storage and subresources each resource
//! of the facts has. One list, in the order of the facts' discovery.

use std::sync::Arc;

use api::facts;
use apiserver::{
    Authorizer, Column, Conversion, Definition, Handler, Plain, Scale, ScaleSelector, Scope, Selectable,
    Storage, Strategy, Subresource, SubresourceKind, Text, Version,
};
use auth::{Masters, NodeAuthorizer, Rbac, ServiceAccountTokens};
use pki::ServiceAccountKeys;

use crate::reviews::access::{About, AccessReview};
use crate::*;

/// What definitions need of the program.
#[derive(Clone)]
pub struct Settings {
    /// In the order in which requests ask them: reviews ask the same.
    pub authorizers: Arc<[Arc<dyn Authorizer>]>,
    pub tokens: Arc<ServiceAccountTokens>,
    pub keys: Arc<ServiceAccountKeys>,
    /// Tell what nodes and pods use (metrics.k8s.io): there are nodes to be asked.
    pub metrics: bool,
    /// Warn about kinds and fields without effect (`corten up`).
    pub warn_ineffective: bool,
}

/// Who decides what a user may do, in the order in which they are asked.
pub fn authorizers() -> Arc<[Arc<dyn Authorizer>]> {
    Arc::new([Arc::new(Masters), Arc::new(NodeAuthorizer::new(loops::system_node_rules())), Arc::new(Rbac)])
}

/// Every built-in resource, in the order of discovery.
pub fn definitions(settings: &Settings) -> Vec<Definition> {
    let mut columns = facts::table_columns();
    let mut made: Vec<Definition> = Vec::new();
    for fact in facts::discovery() {
        let mut version = version_of(fact);
        let place = (fact.group.clone(), fact.version.clone(), fact.resource.clone());
        if let Some(at) = columns.iter().position(|(key, _)| *key == place) {
            version.columns = columns.swap_remove(at).1.into_iter().map(column).collect();
        }
        let known = made
            .iter_mut()
            .find(|definition| definition.group == fact.group && definition.resource == fact.resource);
        match known {
            Some(definition) => definition.versions.push(version),
            None => made.push(definition(fact, version, settings)),
        }
    }
    made.push(range_allocations());
    if settings.metrics {
        made.extend(metrics::definitions());
    }
    made
}

/// A name that lives as long as the program: the facts are loaded once.
fn text(name: &'static str) -> Text {
    Text::Borrowed(name)
}

fn texts(names: &'static [String]) -> Vec<Text> {
    names.iter().map(|name| Text::Borrowed(name.as_str())).collect()
}

fn column(fact: facts::Column) -> Column {
    Column {
        name: fact.name.into(),
        kind: fact.kind.into(),
        format: fact.format.into(),
        description: fact.description.into(),
        priority: fact.priority.into(),
    }
}

fn version_of(fact: &'static facts::Resource) -> Version {
    let conversion: Option<Arc<dyn Conversion>> =
        match (fact.group.as_str(), fact.version.as_str(), fact.resource.as_str()) {
            ("events.k8s.io", _, "events") => Some(Arc::new(core::event::EventsGroup)),
            ("autoscaling", "v1", "horizontalpodautoscalers") => Some(Arc::new(autoscaling::V1)),
            _ => None,
        };
    let deprecation = match (fact.group.as_str(), fact.resource.as_str()) {
        ("", "endpoints") => Some(core::endpoints::DEPRECATION),
        ("", "componentstatuses") => Some(core::component_status::DEPRECATION),
        _ => None,
    };
    Version {
        name: text(&fact.version),
        schema: facts::types().kind(&fact.group, &fact.version, &fact.kind),
        columns: Vec::new(),
        deprecation: deprecation.map(text),
        conversion,
        structural: None,
    }
}

fn definition(fact: &'static facts::Resource, version: Version, settings: &Settings) -> Definition {
    let api_version =
        if fact.group.is_empty() { fact.version.clone() } else { format!("{}/{}", fact.group, fact.version) };
    let storage = match handler(fact, settings) {
        Some(handler) => Storage::Virtual(handler),
        None if fact.group == "events.k8s.io" => Storage::Stored {
            prefix: text("/registry/events/"),
            api_version: text("v1"),
            schema: facts::types().kind("", "v1", "Event"),
        },
        None => {
            Storage::Stored { prefix: prefix(fact), api_version: api_version.into(), schema: version.schema }
        }
    };
    let ineffective =
        if settings.warn_ineffective { ineffective::of(&fact.group, &fact.resource) } else { &[] };
    Definition {
        group: text(&fact.group),
        resource: text(&fact.resource),
        singular: text(&fact.singular),
        kind: text(&fact.kind),
        list_kind: format!("{}List", fact.kind).into(),
        short_names: texts(&fact.short_names),
        categories: texts(&fact.categories),
        scope: match fact.scope {
            facts::Scope::Namespaced => Scope::Namespaced,
            facts::Scope::Cluster => Scope::Cluster,
        },
        verbs: texts(&fact.verbs),
        versions: vec![version],
        storage,
        subresources: fact.subresources.iter().map(|part| subresource(fact, part, settings)).collect(),
        selectable: selectable(&fact.group, &fact.resource),
        ineffective,
        strategy: strategy(&fact.group, &fact.resource),
        since: 0,
    }
}

/// What is special about a resource; most are plain.
fn strategy(group: &str, resource: &str) -> Arc<dyn Strategy> {
    match (group, resource) {
        ("", "componentstatuses") => Arc::new(core::component_status::ComponentStatuses),
        ("", "configmaps") => Arc::new(core::config_map::ConfigMap),
        ("", "endpoints") => Arc::new(core::endpoints::Endpoints),
        ("" | "events.k8s.io", "events") => Arc::new(core::event::Event),
        ("", "limitranges") => Arc::new(core::limit_range::LimitRange),
        ("", "namespaces") => Arc::new(core::namespace::Namespace),
        ("", "nodes") => Arc::new(core::node::Node),
        ("", "persistentvolumeclaims") => Arc::new(core::persistent_volume_claim::PersistentVolumeClaim),
        ("", "persistentvolumes") => Arc::new(core::persistent_volume::PersistentVolume),
        ("", "pods") => Arc::new(core::pod::Pod),
        ("", "podtemplates") => Arc::new(core::pod_template::PodTemplate),
        ("", "replicationcontrollers") => Arc::new(core::replication_controller::ReplicationController),
        ("", "resourcequotas") => Arc::new(core::resource_quota::ResourceQuota),
        ("", "secrets") => Arc::new(core::secret::Secret),
        ("", "services") => Arc::new(core::service::Service),
        ("", "serviceaccounts") => Arc::new(core::service_account::ServiceAccount),
        (
            "admissionregistration.k8s.io",
            "validatingwebhookconfigurations" | "mutatingwebhookconfigurations",
        ) => Arc::new(admissionregistration::webhooks::WebhookConfiguration),
        ("admissionregistration.k8s.io", "validatingadmissionpolicies" | "mutatingadmissionpolicies") => {
            Arc::new(admissionregistration::policies::Policy)
        }
        (
            "admissionregistration.k8s.io",
            "validatingadmissionpolicybindings" | "mutatingadmissionpolicybindings",
        ) => Arc::new(admissionregistration::policies::Binding),
        ("apiextensions.k8s.io", "customresourcedefinitions") => {
            Arc::new(apiextensions::custom_resource_definition::CustomResourceDefinition)
        }
        ("apiregistration.k8s.io", "apiservices") => Arc::new(apiregistration::api_service::ApiService),
        ("apps", "controllerrevisions") => Arc::new(apps::controller_revision::ControllerRevision),
        ("apps", "daemonsets") => Arc::new(apps::daemon_set::DaemonSet),
        ("apps", "deployments") => Arc::new(apps::deployment::Deployment),
        ("apps", "replicasets") => Arc::new(apps::replica_set::ReplicaSet),
        ("apps", "statefulsets") => Arc::new(apps::stateful_set::StatefulSet),
        ("autoscaling", "horizontalpodautoscalers") => Arc::new(autoscaling::HorizontalPodAutoscaler),
        ("batch", "cronjobs") => Arc::new(batch::cron_job::CronJob),
        ("batch", "jobs") => Arc::new(batch::job::Job),
        ("certificates.k8s.io", "certificatesigningrequests") => {
            Arc::new(certificates::certificate_signing_request::CertificateSigningRequest)
        }
        ("certificates.k8s.io", "clustertrustbundles") => {
            Arc::new(certificates::cluster_trust_bundle::ClusterTrustBundle)
        }
        ("certificates.k8s.io", "podcertificaterequests") => {
            Arc::new(certificates::pod_certificate_request::PodCertificateRequest)
        }
        ("coordination.k8s.io", "leases") => Arc::new(coordination::lease::Lease),
        ("discovery.k8s.io", "endpointslices") => Arc::new(discovery::endpoint_slice::EndpointSlice),
        ("flowcontrol.apiserver.k8s.io", "flowschemas") => Arc::new(flowcontrol::flow_schema::FlowSchema),
        ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations") => {
            Arc::new(flowcontrol::priority_level_configuration::PriorityLevelConfiguration)
        }
        ("networking.k8s.io", "ingressclasses") => Arc::new(networking::ingress_class::IngressClass),
        ("networking.k8s.io", "ingresses") => Arc::new(networking::ingress::Ingress),
        ("networking.k8s.io", "ipaddresses") => Arc::new(networking::ip_address::IpAddress),
        ("networking.k8s.io", "networkpolicies") => Arc::new(networking::network_policy::NetworkPolicy),
        ("networking.k8s.io", "servicecidrs") => Arc::new(networking::service_cidr::ServiceCidr),
        ("node.k8s.io", "runtimeclasses") => Arc::new(node::runtime_class::RuntimeClass),
        ("policy", "poddisruptionbudgets") => Arc::new(policy::pod_disruption_budget::PodDisruptionBudget),
        ("rbac.authorization.k8s.io", "roles" | "clusterroles") => Arc::new(rbac::role::Role),
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
            Arc::new(rbac::binding::Binding)
        }
        ("resource.k8s.io", "deviceclasses") => Arc::new(resource::device_class::DeviceClass),
        ("resource.k8s.io", "devicetaintrules") => Arc::new(resource::device_taint_rule::DeviceTaintRule),
        ("resource.k8s.io", "resourceclaims") => Arc::new(resource::resource_claim::ResourceClaim),
        ("resource.k8s.io", "resourceclaimtemplates") => {
            Arc::new(resource::resource_claim::ResourceClaimTemplate)
        }
        ("resource.k8s.io", "resourceslices") => Arc::new(resource::resource_slice::ResourceSlice),
        ("scheduling.k8s.io", "priorityclasses") => Arc::new(scheduling::priority_class::PriorityClass),
        ("storagemigration.k8s.io", "storageversionmigrations") => {
            Arc::new(storagemigration::storage_version_migration::StorageVersionMigration)
        }
        ("storage.k8s.io", "csidrivers") => Arc::new(storage::csi_driver::CsiDriver),
        ("storage.k8s.io", "csinodes") => Arc::new(storage::csi_node::CsiNode),
        ("storage.k8s.io", "csistoragecapacities") => {
            Arc::new(storage::csi_storage_capacity::CsiStorageCapacity)
        }
        ("storage.k8s.io", "storageclasses") => Arc::new(storage::storage_class::StorageClass),
        ("storage.k8s.io", "volumeattachments") => Arc::new(storage::volume_attachment::VolumeAttachment),
        ("storage.k8s.io", "volumeattributesclasses") => {
            Arc::new(storage::volume_attributes_class::VolumeAttributesClass)
        }
        _ => Arc::new(Plain),
    }
}

/// Resources that are answered and not stored.
fn handler(fact: &facts::Resource, settings: &Settings) -> Option<Arc<dyn Handler>> {
    let access = |about| -> Option<Arc<dyn Handler>> {
        Some(Arc::new(AccessReview { about, authorizers: settings.authorizers.clone() }))
    };
    match (fact.group.as_str(), fact.resource.as_str()) {
        ("", "bindings") => Some(Arc::new(core::pod::binding::Binding)),
        ("", "componentstatuses") => Some(Arc::new(core::component_status::ComponentStatuses)),
        ("authentication.k8s.io", "selfsubjectreviews") => {
            Some(Arc::new(reviews::identity::SelfSubjectReview))
        }
        ("authentication.k8s.io", "tokenreviews") => {
            Some(Arc::new(reviews::token::TokenReview { tokens: settings.tokens.clone() }))
        }
        ("authorization.k8s.io", "selfsubjectaccessreviews") => access(About::Oneself),
        ("authorization.k8s.io", "subjectaccessreviews") => access(About::Anybody),
        ("authorization.k8s.io", "localsubjectaccessreviews") => access(About::AnybodyHere),
        ("authorization.k8s.io", "selfsubjectrulesreviews") => Some(Arc::new(reviews::rules::RulesReview)),
        _ => None,
    }
}

fn subresource(
    fact: &'static facts::Resource,
    part: &'static facts::Subresource,
    settings: &Settings,
) -> Subresource {
    let kind = match (fact.resource.as_str(), part.name.as_str()) {
        ("namespaces", "finalize") => SubresourceKind::Object(Arc::new(core::namespace::Finalize)),
        ("pods", "binding") => SubresourceKind::Handler(Arc::new(core::pod::binding::Binding)),
        ("pods", "eviction") => SubresourceKind::Handler(Arc::new(core::pod::eviction::Eviction)),
        ("pods", "ephemeralcontainers") => SubresourceKind::Object(Arc::new(core::pod::EphemeralContainers)),
        ("pods", "resize") => SubresourceKind::Object(Arc::new(core::pod::Resize)),
        ("pods", "attach" | "exec" | "log" | "portforward") => SubresourceKind::PodStream,
        (_, "proxy") => SubresourceKind::Proxy,
        ("serviceaccounts", "token") => {
            SubresourceKind::Handler(Arc::new(core::service_account::TokenRequest {
                keys: settings.keys.clone(),
            }))
        }
        ("certificatesigningrequests", "approval") => {
            SubresourceKind::Object(Arc::new(certificates::certificate_signing_request::Approval))
        }
        ("replicationcontrollers", "scale") => {
            SubresourceKind::Scale(scale(ScaleSelector::Map(path("spec.selector"))))
        }
        (_, "scale") => SubresourceKind::Scale(scale(ScaleSelector::Structured(path("spec.selector")))),
        _ => SubresourceKind::Status,
    };
    let body = (part.kind != fact.kind).then(|| {
        // Upstream lists the group only where it is another one.
        let (group, version) = if part.version.is_empty() {
            (fact.group.as_str(), fact.version.as_str())
        } else {
            (part.group.as_str(), part.version.as_str())
        };
        (text(group), text(version), text(&part.kind))
    });
    Subresource { name: text(&part.name), kind, verbs: texts(&part.verbs), body }
}

fn path(dotted: &'static str) -> Vec<Text> {
    dotted.split('.').map(Text::Borrowed).collect()
}

fn scale(selector: ScaleSelector) -> Scale {
    Scale { replicas: path("spec.replicas"), status_replicas: path("status.replicas"), selector }
}

/// Fields by which lists and watches may choose, beside name and namespace.
fn selectable(group: &str, resource: &str) -> Vec<Selectable> {
    let fields = |names: &[&'static str]| names.iter().map(|name| Selectable::new(name)).collect::<Vec<_>>();
    match (group, resource) {
        ("", "pods") => vec![
            Selectable { alias: "spec.host", ..Selectable::new("spec.nodeName") }.triggering(),
            Selectable::new("spec.restartPolicy"),
            Selectable::new("spec.schedulerName"),
            Selectable::new("spec.serviceAccountName"),
            Selectable::new("spec.hostNetwork").absent("false"),
            Selectable::new("status.phase"),
            Selectable::new("status.podIP"),
            // Known to the scheme, but no pod has it: it reads as nothing.
            Selectable { path: Vec::new(), ..Selectable::new("status.podIPs") },
            Selectable::new("status.nominatedNodeName"),
        ],
        ("", "nodes") => {
            vec![
                Selectable::new("metadata.name").triggering(),
                Selectable::new("spec.unschedulable").absent("false"),
            ]
        }
        ("", "secrets") => vec![Selectable::new("metadata.name").triggering(), Selectable::new("type")],
        ("", "configmaps") | ("coordination.k8s.io", "leases") => {
            vec![Selectable::new("metadata.name").triggering()]
        }
        ("", "events") => fields(&[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ])
        .into_iter()
        .map(|field| match &*field.name {
            "source" => event_source(),
            _ => field,
        })
        .collect(),
        // The stored shape is that of the core group, and so is the order: headers are one's for both.
        ("events.k8s.io", "events") => [
            ("regarding.kind", "involvedObject.kind"),
            ("regarding.namespace", "involvedObject.namespace"),
            ("regarding.name", "involvedObject.name"),
            ("regarding.uid", "involvedObject.uid"),
            ("regarding.apiVersion", "involvedObject.apiVersion"),
            ("regarding.resourceVersion", "involvedObject.resourceVersion"),
            ("regarding.fieldPath", "involvedObject.fieldPath"),
            ("reason", "reason"),
            ("reportingController", "reportingComponent"),
            ("source", ""),
            ("type", "type"),
        ]
        .into_iter()
        .map(|(name, place)| match name {
            "source" => Selectable { hidden: true, ..event_source() },
            name => at(Selectable::new(name), place),
        })
        .collect(),
        ("", "namespaces") => fields(&["status.phase"]),
        ("", "services") => fields(&["spec.clusterIP", "spec.type"]),
        ("", "replicationcontrollers") => vec![Selectable::new("status.replicas").absent("0")],
        ("batch", "jobs") => vec![at(Selectable::new("status.successful").absent("0"), "status.succeeded")],
        ("certificates.k8s.io", "certificatesigningrequests") => fields(&["spec.signerName"]),
        ("certificates.k8s.io", "clustertrustbundles") => fields(&["spec.signerName"]),
        ("certificates.k8s.io", "podcertificaterequests") => {
            fields(&["spec.signerName", "spec.podName", "spec.nodeName"])
        }
        ("resource.k8s.io", "resourceslices") => fields(&["spec.nodeName", "spec.driver", "spec.pool.name"]),
        _ => Vec::new(),
    }
}

/// Who reported an event, in the old field or the new one.
fn event_source() -> Selectable {
    Selectable { fallback: path("reportingComponent"), ..at(Selectable::new("source"), "source.component") }
}

fn at(mut field: Selectable, place: &'static str) -> Selectable {
    field.path = path(place);
    field
}

/// Where objects are kept, as kube-apiserver lays them out in etcd.
fn prefix(fact: &facts::Resource) -> Text {
    match (fact.group.as_str(), fact.resource.as_str()) {
        ("", "nodes") => text("/registry/minions/"),
        ("", "services") => text("/registry/services/specs/"),
        ("", "endpoints") => text("/registry/services/endpoints/"),
        ("", "replicationcontrollers") => text("/registry/controllers/"),
        ("networking.k8s.io", "ingresses") => text("/registry/ingress/"),
        (group @ ("apiregistration.k8s.io" | "apiextensions.k8s.io"), resource) => {
            format!("/registry/{group}/{resource}/").into()
        }
        (_, resource) => format!("/registry/{resource}/").into(),
    }
}

/// The tables of what is given out (node ports): stored as kube-apiserver
/// stores them, served by nobody.
fn range_allocations() -> Definition {
    let schema = facts::types().kind("", "v1", "RangeAllocation");
    Definition {
        group: text(""),
        resource: text("rangeallocations"),
        singular: text("rangeallocation"),
        kind: text("RangeAllocation"),
        list_kind: text("RangeAllocationList"),
        short_names: Vec::new(),
        categories: Vec::new(),
        scope: Scope::Cluster,
        verbs: Vec::new(),
        versions: vec![Version {
            name: text("v1"),
            schema,
            columns: Vec::new(),
            deprecation: None,
            conversion: None,
            structural: None,
        }],
        storage: Storage::Stored { prefix: text("/registry/ranges/"), api_version: text("v1"), schema },
        subresources: Vec::new(),
        selectable: Vec::new(),
        ineffective: &[],
        strategy: Arc::new(Plain),
        since: 0,
    }
}
