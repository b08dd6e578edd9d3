//! Table tests of what is asked for.

use apimachinery::{Value, value};

use super::plan::{is_open, plan};
use crate::csrsigning::Asked;

fn request(user: &str, signer: &str, usages: Value, status: Value) -> Value {
    value!({
        "metadata": {"name": "r"},
        "spec": {"request": "", "signerName": signer, "username": user, "usages": usages},
        "status": status
    })
}

#[test]
fn nodes_may_ask_for_themselves_and_bootstrappers_for_nodes() {
    let kubelet = "kubernetes.io/kube-apiserver-client-kubelet";
    let usages = || value!(["digital signature", "client auth"]);
    let node = Asked {
        common_name: "system:node:n".into(),
        organizations: vec!["system:nodes".into()],
        ..Asked::default()
    };
    let person = Asked { common_name: "jane".into(), ..Asked::default() };
    let denied = value!({"conditions": [{"type": "Denied", "status": "True"}]});
    for (what, request, asked, expected) in [
        (
            "itself",
            request("system:node:n", kubelet, usages(), value!({})),
            &node,
            vec!["selfnodeclient", "nodeclient"],
        ),
        ("another", request("system:bootstrap:x", kubelet, usages(), value!({})), &node, vec!["nodeclient"]),
        ("a person", request("jane", kubelet, usages(), value!({})), &person, vec![]),
        ("to serve", request("system:node:n", kubelet, value!(["server auth"]), value!({})), &node, vec![]),
        (
            "of another signer",
            request("system:node:n", "kubernetes.io/kubelet-serving", usages(), value!({})),
            &node,
            vec![],
        ),
        ("denied", request("system:node:n", kubelet, usages(), denied), &node, vec![]),
    ] {
        let request = request.decode().unwrap();
        let rights: Vec<_> = plan(&request, asked).iter().map(|right| right.subresource).collect();
        assert_eq!(rights, expected, "{what}");
    }
    let signed = request("x", kubelet, usages(), value!({"certificate": "AA=="}));
    assert!(!is_open(&signed.decode().unwrap()));
}
