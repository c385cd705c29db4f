//! The state of a Bedrock endpoint with scripted models, and the order in which a request passes its parts.
use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    cache_rules,
    cached_prompt::cached_prompt,
    faulty_models,
    guarded_answer::RequestGuard,
    guardrail::Guardrail,
    prompt_cache::{CacheRules, PromptCache},
    reasoned_answer,
    request::Transcript,
    script::Script,
};

/// How often `parlance.throttled-twice` throttles a transcript.
const COUNTED_THROTTLES: u32 = 2;

/// Clones share their state.
#[derive(Clone, Default)]
pub struct ScriptedModels(Arc<State>);

#[derive(Default)]
struct State {
    /// How often each transcript was throttled in a row, by `transcript_key`.
    throttles: Mutex<HashMap<u64, u32>>,
    cache: Mutex<PromptCache>,
    guardrail: Option<Guardrail>,
    /// Whether answers come at once, and not at the pace of a real model.
    has_no_pauses: bool,
}

impl ScriptedModels {
    pub fn new(guardrail: Option<Guardrail>) -> Self {
        Self(Arc::new(State { guardrail, ..State::default() }))
    }

    /// Models that answer at once.
    pub fn without_pauses() -> Self {
        Self(Arc::new(State { has_no_pauses: true, ..State::default() }))
    }

    pub(super) fn guardrail(&self) -> Option<&Guardrail> {
        self.0.guardrail.as_ref()
    }

    pub(super) fn script(&self, model_id: &str, transcript: Transcript) -> Script {
        match self.guarded_script(model_id, transcript) {
            Script::Stream(steps) if self.0.has_no_pauses => {
                Script::Stream(steps.into_iter().map(|(_, step)| (Duration::ZERO, step)).collect())
            }
            script => script,
        }
    }

    fn guarded_script(&self, model_id: &str, mut transcript: Transcript) -> Script {
        let guard = match RequestGuard::find(self.guardrail(), &transcript) {
            Ok(guard) => guard,
            Err(error) => return Script::Error(error),
        };
        let Some(guard) = guard else { return self.answer(model_id, transcript) };
        if let Some(blocked) = guard.blocked_input() {
            return blocked;
        }
        guard.mask_input(&mut transcript);
        guard.guard_output(self.answer(model_id, transcript))
    }

    fn answer(&self, model_id: &str, mut transcript: Transcript) -> Script {
        let max_tokens = transcript.inference_config.max_tokens;
        let thoughts = reasoned_answer::thoughts(model_id, &transcript);
        if let Some(thoughts) = &thoughts {
            transcript.inference_config.max_tokens = thoughts.remaining_tokens(max_tokens);
        }
        let mut script = self.throttled_script(model_id, &transcript);
        if let Some(thoughts) = &thoughts {
            script = thoughts.before(script, model_id, &transcript, max_tokens);
        }
        self.use_cache(model_id, &transcript, &mut script);
        script
    }

    fn throttled_script(&self, model_id: &str, transcript: &Transcript) -> Script {
        let mut counts = self.0.throttles.lock().unwrap_or_else(PoisonError::into_inner);
        let key = transcript_key(model_id, transcript);
        let throttles = counts.remove(&key).unwrap_or_default();
        let script = faulty_models::script(model_id, transcript, throttles);
        if throttles < COUNTED_THROTTLES && matches!(script, Script::Error(_)) {
            counts.insert(key, throttles + 1);
        }
        script
    }

    /// A refused request neither reads nor writes the cache.
    fn use_cache(&self, model_id: &str, transcript: &Transcript, script: &mut Script) {
        let Some(prompt) = cached_prompt(model_id, transcript).filter(|_| matches!(script, Script::Stream(_))) else {
            return;
        };
        let rules = CacheRules {
            minimum_tokens: cache_rules::minimum_tokens(model_id),
            lookback: cache_rules::lookback(model_id),
        };
        let mut cache = self.0.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let usage = cache.apply(&prompt, rules, Instant::now());
        script.update_metadata(|metadata| {
            metadata.input_tokens = metadata.input_tokens.saturating_sub(usage.read_tokens + usage.write_tokens());
            metadata.cache = Some(usage);
        });
    }
}

fn transcript_key(model_id: &str, transcript: &Transcript) -> u64 {
    let mut hasher = DefaultHasher::new();
    model_id.hash(&mut hasher);
    transcript.messages.hash(&mut hasher);
    hasher.finish()
}
