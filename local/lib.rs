//! The laptop edition: the same template, schema, resolvers and handler on one port, without an AWS account.
pub mod announced;
pub mod appsync;
pub mod bedrock;
pub mod chat;
pub mod dynamodb;
pub mod graphql;
pub mod identity;
pub mod kept;
pub mod lambda;
pub mod laptop;
mod patience;
pub mod realtime;
pub mod resolver;
pub mod stack;
pub mod template;
pub mod token;
pub mod unkind;
pub mod welcome;
