//! What the API is called with for a command, and what its answer is to the client.
use serde_json::{Map, Value, json};

use crate::{
    caller::Caller,
    command::{Command, Conversation, Request, ToolAnswer, TurnKey},
    graphql::Operation,
    message_id,
    reply::{ErrorReply, Reply},
};

/// Whose message it is and where its answers go.
#[derive(Clone, Debug)]
pub struct Origin<'a> {
    pub caller: &'a Caller,
    /// `{"events": channel}` or `{"websocket": {"connectionId": id}}`.
    pub reply_to: Value,
    /// Whether deltas are sent where the message does not say.
    pub streams: bool,
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
    let run_variables = |turn: &TurnKey, stream: &Option<bool>| json!({ "conversationId": turn.conversation_id, "id": turn.id, "replyTo": reply_to(stream) });
    let (operation, mut variables) = match &request.command {
        Command::Send { conversation, text, stream } => {
            let input = message_input(conversation, text, request.id.as_deref(), origin);
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

fn message_input(conversation: &Conversation, text: &str, client_id: Option<&str>, origin: &Origin<'_>) -> Value {
    let conversation_id = match conversation {
        Conversation::Existing(id) => Some(id),
        Conversation::New | Conversation::OfConnection => None,
    };
    let must_be_unguessable = origin.caller.is_api_key() && conversation_id.is_none();
    let id = message_id::choose(client_id, must_be_unguessable, &origin.derived_id);
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

/// The reply to a call that has failed.
pub fn to_error_reply(request: &Request, error: ErrorReply) -> Reply {
    Reply::Error(error.in_conversation(request.command.conversation_id()))
}
