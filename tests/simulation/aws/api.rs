//! The API as its callers reach it.
use std::{cell::Cell, sync::Arc, time::Duration};

use local::identity::Caller;
use serde_json::Value;
use tokio::{task_local, time::timeout};

use crate::{network::Trouble, weather::Link, world::World};

/// A user's HTTP client and the handler's own give up after this.
const PATIENCE: Duration = Duration::from_secs(30);

task_local! {
    static WRITES: Cell<u32>;
}

/// A resolver of the request that this task carries out writes to the table.
pub fn count_writes(times: u32) {
    WRITES.try_with(|writes| writes.set(writes.get() + times)).unwrap_or_default();
}

/// One GraphQL request and its response.
pub async fn request(world: &Arc<World>, link: Link, caller: Caller, body: String) -> Result<Vec<u8>, Trouble> {
    let (body, here) = (Arc::<str>::from(body), Arc::clone(world));
    let carry_out = move || carried_out(Arc::clone(&here), caller.clone(), Arc::clone(&body));
    timeout(PATIENCE, world.call(link, carry_out)).await.unwrap_or(Err(Trouble::Broken))
}

async fn carried_out(world: Arc<World>, caller: Caller, body: Arc<str>) -> Vec<u8> {
    let (answer, writes) = WRITES
        .scope(Cell::new(0), async {
            let answer = world.stage.api.execute(caller, &body).await;
            (answer, WRITES.with(Cell::get))
        })
        .await;
    let answer = answer.unwrap_or_else(|denial| panic!("a known caller is denied: {denial:?}"));
    if body.contains("agentPublish") {
        published(&world, &body, &answer, writes);
    }
    answer
}

/// Subscribers hear of what was answered without an error, and of nothing else.
fn published(world: &World, body: &str, answer: &[u8], writes: u32) {
    let answer: Value = serde_json::from_slice(answer).expect("AppSync answers JSON");
    let update = answer["data"].as_object().and_then(|data| data.values().find(|update| update.is_object()));
    world.note(|record| record.published(body, writes));
    if let Some(update) = update.filter(|_| answer["errors"].as_array().is_none_or(Vec::is_empty)) {
        world.fan_out(update);
    }
}
