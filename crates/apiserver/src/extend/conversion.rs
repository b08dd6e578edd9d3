//! Conversion between a served version and the stored one.

use apimachinery::{Status, Value};

/// Changes a tree between two versions of a kind, `apiVersion` and `kind`
/// included. Pure; both trees are complete and defaulted.
pub trait Conversion: Send + Sync + 'static {
    /// Served → stored.
    ///
    /// # Errors
    /// A Status where the object cannot be expressed.
    fn to_storage(&self, object: &mut Value) -> Result<(), Status>;

    /// Stored → served.
    ///
    /// # Errors
    /// As [`Conversion::to_storage`].
    #[allow(clippy::wrong_self_convention)] // the conversion is the self
    fn from_storage(&self, object: &mut Value) -> Result<(), Status>;
}
