//! The gateway's functions: messages of clients, events of the platforms, responses of the API, and replies
//! of any size.
use std::time::SystemTime;

use gateway::{
    authorizer::Authorizer,
    caller::Caller,
    calls::{Call, Origin, to_call, to_reply},
    command::{EntryPoint, parse, parse_text},
    graphql::{Outcome, classify},
    message_id::is_id,
    reply::Reply,
    settings::{AcceptedApiKey, AuthorizerSettings},
};
use serde_json::{Value, json};

use crate::{
    byte_inputs,
    fuzzer::{Target, fuzz},
    mutator::Mutator,
};

const ARN: &str = "arn:aws:execute-api:us-east-1:000000000000:local-websocket/prod/$connect";
const API_KEY: &str = "da2-fuzz";

struct Messages;

fn messages() -> Vec<Value> {
    let answer = json!({ "action": "answerToolCall", "conversationId": "c1", "turnId": "t1", "toolUseId": "u1",
        "approved": true, "reason": "a", "result": "{}", "isError": false });
    vec![
        json!({ "id": 1732659999999_u64, "sender": "user", "content": "Hi", "type": "chat", "sessionId": "c1" }),
        json!({ "data": "Hi", "id": "m1", "stream": true }),
        json!({ "action": "send", "id": "m1", "conversationId": "c1", "text": "Hi", "stream": false }),
        json!({ "action": "history", "conversationId": "c1", "turnId": "t1", "attempt": 1, "afterSequence": 2 }),
        json!({ "action": "history", "conversationId": "c1", "before": 3, "limit": 4 }),
        json!({ "action": "cancel", "conversationId": "c1", "turnId": "t1" }),
        answer,
    ]
}

fn check(text: &str, payload: Option<&Value>, entry_point: EntryPoint, caller: &Caller) -> Result<(), String> {
    let parsed = match payload {
        Some(payload) => parse(payload, entry_point),
        None => parse_text(text, entry_point),
    };
    let request = match parsed {
        Ok(request) => request,
        Err(invalid) if invalid.message.ends_with('.') && invalid.message.len() < 200 => return Ok(()),
        Err(invalid) => return Err(format!("no sentence: {}", invalid.message)),
    };
    let origin = Origin {
        caller,
        reply_to: json!({ "events": "/a" }),
        streams: true,
        listener: "a".into(),
        derived_id: "derived".into(),
    };
    let Some(Call { variables, .. }) = to_call(&request, &origin) else { return Ok(()) };
    let ids = [&variables["input"]["id"], &variables["input"]["conversationId"], &variables["conversationId"]];
    drop(to_reply(&request, variables.clone()));
    match ids.into_iter().filter_map(Value::as_str).find(|id| !is_id(id)) {
        Some(id) => Err(format!("the API takes no id {id:?}")),
        None => Ok(()),
    }
}

impl Target for Messages {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let mut inputs = byte_inputs(&[
            "",
            "{}",
            r#"{"data":"\ud800"}"#,
            r#"{"id":1e308,"content":"Hi"}"#,
            r#"{"id":-0.0,"content":"Hi"}"#,
            &"[".repeat(200_000),
            &"{\"action\":".repeat(50_000),
        ]);
        inputs.extend(messages().iter().map(|message| message.to_string().into_bytes()));
        inputs
    }

    /// In two cases of three, a valid message that is mutated.
    fn generate(&mut self, mutator: &mut Mutator, corpus: &[Vec<u8>]) -> Vec<u8> {
        let messages = messages();
        match mutator.one_in(3) {
            true => mutator.mutate_any(corpus),
            false => {
                let message = mutator.choose(&messages).clone();
                mutator.mutate_json(&message).to_string().into()
            }
        }
    }

    async fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let text = String::from_utf8_lossy(input);
        let payload: Option<Value> = serde_json::from_str(&text).ok();
        for entry_point in [EntryPoint::Events, EntryPoint::WebSocket] {
            check(&text, None, entry_point, &Caller::api_key())?;
            if payload.is_some() {
                check(&text, payload.as_ref(), entry_point, &Caller::api_key())?;
            }
            check_parts(&text, entry_point)?;
        }
        Ok(())
    }
}

/// A reply of any text fits its entry point, and its parts join to it.
fn check_parts(text: &str, entry_point: EntryPoint) -> Result<(), String> {
    let reply = || Reply::Turn(json!({ "text": text.repeat(1 + 40_000 / (1 + text.len())) }));
    let whole = reply().into_messages(entry_point, Some("id"), "derived");
    let limit = match entry_point {
        EntryPoint::Events => 240_000,
        EntryPoint::WebSocket => 32_000,
    };
    if whole.iter().any(|message| message.len() > limit) {
        return Err("a message is too large".into());
    }
    let messages: Vec<Value> = whole.iter().filter_map(|message| serde_json::from_str(message).ok()).collect();
    if messages.len() != whole.len() {
        return Err("a message is no JSON".into());
    }
    if let [_, _, ..] = messages[..] {
        let joined: String = messages.iter().filter_map(|message| message["data"].as_str()).collect();
        let is_whole = serde_json::from_str::<Value>(&joined).is_ok_and(|joined| joined["type"] == "turn");
        return if is_whole { Ok(()) } else { Err("the parts do not join".into()) };
    }
    Ok(())
}

struct Events(Authorizer);

fn handshake() -> Value {
    json!({
        "type": "REQUEST",
        "methodArn": ARN,
        "headers": { "Authorization": "a.b.c", "Sec-WebSocket-Protocol": "parlance, a.b.c" },
        "multiValueHeaders": { "x-api-key": [API_KEY], "Sec-WebSocket-Protocol": ["parlance, a.b.c"] },
        "queryStringParameters": { "token": "a.b.c" },
        "multiValueQueryStringParameters": { "token": ["a.b.c"], "apiKey": ["k"] },
        "requestContext": { "eventType": "CONNECT", "connectionId": "Sy1hsd8_IAMCLAQ=",
            "authorizer": { "caller": "{\"apiKey\":true}", "expiresAt": "1" } },
    })
}

impl Target for Events {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let response = json!({ "data": { "getTurn": { "id": "t" } }, "errors": [{ "errorType": "NotFound",
            "message": "No.", "errorInfo": {} }] });
        let mut inputs = vec![handshake().to_string().into_bytes(), response.to_string().into_bytes()];
        inputs.extend(byte_inputs(&["{}", "null", "[]", &"[".repeat(10_000)]));
        inputs
    }

    fn generate(&mut self, mutator: &mut Mutator, corpus: &[Vec<u8>]) -> Vec<u8> {
        match mutator.one_in(3) {
            true => mutator.mutate_any(corpus),
            false => mutator.mutate_json(&handshake()).to_string().into(),
        }
    }

    /// Only the API key lets anybody in: no issuer is trusted.
    async fn run(&mut self, input: &[u8]) -> Result<(), String> {
        if let Outcome::Success(value) = classify(200, input, "getTurn")
            && value.is_null()
        {
            return Err("nothing is a success".into());
        }
        let Ok(event) = serde_json::from_slice::<Value>(input) else { return Ok(()) };
        let has_key = event.to_string().contains(API_KEY);
        let Ok(result) = self.0.serve(event, SystemTime::UNIX_EPOCH).await else { return Ok(()) };
        match result["policyDocument"]["Statement"][0]["Effect"].as_str() {
            Some("Allow") if !has_key => Err("somebody without a credential is let in".into()),
            Some("Allow" | "Deny") => Ok(()),
            effect => Err(format!("the effect is {effect:?}")),
        }
    }
}

#[tokio::test]
async fn gateway_messages() {
    fuzz("gateway messages", 400, &mut Messages).await;
}

#[tokio::test]
async fn gateway_events() {
    let api_key = Some(AcceptedApiKey { text: API_KEY.into(), expires: None });
    let settings = AuthorizerSettings { issuers: Vec::new(), api_key };
    fuzz("gateway events", 400, &mut Events(Authorizer::new(settings))).await;
}
