//! A disk that fills up and gets space again. Needs to be root, as everything
//! that mounts does.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use store::{Error, Scope, Store};

use crate::{open, put};

/// A small file system that is gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).ok()?;
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=3m", "store-test"]).arg(at).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_heals_when_space_returns() {
    let directory = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&directory.path().join("disk")) else {
        eprintln!("skipped: mounting needs root");
        return;
    };
    let store = open(&disk.0.join("data")).unwrap();
    let mut watch = store.watch(Scope::prefix(""), 1).unwrap();
    std::fs::write(disk.0.join("filler"), vec![0; 1 << 20]).unwrap();
    let mut accepted = 0;
    let refusal = loop {
        match store.commit(put(&format!("/{accepted:04}"), vec![b'x'; 10 << 10])).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
        assert!(accepted < 1000);
    };
    assert!(
        matches!(&refusal, Error::Unavailable(sentence) if sentence.contains("disk is full")),
        "{refusal}"
    );
    assert!(store.writable().is_err());
    // Reads and watches go on, and further writes are refused without harm.
    for _ in 0..accepted {
        watch.next().await.unwrap();
    }
    assert_eq!(store.snapshot().len(), accepted);
    for _ in 0..5 {
        store.commit(put("/more", vec![b'x'; 100 << 10])).await.unwrap_err();
    }
    assert_eq!(store.snapshot().len(), accepted);

    std::fs::remove_file(disk.0.join("filler")).unwrap();
    let mut tries = 0;
    while let Err(error) = store.commit(put("/healed", "yes")).await {
        tries += 1;
        assert!(tries < 20, "{error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(store.writable().is_ok());
    assert_eq!(watch.next().await.unwrap().key.as_str(), "/healed");
    store.close().await;
    let store = open(&disk.0.join("data")).unwrap();
    assert_eq!(store.snapshot().len(), accepted + 1);
    store.close().await;
}
