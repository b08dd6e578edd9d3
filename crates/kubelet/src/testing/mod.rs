//! Things that several tests of this crate need: an image, and a machine and
//! an API that exist only in memory.

pub mod api;
pub mod machine;
pub mod runtime;

use image::Image;

/// An image that runs `/bin/run serve` as root.
pub fn image() -> Image {
    serde_json::from_value(serde_json::json!({
        "id": "sha256:1111111111111111111111111111111111111111111111111111111111111111",
        "repo_tags": ["docker.io/library/x:latest"],
        "repo_digests": [],
        "size": 1,
        "pinned": false,
        "config": {
            "entrypoint": ["/bin/run"], "cmd": ["serve"], "env": ["PATH=/bin"], "working_dir": "",
            "user": "", "exposed_ports": [], "stop_signal": "", "volumes": [], "labels": {},
            "architecture": "amd64", "os": "linux",
        },
    }))
    .expect("an image in the form of the store")
}
