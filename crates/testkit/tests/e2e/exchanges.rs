//! The recorded exchanges of the real API server that Corten passes.

use std::path::PathBuf;

use testkit::Cluster;

use crate::in_checkout;

/// `exchanges.txt` lists them, and may only grow (`scripts/replay --grow`).
#[test]
fn listed_exchanges_are_answered_as_recorded() {
    let root = in_checkout("");
    let exchanges =
        std::env::var_os("CORTEN_EXCHANGES").map_or_else(|| root.join("../shared/exchanges"), PathBuf::from);
    if !exchanges.exists() {
        eprintln!("left out: there are no exchanges at {}", exchanges.display());
        return;
    }
    let cluster = Cluster::api_server();
    let pki = cluster.data_dir().join("pki");
    let text = |path: PathBuf| path.display().to_string();
    let ran = cluster.run(
        &text(root.join("scripts/replay")),
        &[
            &text(exchanges),
            &format!("https://{}", cluster.address()),
            &text(pki.join("admin.crt")),
            &text(pki.join("admin.key")),
            &text(root.join("crates/testkit/exchanges.txt")),
        ],
    );
    assert!(ran.succeeded(), "{}{}", ran.stdout, ran.stderr);
}
