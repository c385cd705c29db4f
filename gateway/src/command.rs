//! The messages of clients. Both entry points take all of them: those of the samples' pages, and actions.
use api::text::is_blank;
use serde_json::{Map, Value, json};

use crate::message_id::{ID_RULE, is_id};

/// The largest integer of GraphQL.
const MAX_INT: i64 = i32::MAX as i64;
/// The bound of the API, in bytes of JSON-escaped UTF-8.
const MAX_TEXT_BYTES: usize = 102_400;
const MAX_PAGE: i64 = 100;
/// The largest whole number that every JSON parser keeps.
const MAX_ID_NUMBER: f64 = 9_007_199_254_740_992.0;
const ACTIONS: &str = "send, cancel, retry, continue, history, answerToolCall or ping";
/// What the page of the WebSocket sample sends without a text.
const DEFAULT_TEXT: &str = "Hello";

/// Where a message comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryPoint {
    Events,
    WebSocket,
}

/// A message of a client.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The client's id, which replies repeat.
    pub id: Option<String>,
    pub command: Command,
    /// Whether the client is told that a run has started. The samples' pages show every message as an answer.
    pub is_acknowledged: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Send { conversation: Conversation, text: String, replaces_turn_id: Option<String>, stream: Option<bool> },
    Cancel(TurnKey),
    Retry { turn: TurnKey, stream: Option<bool> },
    Continue { turn: TurnKey, stream: Option<bool> },
    AnswerToolCall { answer: ToolAnswer, stream: Option<bool> },
    GetTurn { turn: TurnKey, attempt: Option<i64>, after_sequence: Option<i64> },
    ListEvents { conversation_id: String, before: Option<i64>, limit: Option<i64> },
    Ping,
}

/// The conversation of a message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conversation {
    New,
    Existing(String),
    /// The one that the connection's first message has begun. Without a connection, a new one.
    OfConnection,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnKey {
    pub conversation_id: String,
    pub id: String,
}

/// As the API's input AnswerToolCallInput.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolAnswer {
    pub turn: TurnKey,
    pub tool_use_id: String,
    pub approved: Option<bool>,
    pub reason: Option<String>,
    /// JSON text.
    pub result: Option<String>,
    pub is_error: Option<bool>,
}

/// A message that is refused before the API is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidInput {
    /// The client's id, if that is valid.
    pub id: Option<String>,
    /// One sentence for people.
    pub message: String,
    /// The member that is refused; `None` for the whole message.
    pub field: Option<&'static str>,
}

impl Command {
    /// The conversation that the client names.
    pub fn conversation_id(&self) -> Option<&str> {
        match self {
            Self::Send { conversation: Conversation::Existing(id), .. } => Some(id),
            Self::Send { .. } | Self::Ping => None,
            Self::Cancel(turn)
            | Self::Retry { turn, .. }
            | Self::Continue { turn, .. }
            | Self::GetTurn { turn, .. }
            | Self::AnswerToolCall { answer: ToolAnswer { turn, .. }, .. } => Some(&turn.conversation_id),
            Self::ListEvents { conversation_id, .. } => Some(conversation_id),
        }
    }
}

impl InvalidInput {
    pub fn to_info(&self) -> Option<Value> {
        self.field.map(|field| json!({ "field": field }))
    }
}

/// Parses the text of a message.
pub fn parse_text(text: &str, entry_point: EntryPoint) -> Result<Request, InvalidInput> {
    match serde_json::from_str(text) {
        Ok(payload) => parse(&payload, entry_point),
        Err(_) => Err(not_an_object()),
    }
}

pub fn parse(payload: &Value, entry_point: EntryPoint) -> Result<Request, InvalidInput> {
    let Value::Object(members) = payload else { return Err(not_an_object()) };
    let members = Members(members);
    let id = members.client_id()?;
    let has = |name: &str| members.get(name).is_some();
    let parsed = if has("action") {
        action(&members)
    } else if has("content") || has("sender") {
        chat_message(&members)
    } else if members.0.contains_key("data") || entry_point == EntryPoint::WebSocket {
        data_message(&members)
    } else {
        Err(Invalid { field: None, message: "A message must have action, content or data.".to_owned() })
    };
    match parsed {
        Ok(command) => Ok(Request { id, command, is_acknowledged: has("action") }),
        Err(Invalid { field, message }) => Err(InvalidInput { id, message, field }),
    }
}

fn not_an_object() -> InvalidInput {
    let message = r#"A message must be a JSON object, such as {"action":"send","text":"Hello"}."#;
    InvalidInput { id: None, message: message.to_owned(), field: None }
}

/// `{"id":1,"sender":"user","content":"…","sessionId":"…"}`, the message of the page for AppSync Events.
fn chat_message(members: &Members<'_>) -> Result<Command, Invalid> {
    members.one_of("sender", &["user", "bot"], "user or bot")?;
    members.one_of("type", &["chat"], "chat")?;
    // The page has an empty text before the first answer.
    let has_session = members.get("sessionId").is_some_and(|id| id.as_str() != Some(""));
    let session_id = if has_session { members.optional_id("sessionId")? } else { None };
    let conversation = session_id.map_or(Conversation::New, Conversation::Existing);
    let (text, stream) = (members.message_text("content")?, members.flag("stream")?);
    Ok(Command::Send { conversation, text, replaces_turn_id: None, stream })
}

/// `{"data":"…"}`, the message of the page for WebSocket APIs.
fn data_message(members: &Members<'_>) -> Result<Command, Invalid> {
    let is_empty = members.get("data").is_none_or(|data| data.as_str() == Some(""));
    let text = if is_empty { DEFAULT_TEXT.to_owned() } else { members.message_text("data")? };
    let (conversation, stream) = (Conversation::OfConnection, members.flag("stream")?);
    Ok(Command::Send { conversation, text, replaces_turn_id: None, stream })
}

fn action(members: &Members<'_>) -> Result<Command, Invalid> {
    let stream = || members.flag("stream");
    Ok(match members.get("action").and_then(Value::as_str).unwrap_or_default() {
        "send" => Command::Send {
            conversation: members.optional_id("conversationId")?.map_or(Conversation::New, Conversation::Existing),
            text: members.message_text("text")?,
            replaces_turn_id: members.optional_id("replacesTurnId")?,
            stream: stream()?,
        },
        "cancel" => Command::Cancel(members.turn_key()?),
        "retry" => Command::Retry { turn: members.turn_key()?, stream: stream()? },
        "continue" => Command::Continue { turn: members.turn_key()?, stream: stream()? },
        "history" => history(members)?,
        "answerToolCall" => Command::AnswerToolCall { answer: tool_answer(members)?, stream: stream()? },
        "ping" => Command::Ping,
        _ => return Err(invalid("action", ACTIONS)),
    })
}

fn history(members: &Members<'_>) -> Result<Command, Invalid> {
    let conversation_id = members.id("conversationId")?;
    let attempt = members.integer("attempt", 1, MAX_INT)?;
    let after_sequence = members.integer("afterSequence", 0, MAX_INT)?;
    let before = members.integer("before", 1, MAX_INT)?;
    let limit = members.integer("limit", 1, MAX_PAGE)?;
    let Some(id) = members.optional_id("turnId")? else {
        require("attempt", attempt.is_none(), "left out without turnId")?;
        require("afterSequence", after_sequence.is_none(), "left out without turnId")?;
        return Ok(Command::ListEvents { conversation_id, before, limit });
    };
    require("before", before.is_none(), "left out with turnId")?;
    require("limit", limit.is_none(), "left out with turnId")?;
    Ok(Command::GetTurn { turn: TurnKey { conversation_id, id }, attempt, after_sequence })
}

/// The API checks whether the answer fits the call.
fn tool_answer(members: &Members<'_>) -> Result<ToolAnswer, Invalid> {
    let tool_use_id = members.text("toolUseId")?.filter(|id| !id.is_empty());
    let result = members.text("result")?;
    let is_json = result.is_none_or(|result| serde_json::from_str::<Value>(result).is_ok());
    require("result", is_json, "JSON text, such as \"{\\\"degrees\\\":21}\"")?;
    Ok(ToolAnswer {
        turn: members.turn_key()?,
        tool_use_id: tool_use_id.ok_or_else(|| invalid("toolUseId", "the id of a tool call"))?.to_owned(),
        approved: members.flag("approved")?,
        reason: members.text("reason")?.map(str::to_owned),
        result: result.map(str::to_owned),
        is_error: members.flag("isError")?,
    })
}

struct Invalid {
    field: Option<&'static str>,
    message: String,
}

fn invalid(field: &'static str, requirement: &str) -> Invalid {
    Invalid { field: Some(field), message: format!("{field} must be {requirement}.") }
}

fn require(field: &'static str, is_valid: bool, requirement: &str) -> Result<(), Invalid> {
    if is_valid { Ok(()) } else { Err(invalid(field, requirement)) }
}

/// The members of a message. Null counts as left out; unknown members are ignored.
struct Members<'a>(&'a Map<String, Value>);

impl<'a> Members<'a> {
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// The client's id: a text, or the digits of a whole number.
    fn client_id(&self) -> Result<Option<String>, InvalidInput> {
        let Some(value) = self.get("id") else { return Ok(None) };
        let id = match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => number.as_u64().map(|number| number.to_string()).or_else(|| {
                let number = number.as_f64()?;
                let is_whole = number.fract() == 0.0 && (0.0..=MAX_ID_NUMBER).contains(&number);
                is_whole.then(|| format!("{}", number as u64))
            }),
            _ => None,
        };
        let id = id.filter(|id| is_id(id));
        let message = || format!("id must be a whole number, or {ID_RULE}.");
        id.map(Some).ok_or_else(|| InvalidInput { id: None, message: message(), field: Some("id") })
    }

    fn text(&self, name: &'static str) -> Result<Option<&'a str>, Invalid> {
        let value = self.get(name);
        let text = value.and_then(Value::as_str);
        require(name, value.is_none() || text.is_some(), "a text")?;
        Ok(text)
    }

    /// A text that a model is asked.
    fn message_text(&self, name: &'static str) -> Result<String, Invalid> {
        let text = self.text(name)?.unwrap_or_default();
        require(name, !is_blank(text), "a text of more than blanks")?;
        let bytes = serde_json::to_string(text).map_or(usize::MAX, |json| json.len() - 2);
        require(name, bytes <= MAX_TEXT_BYTES, "at most 100 KB of JSON-escaped UTF-8")?;
        Ok(text.to_owned())
    }

    fn one_of(&self, name: &'static str, allowed: &[&str], requirement: &str) -> Result<(), Invalid> {
        let is_allowed = |value: &Value| value.as_str().is_some_and(|text| allowed.contains(&text));
        require(name, self.get(name).is_none_or(is_allowed), &format!("{requirement}, or left out"))
    }

    fn optional_id(&self, name: &'static str) -> Result<Option<String>, Invalid> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let id = value.as_str().filter(|id| is_id(id));
        id.map(|id| Some(id.to_owned())).ok_or_else(|| invalid(name, ID_RULE))
    }

    fn id(&self, name: &'static str) -> Result<String, Invalid> {
        self.optional_id(name)?.ok_or_else(|| invalid(name, ID_RULE))
    }

    fn turn_key(&self) -> Result<TurnKey, Invalid> {
        Ok(TurnKey { conversation_id: self.id("conversationId")?, id: self.id("turnId")? })
    }

    fn flag(&self, name: &'static str) -> Result<Option<bool>, Invalid> {
        let value = self.get(name);
        let flag = value.and_then(Value::as_bool);
        require(name, value.is_none() || flag.is_some(), "true or false")?;
        Ok(flag)
    }

    /// A whole number, also in the form of a fraction, as some serializers write it.
    fn integer(&self, name: &'static str, min: i64, max: i64) -> Result<Option<i64>, Invalid> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let from_fraction = || value.as_f64().filter(|number| number.fract() == 0.0).map(|number| number as i64);
        let number = value.as_i64().or_else(from_fraction).filter(|number| (min..=max).contains(number));
        number.map(Some).ok_or_else(|| invalid(name, &format!("a whole number from {min} to {max}")))
    }
}
