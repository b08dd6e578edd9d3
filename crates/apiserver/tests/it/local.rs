//! The in-process transport answers as HTTP does.

use apimachinery::value;
use apiserver::{LocalTransport, UserInfo};
use client::{
    DeleteOptions, ListOptions, PatchKind, Request, Resource, Transport, Verb, WatchKind, WriteOptions,
};
use futures::StreamExt;

use crate::server::Tested;

const MAPS: Resource = Resource::new("", "v1", "configmaps");

fn request(name: Option<&str>, verb: Verb) -> Request {
    Request {
        resource: MAPS,
        namespace: Some("n".into()),
        name: name.map(str::to_owned),
        subresource: None,
        verb,
    }
}

#[tokio::test]
async fn objects_are_written_read_and_watched_without_http() {
    let server = Tested::new();
    let transport = LocalTransport::new(server.server.clone(), UserInfo::new("me", &[]), "robot");
    let object = value!({"metadata": {"name": "a"}, "data": {"k": "1"}});
    let made = transport
        .call(request(None, Verb::Create { object, options: WriteOptions::default() }))
        .await
        .unwrap();
    let body = value!({"data": {"k": "2"}});
    let patch = Verb::Patch { kind: PatchKind::Merge, body, options: WriteOptions::default() };
    let patched = transport.call(request(Some("a"), patch)).await.unwrap();
    assert!(patched.revision() > made.revision());
    let tree = patched.tree().unwrap();
    assert_eq!(tree["metadata"]["managedFields"][0]["manager"].text(), "robot");
    let over_http = server.ask("GET", "/api/v1/namespaces/n/configmaps/a", "").await;
    assert_eq!(over_http.body, tree);

    let list = transport.list(&MAPS, None, &ListOptions::default()).await.unwrap();
    assert_eq!((list.items.len(), list.revision), (1, patched.revision()));
    let since = ListOptions { resource_version: Some(list.revision.to_string()), ..ListOptions::default() };
    let mut watch = transport.watch(&MAPS, Some("n"), &since).await.unwrap();
    transport.call(request(Some("a"), Verb::Delete(DeleteOptions::default()))).await.unwrap();
    let event = watch.next().await.unwrap().unwrap();
    assert_eq!(event.kind, WatchKind::Deleted);
    let missing = transport.call(request(Some("a"), Verb::Get)).await.unwrap_err();
    assert!(missing.is_not_found());
}

#[tokio::test]
async fn rights_are_asked_for_in_process_too() {
    let server = Tested::new();
    let transport = LocalTransport::new(server.server.clone(), UserInfo::new("me", &[]), "robot");
    let secrets = Resource::new("", "v1", "secrets");
    let refused = transport.list(&secrets, Some("n"), &ListOptions::default()).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "secrets is forbidden: User \"me\" cannot list resource \"secrets\" in API group \"\" in the namespace \"n\""
    );
}
