//! One seed from its first message to its settled dust.
use std::{collections::BTreeMap, sync::PoisonError, time::Duration};

use tokio::{runtime::Builder, time::sleep};

use crate::{
    checker::{self, Violation},
    evidence::{Asked, Evidence, Page},
    record::Record,
    sabotage::Sabotage,
    stage::Stage,
    subscriber::{Pages, Subscriber},
    users,
    weather::Counts,
    world::{Trace, World},
};

/// Longer than anything may still be waited for: Lambda's retries, and the last moment a turn can be claimed.
const DUST: Duration = Duration::from_secs(25 * 60);
/// For subscribers to ask for what they missed.
const LAST_LOOK: Duration = Duration::from_secs(90);

pub struct Report {
    pub seed: u64,
    pub violations: Vec<String>,
    pub broken: Vec<u8>,
    pub counts: Counts,
    pub turns: usize,
    pub trace: Vec<String>,
}

pub fn run(stage: &Stage, seed: u64, sabotage: Option<Sabotage>, trace: Trace) -> Report {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime starts");
    runtime.block_on(async {
        let world = World::begin(seed, sabotage, stage.clone(), trace);
        let count = world.dice(|dice| dice.one_of(&[1, 1, 2]));
        let subscribers: Vec<_> = (0..count).map(|number| Subscriber::begin(number, &world)).collect();
        users::converse(world.clone(), subscribers[0].0.clone()).await;
        sleep(world.dice(|dice| dice.seconds(0..300))).await;
        world.chance(|weather, _| weather.clear());
        sleep(DUST).await;
        let undisturbed = pages_of(&subscribers[0].1);
        subscribers.iter().for_each(|(line, _)| line.reconnect());
        sleep(LAST_LOOK).await;
        let settled = subscribers.iter().map(|(_, pages)| pages_of(pages));
        report(&world, settled.chain([undisturbed]).collect())
    })
}

fn pages_of(pages: &Pages) -> BTreeMap<String, Page> {
    pages.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn report(world: &World, pages: Vec<BTreeMap<String, Page>>) -> Report {
    let evidence = world.note(|record| evidence(world, record, pages));
    let violations = checker::check(&evidence);
    let noted = world.note(|record| record.violations.clone());
    Report {
        seed: world.seed,
        broken: violations.iter().map(|violation| violation.invariant).collect(),
        violations: violations.iter().map(Violation::to_string).chain(noted).collect(),
        counts: world.chance(|weather, _| weather.counts.clone()),
        turns: evidence
            .items
            .iter()
            .filter(|item| item["sk"].as_str().is_some_and(|key| key.starts_with("TURN#")))
            .count(),
        trace: world.traced(),
    }
}

fn evidence(world: &World, record: &Record, subscribers: Vec<BTreeMap<String, Page>>) -> Evidence {
    let conversation = world.conversation();
    let mut items = world.stage.items(&format!("CONVERSATION#{conversation}"));
    let turns = items.iter().filter(|item| item["sk"].as_str().is_some_and(|key| key.starts_with("TURN#")));
    let turns: Vec<_> = turns.cloned().collect();
    for turn in &turns {
        items.extend(world.stage.items(&format!("TURN#{conversation}#{}", turn["id"].as_str().unwrap_or_default())));
    }
    let mut heard = BTreeMap::new();
    for stream in &record.streams {
        if let Some((turn, attempt)) = &stream.attempt {
            *heard.entry((turn.clone(), u64::from(*attempt))).or_default() += stream.heard.as_str();
        }
    }
    let asked = record
        .streams
        .iter()
        .map(|stream| Asked { transcript: stream.transcript.clone(), replaced: stream.replaced.clone() });
    Evidence {
        now: world.milliseconds(),
        subscribers,
        acknowledged: record.acknowledged.clone(),
        asked: asked.collect(),
        heard,
        attended: turns.iter().filter_map(|turn| record.attended(turn)).collect(),
        most_writes: record.most_writes,
        items,
    }
}
