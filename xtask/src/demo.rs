//! The example of `make run`, as a client of the cluster: applies a manifest,
//! waits for its Deployment, shows what runs and fetches its page.
//!
//! It speaks only the wire; kubectl may be missing on a newcomer's machine.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::api::{Api, AttachParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{GroupVersionKind, TypeMeta};
use kube::discovery::ApiResource;
use tokio::io::AsyncReadExt;

/// How long a rollout may take: images are local by now.
const PATIENCE: Duration = Duration::from_secs(120);

pub async fn run(kubeconfig: &Path, manifest: &Path) -> Result<()> {
    let client = connect(kubeconfig).await?;
    wait_for_node(&client).await?;
    apply(&client, manifest).await?;
    roll_out(&client, "nginx").await?;
    show(&client).await?;
    fetch(&client, "nginx").await
}

/// Waits until the kubeconfig is there and the API answers.
async fn connect(kubeconfig: &Path) -> Result<kube::Client> {
    patiently("the API server", || async {
        let config = kube::config::Kubeconfig::read_from(kubeconfig)?;
        let config = kube::Config::from_custom_kubeconfig(config, &Default::default()).await?;
        let client = kube::Client::try_from(config)?;
        client.apiserver_version().await?;
        Ok(client)
    })
    .await
}

async fn wait_for_node(client: &kube::Client) -> Result<()> {
    let nodes = Api::<Node>::all(client.clone());
    patiently("a node that is Ready", || async {
        let list = nodes.list(&ListParams::default()).await?;
        if list.items.iter().any(is_ready) { Ok(()) } else { bail!("none is Ready yet") }
    })
    .await
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Creates what the manifest holds, or patches what is there already.
async fn apply(client: &kube::Client, manifest: &Path) -> Result<()> {
    let text = std::fs::read_to_string(manifest).with_context(|| manifest.display().to_string())?;
    for document in text.split("\n---") {
        let mut object: DynamicObject = serde_saphyr::from_str(document).context("the manifest")?;
        let types = object.types.clone().unwrap_or_else(TypeMeta::resource::<Pod>);
        let kind = GroupVersionKind::try_from(&types)?;
        let resource = ApiResource::from_gvk(&kind);
        let objects = Api::<DynamicObject>::namespaced_with(client.clone(), "default", &resource);
        let name = object.metadata.name.clone().context("an object of the manifest has no name")?;
        object.metadata.namespace = Some("default".into());
        let word = match objects.create(&PostParams::default(), &object).await {
            Ok(_) => "created",
            Err(kube::Error::Api(status)) if status.code == 409 => {
                objects.patch(&name, &PatchParams::default(), &Patch::Strategic(&object)).await?;
                "configured"
            }
            Err(error) => return Err(error.into()),
        };
        println!("{}/{name} {word}", kind.kind.to_lowercase());
    }
    Ok(())
}

async fn roll_out(client: &kube::Client, name: &str) -> Result<()> {
    let deployments = Api::<Deployment>::default_namespaced(client.clone());
    let (ready, wanted) = patiently("the rollout", || {
        let deployments = deployments.clone();
        async move {
            let deployment = deployments.get(name).await?;
            let wanted = deployment.spec.replicas.unwrap_or(1);
            let status = deployment.status.unwrap_or_default();
            let ready = status.updated_replicas.unwrap_or(0).min(status.available_replicas.unwrap_or(0));
            let observed = status.observed_generation >= deployment.metadata.generation;
            if observed && ready == wanted {
                Ok((ready, wanted))
            } else {
                bail!("{ready} of {wanted} replicas are available")
            }
        }
    })
    .await?;
    println!("deployment {name:?} successfully rolled out ({ready} of {wanted} replicas)");
    Ok(())
}

async fn show(client: &kube::Client) -> Result<()> {
    println!("\nNODE                 STATUS   ADDRESS");
    for node in Api::<Node>::all(client.clone()).list(&ListParams::default()).await? {
        let status = if is_ready(&node) { "Ready" } else { "NotReady" };
        let addresses = node.status.unwrap_or_default().addresses.unwrap_or_default();
        let address = addresses.into_iter().find(|address| address.type_ == "InternalIP");
        println!(
            "{:<20} {status:<8} {}",
            node.metadata.name.unwrap_or_default(),
            address.map(|address| address.address).unwrap_or_default()
        );
    }
    println!("\nPOD                          STATUS   ADDRESS");
    for pod in Api::<Pod>::default_namespaced(client.clone()).list(&ListParams::default()).await? {
        let status = pod.status.unwrap_or_default();
        println!(
            "{:<28} {:<8} {}",
            pod.metadata.name.unwrap_or_default(),
            status.phase.unwrap_or_default(),
            status.pod_ip.unwrap_or_default()
        );
    }
    Ok(())
}

/// Fetches the Service's page by its cluster address, by every node's port and,
/// from inside a pod, by its name.
async fn fetch(client: &kube::Client, name: &str) -> Result<()> {
    let service = Api::<Service>::default_namespaced(client.clone()).get(name).await?;
    let spec = service.spec.unwrap_or_default();
    let cluster_ip = spec.cluster_ip.unwrap_or_default();
    let port = spec.ports.unwrap_or_default().into_iter().next().context("the Service has no port")?;
    let node = Api::<Node>::all(client.clone()).list(&ListParams::default()).await?.items.into_iter().next();
    let addresses = node.and_then(|node| node.status).and_then(|status| status.addresses).unwrap_or_default();
    let address = addresses
        .into_iter()
        .find(|address| address.type_ == "InternalIP")
        .context("a node without address")?;
    let node_port = port.node_port.context("the Service has no node port")?;
    let url = format!("http://{}:{node_port}/", address.address);

    println!();
    let title = get(&cluster_ip, port.port)?;
    println!("ClusterIP  http://{cluster_ip}:{}/  {title:?}", port.port);
    let title = get(&address.address, node_port)?;
    println!("NodePort   {url}  {title:?}");
    let dns = format!("http://{name}.default.svc.cluster.local/");
    let title = title_of(&exec(client, name, &["curl", "-sS", "-m", "5", &dns]).await?)?;
    println!("DNS        {dns}  {title:?} (from a pod)");
    println!("\nOpen {url}");
    Ok(())
}

/// GET / and the page's title.
fn get(host: &str, port: i32) -> Result<String> {
    let port = u16::try_from(port)?;
    let address = (host, port).to_socket_addrs()?.next().context("no address")?;
    let limit = Duration::from_secs(5);
    let mut stream =
        TcpStream::connect_timeout(&address, limit).with_context(|| format!("connecting to {address}"))?;
    stream.set_read_timeout(Some(limit))?;
    write!(stream, "GET / HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    title_of(&answer)
}

fn title_of(page: &str) -> Result<String> {
    let (_, rest) = page.split_once("<title>").with_context(|| format!("not a page: {page:?}"))?;
    Ok(rest.split("</title>").next().unwrap_or_default().to_owned())
}

/// Runs a command in a pod of the Deployment and gives what it wrote.
async fn exec(client: &kube::Client, app: &str, command: &[&str]) -> Result<String> {
    let pods = Api::<Pod>::default_namespaced(client.clone());
    let list = pods.list(&ListParams::default().labels(&format!("app={app}"))).await?;
    let name = list.items.into_iter().find_map(|pod| pod.metadata.name).context("no pod")?;
    let mut process = pods.exec(&name, command.to_vec(), &AttachParams::default().stdin(false)).await?;
    let mut written = String::new();
    if let Some(mut stdout) = process.stdout() {
        stdout.read_to_string(&mut written).await?;
    }
    process.join().await?;
    Ok(written)
}

/// Asks again until it works, for [`PATIENCE`] at most.
async fn patiently<T, F: Future<Output = Result<T>>>(what: &str, mut ask: impl FnMut() -> F) -> Result<T> {
    let start = tokio::time::Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) if start.elapsed() > PATIENCE => {
                return Err(error.context(format!("waited {} s for {what}", PATIENCE.as_secs())));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_found() {
        assert_eq!(title_of("x<title>Welcome to nginx!</title>").unwrap(), "Welcome to nginx!");
        assert!(title_of("404").is_err());
    }
}
