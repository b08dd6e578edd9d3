//! How long the codecs take for a 1 KiB ConfigMap and a typical Pod.
//!
//!     cargo run --release -p api --example codec_speed
//!
//! Prints nanoseconds an operation (the best of several rounds) and what
//! loading the facts costs.

use std::hint::black_box;
use std::time::Duration;

use api::facts;
use apimachinery::json::{Order, encode_object};
use apimachinery::schema::{Strictness, TypeId, decode_json, normalize};
use apimachinery::{Value, protobuf};

/// A measurement of real time, for which no simulated clock will do.
#[allow(clippy::disallowed_methods)]
fn timed(work: impl FnOnce()) -> Duration {
    let start = std::time::Instant::now();
    work();
    start.elapsed()
}

fn measure(name: &str, mut work: impl FnMut()) {
    const ROUNDS: u32 = 20;
    const TIMES: u32 = 2_000;
    let best = (0..ROUNDS).map(|_| timed(|| (0..TIMES).for_each(|_| work()))).min().unwrap_or_default();
    println!("{name:<40} {:>8.0} ns", best.as_nanos() as f64 / f64::from(TIMES));
}

fn measure_body(name: &str, id: TypeId, body: &[u8]) {
    let types = facts::types();
    let decode = || match decode_json(types, id, body, Strictness::Report) {
        Ok(decoded) => decoded.value,
        Err(error) => panic!("{name}: {error}"),
    };
    let object = decode();
    println!("{name}: {} bytes", body.len());
    measure("  decode", || drop(black_box(decode())));
    let mut out = Vec::new();
    measure("  encode", || {
        out.clear();
        black_box(encode_object(&object, Order::Go, &mut out));
    });
    let mut tree: Value = object.clone();
    measure("  normalize (unchanged)", || {
        drop(black_box(normalize(types, id, &mut tree, Strictness::Ignore)))
    });
    measure("  clone", || drop(black_box(object.clone())));
    if let Some(defaults) = facts::defaults(id) {
        measure("  clone and default", || {
            let mut object = object.clone();
            defaults.apply(types, &mut object);
            black_box(object);
        });
    }
    let mut message = Vec::new();
    measure("  encode protobuf", || {
        message.clear();
        protobuf::encode_object(types, id, &object, &mut message);
    });
    measure("  decode protobuf", || drop(black_box(protobuf::decode_object(types, &message))));
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("Pss:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn main() {
    let before = resident();
    println!("types loaded in {:?}", timed(|| _ = black_box(facts::types().kinds().count())));
    let between = resident();
    let pod = facts::types().kind("", "v1", "Pod").expect("a built-in kind");
    println!("defaults loaded in {:?}", timed(|| _ = black_box(facts::defaults(pod).is_some())));
    println!("discovery loaded in {:?}", timed(|| _ = black_box(facts::discovery().len())));
    println!("memory: types {} KiB, the rest {} KiB", between - before, resident() - between);

    let config_map = facts::types().kind("", "v1", "ConfigMap").expect("a built-in kind");
    let data: Vec<String> =
        (0..8).map(|at| format!("\"key-{at}\":\"{}\"", "some text of a line ".repeat(5))).collect();
    let body = format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{{\"name\":\"c\",\"namespace\":\"n\",\
         \"labels\":{{\"app\":\"x\"}}}},\"data\":{{{}}}}}",
        data.join(",")
    );
    measure_body("ConfigMap", config_map, body.as_bytes());
    measure_body("Pod", pod, POD.as_bytes());
}

const POD: &str = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-7d4b9c","namespace":"default",
"labels":{"app":"web","pod-template-hash":"7d4b9c"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet",
"name":"web-7d4b9c","uid":"0b7e3c5e-1111-2222-3333-444455556666","controller":true,"blockOwnerDeletion":true}]},
"spec":{"volumes":[{"name":"kube-api-access","projected":{"sources":[{"serviceAccountToken":{"expirationSeconds":3607,
"path":"token"}},{"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt","path":"ca.crt"}]}}],"defaultMode":420}}],
"containers":[{"name":"web","image":"nginx:1.27","ports":[{"name":"http","containerPort":80,"protocol":"TCP"}],
"env":[{"name":"A","value":"b"},{"name":"POD","valueFrom":{"fieldRef":{"apiVersion":"v1","fieldPath":"metadata.name"}}}],
"resources":{"limits":{"cpu":"500m","memory":"256Mi"},"requests":{"cpu":"100m","memory":"64Mi"}},
"volumeMounts":[{"name":"kube-api-access","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}],
"readinessProbe":{"httpGet":{"path":"/","port":"http","scheme":"HTTP"},"periodSeconds":5,"failureThreshold":3},
"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent",
"securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}],"restartPolicy":"Always",
"terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","serviceAccountName":"default","nodeName":"n1",
"tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}]}}"#;
