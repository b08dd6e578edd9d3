//! Pods, services and nodes through the API server's proxies, and
//! `kubectl proxy` before it.

use testkit::{Background, eventually};

use crate::{PATIENCE, cluster};

/// A server whose page has a link, and that tells what it was asked.
const SERVER: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: server}
data:
  default.conf: |
    server {
      listen 8080;
      absolute_redirect off;
      location = / { default_type text/html; return 200 '<a href="/here">here</a>'; }
      location = /asked { default_type text/plain; return 200 '$request_method $request_uri $http_x_forwarded_uri $host'; }
      location = /moved { return 302 /here; }
      location / { default_type text/plain; return 404 'nothing here'; }
    }
---
apiVersion: v1
kind: Pod
metadata: {name: server, labels: {app: server}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: nginx
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "echo 'user root; events {} http { include /conf/*.conf; }' > /tmp/n && exec nginx -c /tmp/n -g 'daemon off;'"]
    ports: [{name: web, containerPort: 8080}]
    readinessProbe: {httpGet: {path: /, port: web}, periodSeconds: 1}
    volumeMounts: [{name: conf, mountPath: /conf}]
  volumes: [{name: conf, configMap: {name: server}}]
---
apiVersion: v1
kind: Service
metadata: {name: server}
spec: {selector: {app: server}, ports: [{name: http, port: 80, targetPort: web}]}
"#;

#[test]
fn servers_are_reached_through_the_api() {
    let cluster = cluster();
    let kubectl = cluster.kubectl();
    kubectl.run_with("apply -f -", SERVER);
    kubectl.run("wait --for=condition=Ready pod/server --timeout=60s");
    let mut proxy = Background::start(kubectl.command("proxy --port=0"));
    let told = proxy.line();
    let address = told.rsplit(' ').next().unwrap_or_default().to_owned();
    let ask = |arguments: &[&str], path: &str| {
        let url = format!("http://{address}{path}");
        let mut all = vec!["-sS", "-m", "10"];
        all.extend(arguments);
        all.push(&url);
        cluster.run("curl", &all).ok()
    };
    assert!(ask(&[], "/api/v1/namespaces/default").contains("\"kind\": \"Namespace\""));

    let pod = "/api/v1/namespaces/default/pods/server/proxy";
    let service = "/api/v1/namespaces/default/services/server:http/proxy";
    eventually("the service has an endpoint", PATIENCE, || {
        let page = ask(&[], &format!("{service}/asked"));
        if page.starts_with("GET /asked") { Ok(()) } else { Err(page) }
    });
    for path in [pod, service, "/api/v1/namespaces/default/services/http:server:80/proxy"] {
        assert_eq!(ask(&[], &format!("{path}/")), format!("<a href=\"{path}/here\">here</a>"));
        let asked = ask(&["-X", "PUT", "-d", "x"], &format!("{path}/asked?a=b"));
        assert_eq!(asked, format!("PUT /asked?a=b {path}/asked {}", cluster.node_address()));
        let moved = ask(&["-o", "/dev/null", "-w", "%{http_code} %{redirect_url}"], &format!("{path}/moved"));
        assert_eq!(moved, format!("302 http://{address}{path}/here"));
        let slash = ask(&["-o", "/dev/null", "-w", "%{http_code} %{redirect_url}"], path);
        assert_eq!(slash, format!("301 http://{address}{path}/"));
        assert_eq!(ask(&[], &format!("{path}/none")), "nothing here");
    }
    for (path, code, told) in [
        ("pods/server:81", "503", "error trying to reach service: dial tcp"),
        ("services/server:81", "503", "no service port 81 found for service"),
        // Without a port it is one without a name, and a service is looked up by number alone.
        ("services/server", "503", "no endpoints available for service"),
        ("services/none", "503", "no endpoints available for service"),
        ("services/none:80", "404", "services \\\"none\\\" not found"),
    ] {
        let said = ask(&["-w", "%{http_code}"], &format!("/api/v1/namespaces/default/{path}/proxy/"));
        assert!(said.contains(told) && said.ends_with(code), "{path}: {said}");
    }

    // Somebody's own endpoint may not lead to what only this machine reaches.
    kubectl.run("create service clusterip bait --tcp=80");
    kubectl.run("delete endpointslices -l kubernetes.io/service-name=bait --ignore-not-found");
    kubectl.run_of(&["patch", "service", "bait", "-p", r#"{"spec":{"selector":null}}"#]);
    kubectl.run_with(
        "apply -f -",
        "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: bait, labels: \
         {kubernetes.io/service-name: bait}}, addressType: IPv4, endpoints: [{addresses: [192.0.2.10]}], \
         ports: [{name: '80', port: 10250}]}",
    );
    let said = ask(&[], "/api/v1/namespaces/default/services/https:bait:80/proxy/healthz");
    assert!(said.contains("no endpoints available for service"), "{said}");

    let node = kubectl.run("get nodes -o jsonpath={.items[0].metadata.name}");
    for name in [node.clone(), format!("{node}:10250")] {
        assert_eq!(ask(&[], &format!("/api/v1/nodes/{name}/proxy/healthz")), "ok");
    }
    assert!(kubectl.run(&format!("get --raw /api/v1/nodes/{node}/proxy/metrics")).contains("kubelet_"));
}
