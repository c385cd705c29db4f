//! The documents of a run's agent: random passages, and searches with their faults.
use std::{sync::Arc, time::Duration};

use client::{
    requests::PutKnowledge,
    schema::{KnowledgeFailure, KnowledgeMode},
};
use tokio::time::{Instant, sleep};
use turn::{
    knowledge::{Passage, RetrievalError},
    retrieval::RetrievalResult,
};

use crate::{
    aws::{bedrock::random_text, invocation},
    environment::Environment,
    fault_profile::Fault,
    rng::Rng,
};

/// The template's parameter Knowledge.
pub const KNOWLEDGE_BASE_ID: &str = "SIMULATED1";
/// The model that writes queries.
pub const QUERY_MODEL: &str = "simulated.query-model";
/// The timeout of the handler's own HTTP client.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(20);
/// The model of the run's tools is replaced: Claude cites by itself, the others by markers.
const MODELS: [&str; 4] = [
    "anthropic.claude-sonnet-4-20250514-v1:0",
    "eu.anthropic.claude-opus-4-1-20250805-v1:0",
    "amazon.nova-pro-v1:0",
    "mistral.mistral-large-2407-v1:0",
];

/// Drawn apart from the other random numbers of a run, so that runs without documents stay as they are.
#[derive(Clone, Copy, Debug)]
pub struct KnowledgeProfile {
    pub model_id: &'static str,
    /// Whether the model refuses search results, although its id says that it takes them.
    pub refuses_search_results: bool,
    mode: KnowledgeMode,
    on_failure: KnowledgeFailure,
    has_query_model: bool,
    /// Of a search, per mille.
    faults: u64,
}

impl KnowledgeProfile {
    /// `None` for a run whose agent has no documents.
    pub fn random(seed: u64) -> Option<Self> {
        let mut rng = Rng::with_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        rng.percent(40).then(|| Self::draw(&mut rng))
    }

    /// Documents that the model searches or gets, without faults.
    pub fn reliable(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        Self { faults: 0, has_query_model: false, ..Self::draw(&mut rng) }
    }

    fn draw(rng: &mut Rng) -> Self {
        Self {
            model_id: rng.choose(&MODELS),
            refuses_search_results: rng.percent(25),
            mode: rng.choose(&[KnowledgeMode::Always, KnowledgeMode::Tool]),
            on_failure: rng.choose(&[KnowledgeFailure::Answer, KnowledgeFailure::Answer, KnowledgeFailure::Fail]),
            has_query_model: rng.percent(25),
            faults: rng.choose(&[0, 50, 200, 500]),
        }
    }

    pub fn put(&self) -> PutKnowledge {
        PutKnowledge {
            mode: Some(self.mode),
            on_failure: Some(self.on_failure),
            query_model_id: self.has_query_model.then(|| QUERY_MODEL.to_owned()),
            ..PutKnowledge::default()
        }
    }
}

/// One search. A process may be killed before it, while it runs, and when its result arrives.
pub async fn retrieve(environment: &Arc<Environment>) -> RetrievalResult {
    invocation::pass_fault_point(environment, "a search").await;
    let faults = environment.agent.knowledge.map_or(0, |knowledge| knowledge.faults);
    let injects = |fault: Fault, share: u64| environment.should_inject(fault, |_| faults / share);
    let mut time = environment.with_rng(|rng| rng.milliseconds(5..120));
    let result = if injects(Fault::SearchThrottled, 1) {
        Err(RetrievalError::Temporary)
    } else if injects(Fault::SearchRefused, 8) {
        Err(RetrievalError::Refused)
    } else if is_resuming(environment, injects(Fault::DatabaseResuming, 3)) {
        Err(RetrievalError::Resuming)
    } else {
        if injects(Fault::SearchSlow, 2) {
            time = environment.with_rng(|rng| rng.seconds(1..25));
        }
        if time < SEARCH_TIMEOUT { Ok(random_passages(environment)) } else { Err(RetrievalError::Temporary) }
    };
    let time = time.min(SEARCH_TIMEOUT);
    sleep(time / 2).await;
    invocation::pass_fault_point(environment, "a running search").await;
    sleep(time / 2).await;
    invocation::pass_fault_point(environment, "the result of a search").await;
    environment.trace(|| format!("a search finds {:?}", result.as_ref().map(Vec::len)));
    result
}

/// Whether the database wakes up. It takes a while once it was found paused.
fn is_resuming(environment: &Environment, is_paused: bool) -> bool {
    let resume_time = environment.with_rng(|rng| rng.seconds(1..80));
    environment.with_recorder(|recorder| {
        if is_paused && recorder.resumed_at.is_none_or(|resumed_at| resumed_at <= Instant::now()) {
            recorder.resumed_at = Some(Instant::now() + resume_time);
        }
        recorder.resumed_at.is_some_and(|resumed_at| Instant::now() < resumed_at)
    })
}

/// Each passage begins with a tag of its own.
fn random_passages(environment: &Environment) -> Vec<Passage> {
    let count = environment.with_rng(|rng| if rng.percent(10) { 0 } else { rng.within(1..7) });
    let passage = |_| {
        let number = environment.with_recorder(|recorder| recorder.passages.len());
        let passage = environment.with_rng(|rng| random_passage(rng, number));
        environment.with_recorder(|recorder| recorder.passages.push(passage.clone()));
        passage
    };
    (0..count).map(passage).collect()
}

fn random_passage(rng: &mut Rng, number: usize) -> Passage {
    let text = random_text(rng);
    let text = if rng.percent(3) { text.repeat(200) } else { text };
    Passage {
        text: format!("{}{text}", tag(number)),
        source: rng.percent(90).then(|| format!("s3://documents/{}.md", rng.below(4))),
        score: rng.percent(90).then(|| rng.below(1000) as f64 / 1000.0),
        page: rng.percent(30).then(|| rng.within(1..9) as u32),
    }
}

/// What the text of a passage begins with, and what a simulated model writes to quote it.
fn tag(number: usize) -> String {
    format!("«p{number}»")
}

/// The tag of a passage's text.
pub fn tag_of(passage: &str) -> Option<&str> {
    let end = passage.find('»')? + '»'.len_utf8();
    passage.get(..end).filter(|tag| tag.starts_with("«p"))
}
