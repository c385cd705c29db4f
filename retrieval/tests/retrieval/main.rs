//! Tests of the crate through its public interface.
mod evaluation;
mod fixture;
mod ingestion;
mod kills;
mod robustness;
mod search;
