//! Model ids that the environment remembers.
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

/// Further ids are not remembered: then a request is refused again before it is repeated.
const MAX_IDS: usize = 100;

/// A set of at most `MAX_IDS` model ids. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct ModelIds(Arc<Mutex<BTreeSet<String>>>);

impl ModelIds {
    pub fn contains(&self, model_id: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(model_id)
    }

    pub fn insert(&self, model_id: &str) {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.len() < MAX_IDS {
            ids.insert(model_id.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_ids_are_remembered() {
        let ids = ModelIds::default();
        (0..=MAX_IDS).for_each(|number| ids.insert(&format!("model-{number}")));
        assert!(ids.clone().contains("model-0") && !ids.contains(&format!("model-{MAX_IDS}")));
    }
}
