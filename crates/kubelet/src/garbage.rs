//! What piles up on a node: logs that grow, images that nobody uses.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use runtime::ContainerId;

use crate::config::LogLimits;
use crate::context::Context;
use crate::node::System;
use crate::pod::manager::Manager;

/// Rotates the logs of running containers that have grown too large. The
/// runtime then goes on in a new file.
pub async fn rotate_logs(context: &std::sync::Arc<Context>, manager: &Manager) {
    let running: Vec<(ContainerId, PathBuf)> = manager
        .snapshots()
        .iter()
        .flat_map(|pod| {
            let logs = context.pod_logs(&pod.pod);
            let running = pod.containers.iter().filter(|one| one.running);
            running
                .map(|one| (one.id.clone(), logs.join(&one.name).join(format!("{}.log", one.attempt))))
                .collect::<Vec<_>>()
        })
        .collect();
    if running.is_empty() {
        return;
    }
    let stamp = context.now().strftime("%Y%m%d-%H%M%S").to_string();
    let rotated = context.blocking(move |context| {
        let limits = context.config.logs;
        running
            .into_iter()
            .filter(|(_, log)| rotate(log, limits, &stamp))
            .map(|(id, _)| id)
            .collect::<Vec<_>>()
    });
    for id in rotated.await.unwrap_or_default() {
        if let Err(error) = context.drivers.runtime.reopen_log(&id).await {
            tracing::warn!(container = %id, %error, "a rotated log is still written to");
        }
    }
}

/// Whether the log was renamed.
fn rotate(log: &Path, limits: LogLimits, stamp: &str) -> bool {
    if !fs::metadata(log).is_ok_and(|metadata| metadata.len() >= limits.max_bytes) {
        return false;
    }
    let renamed = || -> io::Result<()> {
        for old in superfluous(rotated(log), limits.max_files.saturating_sub(2)) {
            fs::remove_file(old)?;
        }
        let mut name = log.as_os_str().to_owned();
        name.push(format!(".{stamp}"));
        fs::rename(log, PathBuf::from(name))
    };
    match renamed() {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(log = %log.display(), %error, "a log cannot be rotated");
            false
        }
    }
}

/// The rotated parts of a log, the oldest first.
fn rotated(log: &Path) -> Vec<PathBuf> {
    let (Some(directory), Some(name)) = (log.parent(), log.file_name()) else { return Vec::new() };
    let prefix = format!("{}.", name.to_string_lossy());
    let mut parts: Vec<PathBuf> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path())
        .collect();
    parts.sort();
    parts
}

/// All but the newest `kept`.
fn superfluous(mut parts: Vec<PathBuf>, kept: usize) -> Vec<PathBuf> {
    parts.truncate(parts.len().saturating_sub(kept));
    parts
}

/// Removes unused images when their disk is too full.
pub async fn collect_images(context: &Context) {
    let (disk, free) = System::disk(context.drivers.images.directory());
    let bytes =
        to_free(disk, free, context.config.image_gc_high_percent, context.config.image_gc_low_percent);
    if bytes == 0 {
        return;
    }
    match context.drivers.images.collect_garbage(bytes).await {
        Ok(garbage) if garbage.images.is_empty() => {
            tracing::warn!(free_bytes = free, "the disk of images is nearly full, and every image is used");
        }
        Ok(garbage) => {
            tracing::info!(
                images = garbage.images.len(),
                bytes = garbage.bytes,
                "unused images were removed"
            );
        }
        Err(error) => tracing::warn!(%error, "unused images cannot be removed"),
    }
}

/// Bytes by which the disk is above the low mark, once it is above the high one.
fn to_free(disk: i64, free: i64, high_percent: u8, low_percent: u8) -> u64 {
    let used = disk - free;
    if disk <= 0 || used < disk / 100 * i64::from(high_percent) {
        return 0;
    }
    u64::try_from(used - disk / 100 * i64::from(low_percent)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_go_between_the_marks() {
        for (free, expected) in [(500, 0), (151, 0), (150, 50), (0, 200)] {
            assert_eq!(to_free(1000, free, 85, 80), expected, "{free} free");
        }
        assert_eq!(to_free(0, 0, 85, 80), 0);
    }

    #[test]
    fn logs_keep_their_number() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("0.log");
        let limits = LogLimits { max_bytes: 3, max_files: 3 };
        for round in 0..5 {
            fs::write(&log, "abc").unwrap();
            assert!(rotate(&log, limits, &format!("2026010{round}")));
        }
        fs::write(&log, "a").unwrap();
        assert!(!rotate(&log, limits, "x"), "it is small");
        let names: Vec<_> = rotated(&log)
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, ["0.log.20260103", "0.log.20260104"]);
    }
}
