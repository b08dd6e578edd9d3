//! Tells when tokens that lie in Secrets are used (KEP-2799): a Secret's label
//! says the last day, and a ConfigMap since when days are told at all.
//!
//! Looks when a token was used, and never on a period.

use std::sync::Arc;

use apimachinery::{Status, Value, meta, value};
use apiserver::{ApiServer, Companion, View};
use auth::ServiceAccountTokens;
use auth::tokens::{LAST_USED, UsedSecret, date};
use jiff::Timestamp;
use jiff::civil::Date;
use tokio::sync::mpsc::{Receiver, channel};

use super::{ensure, ignore_absent};

const NAMESPACE: &str = "kube-system";
const NAME: &str = "kube-apiserver-legacy-service-account-token-tracking";
const SINCE: &str = "since";

/// Uses that wait to be told. One that finds no room is told at the next use.
const WAITING: usize = 64;

/// The ConfigMap that tells since when uses are tracked.
pub(super) fn plan(view: &View, now: Timestamp) -> Option<Companion> {
    let map = value!({
        "kind": "ConfigMap", "apiVersion": "v1",
        "metadata": {"namespace": NAMESPACE, "name": NAME},
        "data": {"since": (date(now))}
    });
    ensure(view, "", "configmaps", map, |stored, _| mended(stored, now))
}

/// What says no day, says today.
fn mended(mut map: Value, now: Timestamp) -> Option<Value> {
    if map["data"][SINCE].text().parse::<Date>().is_ok() {
        return None;
    }
    map.set_at(&["data", SINCE], date(now));
    Some(map)
}

/// The uses of tokens, from now on.
pub(super) fn listen(tokens: &ServiceAccountTokens) -> Receiver<UsedSecret> {
    let (sender, receiver) = channel(WAITING);
    tokens.on_used(move |secret| drop(sender.try_send(secret)));
    receiver
}

/// Writes the labels until the tokens' judge is gone.
pub(super) async fn run(server: Arc<ApiServer>, mut used: Receiver<UsedSecret>) {
    while let Some(secret) = used.recv().await {
        if let Err(status) = tell(&server, &secret).await {
            let UsedSecret { namespace, name, .. } = &secret;
            tracing::warn!(namespace, name, why = status.message, "the use of a token could not be told");
        }
    }
}

async fn tell(server: &ApiServer, secret: &UsedSecret) -> Result<(), Status> {
    let today = date(server.edge().clock.now());
    let mut change = |tree: &mut Value, _: &View| {
        label(tree, secret, &today);
        Ok(Vec::new())
    };
    let place = (secret.namespace.as_str(), secret.name.as_str());
    ignore_absent(server.modify(("", "secrets"), place, false, &mut change).await.map(drop))
}

/// Another Secret of the name is none of its business.
fn label(tree: &mut Value, secret: &UsedSecret, today: &str) {
    if meta::uid(tree) == secret.uid {
        tree.set_at(&["metadata", "labels", LAST_USED], today);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_itself_is_labelled() {
        let used = UsedSecret { namespace: "shop".into(), name: "s".into(), uid: "1".into() };
        for (uid, told) in [("1", "2026-03-01"), ("2", "")] {
            let mut tree = value!({"metadata": {"name": "s", "uid": uid}});
            label(&mut tree, &used, "2026-03-01");
            assert_eq!(tree["metadata"]["labels"][LAST_USED].text(), told);
        }
    }

    #[test]
    fn a_day_that_is_none_is_today() {
        let now = "2026-03-01T23:00:00Z".parse().unwrap();
        let map = |since: &str| value!({"data": {"since": since}});
        assert_eq!(mended(map("2026-01-01"), now), None);
        assert_eq!(mended(map("soon"), now), Some(map("2026-03-01")));
        assert_eq!(mended(value!({"metadata": {}}), now).unwrap()["data"], map("2026-03-01")["data"]);
    }
}
