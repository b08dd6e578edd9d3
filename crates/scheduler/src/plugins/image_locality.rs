//! ImageLocality (PreScore, Score): a node that has the pod's images is
//! better, the more bytes the better, but less so where few nodes have them,
//! lest all pods gather there.

use crate::cluster::{Cluster, NodeIndex, NodeInfo};
use crate::framework::{Cycle, MAX_NODE_SCORE, Plugin, PreScore, Score};

/// Less than this does not count, more than the most (for each container) no further. Bytes.
const LEAST: i64 = 23 * 1024 * 1024;
const MOST: i64 = 1000 * 1024 * 1024;

pub struct ImageLocality;

impl Plugin for ImageLocality {
    fn name(&self) -> &'static str {
        "ImageLocality"
    }

    fn as_pre_score(&self) -> Option<&dyn PreScore> {
        Some(self)
    }
}

impl PreScore for ImageLocality {
    fn pre_score<'c>(&'c self, cycle: Cycle<'c>, _: &[NodeIndex]) -> Option<Box<dyn Score + 'c>> {
        let images: Vec<_> = cycle.pod.wishes().images.iter().map(|image| normalized(image)).collect();
        let known = images.iter().any(|image| cycle.cluster.nodes_with_image(image) > 0);
        known.then(|| Box::new(Local { images, cluster: cycle.cluster }) as Box<dyn Score>)
    }
}

/// With `:latest` where there is neither tag nor digest.
fn normalized(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains(':') || last.contains('@') { image.to_owned() } else { format!("{image}:latest") }
}

struct Local<'c> {
    images: Vec<String>,
    cluster: &'c Cluster,
}

impl Score for Local<'_> {
    fn score(&self, node: &NodeInfo) -> i64 {
        let nodes = self.cluster.len().max(1) as f64;
        let bytes: i64 = self
            .images
            .iter()
            .filter_map(|image| {
                let size = *node.facts.images.get(image)?;
                let spread = self.cluster.nodes_with_image(image) as f64 / nodes;
                Some((size as f64 * spread) as i64)
            })
            .sum();
        let most = MOST * self.images.len() as i64;
        MAX_NODE_SCORE * (bytes.clamp(LEAST, most) - LEAST) / (most - LEAST)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{cluster, node, pod, scored};

    #[test]
    fn images_draw_pods() {
        let mega = 1024 * 1024;
        let with = |name: &str, size: i64| {
            node(
                name,
                json!({"status": {"images": [{"names": ["app:latest", "app@sha256:1"], "sizeBytes": size}]}}),
            )
        };
        let cluster = cluster([
            with("a", 4000 * mega),
            with("b", 511 * mega * 2),
            node("c", json!({})),
            with("d", 9 * mega),
        ]);
        // Three of four nodes have it: 3000 MiB count as 1000, 766 as they are.
        assert_eq!(scored(&ImageLocality, &cluster, &pod("p", json!({}))), [100, 76, 0, 0]);
        let other = pod("p", json!({"spec": {"containers": [{"name": "c", "image": "host:5000/other"}]}}));
        assert_eq!(scored(&ImageLocality, &cluster, &other), Vec::<i64>::new());
        assert_eq!(normalized("host:5000/other"), "host:5000/other:latest");
        assert_eq!(normalized("a@sha256:1"), "a@sha256:1");
    }
}
