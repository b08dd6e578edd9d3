//! OpenAPI documents.

use http::Response;

use crate::body::Body;
use crate::pipeline::Head;
use crate::{ApiServer, respond};

/// The documents.
#[derive(Default)]
pub(crate) struct OpenApi {}

impl ApiServer {
    pub(crate) fn serve_openapi(&self, _head: &Head, _rest: &[&str]) -> Response<Body> {
        respond::no_such_page()
    }
}
