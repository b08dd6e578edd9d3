//! list: a snapshot at one revision, whole or in pages.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::Status;
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use store::{Entry, Snapshot};

use super::Target;
use super::selection::revision_number;
pub(crate) use super::selection::{Match, Selection};
use crate::ApiServer;
use crate::catalogue::Resource;

/// How long a read waits for a revision that is not there yet.
const FUTURE: Duration = Duration::from_secs(3);

/// As Go's RawURLEncoding, which minds neither padding nor what the last letter has too much.
const TOKENS: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What a list found.
pub(crate) struct Listed {
    pub resource: Arc<Resource>,
    /// Index into the resource's versions.
    pub version: usize,
    pub entries: Vec<Arc<Entry>>,
    pub revision: u64,
    /// Where the next page begins; "" for the last.
    pub continue_token: String,
    /// How many come after this page, where that is cheap to know.
    pub remaining: Option<usize>,
}

/// Where a page begins, as upstream's tokens say it.
#[derive(serde::Serialize, serde::Deserialize)]
struct Token {
    #[serde(default)]
    v: String,
    #[serde(default)]
    rv: i64,
    /// The key behind the prefix.
    #[serde(default)]
    start: String,
}

impl ApiServer {
    pub(crate) async fn list(&self, target: &Target, selection: &Selection) -> Result<Listed, Status> {
        let resource = &target.resource;
        let prefix = prefix(target);
        let (snapshot, after) = self.snapshot_for(selection, &prefix).await?;
        let mut listed = Listed {
            resource: resource.clone(),
            version: target.version,
            entries: Vec::new(),
            revision: snapshot.revision(),
            continue_token: String::new(),
            remaining: None,
        };
        let limit = if selection.limit == 0 { usize::MAX } else { selection.limit };
        if let Some(name) = selection.required_name()
            && (!target.namespace.is_empty() || !resource.is_namespaced())
        {
            let found = snapshot.get(&target.key(name)).filter(|entry| selection.matches(resource, entry));
            listed.entries.extend(found.cloned());
        } else if let Some(trigger) = selection.trigger(resource) {
            let chosen = snapshot.by_trigger(&prefix, &trigger);
            let chosen =
                chosen.filter(|entry| after.as_deref().is_none_or(|after| entry.key.as_str() > after));
            fill(&mut listed, chosen, selection, limit, &prefix);
        } else {
            fill(&mut listed, snapshot.range(&prefix, after.as_deref()), selection, limit, &prefix);
        }
        if !listed.continue_token.is_empty() && selection.is_everything() {
            let last = listed.entries.last().map(|entry| entry.key.as_str());
            listed.remaining = Some(snapshot.count(&prefix, last));
        }
        Ok(listed)
    }

    /// The snapshot that a list reads, and the key after which it begins.
    async fn snapshot_for(
        &self,
        selection: &Selection,
        prefix: &str,
    ) -> Result<(Snapshot, Option<String>), Status> {
        if !selection.continue_token.is_empty() {
            let token = read_token(&selection.continue_token)?;
            if !selection.revision.is_empty() && selection.revision != "0" {
                return Err(Status::bad_request(
                    "specifying resource version is not allowed when using continue",
                ));
            }
            let after = Some(format!("{prefix}{}", token.start));
            let revision = u64::try_from(token.rv).unwrap_or(0);
            if revision == 0 {
                // A token without a revision goes on with what is there now.
                return Ok((self.store.snapshot(), after));
            }
            return match self.store.snapshot_at(revision).await {
                Ok(snapshot) => Ok((snapshot, after)),
                Err(store::Error::Compacted { .. } | store::Error::FutureRevision { .. }) => {
                    Err(expired_token())
                }
                Err(error) => Err(Self::store_error(error)),
            };
        }
        let revision = revision_number(&selection.revision).map_err(|why| {
            let text = &selection.revision;
            Status::bad_request(format!(
                "invalid resource version: resourceVersion: Invalid value: {text:?}: {why}"
            ))
        })?;
        if revision == 0 {
            return self.store.latest().await.map(|snapshot| (snapshot, None)).map_err(Self::store_error);
        }
        self.await_revision(revision).await?;
        let exact = match selection.matching {
            Some(matching) => matching == Match::Exact,
            None => selection.limit > 0,
        };
        if !exact {
            return Ok((self.store.snapshot(), None));
        }
        match self.store.snapshot_at(revision).await {
            Ok(snapshot) => Ok((snapshot, None)),
            Err(store::Error::Compacted { .. }) => Err(Status::expired(format!(
                "The provided resource version {revision} is too old; list again without it or with a newer one"
            ))),
            Err(error) => Err(Self::store_error(error)),
        }
    }

    /// Waits until `revision` is there, three seconds at most.
    pub(crate) async fn await_revision(&self, revision: u64) -> Result<(), Status> {
        if self.store.revision() >= revision {
            return Ok(());
        }
        match tokio::time::timeout(FUTURE, self.store.at_least(revision)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Self::store_error(error)),
            Err(_) => Err(Status::too_large_resource_version(revision, self.store.revision())),
        }
    }
}

/// Below which the keys of a target lie.
pub(crate) fn prefix(target: &Target) -> String {
    let prefix = target.resource.prefix().unwrap_or("/");
    if target.namespace.is_empty() || !target.resource.is_namespaced() {
        prefix.to_owned()
    } else {
        format!("{prefix}{}/", target.namespace)
    }
}

fn fill<'a>(
    listed: &mut Listed,
    entries: impl Iterator<Item = &'a Arc<Entry>>,
    selection: &Selection,
    limit: usize,
    prefix: &str,
) {
    let everything = selection.is_everything();
    for entry in entries {
        if !everything && !selection.matches(&listed.resource, entry) {
            continue;
        }
        if listed.entries.len() == limit {
            let last = listed.entries.last().map_or("", |entry| entry.key.as_str());
            let start = last.strip_prefix(prefix).unwrap_or(last).to_owned();
            listed.continue_token = write_token(listed.revision, start);
            return;
        }
        listed.entries.push(entry.clone());
    }
}

/// `start` is the last key of the page; a token names the first key after it.
fn write_token(revision: u64, start: String) -> String {
    let token = Token {
        v: "meta.k8s.io/v1".into(),
        rv: i64::try_from(revision).unwrap_or(0),
        start: format!("{start}\0"),
    };
    TOKENS.encode(serde_json::to_vec(&token).expect("two texts and a number are JSON"))
}

fn read_token(text: &str) -> Result<Token, Status> {
    let bad = |why: &str| {
        Err(Status::bad_request(format!("invalid continue token: continue key is not valid: {why}")))
    };
    let Ok(bytes) = TOKENS.decode(text.trim_end_matches('=')) else {
        return bad("illegal base64 data");
    };
    let mut token = match serde_json::from_slice::<Token>(&bytes) {
        Ok(token) => token,
        Err(_) => return bad(&go_syntax(&bytes)),
    };
    if token.v != "meta.k8s.io/v1" {
        return bad("server does not recognize this encoded version");
    }
    if token.rv == 0 {
        return bad("incorrect encoded start resourceVersion (version meta.k8s.io/v1)");
    }
    if token.start.is_empty() {
        return bad("encoded start key empty (version meta.k8s.io/v1)");
    }
    if token.start.trim_end_matches('\0').split('/').any(|part| part == "..") {
        return bad("it leads out of the resource");
    }
    // Keys hold no zero byte: after the key before it is at the key itself.
    token.start = token.start.trim_end_matches('\0').to_owned();
    Ok(token)
}

/// What Go's decoder says of bytes that do not begin as JSON does.
fn go_syntax(bytes: &[u8]) -> String {
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => "unexpected end of JSON input".to_owned(),
        Some(b'{') => "unexpected end of JSON input".to_owned(),
        Some(byte) if byte.is_ascii_graphic() => {
            format!("invalid character '{}' looking for beginning of value", *byte as char)
        }
        Some(byte) => format!("invalid character '\\u{byte:04x}' looking for beginning of value"),
    }
}

/// 410: the page's revision is gone.
fn expired_token() -> Status {
    Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list \
         without the continue parameter, or use the continue token in this response to retrieve the remainder of the \
         results. Continuing with the provided token results in an inconsistent list - objects that were created, \
         modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    )
}
