//! How much one message to a client of AppSync Events or of a WebSocket API may have, and how often it is
//! sent.

/// AppSync drops an event of more than 240 KB, by its quotas and with the code EventTooLargeException.
pub const MAX_EVENT_BYTES: usize = 240_000;
/// The most events of one publish: <https://docs.aws.amazon.com/appsync/latest/eventapi/publish-http.html>.
pub const MAX_EVENTS: usize = 5;
/// API Gateway takes a message of at most 128 KB, in frames of at most 32 KB, by its quotas. Below 32 KB it
/// is one frame and one billed message.
pub const MAX_WEBSOCKET_BYTES: usize = 32_000;
/// How often a message is sent before it is given up.
pub const MAX_TRIES: u32 = 3;
