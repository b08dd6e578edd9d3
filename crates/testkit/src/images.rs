//! The images that tests run.

use std::path::PathBuf;

/// The archive of an image `nginx` (nginx, a shell and curl from Debian's
/// packages), which `scripts/test` assembles and names in `CORTEN_TEST_IMAGE`.
///
/// # Panics
/// Where there is none: `scripts/image nginx FILE` makes one.
pub fn nginx_archive() -> PathBuf {
    let archive = std::env::var_os("CORTEN_TEST_IMAGE").map(PathBuf::from).unwrap_or_else(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into()));
        cache.unwrap_or_else(|| home().join(".cache")).join("corten/images/nginx.tar")
    });
    made("nginx", archive)
}

/// The archive of an image `redis`, which lies beside the one of `nginx`.
///
/// # Panics
/// Where there is none: `scripts/image redis FILE` makes one.
pub fn redis_archive() -> PathBuf {
    made("redis", nginx_archive().with_file_name("redis.tar"))
}

fn made(name: &str, archive: PathBuf) -> PathBuf {
    assert!(archive.exists(), "{} is missing: scripts/image {name} {0} makes it", archive.display());
    archive
}
