//! Table tests of signatures.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;

use super::plan::plan;
use crate::cases::{Written, check};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Case {
    cluster_info: Written<ConfigMap>,
    tokens: Vec<Written<Secret>>,
    now: Time,
}

#[test]
fn each_signing_token_signs() {
    check(include_str!("cases.yaml"), "each signing token signs", |case: Case| {
        let tokens: Vec<Secret> = case.tokens.iter().map(Written::stored).collect();
        let tokens: Vec<&Secret> = tokens.iter().collect();
        let (changed, next) = plan(&case.cluster_info, &tokens, case.now.0);
        let mut lines = Vec::new();
        if let Some(changed) = changed {
            assert_eq!(plan(&changed, &tokens, case.now.0).0, None, "all is as it should be");
            let data = changed.data.unwrap().into_iter();
            lines.extend(data.map(|(name, text)| {
                let shown = text.find("..").map_or(text.as_str(), |end| &text[..end + 2]);
                format!("{name}: {shown}")
            }));
        }
        lines.extend(next.map(|after| format!("look again after {after:?}")));
        lines
    });
}
