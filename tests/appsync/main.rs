//! The local AppSync over real sockets, with a schema and resolvers for these tests.
mod execution;
mod fixture;
mod http;
mod limits;
mod loading;
mod signing;
mod socket;
mod subscriptions;
mod tokens;
