//! OCI archives: written out of files by [`Builder`], so that an image can be
//! assembled where no registry and no other tool is at hand.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::content::hex;
use crate::manifest::architecture;
use crate::{Error, ImageConfig, Reference, Result};

/// Collects files of one layer and writes a single-image OCI archive. Every
/// entry belongs to root and has the same time, so that equal files give equal
/// digests.
pub struct Builder {
    layer: tar::Builder<Vec<u8>>,
    directories: BTreeSet<PathBuf>,
    config: ImageConfig,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    pub fn new() -> Self {
        Self {
            layer: tar::Builder::new(Vec::new()),
            directories: BTreeSet::new(),
            config: ImageConfig::default(),
        }
    }

    /// How the image is to be run.
    pub fn config(mut self, config: ImageConfig) -> Self {
        self.config = config;
        self
    }

    /// Adds a directory, and its parents.
    pub fn directory(&mut self, path: &str, mode: u32) -> Result<&mut Self> {
        let path = inside(path)?;
        self.parents(&path)?;
        if self.directories.insert(path.clone()) {
            self.append(tar::EntryType::Directory, &path, mode, None, &[])?;
        }
        Ok(self)
    }

    /// Adds a file with this content.
    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<&mut Self> {
        let path = inside(path)?;
        self.parents(&path)?;
        self.append(tar::EntryType::Regular, &path, mode, None, content)?;
        Ok(self)
    }

    /// Adds a symbolic link.
    pub fn symlink(&mut self, path: &str, target: &str) -> Result<&mut Self> {
        let path = inside(path)?;
        self.parents(&path)?;
        self.append(tar::EntryType::Symlink, &path, 0o777, Some(Path::new(target)), &[])?;
        Ok(self)
    }

    /// Adds a file of this machine as it is (links as links, directories with
    /// all below), at `path` in the image.
    pub fn copy(&mut self, from: &Path, path: &str) -> Result<&mut Self> {
        let said = || Error::io(format!("read {}", from.display()));
        let meta = fs::symlink_metadata(from).map_err(said())?;
        let kind = meta.file_type();
        if kind.is_dir() {
            self.directory(path, meta.mode() & 0o7777)?;
            let mut names: Vec<_> =
                fs::read_dir(from).map_err(said())?.filter_map(|e| e.ok().map(|e| e.file_name())).collect();
            names.sort();
            for name in names {
                let name = name.to_string_lossy().into_owned();
                self.copy(&from.join(&name), &format!("{path}/{name}"))?;
            }
            return Ok(self);
        }
        if kind.is_symlink() {
            let target = fs::read_link(from).map_err(said())?;
            return self.symlink(path, &target.to_string_lossy());
        }
        if kind.is_socket() || kind.is_fifo() || kind.is_block_device() || kind.is_char_device() {
            return Err(Error::System(format!("{} is neither file, directory nor link", from.display())));
        }
        let content = fs::read(from).map_err(said())?;
        self.file(path, meta.mode() & 0o7777, &content)
    }

    fn parents(&mut self, path: &Path) -> Result<()> {
        let above: Vec<PathBuf> =
            path.ancestors().skip(1).filter(|p| !p.as_os_str().is_empty()).map(Path::to_owned).collect();
        for parent in above.into_iter().rev() {
            if self.directories.insert(parent.clone()) {
                self.append(tar::EntryType::Directory, &parent, 0o755, None, &[])?;
            }
        }
        Ok(())
    }

    fn append(
        &mut self,
        kind: tar::EntryType,
        path: &Path,
        mode: u32,
        link: Option<&Path>,
        content: &[u8],
    ) -> Result<()> {
        let mut header = header(kind, mode, content.len() as u64);
        let done = match link {
            Some(link) => self.layer.append_link(&mut header, path, link),
            None => self.layer.append_data(&mut header, path, content),
        };
        done.map_err(Error::io(format!("add {} to the archive", path.display())))
    }

    /// Writes the archive (a tar) with the image under `name`
    /// (`nginx` or `registry/name:tag`).
    pub fn write(self, name: &str, out: impl Write) -> Result<()> {
        let reference = Reference::parse(name)?;
        let said = || Error::io("write the archive");
        let layer = self.layer.into_inner().map_err(said())?;
        let diff_id = digest(&layer);
        let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zipped.write_all(&layer).map_err(said())?;
        let zipped = zipped.finish().map_err(said())?;
        let run = &self.config;
        let set = |names: &[String]| {
            names.iter().map(|n| (n.clone(), json!({}))).collect::<serde_json::Map<_, _>>()
        };
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {
                "User": run.user, "ExposedPorts": set(&run.exposed_ports), "Env": run.env, "Entrypoint": run.entrypoint, "Cmd": run.cmd,
                "Volumes": set(&run.volumes), "WorkingDir": run.working_dir, "Labels": run.labels, "StopSignal": run.stop_signal,
            },
            "rootfs": { "type": "layers", "diff_ids": [diff_id] },
        });
        let config = config.to_string().into_bytes();
        let descriptor = |kind: &str, bytes: &[u8]| json!({ "mediaType": kind, "digest": digest(bytes), "size": bytes.len() });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &zipped)],
        });
        let manifest = manifest.to_string().into_bytes();
        let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
        entry["annotations"] = json!({
            "io.containerd.image.name": reference.to_string(),
            "org.opencontainers.image.ref.name": reference.tag().unwrap_or("latest"),
        });
        entry["platform"] = json!({ "os": "linux", "architecture": architecture() });
        let index = json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry] });
        let mut archive = tar::Builder::new(out);
        let mut add = |path: &str, bytes: &[u8]| {
            archive
                .append_data(&mut header(tar::EntryType::Regular, 0o644, bytes.len() as u64), path, bytes)
                .map_err(said())
        };
        add("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        add("index.json", index.to_string().as_bytes())?;
        for blob in [&zipped, &config, &manifest] {
            add(&format!("blobs/sha256/{}", &digest(blob)["sha256:".len()..]), blob)?;
        }
        archive.into_inner().and_then(|mut out| out.flush()).map_err(said())
    }
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn inside(path: &str) -> Result<PathBuf> {
    let plain: PathBuf = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if path.split('/').any(|part| part == "..") || plain.as_os_str().is_empty() {
        return Err(Error::System(format!("{path:?} is no path in an image")));
    }
    Ok(plain)
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// The shared libraries that a dynamically linked program of this machine needs,
/// the loader included, found by asking the loader. For assembling images out
/// of installed packages.
pub fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = std::process::Command::new("ldd").arg(program).output().map_err(Error::io("run ldd"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut found: Vec<PathBuf> = text
        .lines()
        .filter_map(|line| {
            let place = line.split("=>").last()?.split_whitespace().next()?;
            place.starts_with('/').then(|| PathBuf::from(place))
        })
        .collect();
    found.sort();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_files_give_equal_archives() {
        let make = || {
            let mut builder =
                Builder::new().config(ImageConfig { cmd: vec!["/bin/x".into()], ..Default::default() });
            builder
                .file("/bin/x", 0o755, b"x")
                .unwrap()
                .symlink("bin/y", "x")
                .unwrap()
                .directory("var/empty", 0o700)
                .unwrap();
            let mut out = Vec::new();
            builder.write("team/app:v1", &mut out).unwrap();
            out
        };
        assert_eq!(make(), make());
        let bytes = make();
        let entries = tar::Archive::new(&bytes[..])
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect::<Vec<_>>();
        assert_eq!(
            (entries.len(), entries[0].as_str(), entries[1].as_str()),
            (5, "oci-layout", "index.json")
        );
    }

    #[test]
    fn paths_stay_inside() {
        let mut builder = Builder::new();
        assert!(builder.file("../x", 0o644, b"").is_err());
        assert!(builder.file("/", 0o644, b"").is_err());
        assert!(Builder::new().write("Not A Name", &mut Vec::new()).is_err());
    }
}
