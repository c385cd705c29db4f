//! Helpers for the tests of `fuzz` and `abuse`.
pub mod hostile_documents;
pub mod server_under_test;
pub mod tcp;
pub mod websocket;
