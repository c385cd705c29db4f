//! Retrieval over a folder of documents: the part of Bedrock Knowledge Bases that a local server can emulate.
//!
//! Documents become text ([`extract`]), text becomes chunks ([`chunking`]), chunks are stored in an
//! [`Index`] and found again by words (BM25), by vectors, or by both ([`search`]). The crate opens no
//! connections and reads no clock. Embeddings of a model come through the trait [`Embedder`]; without one,
//! vectors are hashed character n-grams ([`hashed_ngrams`]), which know spelling and no meaning.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use retrieval::{Chunking, Folder, Index, Method, Query, Vectors};
//!
//! let index = Index::open("state".as_ref(), Chunking::default(), Vectors::HashedNgrams)?;
//! let folder = Folder { path: "documents".into(), uri_prefix: "s3://local-knowledge/".into() };
//! let report = index.ingest(&folder, &mut |_progress| ControlFlow::Continue(()))?;
//! println!("{} documents are new.", report.statistics.new_documents_indexed);
//! let query = Query { method: Method::Hybrid, results: 5, ..Query::new("Who approves travel?") };
//! for passage in index.search(&query)?.passages {
//!     println!("{:.2} {} {}", passage.score, passage.uri, passage.text);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
pub mod attributes;
pub mod document;
pub mod folder;

pub mod chunking;
pub mod extract;

pub mod embedder;
pub mod hashed_ngrams;

pub mod index;

mod scoring;
mod stop_words;

pub mod filter;
pub mod search;

pub mod evaluation;

pub use attributes::{AttributeValue, Attributes};
pub use chunking::Chunking;
pub use document::{Document, Format};
pub use embedder::{EmbedError, Embedder, TextKind};
pub use filter::Filter;
pub use folder::Folder;
pub use index::{Index, IndexError, IngestError, IngestionReport, Vectors};
pub use search::{Method, Passage, Query, SearchError, SearchPage};
pub use stop_words::content_words;
