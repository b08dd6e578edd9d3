//! SelfSubjectReview: who am I.

use apimachinery::{Status, Value, time, value};
use apiserver::{Answer, Call, Handler};
use async_trait::async_trait;

use super::user_info;

/// SelfSubjectReview.
pub struct SelfSubjectReview;

#[async_trait]
impl Handler for SelfSubjectReview {
    async fn call(&self, call: Call<'_>) -> Result<Answer, Status> {
        let now = time::format(call.edge.clock.now());
        let review: Value = value!({
            "kind": "SelfSubjectReview",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"creationTimestamp": now},
            "status": {"userInfo": user_info(call.user)}
        });
        Ok(Answer::created(review))
    }
}
