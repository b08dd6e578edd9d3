//! Volumes on a real directory, with mounts that are plain directories.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use serde_json::json;

use super::tokens::wanted_tokens;
use super::*;
use crate::references::{Kind, Payload};

/// Says that everything is mounted where it was asked for.
#[derive(Default)]
struct Plain(parking_lot::Mutex<BTreeSet<PathBuf>>);

impl Mounter for Plain {
    fn tmpfs(&self, at: &Path, _: Option<u64>, _: u32) -> io::Result<()> {
        self.0.lock().insert(at.to_owned());
        Ok(())
    }
    fn bind(&self, _: &OwnedFd, at: &Path) -> io::Result<()> {
        self.0.lock().insert(at.to_owned());
        Ok(())
    }
    fn unmount(&self, at: &Path) -> io::Result<()> {
        self.0.lock().remove(at);
        Ok(())
    }
    fn is_mounted(&self, at: &Path) -> bool {
        self.0.lock().contains(at)
    }
    fn mounts_below(&self, directory: &Path) -> Vec<PathBuf> {
        self.0.lock().iter().rev().filter(|path| path.starts_with(directory)).cloned().collect()
    }
}

fn payload(pairs: &[(&str, &str)]) -> Option<Payload> {
    let data = pairs.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
    Some(Payload { data, ..Payload::default() })
}

fn pod(volumes: serde_json::Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c"}], "volumes": volumes},
    }))
    .unwrap()
}

fn sources(payloads: Payloads) -> Sources {
    Sources {
        payloads,
        claimed: Claimed::new(),
        trust_bundles: Vec::new(),
        tokens: BTreeMap::new(),
        certificates: BTreeMap::new(),
        facts: Facts::default(),
        now: Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn a_changed_config_map_replaces_all_files_at_once() {
    let root = tempfile::tempdir().unwrap();
    let volumes = Volumes::new(root.path(), Arc::new(Plain::default()));
    let pod = pod(json!([{"name": "v", "configMap": {"name": "cm", "items": [
        {"key": "a", "path": "dir/one", "mode": 0o400}, {"key": "b", "path": "two"},
    ]}}]));
    let mut first = Payloads::default();
    first.insert(Kind::ConfigMap, "cm", payload(&[("a", "1"), ("b", "2"), ("c", "3")]));
    let place = volumes.set_up(&pod, &sources(first.clone())).unwrap().remove("v").unwrap();
    let read = |path: &str| fs::read_to_string(place.join(path)).unwrap();
    assert_eq!((read("dir/one"), read("two")), ("1".into(), "2".into()));
    assert!(!place.join("c").exists());
    assert_eq!(fs::metadata(place.join("dir/one")).unwrap().permissions().mode() & 0o777, 0o400);
    let data = fs::read_link(place.join("..data")).unwrap();
    volumes.set_up(&pod, &sources(first)).unwrap();
    assert_eq!(fs::read_link(place.join("..data")).unwrap(), data, "nothing changed");

    let mut second = Payloads::default();
    second.insert(Kind::ConfigMap, "cm", payload(&[("a", "new"), ("b", "2")]));
    volumes.set_up(&pod, &sources(second)).unwrap();
    assert_eq!(read("dir/one"), "new");
    assert_ne!(fs::read_link(place.join("..data")).unwrap(), data);
    assert!(!place.join(data).exists(), "the old content is gone");
    volumes.remove("u").unwrap();
    assert!(volumes.known_pods().is_empty());
}

#[test]
fn what_is_missing_is_said_and_optional_is_empty() {
    let root = tempfile::tempdir().unwrap();
    let volumes = Volumes::new(root.path(), Arc::new(Plain::default()));
    let mut some = Payloads::default();
    some.insert(Kind::ConfigMap, "cm", payload(&[("a", "1")]));
    let rows = [
        (json!({"name": "v", "secret": {"secretName": "s"}}), Some("secret \"s\" not found")),
        (json!({"name": "v", "secret": {"secretName": "s", "optional": true}}), None),
        (
            json!({"name": "v", "configMap": {"name": "cm", "items": [{"key": "z", "path": "z"}]}}),
            Some("references non-existent config key: z"),
        ),
        (
            json!({"name": "v", "configMap": {"name": "cm", "items": [{"key": "a", "path": "../z"}]}}),
            Some("invalid path"),
        ),
        (json!({"name": "v", "persistentVolumeClaim": {"claimName": "x"}}), Some("volumes of this kind")),
        (
            json!({"name": "v", "hostPath": {"path": "/nowhere", "type": "Directory"}}),
            Some("hostPath type check failed"),
        ),
    ];
    for (volume, expected) in rows {
        let outcome = volumes.set_up(&pod(json!([volume])), &sources(some.clone()));
        match (outcome, expected) {
            (Ok(_), None) => {}
            (Err(why), Some(part)) => assert!(
                why.contains(part) && why.starts_with("MountVolume.SetUp failed for volume \"v\" : "),
                "{why}"
            ),
            other => panic!("{volume}: {other:?}"),
        }
    }
}

#[test]
fn a_claim_shows_what_it_is_bound_to() {
    let root = tempfile::tempdir().unwrap();
    let mounts = Arc::new(Plain::default());
    let volumes = Volumes::new(root.path(), mounts.clone());
    let disk = root.path().join("disk");
    let behind = json!({
        "metadata": {"name": "pv"}, "spec": {"hostPath": {"path": disk, "type": "DirectoryOrCreate"}}
    });
    let mut sources = sources(Payloads::default());
    sources.claimed.insert("data".into(), serde_json::from_value(behind.clone()).unwrap());
    sources.claimed.insert("p-scratch".into(), serde_json::from_value(behind).unwrap());
    let pod = pod(json!([
        {"name": "v", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}
    ]));
    let places = volumes.set_up(&pod, &sources).unwrap();
    assert!(disk.is_dir());
    for place in places.values() {
        assert!(mounts.is_mounted(place), "{place:?} is in the pod's own directory");
    }
    assert_eq!(volumes.places(&pod), places);
    volumes.tear_down("u").unwrap();
    assert!(!mounts.is_mounted(&places["v"]) && disk.is_dir());
}

#[test]
fn a_projected_volume_holds_all_its_sources_in_memory() {
    let root = tempfile::tempdir().unwrap();
    let mounter = Arc::new(Plain::default());
    let volumes = Volumes::new(root.path(), mounter.clone());
    let pod = pod(json!([{"name": "kube-api-access", "projected": {"defaultMode": 0o644, "sources": [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]}}]));
    let mut payloads = Payloads::default();
    payloads.insert(Kind::ConfigMap, "kube-root-ca.crt", payload(&[("ca.crt", "PEM")]));
    let mut sources = sources(payloads);
    let key = ("kube-api-access".to_owned(), "token".to_owned());
    assert_eq!(wanted_tokens(&pod)[&key], (String::new(), 3607));
    sources.tokens.insert(key, Token { text: "secret".into(), renew: Timestamp::UNIX_EPOCH });
    let place = volumes.set_up(&pod, &sources).unwrap().remove("kube-api-access").unwrap();
    for (name, text) in [("token", "secret"), ("ca.crt", "PEM"), ("namespace", "ns")] {
        assert_eq!(fs::read_to_string(place.join(name)).unwrap(), text);
    }
    assert!(mounter.is_mounted(&place));
    volumes.tear_down("u").unwrap();
    assert!(!mounter.is_mounted(&place));
}
