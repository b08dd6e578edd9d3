//! list: a snapshot at one revision, whole or in pages.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::{Status, Value, json};
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use store::{Entry, Snapshot};

use super::Target;
use super::selection::revision_number;
pub(crate) use super::selection::{Match, Selection};
use crate::ApiServer;
use crate::catalogue::Resource;
use crate::header;

/// How long a read waits for a revision that is not there yet.
const FUTURE: Duration = Duration::from_secs(3);

/// As Go's RawURLEncoding, which takes no padding and does not mind what the last letter has too much.
const TOKENS: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// The version of tokens.
const META_V1: &str = "meta.k8s.io/v1";

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
        let limit = selection.page();
        if let Some(name) = selection.required_name()
            && (!target.namespace.is_empty() || !resource.is_namespaced())
        {
            let found = snapshot.get(&target.key(name)).filter(|entry| selection.matches(resource, entry));
            listed.entries.extend(found.cloned());
        } else if let Some(trigger) = selection.trigger(resource) {
            let chosen = snapshot.by_trigger(&prefix, &trigger);
            let mut chosen =
                chosen.filter(|entry| after.as_deref().is_none_or(|after| entry.key.as_str() > after));
            if fill(&mut listed, &mut chosen, selection, limit) && chosen.next().is_some() {
                listed.goes_on(&prefix);
            }
        } else {
            let marks = header::marks(&selection.labels);
            let mut marked = snapshot.marked(&prefix, after.as_deref(), marks);
            if fill(&mut listed, &mut marked, selection, limit)
                && snapshot.range(&prefix, listed.last_key()).next().is_some()
            {
                listed.goes_on(&prefix);
            }
        }
        if !listed.continue_token.is_empty() && selection.is_everything() {
            listed.remaining = Some(snapshot.count(&prefix, listed.last_key()));
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
            return match self.snapshot_at(revision).await {
                Ok(snapshot) => Ok((snapshot, after)),
                Err(store::Error::Compacted { .. } | store::Error::FutureRevision { .. }) => {
                    Err(expired_token(&token.start))
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
        match self.snapshot_at(revision).await {
            Ok(snapshot) => Ok((snapshot, None)),
            Err(store::Error::Compacted { .. }) => {
                Err(Status::expired("The resourceVersion for the provided list is too old."))
            }
            Err(error) => Err(Self::store_error(error)),
        }
    }

    async fn snapshot_at(&self, revision: u64) -> Result<Snapshot, store::Error> {
        self.lookback.reach(revision)?;
        self.store.snapshot_at(revision).await
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

impl Listed {
    fn last_key(&self) -> Option<&str> {
        self.entries.last().map(|entry| entry.key.as_str())
    }

    /// The list has more pages. As upstream's it says so where anything follows,
    /// whether or not that would be selected.
    fn goes_on(&mut self, prefix: &str) {
        let last = self.last_key().unwrap_or("");
        let start = last.strip_prefix(prefix).unwrap_or(last).to_owned();
        self.continue_token = write_token(i64::try_from(self.revision).unwrap_or(0), start);
    }
}

/// Takes up to `limit` of what is selected; whether it took as many.
fn fill<'a>(
    listed: &mut Listed,
    entries: &mut impl Iterator<Item = &'a Arc<Entry>>,
    selection: &Selection,
    limit: usize,
) -> bool {
    let everything = selection.is_everything();
    for entry in entries {
        if everything || selection.matches(&listed.resource, entry) {
            listed.entries.push(entry.clone());
            if listed.entries.len() == limit {
                return true;
            }
        }
    }
    false
}

/// `start` is the last key of the page; a token names the first key after it.
fn write_token(revision: i64, start: String) -> String {
    let token = Token { v: META_V1.into(), rv: revision, start: format!("{start}\0") };
    TOKENS.encode(serde_json::to_vec(&token).expect("two texts and a number are JSON"))
}

fn read_token(text: &str) -> Result<Token, Status> {
    let bad = |why: String| {
        Err(Status::bad_request(format!("invalid continue token: continue key is not valid: {why}")))
    };
    let bytes = match TOKENS.decode(text) {
        Ok(bytes) => bytes,
        Err(error) => return bad(format!("illegal base64 data at input byte {}", illegal_at(&error))),
    };
    // serde would take a list of the members too.
    let is_object = bytes.trim_ascii_start().starts_with(b"{");
    let mut token = match serde_json::from_slice::<Token>(&bytes) {
        Ok(token) if is_object => token,
        _ => return bad(go_syntax(&bytes)),
    };
    if token.v != META_V1 {
        return bad(format!("server does not recognize this encoded version {}", token.v));
    }
    if token.rv == 0 {
        return bad(format!("incorrect encoded start resourceVersion (version {META_V1})"));
    }
    if token.start.is_empty() {
        return bad(format!("encoded start key empty (version {META_V1})"));
    }
    if !is_clean(&token.start) {
        // It would lead out of the resource.
        return bad(token.start);
    }
    // Keys hold no zero byte: after the key before it is at the key itself.
    token.start = token.start.trim_end_matches('\0').to_owned();
    Ok(token)
}

/// Where Go says that the letters go wrong.
fn illegal_at(error: &base64::DecodeError) -> usize {
    match error {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => *at,
        base64::DecodeError::InvalidLength(length) => length.saturating_sub(1),
        base64::DecodeError::InvalidPadding => 0,
    }
}

/// Whether Go's path.Clean leaves it as it is.
fn is_clean(start: &str) -> bool {
    let start = start.strip_prefix('/').unwrap_or(start);
    start.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// What Go's decoder says of bytes that are no token.
fn go_syntax(bytes: &[u8]) -> String {
    // Told of the byte itself, which mostly is no UTF-8.
    if let Some(&byte) = bytes.iter().find(|byte| !byte.is_ascii_whitespace()).filter(|byte| **byte >= 0x80) {
        let shown = match byte {
            0x80..=0xa0 | 0xad => format!("\\u{byte:04x}"),
            byte => char::from(byte).to_string(),
        };
        return format!("invalid character '{shown}' looking for beginning of value");
    }
    match json::parse(bytes) {
        Err(error) => error.to_string(),
        Ok(value) => {
            let what = match value {
                Value::Array(_) => "array",
                Value::String(_) => "string",
                Value::Bool(_) => "bool",
                Value::Object(_) => return "a member of the token has another type".into(),
                _ => "number",
            };
            format!("json: cannot unmarshal {what} into Go value of type storage.continueToken")
        }
    }
}

/// 410: the page's revision is gone. With the token in the answer the list may
/// go on with what is there now.
fn expired_token(start: &str) -> Status {
    let mut status = Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list \
         without the continue parameter, or use the continue token in this response to retrieve the remainder of the \
         results. Continuing with the provided token results in an inconsistent list - objects that were created, \
         modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    );
    status.continue_token = Some(write_token(-1, start.to_owned()).into());
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        read_token(text).err().map(|status| status.message).unwrap_or_default()
    }

    #[test]
    fn tokens_come_back_as_they_went() {
        for (revision, start) in [(7, "default/a"), (-1, "b")] {
            let token = read_token(&write_token(revision, start.to_owned())).unwrap();
            assert_eq!((token.rv, token.start.as_str()), (revision, start));
        }
    }

    #[test]
    fn what_is_no_token_is_refused_in_gos_words() {
        let encoded = |text: &str| TOKENS.encode(text);
        for (token, why) in [
            ("garbage".to_owned(), "invalid character '\\u0081' looking for beginning of value"),
            ("a+b".to_owned(), "illegal base64 data at input byte 1"),
            ("abcde".to_owned(), "illegal base64 data at input byte 4"),
            (encoded("{"), "unexpected end of JSON input"),
            (encoded("[]"), "json: cannot unmarshal array into Go value of type storage.continueToken"),
            (encoded("{}"), "server does not recognize this encoded version "),
            (
                encoded(r#"{"v":"meta.k8s.io/v1","start":"a"}"#),
                "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
            ),
            (encoded(r#"{"v":"meta.k8s.io/v1","rv":1}"#), "encoded start key empty (version meta.k8s.io/v1)"),
            (encoded(r#"{"v":"meta.k8s.io/v1","rv":1,"start":"a/../b"}"#), "a/../b"),
        ] {
            assert_eq!(refused(&token), format!("invalid continue token: continue key is not valid: {why}"));
        }
    }

    #[test]
    fn an_expired_page_can_be_followed_all_the_same() {
        let status = expired_token("n/a");
        assert_eq!((status.code, status.reason), (410, "Expired"));
        let token = read_token(&status.continue_token.unwrap()).unwrap();
        assert_eq!((token.rv, token.start.as_str()), (-1, "n/a"));
    }
}
