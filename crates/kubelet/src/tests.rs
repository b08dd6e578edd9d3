//! A whole kubelet on a machine in memory, in paused time.

use serde_json::json;

use crate::testing::machine::Machine;

fn one(name: &str) -> serde_json::Value {
    json!({"containers": [{"name": name, "image": "x"}]})
}

#[tokio::test(start_paused = true)]
async fn a_pod_runs_and_goes() {
    let machine = Machine::start().await;
    machine.bind("p", one("c"));
    machine.until_phase("p", "Running").await;
    let status = machine.pod("p").unwrap()["status"].clone();
    assert_eq!(status["podIP"], "10.0.0.1");
    assert_eq!(status["hostIP"], "192.0.2.1");
    assert_eq!(status["qosClass"], "BestEffort");
    assert_eq!(status["observedGeneration"], 1);
    assert_eq!(status["containerStatuses"][0]["ready"], true);
    let ready = status["conditions"].as_array().unwrap().iter().find(|one| one["type"] == "Ready").unwrap();
    assert_eq!(ready["status"], "True");
    machine.until("its start is told", |machine| machine.reasons().contains_key("Started")).await;

    machine.delete("p", 30);
    machine.until("the object is gone", |machine| machine.pod("p").is_none()).await;
    assert!(machine.runtime.sandboxes.lock().is_empty());
    assert!(machine.network.0.lock().is_empty());
    assert!(machine.runtime.calls.lock().contains(&"stop c 30".to_owned()));
    let directory = machine.root.path().join("kubelet/pods/uid-p");
    assert!(!directory.exists());
}

#[tokio::test(start_paused = true)]
async fn a_job_like_pod_succeeds_and_keeps_its_end() {
    let machine = Machine::start().await;
    let mut spec = one("c");
    spec["restartPolicy"] = json!("Never");
    machine.bind("p", spec);
    machine.until_phase("p", "Running").await;
    machine.runtime.exit("c", 0);
    machine.until_phase("p", "Succeeded").await;
    let state = &machine.pod("p").unwrap()["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!((&state["exitCode"], &state["reason"]), (&json!(0), &json!("Completed")));
    machine.until("its address is free", |machine| machine.network.0.lock().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn an_end_before_the_start_is_told_is_not_missed() {
    let machine = Machine::start().await;
    machine.runtime.brief.lock().push("/true".into());
    let container = json!({"name": "c", "image": "x", "command": ["/true"]});
    machine.bind("p", json!({"restartPolicy": "Never", "containers": [container]}));
    machine.until_phase("p", "Succeeded").await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_backs_off() {
    let machine = Machine::start().await;
    machine.bind("p", one("c"));
    machine.until_phase("p", "Running").await;
    machine.runtime.exit("c", 1);
    let restarts = |count: u64| {
        move |machine: &Machine| {
            let own = machine.pod("p").unwrap()["status"]["containerStatuses"][0].clone();
            own["restartCount"] == count && own["state"].get("running").is_some()
        }
    };
    machine.until("it was restarted at once", restarts(1)).await;
    let before = tokio::time::Instant::now();
    machine.runtime.exit("c", 1);
    machine
        .until("it waits", |machine| {
            let own = machine.pod("p").unwrap()["status"]["containerStatuses"][0].clone();
            own["state"]["waiting"]["reason"] == "CrashLoopBackOff"
                && own["lastState"]["terminated"]["exitCode"] == 1
        })
        .await;
    machine.until("it was restarted again", restarts(2)).await;
    assert!(before.elapsed().as_secs() >= 10);
    machine.until("the pause is told", |machine| machine.reasons().contains_key("BackOff")).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_start_says_why() {
    let machine = Machine::start().await;
    machine.bind("image", json!({"containers": [{"name": "c", "image": "missing:1"}]}));
    machine.bind(
        "config",
        json!({"containers": [{"name": "c", "image": "x", "envFrom": [{"configMapRef": {"name": "cm"}}]}]}),
    );
    machine.runtime.broken.lock().push("/none".into());
    machine.bind("command", json!({"containers": [{"name": "c", "image": "x", "command": ["/none"]}]}));
    let waits = |name: &'static str, reason: &'static str| {
        move |machine: &Machine| {
            machine.pod(name).unwrap()["status"]["containerStatuses"][0]["state"]["waiting"]["reason"]
                == reason
        }
    };
    machine.until("the image is missing", waits("image", "ErrImagePull")).await;
    machine.until("the image is waited for", waits("image", "ImagePullBackOff")).await;
    machine.until("the config map is missing", waits("config", "CreateContainerConfigError")).await;
    machine.until("the command fails", waits("command", "CrashLoopBackOff")).await;
    let last =
        machine.pod("command").unwrap()["status"]["containerStatuses"][0]["lastState"]["terminated"].clone();
    assert_eq!((&last["exitCode"], &last["reason"]), (&json!(128), &json!("StartError")));

    machine.api.put("configmaps", json!({"metadata": {"name": "cm", "namespace": "ns"}, "data": {"A": "b"}}));
    machine.until_phase("config", "Running").await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_config_map_reaches_its_volume() {
    let machine = Machine::start().await;
    machine
        .api
        .put("configmaps", json!({"metadata": {"name": "cm", "namespace": "ns"}, "data": {"k": "old"}}));
    let mut spec = one("c");
    spec["volumes"] = json!([{"name": "v", "configMap": {"name": "cm"}}]);
    machine.bind("p", spec);
    machine.until_phase("p", "Running").await;
    let path = machine.root.path().join("kubelet/pods/uid-p/volumes/kubernetes.io~configmap/v/k");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
    machine
        .api
        .put("configmaps", json!({"metadata": {"name": "cm", "namespace": "ns"}, "data": {"k": "new"}}));
    machine
        .until("the file is new", |_| std::fs::read_to_string(&path).is_ok_and(|text| text == "new"))
        .await;
}

#[tokio::test(start_paused = true)]
async fn probes_decide_readiness_and_life() {
    let machine = Machine::start().await;
    machine.bind(
        "p",
        json!({"containers": [{"name": "c", "image": "x",
            "readinessProbe": {"exec": {"command": ["true"]}},
            "livenessProbe": {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 2},
        }]}),
    );
    machine
        .until("it is ready", |machine| {
            machine.pod("p").unwrap()["status"]["containerStatuses"][0]["ready"] == true
        })
        .await;
    machine
        .until("it was restarted", |machine| {
            machine.pod("p").unwrap()["status"]["containerStatuses"][0]["restartCount"] == 1
        })
        .await;
    machine.until("it is told", |machine| machine.reasons().contains_key("Unhealthy")).await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_adopts_what_runs_and_removes_what_was_deleted() {
    let mut machine = Machine::start().await;
    machine.bind("stays", one("a"));
    machine.bind("goes", one("b"));
    machine.until_phase("stays", "Running").await;
    machine.until_phase("goes", "Running").await;
    machine.until("both are told", |machine| machine.reasons().get("Started") == Some(&2)).await;
    let before = machine.pod("stays").unwrap()["status"]["containerStatuses"].clone();
    machine.stop().await;
    let key = client::DeleteOptions::uid("uid-goes");
    let api: client::Api<k8s_openapi::api::core::v1::Pod> =
        client::Api::namespaced(machine.api.clone(), "ns");
    api.delete("goes", key).await.unwrap();
    machine.restart().await;
    machine.until("the orphan is gone", |machine| machine.runtime.running() == ["a"]).await;
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    assert_eq!(machine.pod("stays").unwrap()["status"]["containerStatuses"], before);
    assert_eq!(machine.reasons()["Started"], 2, "nothing was started again");
    assert_eq!(machine.runtime.sandboxes.lock().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_node_is_registered_ready_and_its_lease_renewed() {
    let machine = Machine::start().await;
    let ready = |machine: &Machine| {
        let node = machine.api.get("nodes", "", "n").unwrap_or_default();
        node["status"]["conditions"]
            .as_array()
            .is_some_and(|list| list.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"))
    };
    machine.until("the node is ready", ready).await;
    let renewed = |machine: &Machine| {
        machine.api.get("leases", "kube-node-lease", "n").map(|lease| lease["spec"]["renewTime"].clone())
    };
    machine.until("there is a lease", |machine| renewed(machine).is_some()).await;
    let first = renewed(&machine);
    machine.until("it was renewed", |machine| renewed(machine) != first).await;
}

#[tokio::test(start_paused = true)]
async fn too_much_is_refused() {
    let machine = Machine::start().await;
    machine.bind(
        "p",
        json!({"containers": [{"name": "c", "image": "x", "resources": {"requests": {"cpu": "100000"}}}]}),
    );
    machine.until_phase("p", "Failed").await;
    assert_eq!(machine.pod("p").unwrap()["status"]["reason"], "OutOfcpu");
    machine.delete("p", 0);
    machine.until("the object is gone", |machine| machine.pod("p").is_none()).await;
}
