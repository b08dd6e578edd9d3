//! The in-process form of `client::Transport`: the same identity, flow
//! control, authorization and admission, without TLS, HTTP or JSON text.

use std::sync::Arc;

use apimachinery::Status;
use async_trait::async_trait;
use client::{
    Document, Error, List, ListOptions, Request, Resource, Transport, Verb, WatchEvent, WatchKind,
    WatchStream,
};
use futures::StreamExt;

use crate::dispatch::{self, Work};
use crate::generic::{Caller, Change, Item, Outcome, Published, Selection, Target, Watching, is_old};
use crate::input::Input;
use crate::query::Query;
use crate::{Action, ApiServer, Handler, UserInfo, output};

/// One component's way in, with a fixed identity.
pub struct LocalTransport {
    server: Arc<ApiServer>,
    caller: Caller,
}

impl LocalTransport {
    /// `agent` is what owns the fields it writes (`kube-scheduler`).
    /// `system:authenticated` is added to the user's groups.
    pub fn new(server: Arc<ApiServer>, mut user: UserInfo, agent: &str) -> Self {
        if !user.is_in("system:authenticated") {
            user.groups.push("system:authenticated".into());
        }
        Self { server, caller: Caller { user: Arc::new(user), agent: agent.into() } }
    }

    fn target(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: Option<&str>,
        subresource: &str,
    ) -> Result<Target, Status> {
        let catalogue = self.server.catalogue.load();
        let found = catalogue.find(&resource.group, &resource.version, &resource.plural);
        let (found, version) = found.ok_or_else(Status::no_such_resource)?;
        let version = found.versions.iter().position(|have| std::ptr::eq(have, version)).unwrap_or(0);
        let target = Target {
            resource: found.clone(),
            version,
            namespace: namespace.unwrap_or("").to_owned(),
            name: name.unwrap_or("").to_owned(),
            subresource: subresource.to_owned(),
        };
        if !subresource.is_empty() && target.subresource().is_none() {
            return Err(Status::no_such_resource());
        }
        Ok(target)
    }

    fn authorize(&self, target: &Target, verb: &str, options: Option<&ListOptions>) -> Result<(), Status> {
        let text = |text: Option<&String>| text.cloned().unwrap_or_default();
        let fields = text(options.and_then(|options| options.field_selector.as_ref()));
        let labels = text(options.and_then(|options| options.label_selector.as_ref()));
        let mut name = target.name.clone();
        if name.is_empty() && !fields.is_empty() {
            // A selector for one name is a request for that name.
            name = apimachinery::fields::Selector::parse(&fields)
                .ok()
                .and_then(|fields| fields.required("metadata.name").map(str::to_owned))
                .unwrap_or_default();
        }
        let is_namespace = target.resource.group.is_empty() && target.resource.resource == "namespaces";
        let action = Action {
            user: &self.caller.user,
            verb,
            is_resource: true,
            group: &target.resource.group,
            version: &target.version().name,
            resource: &target.resource.resource,
            subresource: &target.subresource,
            namespace: if is_namespace { &target.name } else { &target.namespace },
            name: &name,
            path: "",
            field_selector: &fields,
            label_selector: &labels,
        };
        self.server.allow(&action, &self.server.view())
    }

    /// A list of what is not stored.
    async fn list_virtual(
        &self,
        handler: Arc<dyn Handler>,
        target: Target,
        selection: Selection,
    ) -> Result<List, Error> {
        let options = dispatch::local_options(&client::WriteOptions::default(), false);
        let (caller, mut warnings) = (self.caller.clone(), Vec::new());
        let asked = self.server.call_handler(
            handler,
            target,
            caller,
            "list",
            selection,
            options,
            Input::Nothing,
            &mut warnings,
        );
        let Outcome::Tree { value, .. } = asked.await? else {
            return Err(Status::internal("a list of what is not stored is no tree").into());
        };
        let items = value["items"].items().iter();
        Ok(List {
            items: items.map(|item| Document::new(apimachinery::json::to_string(item).into(), 0)).collect(),
            ..List::default()
        })
    }

    fn document(target: &Target, outcome: Outcome) -> Result<Document, Status> {
        match outcome {
            Outcome::Object { object, .. } => document(target.version, &object),
            Outcome::Tree { value, .. } => {
                let revision = apimachinery::meta::resource_version(&value).parse().unwrap_or(0);
                Ok(Document::new(apimachinery::json::to_string(&value).into(), revision))
            }
            Outcome::List(_) => Ok(Document::new(
                apimachinery::json::to_string(&Status::success(200, None).to_value()).into(),
                0,
            )),
            Outcome::Watch(_) => Err(Status::internal("a watch is no answer to a call")),
        }
    }
}

/// A published object in the version of the request: mostly the stored bytes themselves.
fn document(version: usize, object: &Published) -> Result<Document, Status> {
    if output::is_stored_version(&object.resource, version) && !is_old(&object.resource, object.revision) {
        return Ok(Document::new(object.bytes.clone(), object.revision));
    }
    let tree = output::in_version(&object.resource, version, object.tree())?;
    Ok(Document::new(apimachinery::json::to_string(&tree).into(), object.revision))
}

#[async_trait]
impl Transport for LocalTransport {
    async fn call(&self, request: Request) -> Result<Document, Error> {
        let subresource = request.subresource.as_deref().unwrap_or("");
        let target = self.target(
            &request.resource,
            request.namespace.as_deref(),
            request.name.as_deref(),
            subresource,
        )?;
        let (verb, list) = match &request.verb {
            Verb::Get => ("get", None),
            Verb::Create { .. } => ("create", None),
            Verb::Update { .. } => ("update", None),
            Verb::Patch { .. } => ("patch", None),
            Verb::Delete(_) => ("delete", None),
            Verb::DeleteCollection { list, .. } => ("deletecollection", Some(list)),
        };
        let place = self.server.flow.enter();
        if place.is_none() {
            return Err(Status::too_many_requests_generic().into());
        }
        self.authorize(&target, verb, list)?;
        let mut warnings = Vec::new();
        let (server, caller) = (&self.server, &self.caller);
        let outcome = match request.verb {
            Verb::Delete(options) if target.subresource.is_empty() => {
                server.delete(&target, caller, &options, &mut warnings).await?
            }
            Verb::DeleteCollection { list, delete } => {
                let selection = Selection::of(&list, &target.resource, target.version, false)?;
                server.delete_collection(&target, caller, &selection, &delete, &mut warnings).await?
            }
            other => {
                let (input, patch, options) = match other {
                    Verb::Create { object, options } | Verb::Update { object, options } => {
                        (Input::Tree(object), None, options)
                    }
                    Verb::Patch { kind, body, options } => (Input::Nothing, Some((kind, body)), options),
                    _ => (Input::Nothing, None, client::WriteOptions::default()),
                };
                let work = Work {
                    target: target.clone(),
                    caller: caller.clone(),
                    verb,
                    query: Query::default(),
                    options: Some(dispatch::local_options(&options, verb == "patch")),
                    input,
                    patch: patch.map(|(kind, body)| (kind, dispatch::PatchBody::Tree(body))),
                };
                server.dispatch(work, &mut warnings).await?
            }
        };
        Ok(Self::document(&target, outcome)?)
    }

    async fn list(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        options: &ListOptions,
    ) -> Result<List, Error> {
        let target = self.target(resource, namespace, None, "")?;
        self.authorize(&target, "list", Some(options))?;
        let selection = Selection::of(options, &target.resource, target.version, false)?;
        if let Some(handler) = dispatch::handler(&target) {
            return self.list_virtual(handler, target, selection).await;
        }
        let listed = self.server.list(&target, &selection).await?;
        let items: Result<Vec<Document>, Status> = listed
            .entries
            .iter()
            .map(|entry| document(target.version, &Published::of(&target.resource, entry)))
            .collect();
        Ok(List {
            items: items?,
            revision: listed.revision,
            continue_token: Some(listed.continue_token).filter(|token| !token.is_empty()),
        })
    }

    async fn watch(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        options: &ListOptions,
    ) -> Result<WatchStream, Error> {
        let target = self.target(resource, namespace, None, "")?;
        self.authorize(&target, "watch", Some(options))?;
        let selection = Selection::of(options, &target.resource, target.version, true)?;
        let watching = Box::new(self.server.watch(&target, selection).await?);
        let events = futures::stream::unfold(watching, |mut watching| async move {
            let item = watching.next().await?;
            Some((event(&watching, item), watching))
        });
        Ok(events.boxed())
    }
}

fn event(watching: &Watching, item: Item) -> Result<WatchEvent, Error> {
    match item {
        Item::Change(Change { kind, entry, revision }) => {
            let object = Published { revision, ..Published::of(&watching.resource, &entry) };
            Ok(WatchEvent { kind, object: document(watching.version, &object)?, ends_initial_events: false })
        }
        Item::Bookmark { revision, ends_initial_events } => Ok(WatchEvent {
            kind: WatchKind::Bookmark,
            object: Document::new(bytes::Bytes::from_static(b"{\"metadata\":{}}"), revision),
            ends_initial_events,
        }),
        Item::Error(status) => Err(status.into()),
    }
}
