//! The rows of `conformance/images.toml`; the file says what each key means.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

type Places = BTreeMap<String, String>;

/// How one image is made.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Row {
    pub names: Vec<String>,
    pub from: Option<String>,
    pub packages: Vec<String>,
    pub applets: String,
    pub go: Places,
    pub c: Places,
    pub copy: Places,
    pub write: Places,
    pub links: Places,
    pub directories: Vec<String>,
    pub modes: Places,
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    pub user: String,
    pub env: Vec<String>,
    pub ports: Vec<String>,
    pub workdir: String,
    pub stop_signal: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    image: Vec<Row>,
}

/// The rows, of which none has a name twice.
pub fn parse(text: &str) -> Result<Vec<Row>> {
    let Table { image: rows } = toml::from_str(text).context("the table of images")?;
    let mut seen = std::collections::BTreeSet::new();
    for row in &rows {
        if row.names.is_empty() {
            bail!("a row of the table of images has no name");
        }
        for name in &row.names {
            if !seen.insert(name.clone()) {
                bail!("{name} is twice in the table of images");
            }
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_unknown_words_refused() {
        let rows = parse("[[image]]\nnames = [\"r/a:1\"]\n[image.write]\n\"/x\" = \"y\"\n").unwrap();
        assert_eq!(rows[0].write["/x"], "y");
        assert!(parse("[[image]]\nnames = []\n").is_err());
        assert!(parse("[[image]]\nnames = [\"r/a:1\", \"r/a:1\"]\n").is_err());
        assert!(parse("[[image]]\nnames = [\"r/a:1\"]\npackage = [\"x\"]\n").is_err());
    }
}
