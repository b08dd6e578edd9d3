//! kube-rs informers under churn: each lists once, and then only watches, even
//! over a restart of the server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use testkit::{Cluster, Network};

/// For how long, in seconds, unless `CORTEN_CHURN_SECONDS` says something else.
const SECONDS: u64 = 16;
/// How many objects come and go.
const OBJECTS: u64 = 40;
/// The object that is made last: who has seen it has seen everything.
const LAST: &str = "last";

#[test]
fn informers_list_once() {
    let seconds = std::env::var("CORTEN_CHURN_SECONDS").ok().and_then(|text| text.parse().ok());
    let churn = Duration::from_secs(seconds.unwrap_or(SECONDS));
    let mut cluster = Cluster::api_server();
    let (network, kubeconfig) = (cluster.network(), cluster.kubeconfig());
    let client = std::thread::spawn(move || inside(&network, kubeconfig, churn));
    std::thread::sleep(churn / 2);
    cluster.stop();
    cluster.boot();
    client.join().expect("nothing was missed");
}

fn inside(network: &Network, kubeconfig: PathBuf, churn: Duration) {
    network.enter();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let maps = connect(&kubeconfig).await;
        // Short watches, so that many end and go on within the time.
        let plain = watcher::Config::default().timeout(5);
        let kinds = [
            ("plain", plain.clone()),
            ("streamed", plain.clone().streaming_lists()),
            ("without bookmarks", plain.clone().disable_bookmarks()),
            ("in pages", plain.clone().page_size(3)),
            ("by label", plain.labels("color=red")),
        ];
        for at in 0..8 {
            apply(&maps, &format!("before-{at}"), "red", at).await.expect("made");
        }
        let followers = kinds.iter().map(|(_, config)| follow(maps.clone(), config.clone()));
        let (seen, made) = tokio::join!(futures::future::join_all(followers), stir(&maps, churn));
        for ((kind, config), seen) in kinds.iter().zip(seen) {
            let mut wanted = ListParams::default();
            wanted.label_selector.clone_from(&config.label_selector);
            let there = maps.list(&wanted).await.expect("listed").items;
            let there: BTreeMap<_, _> = there.into_iter().map(named).collect();
            assert_eq!(seen.objects, there, "{kind}");
            assert_eq!(seen.lists, 1, "{kind} listed again");
            assert!(seen.events * 4 > made, "{kind} saw {} events of {made} changes", seen.events);
        }
    });
}

async fn connect(kubeconfig: &Path) -> Api<ConfigMap> {
    let config = kube::config::Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let config = kube::Config::from_custom_kubeconfig(config, &Default::default()).await.expect("a context");
    Api::default_namespaced(kube::Client::try_from(config).expect("a client"))
}

/// Name and revision.
fn named(map: ConfigMap) -> (String, String) {
    (map.metadata.name.unwrap_or_default(), map.metadata.resource_version.unwrap_or_default())
}

#[derive(Default)]
struct Seen {
    objects: BTreeMap<String, String>,
    lists: u32,
    events: u32,
}

/// Follows until the last object is there.
async fn follow(maps: Api<ConfigMap>, config: watcher::Config) -> Seen {
    let mut seen = Seen::default();
    // What fails while the server is away is tried again.
    let mut events = watcher::watcher(maps, config).default_backoff().boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => seen.lists += 1,
            Ok(Event::InitDone) | Err(_) => {}
            Ok(Event::InitApply(map) | Event::Apply(map)) => {
                seen.events += 1;
                let (name, revision) = named(map);
                let is_last = name == LAST;
                seen.objects.insert(name, revision);
                if is_last {
                    break;
                }
            }
            Ok(Event::Delete(map)) => {
                seen.events += 1;
                let (name, _) = named(map);
                assert!(seen.objects.remove(&name).is_some(), "{name} was deleted and never made");
            }
        }
    }
    seen
}

/// Makes, changes and deletes objects; gives how many changes there were.
async fn stir(maps: &Api<ConfigMap>, churn: Duration) -> u32 {
    let (mut state, mut made) = (0x2545_f491_4f6c_dd1d_u64, 0);
    let over = tokio::time::sleep(churn);
    tokio::pin!(over);
    loop {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let name = format!("c-{}", (state >> 8) % OBJECTS);
        let changed = match state % 4 {
            0 => maps.delete(&name, &DeleteParams::default()).await.map(drop),
            1 => apply(maps, &name, "blue", state).await,
            _ => apply(maps, &name, "red", state).await,
        };
        made += u32::from(changed.is_ok());
        // Also when the server is away.
        let pause = tokio::time::sleep(Duration::from_millis(10));
        tokio::select! {
            () = pause => {}
            () = &mut over => break,
        }
    }
    while apply(maps, LAST, "red", 0).await.is_err() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    made
}

async fn apply(maps: &Api<ConfigMap>, name: &str, color: &str, value: u64) -> kube::Result<()> {
    let map = serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"color": color}}, "data": {"value": value.to_string()},
    });
    maps.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(map)).await.map(drop)
}
