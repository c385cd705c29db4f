//! The functions against HTTP servers that answer as AppSync, AppSync Events, API Gateway, DynamoDB and
//! issuers of tokens do.
mod authorizer;
mod events;
mod fake_services;
mod websocket;
