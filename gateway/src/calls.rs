//! Calls of the API for the commands of clients, and the replies.
use std::time::Instant;

use api::types::TurnStatus;
use serde::Deserialize;
use serde_json::{Map, Value, from_value, json};
use turn::replies::{ReplyTo, StoredAnswer};

use crate::{
    caller::Caller,
    command::{Command, Conversation, Request, ToolAnswer, TurnKey},
    graphql::{GraphqlApi, Operation},
    message_id,
    reply::{ErrorReply, Reply},
};

/// The largest `afterSequence`: an answer is read without its batches.
const AFTER_ALL_BATCHES: u32 = 999_998;

/// Whose message it is and where its answers go.
#[derive(Clone, Debug)]
pub struct Origin<'a> {
    pub caller: &'a Caller,
    /// `{"events": channel}` or `{"websocket": {"connectionId": id}}`.
    pub reply_to: Value,
    /// Whether deltas are sent where the message does not say.
    pub streams: bool,
    /// The name of the client's channel or connection, which nobody else knows.
    pub listener: String,
    /// The id of a message to send to which the client gives none.
    pub derived_id: String,
}

/// A call of the API.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub operation: Operation,
    pub variables: Value,
}

/// The call of a request; `None` for one that needs none.
pub fn to_call(request: &Request, origin: &Origin<'_>) -> Option<Call> {
    let reply_to = |stream: &Option<bool>| reply_to(origin, request.id.as_deref(), *stream);
    let turn_variables = |turn: &TurnKey| json!({ "conversationId": turn.conversation_id, "id": turn.id });
    let run_variables = |turn: &TurnKey, stream: &Option<bool>| {
        let mut variables = turn_variables(turn);
        variables["replyTo"] = reply_to(stream);
        variables
    };
    let (operation, mut variables) = match &request.command {
        Command::Send { conversation, text, replaces_turn_id, stream } => {
            let mut input = message_input(conversation, text, request, origin);
            if let Some(replaced) = replaces_turn_id {
                input["replacesTurnId"] = json!(replaced);
            }
            (Operation::SendMessage, json!({ "input": input, "replyTo": reply_to(stream) }))
        }
        Command::Cancel(turn) => (Operation::CancelTurn, turn_variables(turn)),
        Command::Retry { turn, stream } => (Operation::RetryTurn, run_variables(turn, stream)),
        Command::Continue { turn, stream } => (Operation::ContinueTurn, run_variables(turn, stream)),
        Command::AnswerToolCall { answer, stream } => {
            (Operation::AnswerToolCall, json!({ "input": answer_input(answer), "replyTo": reply_to(stream) }))
        }
        Command::GetTurn { turn, attempt, after_sequence } => {
            let variables = json!({
                "conversationId": turn.conversation_id,
                "id": turn.id,
                "attempt": attempt,
                "afterSequence": after_sequence,
            });
            (Operation::GetTurn, variables)
        }
        Command::ListEvents { conversation_id, before, limit } => {
            let variables = json!({ "conversationId": conversation_id, "before": before, "limit": limit });
            (Operation::ListEvents, variables)
        }
        Command::Ping => return None,
    };
    variables["onBehalfOf"] = json!(origin.caller);
    Some(Call { operation, variables })
}

fn reply_to(origin: &Origin<'_>, request_id: Option<&str>, stream: Option<bool>) -> Value {
    let mut reply_to = origin.reply_to.clone();
    reply_to["stream"] = json!(stream.unwrap_or(origin.streams));
    if let Some(id) = request_id {
        reply_to["requestId"] = json!(id);
    }
    reply_to
}

fn message_input(conversation: &Conversation, text: &str, request: &Request, origin: &Origin<'_>) -> Value {
    let conversation_id = match conversation {
        Conversation::Existing(id) => Some(id),
        Conversation::New | Conversation::OfConnection => None,
    };
    // The samples' pages have ids that others could guess. The API refuses those of an action.
    let is_of_sample = !request.is_acknowledged;
    let replaces_guessable = is_of_sample && origin.caller.is_api_key() && conversation_id.is_none();
    let id = match request.id.as_deref() {
        None => origin.derived_id.clone(),
        Some(id) if replaces_guessable && message_id::is_guessable(id) => message_id::unique_for(&origin.listener, id),
        Some(id) => id.to_owned(),
    };
    without_nulls([("conversationId", json!(conversation_id)), ("id", json!(id)), ("text", json!(text))])
}

fn answer_input(answer: &ToolAnswer) -> Value {
    let ToolAnswer { turn, tool_use_id, approved, reason, result, is_error } = answer;
    without_nulls([
        ("conversationId", json!(turn.conversation_id)),
        ("turnId", json!(turn.id)),
        ("toolUseId", json!(tool_use_id)),
        ("approved", json!(approved)),
        ("reason", json!(reason)),
        ("result", json!(result)),
        ("isError", json!(is_error)),
    ])
}

fn without_nulls<const N: usize>(members: [(&str, Value); N]) -> Value {
    let given = members.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(given.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

/// The reply to a call that has succeeded; `None` where the answer of the turn is the reply.
pub fn to_reply(request: &Request, mut value: Value) -> Option<Reply> {
    match &request.command {
        Command::Ping => Some(Reply::Pong),
        Command::Cancel(_) | Command::GetTurn { .. } => Some(Reply::Turn(value)),
        Command::ListEvents { conversation_id, .. } => Some(Reply::History {
            conversation_id: conversation_id.clone(),
            has_more: value["events"]["hasMore"].as_bool().unwrap_or_default(),
            events: value["events"]["items"].take(),
        }),
        Command::Send { .. } | Command::Retry { .. } | Command::Continue { .. } | Command::AnswerToolCall { .. } => {
            let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
            request
                .is_acknowledged
                .then(|| Reply::Accepted { conversation_id: text("conversationId"), turn_id: text("id") })
        }
    }
}

/// The call that reads the answer of a turn that has ended already: the message has come before, or its run
/// could not be started. The handler sends the answers of the others.
fn answer_call(request: &Request, turn: &Value, origin: &Origin<'_>) -> Option<Call> {
    let status = TurnStatus::deserialize(&turn["status"]).ok()?;
    let is_answered = match &request.command {
        Command::Send { .. } => status.is_end() || status == TurnStatus::Waiting,
        Command::Retry { .. } | Command::Continue { .. } | Command::AnswerToolCall { .. } => status.is_end(),
        _ => false,
    };
    let variables = json!({
        "conversationId": turn["conversationId"],
        "id": turn["id"],
        "afterSequence": AFTER_ALL_BATCHES,
        "onBehalfOf": origin.caller,
    });
    is_answered.then_some(Call { operation: Operation::GetTurn, variables })
}

/// The answer of a turn that was read, as the handler sends it.
fn stored_answer(request: &Request, turn: Value, origin: &Origin<'_>) -> Option<Reply> {
    let mut reply_to = reply_to(origin, request.id.as_deref(), None);
    if let Some(connection) = reply_to.get_mut("websocket") {
        connection["userId"] = json!(origin.caller.user_id());
    }
    let (reply_to, answer) = (from_value::<ReplyTo>(reply_to).ok()?, from_value::<StoredAnswer>(turn).ok()?);
    Some(Reply::Answer(answer.into_messages(reply_to)))
}

/// Makes a request's call. Null for one that needs none.
pub async fn call(
    api: &GraphqlApi,
    request: &Request,
    origin: &Origin<'_>,
    deadline: Instant,
) -> Result<Value, ErrorReply> {
    let Some(Call { operation, variables }) = to_call(request, origin) else { return Ok(Value::Null) };
    api.call(operation, &variables, &origin.derived_id, deadline).await
}

/// The replies to a request whose call has this result.
pub async fn replies(
    api: &GraphqlApi,
    request: &Request,
    origin: &Origin<'_>,
    result: Result<Value, ErrorReply>,
    deadline: Instant,
) -> Vec<Reply> {
    let turn = match result {
        Ok(turn) => turn,
        Err(error) => return vec![to_error_reply(request, error)],
    };
    let answer = match answer_call(request, &turn, origin) {
        Some(Call { operation, variables }) => {
            let turn = api.call(operation, &variables, &origin.derived_id, deadline).await;
            let answer = turn.and_then(|turn| {
                stored_answer(request, turn, origin).ok_or_else(|| {
                    tracing::error!("the API's turn has another form");
                    ErrorReply::unavailable()
                })
            });
            Some(answer.unwrap_or_else(|error| to_error_reply(request, error)))
        }
        None => None,
    };
    to_reply(request, turn).into_iter().chain(answer).collect()
}

/// The reply to a call that has failed.
fn to_error_reply(request: &Request, error: ErrorReply) -> Reply {
    Reply::Error(error.in_conversation(request.command.conversation_id()))
}
