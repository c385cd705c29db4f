//! AWS in this process: what is ours runs as it is, what is Amazon's behaves as unkindly as it may.
pub mod api;
pub mod bedrock;
pub mod handler;
pub mod invocation;
pub mod lambda;
pub mod sdk;
pub mod tables;
