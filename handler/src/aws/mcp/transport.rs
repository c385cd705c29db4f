//! The HTTP requests of a session.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use reqwest::{
    Method, RequestBuilder, Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue},
};
use rmcp::{
    model::{ClientJsonRpcMessage, ErrorCode, ErrorData, RequestId, ServerJsonRpcMessage},
    transport::streamable_http_client::{
        SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
    },
};
use sse_stream::{Sse, SseStream};

use super::{McpError, authorization::Authorization};
use crate::aws::limited_body::{BodyError, read_limited};

/// No more of a response is read, be it JSON or a stream of events.
pub const MAX_RESPONSE_BYTES: usize = 1024 * 1024;
/// Longer than a call of a tool may take. It ends a request of a handshake that nothing waits for any more.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(310);
/// A server may choose any session id of visible ASCII characters.
const MAX_SESSION_ID_LENGTH: usize = 1024;
const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const EVENT_STREAM: &str = "text/event-stream";
const JSON: &str = "application/json";

/// The codes of errors that replace a response that cannot be used in a stream of events. No server has
/// reason to use them: those of JSON-RPC begin with -32, and servers' own ones are small.
const TOO_LARGE: ErrorCode = ErrorCode(i32::MIN);
const NOT_MCP: ErrorCode = ErrorCode(i32::MIN + 1);

type PostError = StreamableHttpError<McpError>;

/// Sends each message with one POST over a connection of its own, because one that was idle while Lambda
/// froze the handler could break, and not every call may be repeated. It opens no stream of the server's own.
#[derive(Clone)]
pub struct HttpClient {
    http: reqwest::Client,
    authorization: Option<Arc<Authorization>>,
    last_error: Arc<Mutex<Option<McpError>>>,
}

impl HttpClient {
    pub fn new(http: reqwest::Client, authorization: Option<Arc<Authorization>>) -> Self {
        Self { http, authorization, last_error: Arc::default() }
    }

    /// Why the last request failed. The client of the crate rmcp does not return the reason for requests of
    /// the handshake.
    pub fn last_error(&self) -> Option<McpError> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn request(
        &self,
        method: Method,
        url: &str,
        session_id: Option<&str>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> RequestBuilder {
        let mut request = self.http.request(method, url).timeout(REQUEST_TIMEOUT).header("connection", "close");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(session_id) = session_id {
            request = request.header(SESSION_ID, session_id);
        }
        match &self.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization.header()),
            None => request,
        }
    }

    async fn post(
        &self,
        url: &str,
        message: ClientJsonRpcMessage,
        session_id: Option<&str>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, McpError> {
        let body = serde_json::to_vec(&message).map_err(|_| McpError::Refused)?;
        let request = self.request(Method::POST, url, session_id, headers).body(body);
        let request = request.header(CONTENT_TYPE, JSON).header(ACCEPT, format!("{JSON}, {EVENT_STREAM}"));
        let response = request.send().await?;
        if let Some(error) = status_error(response.status(), session_id.is_some()) {
            return Err(error);
        }
        let ClientJsonRpcMessage::Request(request) = message else {
            let is_accepted = response.status().is_success();
            return if is_accepted { Ok(StreamableHttpPostResponse::Accepted) } else { Err(McpError::Refused) };
        };
        self.read_response(response, request.id).await
    }

    async fn read_response(&self, response: Response, id: RequestId) -> Result<StreamableHttpPostResponse, McpError> {
        let is_success = response.status().is_success();
        let new_session_id = session_id(&response)?;
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
        if is_success && content_type.starts_with(EVENT_STREAM) {
            return Ok(StreamableHttpPostResponse::Sse(self.events(response, id), new_session_id));
        }
        let body = read_limited(response, MAX_RESPONSE_BYTES).await?;
        let message = content_type.starts_with(JSON).then(|| self.parse(body)).flatten();
        match message {
            Some(ServerJsonRpcMessage::Error(error)) => {
                // A server that could not read the request does not know its id.
                let error = ServerJsonRpcMessage::error(error.error, Some(id));
                Ok(StreamableHttpPostResponse::Json(error, new_session_id))
            }
            Some(ServerJsonRpcMessage::Response(response)) if is_success && response.id == id => {
                Ok(StreamableHttpPostResponse::Json(ServerJsonRpcMessage::Response(response), new_session_id))
            }
            _ if is_success => Err(McpError::NotMcp),
            _ => Err(McpError::Refused),
        }
    }

    /// A message without the secret that the server may repeat.
    fn parse(&self, json: Vec<u8>) -> Option<ServerJsonRpcMessage> {
        let json = match &self.authorization {
            Some(authorization) => authorization.remove_from(json),
            None => json,
        };
        serde_json::from_slice(&json).ok()
    }

    /// The events of a response, each with one message. An error replaces a response that is too large or
    /// does not follow the protocol.
    fn events(&self, response: Response, id: RequestId) -> BoxStream<'static, Result<Sse, SseError>> {
        let events = SseStream::from_bytes_stream(limited_chunks(response));
        let client = self.clone();
        let messages = events.filter_map(move |event| {
            let message = match event {
                Ok(event) => client.message_of(event, &id).map(Ok),
                Err(error) if is_too_large(&error) => Some(Ok(error_event(TOO_LARGE, &id))),
                Err(error) => Some(Err(error)),
            };
            futures::future::ready(message)
        });
        messages.boxed()
    }

    /// The message of an event that belongs to the response. `None` for a notification, and for an event
    /// without a message: such an event gives an id alone, or is not of the protocol.
    fn message_of(&self, event: Sse, id: &RequestId) -> Option<Sse> {
        let data = event.data.filter(|data| !data.trim().is_empty())?;
        if event.event.is_some_and(|kind| !kind.is_empty() && kind != "message") {
            return None;
        }
        let Some(message) = self.parse(data.into_bytes()) else { return Some(error_event(NOT_MCP, id)) };
        if matches!(message, ServerJsonRpcMessage::Notification(_)) {
            return None;
        }
        // Without the event's id, because a broken stream is not taken up again.
        serde_json::to_string(&message).ok().map(|text| Sse::default().data(text))
    }
}

impl StreamableHttpClient for HttpClient {
    type Error = McpError;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, PostError> {
        let result = self.post(&uri, message, session_id.as_deref(), custom_headers).await;
        result.map_err(|error| {
            *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
            StreamableHttpError::Client(error)
        })
    }

    /// Tries once. A server that does not end the session ends it later.
    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), PostError> {
        let request = self.request(Method::DELETE, &uri, Some(&session_id), custom_headers);
        drop(request.send().await);
        Ok(())
    }

    async fn get_stream(
        &self,
        _uri: Arc<str>,
        _session_id: Option<Arc<str>>,
        _last_event_id: Option<String>,
        _auth_header: Option<String>,
        _custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, PostError> {
        Err(StreamableHttpError::ServerDoesNotSupportSse)
    }
}

impl From<BodyError> for McpError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::TooLarge,
            BodyError::ConnectionBroken => Self::ConnectionBroken,
        }
    }
}

/// The meaning of an error of JSON-RPC that a session received.
pub fn rpc_error(error: ErrorData) -> McpError {
    match error.code {
        TOO_LARGE => McpError::TooLarge,
        NOT_MCP => McpError::NotMcp,
        _ => McpError::Rpc(error.message.into_owned()),
    }
}

/// What a response means whose body is not read. Other refusals may have a JSON-RPC error in their bodies.
fn status_error(status: StatusCode, has_session: bool) -> Option<McpError> {
    match status {
        StatusCode::UNAUTHORIZED => Some(McpError::Unauthorized),
        StatusCode::FORBIDDEN => Some(McpError::Forbidden),
        StatusCode::NOT_FOUND if has_session => Some(McpError::SessionExpired),
        StatusCode::TOO_MANY_REQUESTS => Some(McpError::NotStarted),
        StatusCode::REQUEST_TIMEOUT => Some(McpError::ServerError),
        status if status.is_server_error() => Some(McpError::ServerError),
        status if status.is_redirection() || status.is_informational() => Some(McpError::Refused),
        _ => None,
    }
}

fn session_id(response: &Response) -> Result<Option<String>, McpError> {
    let Some(value) = response.headers().get(SESSION_ID) else { return Ok(None) };
    let id = value.to_str().ok().filter(|id| id.len() <= MAX_SESSION_ID_LENGTH).ok_or(McpError::NotMcp)?;
    Ok(Some(id.to_owned()))
}

/// The chunks of a body, which fail once they are larger than a response may be.
fn limited_chunks(response: Response) -> impl Stream<Item = Result<Bytes, BodyError>> + Send {
    stream::try_unfold((response, 0), |(mut response, read_bytes)| async move {
        let Some(chunk) = response.chunk().await.map_err(|_| BodyError::ConnectionBroken)? else {
            return Ok(None);
        };
        let read_bytes = read_bytes + chunk.len();
        if read_bytes > MAX_RESPONSE_BYTES {
            return Err(BodyError::TooLarge);
        }
        Ok(Some((chunk, (response, read_bytes))))
    })
}

fn is_too_large(error: &SseError) -> bool {
    matches!(error, SseError::Body(error) if error.downcast_ref() == Some(&BodyError::TooLarge))
}

fn error_event(code: ErrorCode, id: &RequestId) -> Sse {
    let error = ServerJsonRpcMessage::error(ErrorData::new(code, "", None), Some(id.clone()));
    Sse::default().data(serde_json::to_string(&error).unwrap_or_default())
}
