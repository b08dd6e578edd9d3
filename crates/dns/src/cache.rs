//! What the name servers said, for as long as they allow. Pure: told the time.

use std::collections::BTreeMap;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, RecordType};
use tokio::time::{Duration, Instant};

/// Answers kept at once: about half a megabyte.
const CAPACITY: usize = 1000;
/// Nothing is kept longer, whatever its TTL.
const LONGEST: u32 = 300;

type Key = (String, u16, bool);

#[derive(Default)]
pub(crate) struct Cache(BTreeMap<Key, Kept>);

struct Kept {
    message: Message,
    since: Instant,
    until: Instant,
}

impl Cache {
    /// The answer with its TTLs counted down.
    pub fn get(&mut self, key: &Key, now: Instant) -> Option<Message> {
        let kept = self.0.get(key)?;
        if kept.until <= now {
            self.0.remove(key);
            return None;
        }
        let mut message = kept.message.clone();
        let age = now.duration_since(kept.since).as_secs() as u32;
        for record in
            message.answers.iter_mut().chain(&mut message.authorities).chain(&mut message.additionals)
        {
            record.ttl = record.ttl.saturating_sub(age);
        }
        Some(message)
    }

    pub fn put(&mut self, key: Key, message: &Message, now: Instant) {
        let Some(seconds) = keep(message) else { return };
        if self.0.len() >= CAPACITY {
            self.0.retain(|_, kept| kept.until > now);
            // All still good: the one that ends first makes room.
            if self.0.len() >= CAPACITY
                && let Some(first) =
                    self.0.iter().min_by_key(|(_, kept)| kept.until).map(|(key, _)| key.clone())
            {
                self.0.remove(&first);
            }
        }
        let until = now + Duration::from_secs(seconds.into());
        self.0.insert(key, Kept { message: message.clone(), since: now, until });
    }
}

/// Seconds to keep an answer; None: not at all. An absence is kept as the SOA
/// beside it allows (RFC 2308).
fn keep(message: &Message) -> Option<u32> {
    if message.metadata.truncation {
        return None;
    }
    let seconds = match message.metadata.response_code {
        ResponseCode::NoError if !message.answers.is_empty() => {
            message.answers.iter().map(|record| record.ttl).min()?
        }
        ResponseCode::NoError | ResponseCode::NXDomain => {
            let soa = message.authorities.iter().find(|record| record.record_type() == RecordType::SOA)?;
            match &soa.data {
                RData::SOA(data) => soa.ttl.min(data.minimum),
                _ => return None,
            }
        }
        _ => return None,
    };
    (seconds > 0).then_some(seconds.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::{OpCode, Query};
    use hickory_proto::rr::{Name, Record, rdata::A};

    #[tokio::test(start_paused = true)]
    async fn ttls_count_down_and_end() {
        let name = Name::from_ascii("example.org.").unwrap();
        let mut message = Message::response(1, OpCode::Query);
        message.add_query(Query::query(name.clone(), RecordType::A));
        message.add_answer(Record::from_rdata(name, 10, RData::A(A([192, 0, 2, 1].into()))));
        let (mut cache, key) = (Cache::default(), ("example.org".to_owned(), 1, false));
        cache.put(key.clone(), &message, Instant::now());
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(cache.get(&key, Instant::now()).unwrap().answers[0].ttl, 6);
        tokio::time::advance(Duration::from_secs(6)).await;
        assert!(cache.get(&key, Instant::now()).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_not_kept_and_space_is_bounded() {
        let mut cache = Cache::default();
        let failure = Message::error_msg(1, OpCode::Query, ResponseCode::ServFail);
        cache.put(("x".into(), 1, false), &failure, Instant::now());
        assert!(cache.0.is_empty());
        let mut message = Message::response(1, OpCode::Query);
        message.add_answer(Record::from_rdata(Name::root(), 10, RData::A(A([192, 0, 2, 1].into()))));
        for number in 0..3 * CAPACITY {
            cache.put((number.to_string(), 1, false), &message, Instant::now());
        }
        assert_eq!(cache.0.len(), CAPACITY);
    }
}
