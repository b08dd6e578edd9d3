//! The kinds of `storage.k8s.io`.

pub mod csi_driver;
pub mod storage_class;
pub mod volume_attributes_class;
