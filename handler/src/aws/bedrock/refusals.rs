//! What models have refused in this environment, so that they are not asked for it again.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use turn::model_settings::RefusedSetting;

/// Refusals of further models are not remembered: then a request is refused again before it is repeated.
const MAX_MODELS: usize = 100;

/// What a model refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Refusal {
    /// Tools in ConverseStream.
    StreamedTools,
    SearchResults,
    CachePoints,
    /// What asks for reasoning.
    Reasoning,
    Setting(RefusedSetting),
}

/// The refusals of at most `MAX_MODELS` models. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals(Arc<Mutex<BTreeMap<String, BTreeSet<Refusal>>>>);

impl Refusals {
    pub fn contains(&self, model_id: &str, refusal: Refusal) -> bool {
        self.of_model(model_id).contains(&refusal)
    }

    pub fn of_model(&self, model_id: &str) -> BTreeSet<Refusal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(model_id).cloned().unwrap_or_default()
    }

    /// Remembers a refusal, and logs it the first time.
    pub fn insert(&self, model_id: &str, refusal: Refusal) {
        let mut models = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if models.len() == MAX_MODELS && !models.contains_key(model_id) {
            return;
        }
        if models.entry(model_id.to_owned()).or_default().insert(refusal) {
            tracing::warn!(model = model_id, ?refusal, "the model refuses this, so it is left out");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_so_many_models_are_remembered() {
        let refusals = Refusals::default();
        (0..=MAX_MODELS).for_each(|number| refusals.insert(&format!("model-{number}"), Refusal::CachePoints));
        assert!(refusals.clone().contains("model-0", Refusal::CachePoints));
        assert!(!refusals.contains("model-0", Refusal::Reasoning));
        assert!(!refusals.contains(&format!("model-{MAX_MODELS}"), Refusal::CachePoints));
        refusals.insert("model-0", Refusal::Reasoning);
        assert_eq!(refusals.of_model("model-0").len(), 2);
    }
}
