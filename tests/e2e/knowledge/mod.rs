//! Agents that answer from the documents of a folder.
mod answers;
mod api_client;
mod callers;
mod cited_documents;
mod fixture;
mod generation_api;
mod ingestion_api;
mod many_documents;
mod retrieve_api;
mod s3_api;
mod settings;

pub use fixture::{DOCUMENTS, Fixture};
