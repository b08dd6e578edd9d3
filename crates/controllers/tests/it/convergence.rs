//! Workloads come to what is wanted of them.

use apimachinery::value;

use crate::cluster::{
    Cluster, DAEMON_SETS, DEPLOYMENTS, JOBS, NODES, PODS, REPLICA_SETS, REVISIONS, deployment, living,
};

#[tokio::test(start_paused = true)]
async fn a_deployment_rolls_out_and_back() {
    let cluster = Cluster::start(1, &["n1"]).await;
    let admin = &cluster.admin;
    admin.create(&DEPLOYMENTS, "default", deployment("web", 3, "one")).await.unwrap();
    let rolled_out = |image: &'static str| async move {
        let web = admin.get(&DEPLOYMENTS, "default", "web").await.unwrap();
        let status = &web["status"];
        let pods = admin.list(&PODS, "default").await;
        web["spec"]["template"]["spec"]["containers"][0]["image"].text() == image
            && status["observedGeneration"] == web["metadata"]["generation"]
            && status["updatedReplicas"].as_i64() == Some(3)
            && status["replicas"].as_i64() == Some(3)
            && status["availableReplicas"].as_i64() == Some(3)
            && pods.len() == 3
            && pods.iter().all(|pod| pod["spec"]["containers"][0]["image"].text() == image)
    };
    admin.eventually("three pods of the first image", || rolled_out("one")).await;

    let image = |image: &str| value!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}});
    admin.patch(&DEPLOYMENTS, "default", "web", None, image("two")).await.unwrap();
    admin.eventually("three pods of the second image", || rolled_out("two")).await;
    let web = admin.get(&DEPLOYMENTS, "default", "web").await.unwrap();
    let revision = "deployment.kubernetes.io/revision";
    assert_eq!(web["metadata"]["annotations"][revision].text(), "2");
    assert_eq!(admin.list(&REPLICA_SETS, "default").await.len(), 2);

    admin.patch(&DEPLOYMENTS, "default", "web", None, image("one")).await.unwrap();
    admin.eventually("three pods of the first image again", || rolled_out("one")).await;
    let web = admin.get(&DEPLOYMENTS, "default", "web").await.unwrap();
    assert_eq!(web["metadata"]["annotations"][revision].text(), "3");
    assert_eq!(admin.list(&REPLICA_SETS, "default").await.len(), 2, "the old set is used again");
    cluster.stop();
}

#[tokio::test(start_paused = true)]
async fn a_deployment_scales() {
    let cluster = Cluster::start(2, &["n1"]).await;
    let admin = &cluster.admin;
    admin.create(&DEPLOYMENTS, "default", deployment("web", 1, "one")).await.unwrap();
    for replicas in [5, 2, 0] {
        let patch = value!({"spec": {"replicas": replicas}});
        admin.patch(&DEPLOYMENTS, "default", "web", None, patch).await.unwrap();
        admin
            .eventually("the wanted pods", || async {
                let web = admin.get(&DEPLOYMENTS, "default", "web").await.unwrap();
                let available = web["status"]["availableReplicas"].as_i64().unwrap_or(0);
                available == replicas && admin.list(&PODS, "default").await.len() as i64 == replicas
            })
            .await;
    }
    cluster.stop();
}

#[tokio::test(start_paused = true)]
async fn a_daemon_set_follows_nodes_and_its_template() {
    let cluster = Cluster::start(3, &["n1", "n2"]).await;
    let admin = &cluster.admin;
    let set = value!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent"},
        "spec": {
            "selector": {"matchLabels": {"app": "agent"}},
            "template": {
                "metadata": {"labels": {"app": "agent"}},
                "spec": {"containers": [{"name": "main", "image": "one"}]}
            }
        }
    });
    admin.create(&DAEMON_SETS, "default", set).await.unwrap();
    let settled = |image: &'static str| async move {
        let set = admin.get(&DAEMON_SETS, "default", "agent").await.unwrap();
        let pods = admin.list(&PODS, "default").await;
        let mut nodes: Vec<_> = pods.iter().map(|pod| pod["spec"]["nodeName"].text()).collect();
        nodes.sort_unstable();
        nodes == ["n1", "n2"]
            && set["status"]["numberAvailable"].as_i64() == Some(2)
            && set["status"]["updatedNumberScheduled"].as_i64() == Some(2)
            && pods.iter().all(|pod| pod["spec"]["containers"][0]["image"].text() == image)
    };
    admin.eventually("a pod on each node", || settled("one")).await;
    let patch = value!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "two"}]}}}});
    admin.patch(&DAEMON_SETS, "default", "agent", None, patch).await.unwrap();
    admin.eventually("the new template on each node", || settled("two")).await;
    assert_eq!(admin.list(&REVISIONS, "default").await.len(), 2);

    // A node that it does not tolerate any more.
    let taint = value!({"spec": {"taints": [{"key": "mine", "effect": "NoExecute"}]}});
    admin.patch(&NODES, "", "n2", None, taint).await.unwrap();
    admin
        .eventually("only the node that suits", || async {
            let pods = admin.list(&PODS, "default").await;
            pods.len() == 1 && pods[0]["spec"]["nodeName"].text() == "n1"
        })
        .await;
    cluster.stop();
}

fn job(name: &str, image: &str, spec: apimachinery::Value) -> apimachinery::Value {
    let mut job = value!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": (spec)
    });
    let pod = value!({"spec": {
        "restartPolicy": "Never", "containers": [{"name": "main", "image": image}]
    }});
    job.set_at(&["spec", "template"], pod);
    job
}

#[tokio::test(start_paused = true)]
async fn jobs_complete_and_fail() {
    let cluster = Cluster::start(4, &["n1"]).await;
    let admin = &cluster.admin;
    let ended = |name: &'static str, kind: &'static str| async move {
        let job = admin.get(&JOBS, "default", name).await.unwrap();
        let conditions = job["status"]["conditions"].items().to_vec();
        conditions.iter().any(|c| c["type"].text() == kind && c["status"].text() == "True")
    };
    let spec = value!({"completions": 5, "parallelism": 2});
    admin.create(&JOBS, "default", job("plain", "succeeds", spec)).await.unwrap();
    admin.eventually("five completions", || ended("plain", "Complete")).await;
    let plain = admin.get(&JOBS, "default", "plain").await.unwrap();
    assert_eq!(plain["status"]["succeeded"].as_i64(), Some(5));
    assert!(!plain["status"]["completionTime"].is_null());
    for pod in admin.list(&PODS, "default").await {
        assert!(pod["metadata"]["finalizers"].is_null(), "{pod:?}");
    }

    let spec = value!({"completions": 3, "parallelism": 3, "completionMode": "Indexed"});
    admin.create(&JOBS, "default", job("indexed", "succeeds", spec)).await.unwrap();
    admin.eventually("every index", || ended("indexed", "Complete")).await;
    let indexed = admin.get(&JOBS, "default", "indexed").await.unwrap();
    assert_eq!(indexed["status"]["completedIndexes"].text(), "0-2");

    let spec = value!({"backoffLimit": 1});
    admin.create(&JOBS, "default", job("bad", "fails", spec)).await.unwrap();
    admin.eventually("the failure", || ended("bad", "Failed")).await;
    let bad = admin.get(&JOBS, "default", "bad").await.unwrap();
    assert_eq!(bad["status"]["failed"].as_i64(), Some(2));
    let conditions = bad["status"]["conditions"].items();
    assert!(conditions.iter().any(|c| c["reason"].text() == "BackoffLimitExceeded"));

    let spec = value!({"ttlSecondsAfterFinished": 30});
    admin.create(&JOBS, "default", job("brief", "succeeds", spec)).await.unwrap();
    admin.eventually("its removal", || async { admin.get(&JOBS, "default", "brief").await.is_err() }).await;
    cluster.stop();
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_is_given_up() {
    let cluster = Cluster::start(5, &["n1", "n2"]).await;
    let admin = &cluster.admin;
    admin.create(&DEPLOYMENTS, "default", deployment("web", 4, "one")).await.unwrap();
    admin
        .eventually("pods on both nodes", || async {
            let web = admin.get(&DEPLOYMENTS, "default", "web").await.unwrap();
            web["status"]["availableReplicas"].as_i64() == Some(4)
        })
        .await;
    // n1 goes on speaking, n2 falls silent.
    for _ in 0..12 {
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        cluster.heartbeat("n1").await;
    }
    let node = admin.get(&NODES, "", "n2").await.unwrap();
    let conditions = node["status"]["conditions"].items();
    let ready = conditions.iter().find(|condition| condition["type"].text() == "Ready").unwrap();
    assert_eq!(ready["status"].text(), "Unknown");
    assert_eq!(ready["reason"].text(), "NodeStatusUnknown");
    let taints: Vec<_> = node["spec"]["taints"]
        .items()
        .iter()
        .map(|taint| format!("{}:{}", taint["key"].text(), taint["effect"].text()))
        .collect();
    for effect in ["NoSchedule", "NoExecute"] {
        assert!(taints.contains(&format!("node.kubernetes.io/unreachable:{effect}")), "{taints:?}");
    }
    for pod in admin.list(&PODS, "default").await {
        let conditions = pod["status"]["conditions"].items();
        let ready = conditions.iter().find(|condition| condition["type"].text() == "Ready").unwrap();
        let expected = if pod["spec"]["nodeName"].text() == "n1" { "True" } else { "False" };
        assert_eq!(ready["status"].text(), expected, "{pod:?}");
    }
    // The pods' default tolerations end after five minutes.
    for _ in 0..35 {
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        cluster.heartbeat("n1").await;
    }
    let pods = admin.list(&PODS, "default").await;
    let before = living(&pods).len();
    assert_eq!(before, 4);

    // The node comes back.
    cluster.heartbeat("n2").await;
    admin
        .eventually("no taint", || async {
            cluster.heartbeat("n1").await;
            cluster.heartbeat("n2").await;
            admin.get(&NODES, "", "n2").await.unwrap()["spec"]["taints"].is_null()
        })
        .await;
    cluster.stop();
}
