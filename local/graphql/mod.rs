//! AppSync's GraphQL engine: requests, their execution, and subscriptions.
//!
//! A request is authenticated (`identity`), validated (`validation`), allowed by IAM, and executed
//! (`execution`). Each field is authorized and resolved, by resolvers with data sources or from its parent's
//! value. The value of a mutation is delivered to the subscriptions (`subscriptions`) whose filters match.
mod definition_error;
mod entry_points;
mod execution;
mod graphql_error;
mod http;
mod request;
mod schema;
mod service;
mod subscriptions;
mod validation;

pub(crate) use self::http::{
    forwarded_headers::forwarded_request,
    responses::{add_common_headers, preflight_response},
    router, with_common_headers,
};
pub use definition_error::ApiDefinitionError;
pub(crate) use entry_points::{AcceptedSubscription, GraphqlResponse, SubscribeError};
pub(crate) use execution::{
    data_sources::{BoundDataSource, DataSourceResult},
    resolver_error::ResolverError,
    thread_engine::run_handler,
};
pub use execution::{
    data_sources::{DataSources, FunctionBackend, TableBackend},
    thread_engine::set_engine_environment,
};
pub(crate) use graphql_error::GraphqlError;
pub(crate) use request::{CallContext, Request};
pub use schema::auth_modes::restrict_to_modes;
pub use service::ApiSettings;
pub(crate) use service::Service;
pub(crate) use subscriptions::{
    Subscription,
    registry::{ConnectionHandle, NewSubscription, Notification, QueuedNotification},
};
