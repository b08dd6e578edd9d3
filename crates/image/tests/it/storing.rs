//! Import, prepare, release, remove, garbage.

use std::io::{Cursor, Write};

use image::Error;

use crate::{archive, can_mount, store};

#[tokio::test]
async fn an_archive_becomes_a_root_file_system() {
    let directory = tempfile::tempdir().unwrap();
    let images = store(directory.path());
    let made = images.import(Cursor::new(archive("team/app:v1", "bin/app", "one")), None).await.unwrap();
    let image = images.resolve("team/app:v1").unwrap();
    assert_eq!(made, std::slice::from_ref(&image));
    assert_eq!(image.repo_tags, ["docker.io/team/app:v1"]);
    assert!(image.repo_digests[0].starts_with("docker.io/team/app@sha256:"));
    assert_eq!(
        (image.config.entrypoint[0].as_str(), image.config.user.as_str(), image.config.stop_signal.as_str()),
        ("/bin/app", "1000", "SIGQUIT")
    );
    assert!(image.size > 0 && image.pinned);
    for name in [
        image.id.as_str(),
        &image.id.as_str()["sha256:".len()..],
        &image.repo_digests[0],
        "docker.io/team/app:v1",
    ] {
        assert_eq!(images.resolve(name).as_ref(), Some(&image), "{name}");
    }
    assert!(images.resolve("team/app").is_none(), "that is :latest");
    if !can_mount() {
        return;
    }
    let root = images.prepare("team/app:v1", "c1").await.unwrap();
    let other = images.prepare(image.id.as_str(), "c2").await.unwrap();
    assert_eq!(std::fs::read_to_string(root.join("bin/app")).unwrap(), "one");
    std::fs::write(root.join("bin/app"), "changed").unwrap();
    assert_eq!(
        std::fs::read_to_string(other.join("bin/app")).unwrap(),
        "one",
        "containers do not see each other"
    );
    assert!(
        images.writable_usage("c1").await.unwrap().bytes > images.writable_usage("c2").await.unwrap().bytes
    );
    assert_eq!(images.prepare("team/app:v1", "c1").await.unwrap(), root, "the same again");
    // A container keeps its layers when the image goes.
    images.remove("team/app:v1").await.unwrap();
    assert!(images.resolve("team/app:v1").is_none());
    assert_eq!(std::fs::read_to_string(root.join("bin/app")).unwrap(), "changed");
    assert_eq!(images.containers(), ["c1", "c2"]);
    for container in ["c1", "c2", "never"] {
        images.release(container).await.unwrap();
    }
    assert!(images.containers().is_empty() && images.writable_usage("c1").await.is_none());
    images.collect_garbage(None).await.unwrap();
    assert_eq!(std::fs::read_dir(directory.path().join("layers")).unwrap().count(), 0);
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(directory.path().to_str().unwrap()));
}

#[tokio::test]
async fn images_outlive_the_program() {
    let directory = tempfile::tempdir().unwrap();
    let id = store(directory.path())
        .import(Cursor::new(archive("app", "f", "x")), None)
        .await
        .unwrap()
        .remove(0)
        .id;
    // What a killed program leaves: a half-written blob and a half-unpacked layer.
    std::fs::write(directory.path().join("content/ingest/7"), "half").unwrap();
    std::fs::create_dir(directory.path().join("layers/new-9")).unwrap();
    std::fs::create_dir(directory.path().join("layers/99")).unwrap();
    let again = store(directory.path());
    assert_eq!(again.resolve("app").unwrap().id, id);
    assert_eq!(std::fs::read_dir(directory.path().join("content/ingest")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(directory.path().join("layers")).unwrap().count(), 1);
    assert!(again.disk_usage().await.unwrap().bytes > 0);
}

#[tokio::test]
async fn a_tag_moves_and_layers_are_shared() {
    let directory = tempfile::tempdir().unwrap();
    let images = store(directory.path());
    let first = images.import(Cursor::new(archive("app", "f", "same")), None).await.unwrap().remove(0);
    let renamed = images
        .import(Cursor::new(archive("app", "f", "same")), Some("other:v2".into()))
        .await
        .unwrap()
        .remove(0);
    assert_eq!(first.id, renamed.id);
    assert_eq!(renamed.repo_tags, ["docker.io/library/app:latest", "docker.io/library/other:v2"]);
    assert_eq!(std::fs::read_dir(directory.path().join("layers")).unwrap().count(), 1, "one layer for both");
    let moved = images.import(Cursor::new(archive("app", "f", "new")), None).await.unwrap().remove(0);
    assert_eq!(images.resolve("app").unwrap().id, moved.id);
    assert_eq!(images.resolve("other:v2").unwrap().repo_tags, ["docker.io/library/other:v2"]);
    assert!(matches!(images.remove("nothing").await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn compressed_and_docker_archives_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let images = store(directory.path());
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&archive("zipped", "f", "x")).unwrap();
    images.import(Cursor::new(gz.finish().unwrap()), None).await.unwrap();
    assert!(images.resolve("zipped").is_some());
    // What `docker save` wrote before it knew OCI: equal layers as links.
    let mut layer = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    header.set_mode(0o644);
    layer.append_data(&mut header, "f", &b"x"[..]).unwrap();
    let layer = layer.into_inner().unwrap();
    let digest = sha256(&layer);
    let config = format!(
        r#"{{"architecture":"{}","os":"linux","rootfs":{{"type":"layers","diff_ids":["{digest}","{digest}"]}}}}"#,
        if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" }
    );
    let manifest = r#"[{"Config":"c.json","RepoTags":["old:1"],"Layers":["a/layer.tar","b/layer.tar"]}]"#;
    let mut out = tar::Builder::new(Vec::new());
    for (path, bytes) in [
        ("a/layer.tar", layer.as_slice()),
        ("c.json", config.as_bytes()),
        ("manifest.json", manifest.as_bytes()),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        out.append_data(&mut header, path, bytes).unwrap();
    }
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    out.append_link(&mut link, "b/layer.tar", "../a/layer.tar").unwrap();
    let image = images.import(Cursor::new(out.into_inner().unwrap()), None).await.unwrap().remove(0);
    assert_eq!(image.repo_tags, ["docker.io/library/old:1"]);
    if can_mount() {
        let root = images.prepare("old:1", "c").await.unwrap();
        assert_eq!(std::fs::read_to_string(root.join("f")).unwrap(), "x");
        images.release("c").await.unwrap();
    }
}

#[tokio::test]
async fn damaged_archives_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let images = store(directory.path());
    let whole = archive("app", "f", &"content ".repeat(2000));
    for bytes in [vec![], b"no archive at all".to_vec(), whole[..whole.len() / 2].to_vec(), {
        let mut flipped = whole.clone();
        // Inside of a blob: its digest no longer fits.
        let at = flipped.windows(11).position(|w| w == b"application").unwrap();
        let last = flipped.windows(11).rposition(|w| w == b"application").unwrap_or(at);
        flipped[last] ^= 1;
        flipped
    }] {
        let error = images.import(Cursor::new(bytes), None).await.unwrap_err();
        assert!(matches!(error, Error::Damaged(_)), "{error}");
        assert!(images.list().is_empty());
    }
    assert!(images.prepare("app", "c").await.is_err());
    assert!(images.prepare("app", "../c").await.is_err());
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    format!("sha256:{}", sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect::<String>())
}
