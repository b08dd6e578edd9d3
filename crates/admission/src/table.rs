//! The plugins in the order in which they run: upstream's
//! (`AllOrderedPlugins` of kube-apiserver), quota last.

use std::sync::Arc;

use apiserver::{Authorizer, Plugin};
use serve::families::Families;

use crate::certificate::{CertificateApproval, CertificateSigning, CertificateSubjectRestriction};
use crate::default_ingress_class::DefaultIngressClass;
use crate::default_storage_class::DefaultStorageClass;
use crate::default_toleration_seconds::DefaultTolerationSeconds;
use crate::limit_ranger::LimitRanger;
use crate::metrics::{ConditionMetrics, MutatingMetrics, ValidatingMetrics, WebhookMetrics};
use crate::namespace_lifecycle::NamespaceLifecycle;
use crate::node_restriction::NodeRestriction;
use crate::persistent_volume_claim_resize::PersistentVolumeClaimResize;
use crate::pod_security::PodSecurity;
use crate::policies::{MutatingAdmissionPolicy, ValidatingAdmissionPolicy};
use crate::priority::Priority;
use crate::quota::ResourceQuota;
use crate::rbac_escalation::{RbacEscalation, RefuseGranting};
use crate::runtime_class::RuntimeClass;
use crate::service_account::ServiceAccount;
use crate::storage_object_in_use_protection::StorageObjectInUseProtection;
use crate::taint_nodes_by_condition::TaintNodesByCondition;
use crate::webhooks::{Caller, MutatingAdmissionWebhook, ValidatingAdmissionWebhook, Webhooks};

/// Every plugin. `authorizers` are those that requests ask: some plugins let
/// pass who may do more. `refuse_granting` is `auth::rbac::refuse_granting`;
/// `caller` is the way out to webhooks. What plugins count
/// is in `families`.
pub fn plugins(
    authorizers: &Arc<[Arc<dyn Authorizer>]>,
    refuse_granting: RefuseGranting,
    caller: Arc<dyn Caller>,
    families: &Families,
) -> Vec<Plugin> {
    let conditions = ConditionMetrics::new(families);
    let mutating = MutatingAdmissionPolicy {
        authorizers: authorizers.clone(),
        metrics: MutatingMetrics::new(families),
        conditions: conditions.clone(),
    };
    let validating = ValidatingAdmissionPolicy {
        authorizers: authorizers.clone(),
        metrics: ValidatingMetrics::new(families),
        conditions: conditions.clone(),
    };
    let webhooks = Webhooks {
        caller,
        authorizers: authorizers.clone(),
        metrics: WebhookMetrics::new(families),
        conditions,
    };
    vec![
        NamespaceLifecycle.into(),
        LimitRanger.into(),
        ServiceAccount.into(),
        NodeRestriction { authorizers: authorizers.clone() }.into(),
        TaintNodesByCondition.into(),
        PodSecurity::new(families).into(),
        Priority.into(),
        DefaultTolerationSeconds.into(),
        DefaultStorageClass.into(),
        StorageObjectInUseProtection.into(),
        PersistentVolumeClaimResize.into(),
        RuntimeClass.into(),
        CertificateApproval { authorizers: authorizers.clone() }.into(),
        CertificateSigning { authorizers: authorizers.clone() }.into(),
        CertificateSubjectRestriction.into(),
        DefaultIngressClass.into(),
        mutating.into(),
        Plugin::Remote(Arc::new(MutatingAdmissionWebhook(webhooks.clone()))),
        // Upstream's storage of roles and bindings checks this after all mutation.
        RbacEscalation { authorizers: authorizers.clone(), refuse_granting }.into(),
        validating.into(),
        Plugin::Remote(Arc::new(ValidatingAdmissionWebhook(webhooks))),
        ResourceQuota.into(),
    ]
}
