//! The AWS services of a run, in this process. AppSync's API, its resolvers and the table are those of the
//! local server; Lambda and Bedrock are simulated.
pub mod api;
pub mod bedrock;
pub mod bedrock_sdk;
pub mod citations;
pub mod data_source;
pub mod dynamodb_sdk;
pub mod handler;
pub mod invocation;
pub mod lambda;
pub mod tools;
