//! What has come to rest stays at rest: no object is written any more but the
//! nodes' own.

use std::time::Duration;

use crate::simulation::world::World;

/// What is still on its way when the workloads have settled: history that is
/// cut, events, conditions after a jump of the clock, and the word of a
/// disruption that came to nothing, which is taken back after two minutes.
const SETTLING: Duration = Duration::from_secs(130);
const QUIET: Duration = Duration::from_secs(120);

pub async fn check(world: &World) {
    tokio::time::sleep(SETTLING).await;
    let before = world.trace().await;
    tokio::time::sleep(QUIET).await;
    assert_eq!(world.trace().await, before, "something is written again and again");
}
