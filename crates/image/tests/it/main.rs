//! The store as a whole: archives in, root file systems out, and pulls from a
//! registry that the test serves itself on loopback.

mod pulling;
mod registry;
mod storing;

use std::path::Path;

use image::ImageStore;
use image::archive::Builder;

pub fn store(directory: &Path) -> ImageStore {
    ImageStore::open(directory, edge::Edge::system()).unwrap()
}

/// Mounting needs root.
pub fn can_mount() -> bool {
    std::fs::read_to_string("/proc/self/status").unwrap().lines().any(|line| line.starts_with("Uid:\t0\t0"))
}

/// An archive of one image with one file.
pub fn archive(name: &str, path: &str, content: &str) -> Vec<u8> {
    let mut builder = Builder::new().config(image::ImageConfig {
        entrypoint: vec!["/bin/app".into()],
        env: vec!["A=1".into()],
        user: "1000".into(),
        working_dir: "/srv".into(),
        stop_signal: "SIGQUIT".into(),
        exposed_ports: vec!["80/tcp".into()],
        ..Default::default()
    });
    builder.file(path, 0o644, content.as_bytes()).unwrap();
    let mut out = Vec::new();
    builder.write(name, &mut out).unwrap();
    out
}
