//! What models have refused in this environment, so that they are not asked for it again.
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use turn::{model::ModelRequest, model_settings::RefusedSetting};

/// Further refusals are not remembered: then a request is refused again before it is repeated.
const MAX_KEYS: usize = 200;

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

/// The refusals under at most `MAX_KEYS` keys. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals(Arc<Mutex<BTreeMap<String, BTreeSet<Refusal>>>>);

impl Refusals {
    pub fn contains(&self, request: &ModelRequest, refusal: Refusal) -> bool {
        self.of_request(request).contains(&refusal)
    }

    /// What the model has refused of requests such as this one.
    pub fn of_request(&self, request: &ModelRequest) -> BTreeSet<Refusal> {
        let refusals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = [request.model_id.clone(), settings_key(request)];
        keys.iter().filter_map(|key| refusals.get(key)).flatten().copied().collect()
    }

    /// Remembers a refusal, and logs it the first time.
    pub fn insert(&self, request: &ModelRequest, refusal: Refusal) {
        let key = match refusal {
            Refusal::StreamedTools | Refusal::SearchResults | Refusal::CachePoints => request.model_id.clone(),
            Refusal::Reasoning | Refusal::Setting(_) => settings_key(request),
        };
        let mut refusals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if refusals.len() == MAX_KEYS && !refusals.contains_key(&key) {
            return;
        }
        if refusals.entry(key).or_default().insert(refusal) {
            tracing::warn!(model = request.model_id, ?refusal, "the model refuses this, so it is left out");
        }
    }
}

/// A setting may be refused for its value, or beside another one. So its refusal counts for requests with the
/// same settings.
fn settings_key(request: &ModelRequest) -> String {
    format!("{} {:?} {:?}", request.model_id, request.inference, request.reasoning)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(model_id: &str, max_tokens: u32) -> ModelRequest {
        let mut request = ModelRequest { model_id: model_id.into(), ..ModelRequest::default() };
        request.inference.max_tokens = Some(max_tokens);
        request
    }

    #[test]
    fn so_many_refusals_are_remembered() {
        let refusals = Refusals::default();
        let requests: Vec<_> = (0..=MAX_KEYS).map(|number| request(&format!("model-{number}"), 1)).collect();
        requests.iter().for_each(|request| refusals.insert(request, Refusal::CachePoints));
        assert!(refusals.clone().contains(&requests[0], Refusal::CachePoints));
        assert!(!refusals.contains(&requests[MAX_KEYS], Refusal::CachePoints));
    }

    #[test]
    fn refusal_of_a_setting_counts_for_the_same_settings() {
        let refusals = Refusals::default();
        refusals.insert(&request("model", 1), Refusal::Reasoning);
        refusals.insert(&request("model", 1), Refusal::CachePoints);
        let expected = BTreeSet::from([Refusal::CachePoints, Refusal::Reasoning]);
        assert_eq!(refusals.of_request(&request("model", 1)), expected);
        assert_eq!(refusals.of_request(&request("model", 2)), BTreeSet::from([Refusal::CachePoints]));
        assert_eq!(refusals.of_request(&request("other", 1)), BTreeSet::new());
    }
}
