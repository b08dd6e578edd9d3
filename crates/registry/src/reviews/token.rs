//! TokenReview: whose token is this.

use std::sync::Arc;

use apimachinery::{Status, Value, value};
use apiserver::{Answer, Call, Handler, UserInfo};
use async_trait::async_trait;
use auth::ServiceAccountTokens;

use super::user_info;

/// TokenReview.
pub struct TokenReview {
    pub tokens: Arc<ServiceAccountTokens>,
}

#[async_trait]
impl Handler for TokenReview {
    async fn call(&self, mut call: Call<'_>) -> Result<Answer, Status> {
        let spec = &call.body["spec"];
        let token = spec["token"].text();
        if token.is_empty() {
            return Err(Status::bad_request("token is required for TokenReview in authentication"));
        }
        let asked: Vec<String> =
            spec["audiences"].items().iter().map(|name| name.text().to_owned()).collect();
        let wanted = if asked.is_empty() { self.tokens.audiences().to_vec() } else { asked };
        let status = match self.tokens.verify(token, &wanted, &call.view, call.edge.clock.now()) {
            Ok(Some(identity)) => {
                let mut user = UserInfo::clone(&identity.user);
                user.groups.push("system:authenticated".into());
                let audiences: Vec<Value> = identity.audiences.iter().map(Value::from).collect();
                value!({"authenticated": true, "user": user_info(&user), "audiences": audiences})
            }
            Ok(None) => refused("invalid bearer token".into()),
            Err(why) if why == "invalid bearer token" => refused(why),
            Err(why) => refused(format!("[invalid bearer token, {why}]")),
        };
        call.body.set("status", status);
        Ok(Answer::created(call.body))
    }
}

fn refused(why: String) -> Value {
    value!({"user": {}, "error": why})
}
