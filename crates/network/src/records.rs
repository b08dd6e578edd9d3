//! Who holds which address, on disk: one small file a sandbox, written whole
//! and renamed, so that a crash leaves either the old or the new.
//!
//! Nothing is synced to the medium: after a power cut the sandboxes are gone
//! too, and the next start reclaims what no sandbox holds.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Attachment, Error, HostPort};

/// What is known of one sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub id: String,
    pub attachment: Attachment,
    #[serde(default)]
    pub host_ports: Vec<HostPort>,
    /// The link was set up to its end.
    #[serde(default)]
    pub connected: bool,
}

/// The directory of records.
pub(crate) struct Records(PathBuf);

impl Records {
    /// Opens (and makes) the directory, and reads every record. A file that
    /// cannot be read as a record was not written by us whole: it is removed.
    pub fn open(directory: PathBuf) -> Result<(Self, Vec<Record>), Error> {
        std::fs::create_dir_all(&directory).map_err(Error::file("make the directory", &directory))?;
        let entries = std::fs::read_dir(&directory).map_err(Error::file("read", &directory))?;
        let mut records = Vec::new();
        for entry in entries {
            let path = entry.map_err(Error::file("read", &directory))?.path();
            let text = std::fs::read(&path).map_err(Error::file("read", &path))?;
            match serde_json::from_slice::<Record>(&text) {
                Ok(record) if path.extension().is_some_and(|end| end == "json") => records.push(record),
                _ => {
                    tracing::warn!(path = %path.display(), "removed a file that is no record of an address");
                    std::fs::remove_file(&path).map_err(Error::file("remove", &path))?;
                }
            }
        }
        records.sort_by(|a, b| a.id.cmp(&b.id));
        Ok((Self(directory), records))
    }

    pub fn write(&self, record: &Record) -> Result<(), Error> {
        let path = self.path(&record.id);
        let draft = path.with_extension("draft");
        let text = serde_json::to_vec(record).expect("a record holds nothing that JSON cannot");
        std::fs::write(&draft, text).map_err(Error::file("write", &draft))?;
        std::fs::rename(&draft, &path).map_err(Error::file("rename", &draft))
    }

    pub fn remove(&self, id: &str) -> Result<(), Error> {
        let path = self.path(id);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file("remove", path)(error)),
            _ => Ok(()),
        }
    }

    /// Ids are the runtime's; whatever they hold, the file stays in our directory.
    fn path(&self, id: &str) -> PathBuf {
        let mut name = String::new();
        for byte in id.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(byte as char),
                other => name.push_str(&format!("%{other:02x}")),
            }
        }
        self.0.join(name + ".json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str) -> Record {
        Record {
            id: id.into(),
            attachment: Attachment {
                addresses: vec!["10.42.0.2".parse().unwrap(), "fd00::2".parse().unwrap()],
                gateways: vec!["10.42.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
                mac: [2, 0, 0, 0, 0, 1],
                host_interface: "ctn0".into(),
            },
            host_ports: Vec::new(),
            connected: true,
        }
    }

    #[test]
    fn records_survive_and_torn_files_do_not() {
        let directory = std::env::temp_dir().join(format!("corten-records-{}", std::process::id()));
        let (records, found) = Records::open(directory.clone()).unwrap();
        assert_eq!(found, []);
        records.write(&record("b")).unwrap();
        records.write(&record("../a")).unwrap();
        std::fs::write(directory.join("torn.json"), "{\"id\":").unwrap();
        std::fs::write(directory.join("c.draft"), "{}").unwrap();
        let (records, found) = Records::open(directory.clone()).unwrap();
        assert_eq!(found, [record("../a"), record("b")]);
        records.remove("b").unwrap();
        records.remove("b").unwrap();
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
        std::fs::remove_dir_all(directory).unwrap();
    }
}
