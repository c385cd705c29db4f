//! Execution of a prepared operation: its fields, their resolvers and data sources.
pub mod bindings;
pub mod budget;
pub mod data_sources;
pub mod executor;
pub mod field_context;
pub mod field_resolver;
pub mod http_request;
pub mod introspection;
pub mod pipeline;
pub mod resolver_error;
pub mod response_value;
pub mod selection;
pub mod state;
pub mod thread_engine;
