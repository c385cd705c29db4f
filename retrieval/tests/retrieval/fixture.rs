//! A folder of documents with its index, and an embedder that counts.
use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use retrieval::{
    Chunking, EmbedError, Embedder, Folder, Index, IngestError, IngestionReport, Method, Passage, Query, TextKind,
    Vectors, index::Progress,
};

pub struct Fixture {
    directory: tempfile::TempDir,
    pub folder: Folder,
    pub index: Index,
}

impl Fixture {
    /// A folder with files, not yet ingested.
    pub fn new(files: &[(&str, &str)]) -> Fixture {
        Fixture::with_vectors(files, Vectors::HashedNgrams)
    }

    /// A folder with files, ingested.
    pub fn ingested(files: &[(&str, &str)]) -> Fixture {
        let fixture = Fixture::new(files);
        fixture.ingest();
        fixture
    }

    pub fn with_vectors(files: &[(&str, &str)], vectors: Vectors) -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder { path: directory.path().join("documents"), uri_prefix: "s3://bucket/".into() };
        fs::create_dir(&folder.path).unwrap();
        let index = Index::open(&directory.path().join("index"), Chunking::default(), vectors).unwrap();
        let fixture = Fixture { directory, folder, index };
        for (name, content) in files {
            fixture.write(name, content);
        }
        fixture
    }

    pub fn index_path(&self) -> PathBuf {
        self.directory.path().join("index")
    }

    /// Opens the index as a new process would.
    pub fn reopen(self, chunking: Chunking, vectors: Vectors) -> Fixture {
        let Fixture { directory, folder, index } = self;
        drop(index);
        let index = Index::open(&directory.path().join("index"), chunking, vectors).unwrap();
        Fixture { directory, folder, index }
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.folder.path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.folder.path.join(name)).unwrap();
    }

    pub fn ingest(&self) -> IngestionReport {
        self.try_ingest().unwrap()
    }

    pub fn try_ingest(&self) -> Result<IngestionReport, IngestError> {
        self.index.ingest(&self.folder, &mut keep_going)
    }

    pub fn search(&self, text: &str, method: Method) -> Vec<Passage> {
        self.index.search(&Query { method, ..Query::new(text) }).unwrap().passages
    }

    /// The file names of the passages, best first.
    pub fn found(&self, text: &str, method: Method) -> Vec<String> {
        self.search(text, method).iter().map(|passage| file_name(&passage.uri)).collect()
    }

    pub fn document_names(&self) -> Vec<String> {
        self.index.documents().iter().map(|document| file_name(&document.uri)).collect()
    }
}

pub fn keep_going(_progress: Progress<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn file_name(uri: &str) -> String {
    uri.strip_prefix("s3://bucket/").unwrap().to_owned()
}

/// The knowledge base of the evaluation: documents and questions.
pub fn knowledge_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/knowledge").join(name)
}

/// Vectors of letter frequencies, and a record of what was embedded.
pub struct LetterEmbedder {
    name: &'static str,
    dimensions: usize,
    pub texts: Mutex<Vec<(String, TextKind)>>,
    pub is_available: AtomicBool,
}

impl LetterEmbedder {
    pub fn new(name: &'static str, dimensions: usize) -> Arc<LetterEmbedder> {
        let is_available = AtomicBool::new(true);
        Arc::new(LetterEmbedder { name, dimensions, texts: Mutex::default(), is_available })
    }

    /// The passages embedded since the last call, without the one that shows the dimensions.
    pub fn take_passages(&self) -> Vec<String> {
        let texts = std::mem::take(&mut *self.texts.lock().unwrap());
        let is_passage = |(text, kind): &(String, TextKind)| *kind == TextKind::Passage && text != "dimensions";
        texts.into_iter().filter(is_passage).map(|(text, _)| text).collect()
    }
}

impl Embedder for LetterEmbedder {
    fn name(&self) -> &str {
        self.name
    }

    /// Refuses texts with the word "unembeddable".
    fn embed(&self, texts: &[&str], kind: TextKind) -> Result<Vec<Vec<f32>>, EmbedError> {
        if !self.is_available.load(Ordering::Relaxed) {
            return Err(EmbedError::Unavailable("The embedder cannot be reached.".into()));
        }
        if texts.iter().any(|text| text.contains("unembeddable")) {
            return Err(EmbedError::Refused("The embedder refuses the text.".into()));
        }
        self.texts.lock().unwrap().extend(texts.iter().map(|text| ((*text).to_owned(), kind)));
        Ok(texts.iter().map(|text| letter_frequencies(text, self.dimensions)).collect())
    }
}

fn letter_frequencies(text: &str, dimensions: usize) -> Vec<f32> {
    let mut vector = vec![0.0; dimensions];
    for letter in text.bytes().filter(u8::is_ascii_alphabetic) {
        vector[usize::from(letter.to_ascii_lowercase()) % dimensions] += 1.0;
    }
    vector
}
