//! The store: which images there are, their unpacked layers, and the root file
//! systems that containers have.
//!
//! ```text
//! images.json           what is there (atomic)
//! content/sha256/HEX    manifests, configurations, layers being unpacked
//! layers/NUMBER/        unpacked layers, numbered because overlayfs takes all
//!                       their paths in one page
//! containers/ID/        container.json, upper, work, rootfs (mounted)
//! ```
//! A compressed layer is dropped once it is unpacked.

mod import;
mod rootfs;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use edge::Edge;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::content::{Content, HashingReader, uncompressed};
use crate::manifest::{Manifest, parse_config};
use crate::reference::is_digest;
use crate::{Error, Image, ImageId, Reference, Result, layer};

/// What collecting garbage removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Garbage {
    pub images: Vec<ImageId>,
    /// Bytes of the disk given back.
    pub bytes: u64,
}

/// What the store takes of the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUsage {
    pub bytes: u64,
    pub inodes: u64,
}

/// The images of a node. Clones share it.
#[derive(Clone)]
pub struct ImageStore {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    directory: PathBuf,
    pub(crate) content: Content,
    pub(crate) edge: Edge,
    state: Mutex<State>,
    /// One worker at a time for each layer.
    unpacking: Mutex<BTreeMap<String, Arc<Mutex<()>>>>,
}

/// `images.json`.
#[derive(Default, Serialize, Deserialize)]
struct State {
    /// By image id.
    images: BTreeMap<String, Record>,
    /// Unpacked layers by the digest of their uncompressed tar.
    layers: BTreeMap<String, Layer>,
    next_layer: u64,
}

#[derive(Clone, Serialize, Deserialize)]
struct Record {
    image: Image,
    /// Lowest first.
    layers: Vec<String>,
    manifest: String,
    /// Nanoseconds since 1970 when it was last pulled or given to a container.
    last_used: i64,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Layer {
    number: u64,
    bytes: u64,
}

impl ImageStore {
    /// Opens (or makes) the store in `directory`. What an earlier program left
    /// half-done is removed; mounted root file systems stay.
    pub fn open(directory: &Path, edge: Edge) -> Result<Self> {
        let said = || Error::io(format!("open the image store {}", directory.display()));
        fs::create_dir_all(directory.join("layers")).map_err(said())?;
        fs::create_dir_all(directory.join("containers")).map_err(said())?;
        let content = Content::open(&directory.join("content")).map_err(said())?;
        let path = directory.join("images.json");
        let state: State = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| {
                Error::Damaged(format!(
                    "{}: {e}; remove the file and pull or import the images again",
                    path.display()
                ))
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(error) => return Err(said()(error)),
        };
        let inner = Inner {
            directory: directory.to_owned(),
            content,
            edge,
            state: Mutex::new(state),
            unpacking: Mutex::default(),
        };
        inner.remove_unknown_layers();
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The directory whose file system holds everything.
    pub fn directory(&self) -> &Path {
        &self.inner.directory
    }

    /// All images, by id.
    pub fn list(&self) -> Vec<Image> {
        self.inner.state.lock().images.values().map(|record| record.image.clone()).collect()
    }

    /// The image that a reference, an image id (`sha256:…`) or a repo digest
    /// means; None when it is not here.
    pub fn resolve(&self, reference: &str) -> Option<Image> {
        let state = self.inner.state.lock();
        state.find(reference).and_then(|id| state.images.get(&id)).map(|record| record.image.clone())
    }

    /// Takes a name away, or with an image id or last name the whole image.
    /// What containers use stays on disk until they are released.
    pub async fn remove(&self, reference: &str) -> Result<()> {
        let (inner, reference) = (self.inner.clone(), reference.to_owned());
        self.blocking(move || {
            {
                let mut state = inner.state.lock();
                let Some(id) = state.find(&reference) else {
                    return Err(Error::NotFound { reference, detail: " in the image store".into() });
                };
                let whole = is_digest(&reference) || reference == id;
                let parsed = Reference::parse(&reference).ok();
                let record = state.images.get_mut(&id).expect("find gives ids of the map");
                if let Some(parsed) = parsed.filter(|_| !whole) {
                    let (tag, repo) = (parsed.tagged(), parsed.to_string());
                    record.image.repo_tags.retain(|name| Some(name) != tag.as_ref());
                    record.image.repo_digests.retain(|name| *name != repo);
                }
                if whole
                    || (record.image.repo_tags.is_empty() && record.image.repo_digests.is_empty())
                    || record.image.repo_tags.is_empty()
                {
                    state.images.remove(&id);
                }
                inner.save(&state)?;
            }
            inner.sweep().map(drop)
        })
        .await
    }

    /// Removes images that no container uses, least recently used first, until
    /// `bytes` are free or none is left (None: all). Pinned images stay.
    pub async fn collect_garbage(&self, bytes: Option<u64>) -> Result<Garbage> {
        let inner = self.inner.clone();
        self.blocking(move || {
            let mut garbage = Garbage { images: Vec::new(), bytes: inner.sweep()? };
            let used: BTreeSet<String> =
                inner.container_records().into_iter().map(|record| record.image).collect();
            let mut candidates: Vec<(i64, String)> = {
                let state = inner.state.lock();
                let unused =
                    state.images.iter().filter(|(id, record)| !record.image.pinned && !used.contains(*id));
                unused.map(|(id, record)| (record.last_used, id.clone())).collect()
            };
            candidates.sort();
            for (_, id) in candidates {
                if bytes.is_some_and(|bytes| garbage.bytes >= bytes) {
                    break;
                }
                {
                    let mut state = inner.state.lock();
                    state.images.remove(&id);
                    inner.save(&state)?;
                }
                garbage.bytes += inner.sweep()?;
                garbage.images.push(ImageId(id));
            }
            Ok(garbage)
        })
        .await
    }

    /// What images take of the disk (containers' own files not counted).
    pub async fn disk_usage(&self) -> Result<DiskUsage> {
        let inner = self.inner.clone();
        self.blocking(move || {
            let mut all = usage_of(&inner.directory.join("layers"));
            let content = usage_of(&inner.directory.join("content"));
            all.bytes += content.bytes;
            all.inodes += content.inodes;
            Ok(all)
        })
        .await
    }

    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match self.inner.edge.tasks.spawn_blocking(work).await {
            Some(done) => done,
            None => Err(Error::System("the image store is being stopped".into())),
        }
    }
}

impl State {
    fn find(&self, reference: &str) -> Option<String> {
        if self.images.contains_key(reference) {
            return Some(reference.to_owned());
        }
        if reference.len() == 64 && self.images.contains_key(&format!("sha256:{reference}")) {
            return Some(format!("sha256:{reference}"));
        }
        let parsed = Reference::parse(reference).ok()?;
        let by = |fits: &dyn Fn(&Image) -> bool| {
            self.images.iter().find(|(_, record)| fits(&record.image)).map(|(id, _)| id.clone())
        };
        match parsed.digest() {
            Some(digest) => {
                let name = format!("{}@{digest}", parsed.name());
                by(&|image| image.repo_digests.contains(&name))
            }
            None => {
                let name = parsed.tagged()?;
                by(&|image| image.repo_tags.contains(&name))
            }
        }
    }
}

impl Inner {
    pub(crate) fn now(&self) -> i64 {
        i64::try_from(self.edge.clock.now().as_nanosecond()).unwrap_or(i64::MAX)
    }

    /// Writes `images.json` so that it survives a power cut whole.
    fn save(&self, state: &State) -> Result<()> {
        let path = self.directory.join("images.json");
        let beside = self.directory.join("images.json.new");
        let write = || -> io::Result<()> {
            let mut file = File::create(&beside)?;
            file.write_all(&serde_json::to_vec(state)?)?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            File::open(&self.directory)?.sync_all()
        };
        write().map_err(Error::io("write the list of images"))
    }

    fn layer_path(&self, number: u64) -> PathBuf {
        self.directory.join("layers").join(number.to_string())
    }

    /// Is the layer unpacked already?
    pub(crate) fn has_layer(&self, diff_id: &str) -> bool {
        self.state.lock().layers.contains_key(diff_id)
    }

    /// Unpacks a compressed layer from the content store, verifies its digest
    /// and drops the compressed form. Does nothing when it is unpacked.
    pub(crate) fn unpack_layer(&self, blob: &str, diff_id: &str) -> Result<()> {
        let lock = self.unpacking.lock().entry(diff_id.to_owned()).or_default().clone();
        let _alone = lock.lock();
        if self.has_layer(diff_id) {
            self.content.remove(blob);
            return Ok(());
        }
        let number = {
            let mut state = self.state.lock();
            state.next_layer += 1;
            state.next_layer
        };
        let beside = self.directory.join("layers").join(format!("new-{number}"));
        let _ = fs::remove_dir_all(&beside);
        fs::create_dir(&beside).map_err(Error::io("make a layer's directory"))?;
        let unpack = || {
            let reader = uncompressed(self.content.open_blob(blob)?).map_err(Error::io("read a layer"))?;
            let mut reader = HashingReader::new(reader);
            let bytes = layer::unpack(&mut reader, &beside)?;
            let digest = reader.digest().map_err(|e| Error::Damaged(format!("layer: {e}")))?;
            if digest != diff_id {
                return Err(Error::Damaged(format!(
                    "a layer's content has digest {digest} and not {diff_id}"
                )));
            }
            let synced = File::open(&beside).and_then(|directory| Ok(rustix::fs::syncfs(&directory)?));
            synced
                .and_then(|()| fs::rename(&beside, self.layer_path(number)))
                .map_err(Error::io("keep a layer"))?;
            Ok(bytes)
        };
        let bytes = unpack().inspect_err(|_| {
            let _ = fs::remove_dir_all(&beside);
        })?;
        let mut state = self.state.lock();
        state.layers.insert(diff_id.to_owned(), Layer { number, bytes });
        self.save(&state)?;
        drop(state);
        self.content.remove(blob);
        self.unpacking.lock().remove(diff_id);
        Ok(())
    }

    /// Makes an image known whose layers are unpacked and whose manifest and
    /// configuration are stored.
    pub(crate) fn register(
        &self,
        manifest_digest: &str,
        manifest: &Manifest,
        tags: &[String],
        digests: &[String],
        pinned: bool,
    ) -> Result<Image> {
        let (config, layers) = parse_config(&self.content.read(&manifest.config.digest)?)?;
        let id = manifest.config.digest.clone();
        let now = self.now();
        let mut state = self.state.lock();
        if let Some(missing) = layers.iter().find(|layer| !state.layers.contains_key(*layer)) {
            return Err(Error::Damaged(format!("layer {missing} of the image is not unpacked")));
        }
        // A tag names one image: it moves.
        for record in state.images.values_mut() {
            record.image.repo_tags.retain(|tag| !tags.contains(tag));
        }
        let record = state.images.entry(id.clone()).or_insert_with(|| Record {
            image: Image {
                id: ImageId(id),
                repo_tags: Vec::new(),
                repo_digests: Vec::new(),
                size: 0,
                pinned,
                config,
            },
            layers,
            manifest: manifest_digest.to_owned(),
            last_used: now,
        });
        let image = &mut record.image;
        image.size = manifest.config.size + manifest.layers.iter().map(|layer| layer.size).sum::<u64>();
        image.pinned |= pinned;
        image.repo_tags.extend(tags.iter().cloned());
        image.repo_digests.extend(digests.iter().cloned());
        for names in [&mut image.repo_tags, &mut image.repo_digests] {
            names.sort();
            names.dedup();
        }
        record.last_used = now;
        let image = image.clone();
        self.save(&state)?;
        Ok(image)
    }

    /// Removes layers and content that no image and no container needs. Gives
    /// the bytes freed.
    fn sweep(&self) -> Result<u64> {
        let mut needed: BTreeSet<String> =
            self.container_records().into_iter().flat_map(|record| record.layers).collect();
        let mut state = self.state.lock();
        needed.extend(state.images.values().flat_map(|record| record.layers.clone()));
        let gone: Vec<(String, Layer)> = state
            .layers
            .iter()
            .filter(|(diff, _)| !needed.contains(*diff))
            .map(|(d, l)| (d.clone(), *l))
            .collect();
        // A layer that is being unpacked belongs to an image that is not known yet.
        let busy: BTreeSet<String> = self.unpacking.lock().keys().cloned().collect();
        let mut freed = 0;
        for (diff_id, layer) in gone.iter().filter(|(diff, _)| !busy.contains(diff)) {
            state.layers.remove(diff_id);
            freed += layer.bytes;
        }
        let blobs: BTreeSet<String> =
            state.images.iter().flat_map(|(id, record)| [id.clone(), record.manifest.clone()]).collect();
        self.save(&state)?;
        drop(state);
        self.remove_unknown_layers();
        for entry in fs::read_dir(self.directory.join("content/sha256")).into_iter().flatten().flatten() {
            let digest = format!("sha256:{}", entry.file_name().to_string_lossy());
            // A young blob may belong to a pull that goes on.
            let young = entry
                .metadata()
                .ok()
                .and_then(|m| m.modified().ok())
                .is_none_or(|at| at.elapsed().is_ok_and(|age| age.as_secs() < 3600));
            if !blobs.contains(&digest) && !young {
                freed += entry.metadata().map_or(0, |m| m.len());
                self.content.remove(&digest);
            }
        }
        Ok(freed)
    }

    fn remove_unknown_layers(&self) {
        let known: BTreeSet<String> =
            self.state.lock().layers.values().map(|layer| layer.number.to_string()).collect();
        let newest = self.state.lock().next_layer;
        for entry in fs::read_dir(self.directory.join("layers")).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let number = name.strip_prefix("new-").unwrap_or(&name).parse::<u64>().unwrap_or(0);
            // One that is being unpacked right now has the newest numbers.
            let in_work = name.starts_with("new-") && number <= newest && !self.unpacking.lock().is_empty();
            if !known.contains(&name) && !in_work {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// Disk usage of a directory tree, hard links counted once a directory entry.
pub(crate) fn usage_of(path: &Path) -> DiskUsage {
    let mut all = DiskUsage::default();
    let Ok(meta) = fs::symlink_metadata(path) else { return all };
    all.bytes += meta.blocks() * 512;
    all.inodes += 1;
    if meta.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            let below = usage_of(&entry.path());
            all.bytes += below.bytes;
            all.inodes += below.inodes;
        }
    }
    all
}

/// A reader of an archive that may be compressed.
fn archive_reader<'a>(reader: impl Read + 'a) -> Result<Box<dyn Read + 'a>> {
    uncompressed(reader).map_err(Error::io("read the archive"))
}
