//! Values as upstream's internal types write them in messages: Go's names of
//! fields, in the order of the internal structs, absent ones as Go's zero values.
//!
//! Some messages of validation show a whole struct or compare two (`spec` of a
//! pod that may not change). The shapes are data, one line a struct.

use apimachinery::{Object, Value};

/// `Struct Field:kind …`. The name in JSON is the field's with a small first
/// letter, or stands behind `=`. Kinds: `s` text, `b` truth, `i` number, `q`
/// quantity, `*` anything that may be absent, `[` a list of such, `<T` a struct,
/// `*T` a pointer to one, `[T` a list of them, `+T` one whose fields are taken over.
const SHAPES: &str = "\
PodTemplateSpec +meta Spec:<PodSpec
PodSpec Volumes:[Volume InitContainers:[Container Containers:[Container EphemeralContainers:[EphemeralContainer RestartPolicy:s TerminationGracePeriodSeconds:* ActiveDeadlineSeconds:* DNSPolicy=dnsPolicy:s NodeSelector:* ServiceAccountName:s DeprecatedServiceAccount=serviceAccount:s AutomountServiceAccountToken:* NodeName:s HostNetwork:b HostPID=hostPID:b HostIPC=hostIPC:b ShareProcessNamespace:* SecurityContext:*PodSecurityContext ImagePullSecrets:[Named Hostname:s Subdomain:s Affinity:*Affinity SchedulerName:s Tolerations:[Toleration HostAliases:[HostAlias PriorityClassName:s Priority:* DNSConfig=dnsConfig:*PodDNSConfig ReadinessGates:[PodReadinessGate RuntimeClassName:* EnableServiceLinks:* PreemptionPolicy:* Overhead:* TopologySpreadConstraints:[TopologySpreadConstraint SetHostnameAsFQDN=setHostnameAsFQDN:* OS=os:*Named HostUsers:* SchedulingGates:[Named ResourceClaims:[PodResourceClaim Resources:*ResourceRequirements HostnameOverride:* SchedulingGroup:*PodSchedulingGroup EvictionResponders:[EvictionResponder
Named Name:s
Container Name:s Image:s Command:[ Args:[ WorkingDir:s Ports:[ContainerPort EnvFrom:[EnvFromSource Env:[EnvVar Resources:<ResourceRequirements ResizePolicy:[ContainerResizePolicy RestartPolicy:* RestartPolicyRules:[ContainerRestartRule VolumeMounts:[VolumeMount VolumeDevices:[VolumeDevice LivenessProbe:*Probe ReadinessProbe:*Probe StartupProbe:*Probe Lifecycle:*Lifecycle TerminationMessagePath:s TerminationMessagePolicy:s ImagePullPolicy:s SecurityContext:*SecurityContext Stdin:b StdinOnce:b TTY=tty:b
EphemeralContainer +Container TargetContainerName:s
ContainerPort Name:s HostPort:i ContainerPort:i Protocol:s HostIP=hostIP:s
ContainerResizePolicy ResourceName:s RestartPolicy:s
ResourceRequirements Limits:* Requests:* Claims:[ResourceClaim
ResourceClaim Name:s Request:s
VolumeResourceRequirements Limits:* Requests:*
EnvVar Name:s Value:s ValueFrom:*EnvVarSource
EnvVarSource FieldRef:*ObjectFieldSelector ResourceFieldRef:*ResourceFieldSelector ConfigMapKeyRef:*KeySelector SecretKeyRef:*KeySelector FileKeyRef:*FileKeySelector
ObjectFieldSelector APIVersion=apiVersion:s FieldPath:s
ResourceFieldSelector ContainerName:s Resource:s Divisor:q
KeySelector Name:s Key:s Optional:*
FileKeySelector VolumeName:s Path:s Key:s Optional:*
EnvFromSource Prefix:s ConfigMapRef:*EnvSource SecretRef:*EnvSource
EnvSource Name:s Optional:*
VolumeMount Name:s ReadOnly:b RecursiveReadOnly:* MountPath:s SubPath:s MountPropagation:* SubPathExpr:s BindMountOptions:[
VolumeDevice Name:s DevicePath:s
Probe +ProbeHandler InitialDelaySeconds:i TimeoutSeconds:i PeriodSeconds:i SuccessThreshold:i FailureThreshold:i TerminationGracePeriodSeconds:*
ProbeHandler Exec:*ExecAction HTTPGet=httpGet:*HTTPGetAction TCPSocket=tcpSocket:*TCPSocketAction GRPC=grpc:*GRPCAction
LifecycleHandler Exec:*ExecAction HTTPGet=httpGet:*HTTPGetAction TCPSocket=tcpSocket:*TCPSocketAction Sleep:*SleepAction
ExecAction Command:[
HTTPGetAction Path:s Port:i Host:s Scheme:s HTTPHeaders=httpHeaders:[NameValue Protocol:*
NameValue Name:s Value:s
TCPSocketAction Port:i Host:s
GRPCAction Port:i Service:* Mode:*
SleepAction Seconds:i
Lifecycle PostStart:*LifecycleHandler PreStop:*LifecycleHandler StopSignal:*
SecurityContext Capabilities:*Capabilities Privileged:* SELinuxOptions=seLinuxOptions:*SELinuxOptions WindowsOptions:*WindowsOptions RunAsUser:* RunAsGroup:* RunAsNonRoot:* ReadOnlyRootFilesystem:* AllowPrivilegeEscalation:* ProcMount:* SeccompProfile:*SeccompProfile AppArmorProfile:*AppArmorProfile
Capabilities Add:[ Drop:[
SELinuxOptions User:s Role:s Type:s Level:s
WindowsOptions GMSACredentialSpecName=gmsaCredentialSpecName:* GMSACredentialSpec=gmsaCredentialSpec:* RunAsUserName:* HostProcess:*
SeccompProfile Type:s LocalhostProfile:*
AppArmorProfile Type:s LocalhostProfile:*
PodSecurityContext SELinuxOptions=seLinuxOptions:*SELinuxOptions WindowsOptions:*WindowsOptions RunAsUser:* RunAsGroup:* RunAsNonRoot:* SupplementalGroups:[ SupplementalGroupsPolicy:* FSGroup=fsGroup:* Sysctls:[NameValue FSGroupChangePolicy=fsGroupChangePolicy:* SeccompProfile:*SeccompProfile AppArmorProfile:*AppArmorProfile SELinuxChangePolicy=seLinuxChangePolicy:*
Affinity NodeAffinity:*NodeAffinity PodAffinity:*PodAffinity PodAntiAffinity:*PodAffinity
NodeAffinity RequiredDuringSchedulingIgnoredDuringExecution:*NodeSelector PreferredDuringSchedulingIgnoredDuringExecution:[PreferredSchedulingTerm
NodeSelector NodeSelectorTerms:[NodeSelectorTerm
NodeSelectorTerm MatchExpressions:[NodeSelectorRequirement MatchFields:[NodeSelectorRequirement
NodeSelectorRequirement Key:s Operator:s Values:[
PreferredSchedulingTerm Weight:i Preference:<NodeSelectorTerm
PodAffinity RequiredDuringSchedulingIgnoredDuringExecution:[PodAffinityTerm PreferredDuringSchedulingIgnoredDuringExecution:[WeightedPodAffinityTerm
PodAffinityTerm LabelSelector:* Namespaces:[ TopologyKey:s NamespaceSelector:* MatchLabelKeys:[ MismatchLabelKeys:[
WeightedPodAffinityTerm Weight:i PodAffinityTerm:<PodAffinityTerm
Toleration Key:s Operator:s Value:s Effect:s TolerationSeconds:*
HostAlias IP=ip:s Hostnames:[
PodDNSConfig Nameservers:[ Searches:[ Options:[PodDNSConfigOption
PodDNSConfigOption Name:s Value:*
PodReadinessGate ConditionType:s
TopologySpreadConstraint MaxSkew:i TopologyKey:s WhenUnsatisfiable:s LabelSelector:* MinDomains:* NodeAffinityPolicy:* NodeTaintsPolicy:* MatchLabelKeys:[
PodResourceClaim Name:s ResourceClaimName:* ResourceClaimTemplateName:*
Volume Name:s +VolumeSource
VolumeSource HostPath:*HostPathVolumeSource EmptyDir:*EmptyDirVolumeSource GCEPersistentDisk=gcePersistentDisk:*GCEPersistentDisk AWSElasticBlockStore=awsElasticBlockStore:*AWSElasticBlockStore GitRepo:*GitRepo Secret:*SecretVolumeSource NFS=nfs:*NFSVolumeSource ISCSI=iscsi:*ISCSI Glusterfs:*Glusterfs PersistentVolumeClaim:*ClaimVolumeSource RBD=rbd:*RBD FlexVolume:*Flex Cinder:*Cinder CephFS=cephfs:*CephFS Flocker:*Flocker DownwardAPI=downwardAPI:*DownwardAPIVolumeSource FC=fc:*FC AzureFile:*AzureFile ConfigMap:*ConfigMapVolumeSource VsphereVolume:*Vsphere Quobyte:*Quobyte AzureDisk:*AzureDisk PhotonPersistentDisk:*Photon Projected:*ProjectedVolumeSource PortworxVolume:*Portworx ScaleIO=scaleIO:*ScaleIO StorageOS=storageos:*StorageOS CSI=csi:*CSI Ephemeral:*Ephemeral Image:*Image
HostPathVolumeSource Path:s Type:*
EmptyDirVolumeSource Medium:s SizeLimit:* Mode:*
SecretVolumeSource SecretName:s Items:[KeyToPath DefaultMode:* Optional:* DefaultUser:*
ConfigMapVolumeSource Name:s Items:[KeyToPath DefaultMode:* Optional:* DefaultUser:*
KeyToPath Key:s Path:s Mode:* User:*
NFSVolumeSource Server:s Path:s ReadOnly:b
ClaimVolumeSource ClaimName:s ReadOnly:b
DownwardAPIVolumeSource Items:[DownwardAPIVolumeFile DefaultMode:* DefaultUser:*
DownwardAPIVolumeFile Path:s FieldRef:*ObjectFieldSelector ResourceFieldRef:*ResourceFieldSelector Mode:* User:*
ProjectedVolumeSource Sources:[VolumeProjection DefaultMode:* DefaultUser:*
VolumeProjection Secret:*Projection DownwardAPI=downwardAPI:*DownwardAPIProjection ConfigMap:*Projection ServiceAccountToken:*TokenProjection ClusterTrustBundle:*ClusterTrustBundleProjection PodCertificate:*PodCertificateProjection
Projection Name:s Items:[KeyToPath Optional:*
DownwardAPIProjection Items:[DownwardAPIVolumeFile
TokenProjection Audience:s ExpirationSeconds:i Path:s User:*
ClusterTrustBundleProjection Name:* SignerName:* LabelSelector:* Optional:* Path:s User:*
PodCertificateProjection SignerName:s KeyType:s MaxExpirationSeconds:* CredentialBundlePath:s KeyPath:s CertificateChainPath:s UserAnnotations:* User:*
ContainerRestartRule Action:s ExitCodes:*ContainerRestartRuleOnExitCodes
ContainerRestartRuleOnExitCodes Operator:s Values:[
PodSchedulingGroup PodGroupName:*
EvictionResponder Name:s Priority:*
SecretReference Name:s Namespace:s
ObjectReference Kind:s Namespace:s Name:s UID=uid:s APIVersion=apiVersion:s ResourceVersion:s FieldPath:s
GCEPersistentDisk PDName=pdName:s FSType=fsType:s Partition:i ReadOnly:b
AWSElasticBlockStore VolumeID=volumeID:s FSType=fsType:s Partition:i ReadOnly:b
GitRepo Repository:s Revision:s Directory:s
ISCSI TargetPortal:s IQN=iqn:s Lun:i ISCSIInterface=iscsiInterface:s FSType=fsType:s ReadOnly:b Portals:[ DiscoveryCHAPAuth=chapAuthDiscovery:b SessionCHAPAuth=chapAuthSession:b SecretRef:*Named InitiatorName:*
PersistentISCSI TargetPortal:s IQN=iqn:s Lun:i ISCSIInterface=iscsiInterface:s FSType=fsType:s ReadOnly:b Portals:[ DiscoveryCHAPAuth=chapAuthDiscovery:b SessionCHAPAuth=chapAuthSession:b SecretRef:*SecretReference InitiatorName:*
Glusterfs EndpointsName=endpoints:s Path:s ReadOnly:b
PersistentGlusterfs EndpointsName=endpoints:s Path:s ReadOnly:b EndpointsNamespace:*
RBD CephMonitors=monitors:[ RBDImage=image:s FSType=fsType:s RBDPool=pool:s RadosUser=user:s Keyring:s SecretRef:*Named ReadOnly:b
PersistentRBD CephMonitors=monitors:[ RBDImage=image:s FSType=fsType:s RBDPool=pool:s RadosUser=user:s Keyring:s SecretRef:*SecretReference ReadOnly:b
Quobyte Registry:s Volume:s ReadOnly:b User:s Group:s Tenant:s
Flex Driver:s FSType=fsType:s SecretRef:*Named ReadOnly:b Options:*
PersistentFlex Driver:s FSType=fsType:s SecretRef:*SecretReference ReadOnly:b Options:*
Cinder VolumeID=volumeID:s FSType=fsType:s ReadOnly:b SecretRef:*Named
PersistentCinder VolumeID=volumeID:s FSType=fsType:s ReadOnly:b SecretRef:*SecretReference
CephFS Monitors:[ Path:s User:s SecretFile:s SecretRef:*Named ReadOnly:b
PersistentCephFS Monitors:[ Path:s User:s SecretFile:s SecretRef:*SecretReference ReadOnly:b
Flocker DatasetName:s DatasetUUID=datasetUUID:s
FC TargetWWNs=targetWWNs:[ Lun:* FSType=fsType:s ReadOnly:b WWIDs=wwids:[
AzureFile SecretName:s ShareName:s ReadOnly:b
PersistentAzureFile SecretName:s ShareName:s ReadOnly:b SecretNamespace:*
Vsphere VolumePath:s FSType=fsType:s StoragePolicyName:s StoragePolicyID=storagePolicyID:s
AzureDisk DiskName:s DataDiskURI=diskURI:s CachingMode:* FSType=fsType:* ReadOnly:* Kind:*
Photon PdID=pdID:s FSType=fsType:s
Portworx VolumeID=volumeID:s FSType=fsType:s ReadOnly:b
ScaleIO Gateway:s System:s SecretRef:*Named SSLEnabled=sslEnabled:b ProtectionDomain:s StoragePool:s StorageMode:s VolumeName:s FSType=fsType:s ReadOnly:b
PersistentScaleIO Gateway:s System:s SecretRef:*SecretReference SSLEnabled=sslEnabled:b ProtectionDomain:s StoragePool:s StorageMode:s VolumeName:s FSType=fsType:s ReadOnly:b
StorageOS VolumeName:s VolumeNamespace:s FSType=fsType:s ReadOnly:b SecretRef:*Named
PersistentStorageOS VolumeName:s VolumeNamespace:s FSType=fsType:s ReadOnly:b SecretRef:*ObjectReference
CSI Driver:s ReadOnly:* FSType=fsType:* VolumeAttributes:* NodePublishSecretRef:*Named
PersistentCSI Driver:s VolumeHandle:s ReadOnly:b FSType=fsType:s VolumeAttributes:* ControllerPublishSecretRef:*SecretReference NodeStageSecretRef:*SecretReference NodePublishSecretRef:*SecretReference ControllerExpandSecretRef:*SecretReference NodeExpandSecretRef:*SecretReference
Local Path:s FSType=fsType:*
Ephemeral VolumeClaimTemplate:*PersistentVolumeClaimTemplate
PersistentVolumeClaimTemplate +meta Spec:<PersistentVolumeClaimSpec
Image Reference:s PullPolicy:s
VolumeNodeAffinity Required:*NodeSelector
EventSource Component:s Host:s
Taint Key:s Value:s Effect:s TimeAdded:*
NodeAddress Type:s Address:s
PodIP IP=ip:s
HostIP IP=ip:s
NodeConfigSource ConfigMap:*ConfigMapNodeConfigSource
ConfigMapNodeConfigSource Namespace:s Name:s UID=uid:s ResourceVersion:s KubeletConfigKey:s
ScopeSelector MatchExpressions:[ScopedResourceSelectorRequirement
ScopedResourceSelectorRequirement ScopeName:s Operator:s Values:[
PersistentVolumeSource GCEPersistentDisk=gcePersistentDisk:*GCEPersistentDisk AWSElasticBlockStore=awsElasticBlockStore:*AWSElasticBlockStore HostPath:*HostPathVolumeSource Glusterfs:*PersistentGlusterfs NFS=nfs:*NFSVolumeSource RBD=rbd:*PersistentRBD ISCSI=iscsi:*PersistentISCSI Cinder:*PersistentCinder CephFS=cephfs:*PersistentCephFS FC=fc:*FC Flocker:*Flocker FlexVolume:*PersistentFlex AzureFile:*PersistentAzureFile VsphereVolume:*Vsphere Quobyte:*Quobyte AzureDisk:*AzureDisk PhotonPersistentDisk:*Photon PortworxVolume:*Portworx ScaleIO=scaleIO:*PersistentScaleIO Local:*Local StorageOS=storageos:*PersistentStorageOS CSI=csi:*PersistentCSI
PersistentVolumeClaimSpec AccessModes:[ Selector:* Resources:<VolumeResourceRequirements VolumeName:s StorageClassName:* VolumeMode:* DataSource:*TypedReference DataSourceRef:*NamespacedReference VolumeAttributesClassName:*
TypedReference APIGroup=apiGroup:* Kind:s Name:s
NamespacedReference APIGroup=apiGroup:* Kind:s Name:s Namespace:*
DeploymentStrategy Type:s RollingUpdate:*RollingUpdate
DaemonSetUpdateStrategy Type:s RollingUpdate:*RollingUpdate
RollingUpdate MaxUnavailable:* MaxSurge:*
StatefulSetUpdateStrategy Type:s RollingUpdate:*RollingUpdateStatefulSet
RollingUpdateStatefulSet Partition:i MaxUnavailable:*
ServicePort Name:s Protocol:s AppProtocol:* Port:i TargetPort:i NodePort:i
FlowSchemaSpec PriorityLevelConfiguration:<Named MatchingPrecedence:i DistinguisherMethod:*FlowDistinguisherMethod Rules:[PolicyRulesWithSubjects
FlowDistinguisherMethod Type:s
AuditAnnotation Key:s ValueExpression:s
PolicyRulesWithSubjects Subjects:[FlowSubject ResourceRules:[ResourcePolicyRule NonResourceRules:[NonResourcePolicyRule
FlowSubject Kind:s User:*Named Group:*Named ServiceAccount:*FlowAccount
FlowAccount Namespace:s Name:s
ResourcePolicyRule Verbs:[ APIGroups=apiGroups:[ Resources:[ ClusterScope:b Namespaces:[
NonResourcePolicyRule Verbs:[ NonResourceURLs=nonResourceURLs:[
PriorityLevelConfigurationSpec Type:s Limited:*LimitedPriorityLevelConfiguration Exempt:*ExemptPriorityLevelConfiguration
LimitedPriorityLevelConfiguration NominalConcurrencyShares:i LimitResponse:<LimitResponse LendablePercent:* BorrowingLimitPercent:*
LimitResponse Type:s Queuing:*QueuingConfiguration
QueuingConfiguration Queues:i HandSize:i QueueLengthLimit:i
ExemptPriorityLevelConfiguration NominalConcurrencyShares:* LendablePercent:*
ResourceClaimTemplateSpec +meta Spec:<ResourceClaimSpec
ResourceClaimSpec Devices:<DeviceClaim
DeviceClaim Requests:[DeviceRequest Constraints:[DeviceConstraint Config:[DeviceClaimConfiguration
DeviceRequest Name:s Exactly:*ExactDeviceRequest FirstAvailable:[DeviceSubRequest
ExactDeviceRequest DeviceClassName:s Selectors:[DeviceSelector AllocationMode:s Count:i AdminAccess:* Tolerations:[DeviceToleration Capacity:*CapacityRequirements DerivedAttributes:*
DeviceSubRequest Name:s DeviceClassName:s Selectors:[DeviceSelector AllocationMode:s Count:i Tolerations:[DeviceToleration Capacity:*CapacityRequirements DerivedAttributes:*
CapacityRequirements Requests:*
DeviceSelector CEL=cel:*CELDeviceSelector
CELDeviceSelector Expression:s
DeviceToleration Key:s Operator:s Value:s Effect:s TolerationSeconds:*
DeviceConstraint Requests:[ MatchAttribute:* DistinctAttribute:*
DeviceClaimConfiguration Requests:[ Opaque:*OpaqueDeviceConfiguration
OpaqueDeviceConfiguration Driver:s Parameters:*
PodDisruptionBudgetSpec MinAvailable:* Selector:* MaxUnavailable:* UnhealthyPodEvictionPolicy:*
SuccessPolicy Rules:[SuccessPolicyRule
PodFailurePolicy Rules:[PodFailurePolicyRule
PodFailurePolicyRule Action:s OnExitCodes:*PodFailurePolicyOnExitCodes OnPodConditions:[PodFailurePolicyOnPodConditions
PodFailurePolicyOnExitCodes ContainerName:* Operator:s Values:[
PodFailurePolicyOnPodConditions Type:s Status:s
PersistentVolumeClaim +meta Spec:<PersistentVolumeClaimSpec Status:<PersistentVolumeClaimStatus
PersistentVolumeClaimStatus Phase:s AccessModes:[ Capacity:* Conditions:[ AllocatedResources:* AllocatedResourceStatuses:* CurrentVolumeAttributesClassName:* ModifyVolumeStatus:* HealthStatus:*
SuccessPolicyRule SucceededIndexes:* SucceededCount:*
UncountedTerminatedPods Succeeded:[ Failed:[
";

/// Members of ObjectMeta that templates have, in the order of its tags; it is
/// written by their names in JSON and leaves empty ones out.
const META: [&str; 15] = [
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
];

/// `value` as the internal struct `name`; null stays null.
pub fn of(name: &str, value: &Value) -> Value {
    let mut out = Object::new();
    fill(name, value, &mut out);
    Value::Object(out)
}

fn fill(name: &str, value: &Value, out: &mut Object) {
    let line = SHAPES.lines().find(|line| line.split(' ').next() == Some(name)).unwrap_or_default();
    for part in line.split(' ').skip(1) {
        if let Some(embedded) = part.strip_prefix('+') {
            if embedded == "meta" {
                let metadata = &value["metadata"];
                for member in META.iter().filter(|member| !super::is_empty(&metadata[**member])) {
                    out.push_new(*member, metadata[*member].clone());
                }
            } else {
                fill(embedded, value, out);
            }
            continue;
        }
        let (names, kind) = part.split_once(':').unwrap_or((part, "*"));
        let (field, json) = match names.split_once('=') {
            Some((field, json)) => (field, json.to_owned()),
            None => (names, format!("{}{}", names[..1].to_lowercase(), &names[1..])),
        };
        out.push_new(field.to_owned(), member(kind, value.get(&json)));
    }
}

fn member(kind: &str, value: &Value) -> Value {
    let (form, of_type) = kind.split_at(1);
    match form {
        "s" if value.is_null() => "".into(),
        "b" if value.is_null() => false.into(),
        "i" if value.is_null() => 0.into(),
        "q" if value.is_null() => "0".into(),
        "<" => of(of_type, value),
        "*" if !of_type.is_empty() && !value.is_null() => of(of_type, value),
        "[" if !of_type.is_empty() && !value.is_null() => {
            Value::Array(value.items().iter().map(|item| of(of_type, item)).collect())
        }
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::{json, value};

    use super::*;

    #[test]
    fn absent_fields_are_gos_zero_values() {
        let context = value!({"privileged": true, "capabilities": {"add": ["A"]}});
        assert_eq!(
            json::to_string(&of("SecurityContext", &context)),
            "{\"Capabilities\":{\"Add\":[\"A\"],\"Drop\":null},\"Privileged\":true,\"SELinuxOptions\":null,\
             \"WindowsOptions\":null,\"RunAsUser\":null,\"RunAsGroup\":null,\"RunAsNonRoot\":null,\
             \"ReadOnlyRootFilesystem\":null,\"AllowPrivilegeEscalation\":null,\"ProcMount\":null,\
             \"SeccompProfile\":null,\"AppArmorProfile\":null}"
        );
    }

    #[test]
    fn every_named_struct_has_a_line() {
        let known: Vec<&str> = SHAPES.lines().filter_map(|line| line.split(' ').next()).collect();
        for part in SHAPES.lines().flat_map(|line| line.split(' ').skip(1)) {
            let name = match part.split_once(':') {
                Some((_, kind)) => kind.get(1..).unwrap_or(""),
                None => part.trim_start_matches('+'),
            };
            assert!(matches!(name, "" | "meta") || known.contains(&name), "{part}");
        }
    }
}
