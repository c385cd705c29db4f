//! AppSync on a laptop, over real sockets, with a schema and resolvers of its own.
mod answers;
mod api;
mod http;
mod limits;
mod loading;
mod signing;
mod socket;
mod subscriptions;
mod tokens;
