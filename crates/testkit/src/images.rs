//! The image that tests run.

use std::path::PathBuf;

/// The archive of an image `nginx` (nginx and busybox from Debian's packages),
/// which `scripts/test` assembles and names in `CORTEN_TEST_IMAGE`.
///
/// # Panics
/// Where there is none: `scripts/nginx-image FILE` makes one.
pub fn nginx_archive() -> PathBuf {
    let archive = std::env::var_os("CORTEN_TEST_IMAGE").map(PathBuf::from).unwrap_or_else(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into()));
        cache.unwrap_or_else(|| home().join(".cache")).join("corten/images/nginx.tar")
    });
    assert!(archive.exists(), "{} is missing: scripts/nginx-image {0} makes it", archive.display());
    archive
}
