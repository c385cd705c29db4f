//! What the tests of `fuzz` and of `abuse` share.
pub mod hostile_documents;
pub mod server_under_test;
pub mod tcp;
pub mod websocket;
