//! The hook through which values go to disk and come back, for encryption.

use bytes::Bytes;

use crate::Key;

/// Changes values between the writer and everything durable: log, history and
/// backups hold what [`Transformer::seal`] gave; the index, snapshots and events
/// hold the plain bytes. The key is there to bind a value to its place. A
/// sealed value must say by itself how to open it, so that keys can rotate.
pub trait Transformer: Send + Sync + 'static {
    /// # Errors
    /// A sentence; the write that brought the value is refused with it.
    fn seal(&self, key: &Key, plain: &Bytes) -> Result<Bytes, String>;

    /// # Errors
    /// A sentence; what needed the value fails with it.
    fn open(&self, key: &Key, sealed: Bytes) -> Result<Bytes, String>;
}

/// Leaves values as they are.
pub struct Plain;

impl Transformer for Plain {
    fn seal(&self, _: &Key, plain: &Bytes) -> Result<Bytes, String> {
        Ok(plain.clone())
    }

    fn open(&self, _: &Key, sealed: Bytes) -> Result<Bytes, String> {
        Ok(sealed)
    }
}
