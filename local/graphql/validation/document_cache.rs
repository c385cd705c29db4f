//! Documents that were validated before, by their text. Clients send the same few documents again and again.
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use apollo_compiler::{ExecutableDocument, validation::Valid};

/// Larger documents are not kept.
const MAX_DOCUMENT_BYTES: usize = 8 * 1024;
const MAX_DOCUMENTS: usize = 200;

#[derive(Default)]
pub struct DocumentCache(Mutex<HashMap<String, Valid<ExecutableDocument>>>);

impl DocumentCache {
    /// Returns the document of a text. `validate` is called only for a text that is not in the cache.
    pub fn get_or_validate<E>(
        &self,
        text: &str,
        validate: impl FnOnce() -> Result<Valid<ExecutableDocument>, E>,
    ) -> Result<Valid<ExecutableDocument>, E> {
        if let Some(document) = self.documents().get(text) {
            return Ok(document.clone());
        }
        let document = validate()?;
        if text.len() <= MAX_DOCUMENT_BYTES {
            let mut documents = self.documents();
            if documents.len() == MAX_DOCUMENTS {
                documents.clear();
            }
            documents.insert(text.to_owned(), document.clone());
        }
        Ok(document)
    }

    fn documents(&self) -> MutexGuard<'_, HashMap<String, Valid<ExecutableDocument>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
