//! End-to-end tests: the real program, real containers, unmodified kubectl.

mod bad_input;
mod commands;
mod controllers;
mod debug;
mod example;
mod exchanges;
mod faults;
mod helm;
mod informers;
mod logs;
mod nodes;
mod parts;
mod proxies;
mod streams;
mod workloads;

use std::path::PathBuf;
use std::time::Duration;

use testkit::{Cluster, Kubectl, eventually, nginx_archive};

/// How long anything in these tests may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node with the image `nginx`.
fn cluster() -> Cluster {
    Cluster::builder().image(nginx_archive()).start()
}

/// A path of the checkout: as cargo says where that is, for another one may have
/// built this binary.
fn in_checkout(path: &str) -> PathBuf {
    let own = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(own).join("../..").join(path)
}

/// What lies in `examples/NAME.yaml`.
fn example(name: &str) -> String {
    let file = in_checkout(&format!("examples/{name}.yaml"));
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Waits until a field has a value.
fn wait_for(kubectl: &Kubectl<'_>, object: &str, path: &str, wanted: &str) {
    eventually(&format!("{object} {path} becomes {wanted}"), PATIENCE, || {
        let ran = kubectl.try_run(&format!("get {object} -o jsonpath={{{path}}}"));
        if ran.stdout == wanted { Ok(()) } else { Err(format!("{:?} {}", ran.stdout, ran.stderr)) }
    });
}

/// A pod of the image `nginx` that runs a shell script, as a manifest.
fn script(name: &str, script: &str) -> String {
    let script = serde_json::to_string(script).expect("text is JSON");
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{app: {name}}}}}\nspec:\n  \
         restartPolicy: Never\n  terminationGracePeriodSeconds: 1\n  containers:\n  - name: main\n    image: nginx\n    \
         imagePullPolicy: IfNotPresent\n    command: [sh, -c, {script}]\n"
    )
}
