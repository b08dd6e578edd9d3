//! The nginx example, as `make run` runs it.

use testkit::eventually;

use crate::{PATIENCE, cluster, in_checkout, wait_for};

#[test]
fn the_example_serves_its_page_by_every_way() {
    let mut cluster = cluster();
    cluster.kubectl().run(&format!("apply -f {}", in_checkout("examples/nginx.yaml").display()));
    cluster.kubectl().run("rollout status deployment/nginx --timeout=60s");

    let page = "Welcome to nginx!";
    let address = cluster.kubectl().field("service/nginx", ".spec.clusterIP");
    let port = cluster.kubectl().field("service/nginx", ".spec.ports[0].nodePort");
    let fetch = |url: String| {
        eventually(&format!("{url} answers"), PATIENCE, || {
            let ran = cluster.run("curl", &["-sS", "-m", "2", &url]);
            if ran.stdout.contains(page) { Ok(()) } else { Err(ran.stderr) }
        });
    };
    fetch(format!("http://{address}/"));
    fetch(format!("http://{}:{port}/", cluster.node_address()));
    for name in ["nginx", "nginx.default.svc.cluster.local"] {
        eventually(&format!("{name} answers in a pod"), PATIENCE, || {
            let ran =
                cluster.kubectl().try_run(&format!("exec deployment/nginx -- curl -sS -m 2 http://{name}/"));
            if ran.stdout.contains(page) { Ok(()) } else { Err(ran.stderr) }
        });
    }

    // Nobody owns this address of the service range: refused at once, and not sent anywhere.
    let ran = cluster.run("curl", &["-sS", "-m", "2", "http://10.96.77.77/"]);
    assert_eq!(ran.code, Some(7), "refused at once, and not a time-out: {}", ran.stderr);

    // A restart finds the same objects and the same containers.
    let containers = |cluster: &testkit::Cluster| {
        let path = ".items[*].status.containerStatuses[*].containerID";
        let mut ids: Vec<_> =
            cluster.kubectl().field("pods -l app=nginx", path).split(' ').map(str::to_owned).collect();
        ids.sort();
        ids
    };
    let before = containers(&cluster);
    assert_eq!(before.len(), 2, "{before:?}");
    cluster.stop();
    let answer = cluster.run("curl", &["-sS", "-m", "2", &format!("http://{address}/")]);
    assert!(answer.stdout.contains(page), "the containers and rules outlive the program: {}", answer.stderr);
    cluster.boot();
    wait_for(&cluster.kubectl(), "deployment/nginx", ".status.availableReplicas", "2");
    assert_eq!(containers(&cluster), before);
    assert_eq!(
        cluster.kubectl().field("pods -l app=nginx", ".items[*].status.containerStatuses[*].restartCount"),
        "0 0"
    );
    let pages = cluster.run("curl", &["-sS", "-m", "2", &format!("http://{address}/")]);
    assert!(pages.stdout.contains(page), "{}", pages.stderr);
}

#[test]
fn down_leaves_nothing_behind_but_the_data() {
    let mut cluster = cluster();
    cluster.kubectl().run(&format!("apply -f {}", in_checkout("examples/nginx.yaml").display()));
    cluster.kubectl().run("rollout status deployment/nginx --timeout=60s");
    cluster.stop();
    // A root file system whose container was never made: the stop came first.
    let orphan = cluster.data_dir().join("images/containers").join("a".repeat(64)).join("rootfs");
    std::fs::create_dir_all(&orphan).expect("made");
    cluster.run("mount", &["-t", "tmpfs", "tmpfs", &orphan.display().to_string()]).ok();
    cluster.corten(&["down"]).ok();
    let data = cluster.data_dir().display().to_string();
    let mounts = std::fs::read_to_string("/proc/mounts").expect("a kernel has it");
    assert!(!mounts.contains(&data), "{mounts}");
    let links = cluster.run("ip", &["-br", "link"]).ok();
    let names: Vec<_> = links.lines().filter_map(|line| line.split(['@', ' ']).next()).collect();
    assert_eq!(names.iter().filter(|name| !["lo", "node0", "node1"].contains(name)).count(), 0, "{links}");
    let routes = cluster.run("ip", &["route"]).ok();
    assert!(!routes.contains("10.42.") && !routes.contains("10.96."), "{routes}");
    cluster.boot();
    wait_for(&cluster.kubectl(), "deployment/nginx", ".status.availableReplicas", "2");
}
