//! The plugins in the order in which they run: upstream's
//! (`AllOrderedPlugins` of kube-apiserver), quota last.

use std::sync::Arc;

use apiserver::{AdmissionPlugin, Authorizer};

use crate::certificate::{CertificateApproval, CertificateSigning, CertificateSubjectRestriction};
use crate::default_ingress_class::DefaultIngressClass;
use crate::default_storage_class::DefaultStorageClass;
use crate::default_toleration_seconds::DefaultTolerationSeconds;
use crate::limit_ranger::LimitRanger;
use crate::namespace_lifecycle::NamespaceLifecycle;
use crate::node_restriction::NodeRestriction;
use crate::persistent_volume_claim_resize::PersistentVolumeClaimResize;
use crate::priority::Priority;
use crate::quota::ResourceQuota;
use crate::rbac_escalation::{RbacEscalation, RefuseGranting};
use crate::runtime_class::RuntimeClass;
use crate::service_account::ServiceAccount;
use crate::storage_object_in_use_protection::StorageObjectInUseProtection;
use crate::taint_nodes_by_condition::TaintNodesByCondition;

/// Every built-in plugin. `authorizers` are those that requests ask: some
/// plugins let pass who may do more. `refuse_granting` is
/// `auth::rbac::refuse_granting`.
pub fn plugins(
    authorizers: &Arc<[Arc<dyn Authorizer>]>,
    refuse_granting: RefuseGranting,
) -> Vec<Arc<dyn AdmissionPlugin>> {
    vec![
        Arc::new(NamespaceLifecycle),
        Arc::new(LimitRanger),
        Arc::new(ServiceAccount),
        Arc::new(NodeRestriction),
        Arc::new(TaintNodesByCondition),
        Arc::new(Priority),
        Arc::new(DefaultTolerationSeconds),
        Arc::new(DefaultStorageClass),
        Arc::new(StorageObjectInUseProtection),
        Arc::new(PersistentVolumeClaimResize),
        Arc::new(RuntimeClass),
        Arc::new(CertificateApproval { authorizers: authorizers.clone() }),
        Arc::new(CertificateSigning { authorizers: authorizers.clone() }),
        Arc::new(CertificateSubjectRestriction),
        Arc::new(DefaultIngressClass),
        // Upstream's storage of roles and bindings checks this after mutation.
        Arc::new(RbacEscalation { authorizers: authorizers.clone(), refuse_granting }),
        Arc::new(ResourceQuota),
    ]
}
