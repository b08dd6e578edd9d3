//! The compressed name/value blocks of SPDY/3 (draft 3, section 2.6.10).

use std::sync::LazyLock;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use crate::Error;

/// A header block; names are lower case, several values are joined by NUL.
pub type Headers = Vec<(String, String)>;

/// More than any client sends, and little enough to hold.
const LARGEST_BLOCK: usize = 64 << 10;

/// Words of the agreed dictionary, each of which stands there behind its length.
const WORDS: &[&str] = &[
    "options",
    "head",
    "post",
    "put",
    "delete",
    "trace",
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "connection",
    "content-base",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-md5",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "retry-after",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "method",
    "get",
    "status",
    "200 OK",
    "version",
    "HTTP/1.1",
    "url",
    "public",
    "set-cookie",
    "keep-alive",
    "origin",
];

/// The rest of the dictionary, without lengths.
const TEXT: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505\
203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized\
403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable\
Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT\
chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,\
text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

static DICTIONARY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut dictionary = Vec::with_capacity(1423);
    for word in WORDS {
        dictionary.extend_from_slice(&(word.len() as u32).to_be_bytes());
        dictionary.extend_from_slice(word.as_bytes());
    }
    dictionary.extend_from_slice(TEXT.as_bytes());
    dictionary
});

/// One direction of header blocks: they share a compression window.
pub struct Encoder(Compress);

impl Encoder {
    pub fn new() -> Self {
        let mut compress = Compress::new(Compression::best(), true);
        // Setting a dictionary on a fresh stream cannot fail.
        let _ = compress.set_dictionary(&DICTIONARY);
        Self(compress)
    }

    pub fn encode(&mut self, headers: &[(&str, &str)]) -> Vec<u8> {
        let mut plain = Vec::new();
        plain.extend_from_slice(&(headers.len() as u32).to_be_bytes());
        for (name, value) in headers {
            for part in [name, value] {
                plain.extend_from_slice(&(part.len() as u32).to_be_bytes());
                plain.extend_from_slice(part.as_bytes());
            }
        }
        let mut packed = Vec::with_capacity(plain.len() + 64);
        let mut taken = 0;
        loop {
            let before = self.0.total_in();
            let spare = packed.capacity();
            let _ = self.0.compress_vec(&plain[taken..], &mut packed, FlushCompress::Sync);
            taken += (self.0.total_in() - before) as usize;
            if taken == plain.len() && packed.len() < spare {
                return packed;
            }
            packed.reserve(256);
        }
    }
}

pub struct Decoder(Decompress);

impl Decoder {
    pub fn new() -> Self {
        Self(Decompress::new(true))
    }

    pub fn decode(&mut self, packed: &[u8]) -> Result<Headers, Error> {
        let broken = |why: &str| Error::Protocol(format!("a header block cannot be read: {why}"));
        let mut plain = Vec::with_capacity(1024);
        let mut taken = 0;
        while taken < packed.len() {
            if plain.len() >= LARGEST_BLOCK {
                return Err(broken("it is too large"));
            }
            plain.reserve(1024);
            let (before_in, before_out) = (self.0.total_in(), self.0.total_out());
            match self.0.decompress_vec(&packed[taken..], &mut plain, FlushDecompress::Sync) {
                Ok(_) => {}
                Err(error) if error.needs_dictionary().is_some() => {
                    taken += (self.0.total_in() - before_in) as usize;
                    self.0.set_dictionary(&DICTIONARY).map_err(|_| broken("another dictionary was used"))?;
                    continue;
                }
                Err(error) => return Err(broken(&error.to_string())),
            }
            taken += (self.0.total_in() - before_in) as usize;
            if self.0.total_in() == before_in && self.0.total_out() == before_out {
                return Err(broken("it ends too early"));
            }
        }
        // What still stands in the window of the decompressor.
        loop {
            plain.reserve(1024);
            let before = self.0.total_out();
            let _ = self.0.decompress_vec(&[], &mut plain, FlushDecompress::Sync);
            if self.0.total_out() == before || plain.len() >= LARGEST_BLOCK {
                break;
            }
        }
        parse(&plain).ok_or_else(|| broken("its lengths do not fit"))
    }
}

fn parse(mut plain: &[u8]) -> Option<Headers> {
    fn number(plain: &mut &[u8]) -> Option<usize> {
        let (head, rest) = plain.split_first_chunk::<4>()?;
        *plain = rest;
        usize::try_from(u32::from_be_bytes(*head)).ok()
    }
    fn text(plain: &mut &[u8]) -> Option<String> {
        let length = number(plain)?;
        let (head, rest) = plain.split_at_checked(length)?;
        *plain = rest;
        String::from_utf8(head.to_vec()).ok()
    }
    let count = number(&mut plain)?;
    let mut headers = Vec::new();
    for _ in 0..count {
        headers.push((text(&mut plain)?.to_ascii_lowercase(), text(&mut plain)?));
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_is_the_agreed_one() {
        assert_eq!(DICTIONARY.len(), 1423);
        let mut compress = Compress::new(Compression::best(), true);
        assert_eq!(compress.set_dictionary(&DICTIONARY).unwrap(), 0xe3c6_a7c2);
    }

    #[test]
    fn blocks_share_a_window() {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        for round in 0..50 {
            let id = round.to_string();
            let long = "x".repeat(round * 37);
            let headers =
                [("streamtype", "data"), ("requestid", id.as_str()), ("port", "80"), ("long", &long)];
            let packed = encoder.encode(&headers);
            let read = decoder.decode(&packed).unwrap();
            let read: Vec<_> = read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(read, headers);
        }
    }

    #[test]
    fn garbage_is_refused() {
        assert!(Decoder::new().decode(b"not zlib at all").is_err());
        let mut truncated = Encoder::new().encode(&[("a", "b")]);
        truncated.truncate(8);
        assert!(Decoder::new().decode(&truncated).is_err());
    }
}
