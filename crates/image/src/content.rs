//! Blobs by digest: `content/sha256/HEX`. A blob is there whole and verified or
//! not at all.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};

use crate::reference::is_digest;
use crate::{Error, Result};

#[derive(Debug)]
pub(crate) struct Content {
    directory: PathBuf,
    ingest: PathBuf,
    counter: AtomicU64,
}

impl Content {
    /// Opens the directory; what an earlier program left half-written goes.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        let ingest = directory.join("ingest");
        match fs::remove_dir_all(&ingest) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(&ingest)?;
        fs::create_dir_all(directory.join("sha256"))?;
        Ok(Self { directory: directory.join("sha256"), ingest, counter: AtomicU64::new(0) })
    }

    /// Where the blob is, or would be. Fails for what is no digest, because it
    /// becomes a file's name.
    pub(crate) fn path(&self, digest: &str) -> Result<PathBuf> {
        if !is_digest(digest) {
            return Err(Error::Damaged(format!("{digest:?} is not a sha256 digest")));
        }
        Ok(self.directory.join(&digest["sha256:".len()..]))
    }

    pub(crate) fn has(&self, digest: &str) -> bool {
        self.path(digest).is_ok_and(|path| path.exists())
    }

    pub(crate) fn read(&self, digest: &str) -> Result<Vec<u8>> {
        let path = self.path(digest)?;
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::Damaged(format!("content {digest} is missing")))
            }
            other => other.map_err(Error::io(format!("read {}", path.display()))),
        }
    }

    pub(crate) fn open_blob(&self, digest: &str) -> Result<File> {
        let path = self.path(digest)?;
        File::open(&path).map_err(Error::io(format!("open {}", path.display())))
    }

    pub(crate) fn remove(&self, digest: &str) {
        if let Ok(path) = self.path(digest) {
            let _ = fs::remove_file(path);
        }
    }

    /// Starts writing a blob.
    pub(crate) fn writer(&self) -> Result<BlobWriter> {
        let path = self.ingest.join(self.counter.fetch_add(1, Ordering::Relaxed).to_string());
        let file = File::create(&path).map_err(Error::io(format!("create {}", path.display())))?;
        Ok(BlobWriter { file, path, hash: Sha256::new(), size: 0 })
    }

    /// Makes a written blob visible under its digest, which must be `expected`
    /// where one is given.
    pub(crate) fn commit(&self, writer: BlobWriter, expected: Option<&str>) -> Result<(String, u64)> {
        let digest = format!("sha256:{}", hex(&writer.hash.clone().finalize()));
        if let Some(expected) = expected.filter(|expected| *expected != digest) {
            return Err(Error::Damaged(format!("content has digest {digest} and not {expected}")));
        }
        let said = Error::io("write an image's content");
        let done = || {
            writer.file.sync_data()?;
            fs::rename(&writer.path, self.directory.join(&digest["sha256:".len()..]))
        };
        done().map_err(said)?;
        Ok((digest, writer.size))
    }

    /// Stores what a reader gives.
    pub(crate) fn put(&self, mut reader: impl Read, expected: Option<&str>) -> Result<(String, u64)> {
        let mut writer = self.writer()?;
        io::copy(&mut reader, &mut writer).map_err(Error::io("write an image's content"))?;
        self.commit(writer, expected)
    }
}

/// A blob being written. Dropped without a commit, it leaves nothing.
#[derive(Debug)]
pub(crate) struct BlobWriter {
    file: File,
    path: PathBuf,
    hash: Sha256,
    size: u64,
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hashes what is read through it.
pub(crate) struct HashingReader<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> HashingReader<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, hash: Sha256::new() }
    }

    /// `sha256:…` of everything, after reading what is left.
    pub(crate) fn digest(mut self) -> io::Result<String> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(format!("sha256:{}", hex(&self.hash.finalize())))
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }
}

/// A reader of what `reader` holds, uncompressed by its first bytes: gzip, zstd
/// or as it is.
pub(crate) fn uncompressed<'a>(mut reader: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut magic = [0; 4];
    let mut have = 0;
    while have < magic.len() {
        match reader.read(&mut magic[have..])? {
            0 => break,
            count => have += count,
        }
    }
    let whole = io::Cursor::new(magic[..have].to_vec()).chain(reader);
    Ok(match magic {
        [0x1f, 0x8b, ..] => {
            Box::new(flate2::read::MultiGzDecoder::new(io::BufReader::with_capacity(64 << 10, whole)))
        }
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::stream::read::Decoder::new(whole)?),
        _ => Box::new(whole),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_whole_or_not_there() {
        let directory = tempfile::tempdir().unwrap();
        let content = Content::open(directory.path()).unwrap();
        let (digest, size) = content.put(&b"hello"[..], None).unwrap();
        assert_eq!(digest, "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
        assert_eq!((size, content.read(&digest).unwrap()), (5, b"hello".to_vec()));
        assert!(matches!(content.put(&b"other"[..], Some(&digest)), Err(Error::Damaged(_))));
        assert_eq!(fs::read_dir(directory.path().join("ingest")).unwrap().count(), 0);
        assert!(content.path("sha256:../../etc/passwd").is_err());
        assert!(!content.has("sha256:00"));
    }

    #[test]
    fn compression_is_seen() {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(b"text").unwrap();
        let gz = gz.finish().unwrap();
        let zst = zstd::encode_all(&b"text"[..], 1).unwrap();
        for bytes in [gz, zst, b"text".to_vec()] {
            let mut out = String::new();
            uncompressed(&bytes[..]).unwrap().read_to_string(&mut out).unwrap();
            assert_eq!(out, "text");
        }
        let mut out = Vec::new();
        uncompressed(&b"ab"[..]).unwrap().read_to_end(&mut out).unwrap();
        assert_eq!(out, b"ab", "shorter than any magic");
    }
}
