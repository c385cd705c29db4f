//! Models of OpenAI-compatible servers behind Bedrock's API, with servers of four dialects.
#[allow(dead_code, reason = "the end-to-end tests need more of it")]
#[path = "../e2e/backend.rs"]
mod backend;
mod conversations;
mod fake_server;
mod golden_streams;
#[path = "../support/lambda_function.rs"]
mod lambda_function;
mod program;
mod replies;
mod request_rules;
#[allow(dead_code, reason = "the tests of the scripted models need more of it")]
#[path = "../bedrock/sdk_client.rs"]
mod sdk_client;
#[allow(dead_code, reason = "the end-to-end tests need more of it")]
#[path = "../e2e/subscriber.rs"]
mod subscriber;
mod translation;
