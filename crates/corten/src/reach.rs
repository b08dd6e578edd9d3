//! The API of another machine as it is met at a start: not there yet, there, or
//! refusing.

use std::time::Duration;

use anyhow::{Result, bail};
use apimachinery::{Value, value};
use client::{Error, Remote, Request, Resource, Transport, Verb, WriteOptions};
use edge::Edge;
use informer::Backoff;

const REVIEWS: Resource = Resource::new("authentication.k8s.io", "v1", "selfsubjectreviews");
/// A request that took so long is made again.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks until the API answers. Meanwhile the log says why it does not.
pub async fn patiently<T, F>(edge: &Edge, mut ask: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
    loop {
        let result = tokio::time::timeout(PATIENCE, ask()).await;
        match result.unwrap_or_else(|_| Err(Error::Unreachable("no answer".into()))) {
            Err(error) if passes(&error) => {
                tracing::warn!(%error, "waits for the API server");
                tokio::time::sleep(backoff.pause(edge.random.fraction())).await;
            }
            result => return result,
        }
    }
}

/// Whether the same may be answered later.
fn passes(error: &Error) -> bool {
    match error {
        Error::Unreachable(_) => true,
        Error::Status(status) => status.code == 429 || status.code >= 500,
        Error::Decode(_) => false,
    }
}

/// As whom the API knows this client; waits until it is reached.
pub async fn user(edge: &Edge, remote: &Remote) -> Result<String> {
    let object = value!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let ask = || {
        let verb = Verb::Create { object: object.clone(), options: WriteOptions::default() };
        let request = Request { resource: REVIEWS, namespace: None, name: None, subresource: None, verb };
        async move { remote.call(request).await?.tree() }
    };
    let review: Value = patiently(edge, ask).await?;
    Ok(review["status"]["userInfo"]["username"].text().to_owned())
}

/// As whom the API knows the user of a kubeconfig, who must be known.
pub async fn owner(edge: &Edge, remote: &Remote) -> Result<String> {
    match user(edge, remote).await {
        Ok(user) if user != "system:anonymous" => Ok(user),
        Ok(_) => bail!("the API server does not know the kubeconfig's user: its credentials are none or old"),
        Err(error) => bail!("the API server does not accept the kubeconfig's credentials: {error:#}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::Status;

    #[tokio::test(start_paused = true)]
    async fn only_an_answer_ends_the_waiting() {
        let edge = Edge::simulated(1, jiff::Timestamp::UNIX_EPOCH);
        let answers = [
            Error::Unreachable("connection refused".into()),
            Status::service_unavailable("starting").into(),
            Status::too_many_requests_generic().into(),
            Status::unauthorized().into(),
        ];
        let asked = std::cell::Cell::new(0);
        let ask = || {
            asked.set(asked.get() + 1);
            std::future::ready(Err::<(), _>(answers[asked.get() - 1].clone()))
        };
        let error = patiently(&edge, ask).await.unwrap_err();
        assert_eq!((error.status().unwrap().code, asked.get()), (401, 4));
    }
}
