//! Resources and subresources with code of their own: reviews, binding,
//! eviction, tokens.

use std::sync::Arc;

use apimachinery::{Status, Value, fields, labels};
use async_trait::async_trait;
use edge::Edge;

use crate::{Definition, UserInfo, Version, View};

/// A request for a handler: authorized, decoded, defaulted, admitted.
pub struct Call<'a> {
    pub server: &'a crate::ApiServer,
    pub definition: &'a Definition,
    pub version: &'a Version,
    /// create, get, list, update …
    pub verb: &'a str,
    pub subresource: &'a str,
    /// "" for cluster-scoped resources.
    pub namespace: &'a str,
    /// "" where the path names no object.
    pub name: &'a str,
    /// What a list chooses by; everything for other verbs.
    pub labels: &'a labels::Selector,
    pub fields: &'a fields::Selector,
    /// The body, a canonical tree of the (sub)resource's kind; null without one.
    pub body: Value,
    pub user: &'a Arc<UserInfo>,
    pub dry_run: bool,
    pub view: View,
    pub edge: &'a Edge,
}

/// What a handler answers.
#[derive(Clone, Debug)]
pub struct Answer {
    /// 200, or 201 for what was created.
    pub code: u16,
    /// The object, with apiVersion and kind.
    pub object: Value,
    pub warnings: Vec<String>,
}

impl Answer {
    pub fn ok(object: Value) -> Self {
        Self { code: 200, object, warnings: Vec::new() }
    }

    pub fn created(object: Value) -> Self {
        Self { code: 201, object, warnings: Vec::new() }
    }
}

/// Code of its own behind a resource or subresource.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// A body is answered with: who sent it owns its fields. So it is of
    /// every body that comes to a resource itself.
    fn returns_body(&self) -> bool {
        false
    }

    /// Further apiVersions in which the body may come, of the same shape.
    fn reads_also(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether its answers can be asked for as a Table (rest.TableConvertor).
    fn is_tabular(&self) -> bool {
        false
    }

    /// # Errors
    /// The refusal, as the client gets it.
    async fn call(&self, call: Call<'_>) -> Result<Answer, Status>;
}
