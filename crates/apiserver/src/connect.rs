//! Streams to nodes and proxies.

use std::sync::Arc;

use apimachinery::Status;
use http::Response;

use crate::body::Body;
use crate::generic::Target;
use crate::negotiate::Wanted;
use crate::pipeline::Head;
use crate::route::Route;
use crate::{ApiServer, UserInfo, respond};

impl ApiServer {
    pub(crate) async fn connect<B>(
        self: &Arc<Self>,
        _head: Head,
        _route: &Route,
        _target: &Target,
        _user: Arc<UserInfo>,
        _body: B,
    ) -> Response<Body> {
        respond::status(&Status::service_unavailable("no way to nodes"), Wanted::JSON)
    }
}
