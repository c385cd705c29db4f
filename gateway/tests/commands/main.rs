//! Messages of clients, and the calls of the API that they become: cases in `cases.json`, and random
//! messages.
use gateway::{
    caller::Caller,
    calls::{Call, Origin, to_call, to_reply},
    command::{EntryPoint, InvalidInput, parse, parse_text},
    reply::Reply,
};
use proptest::{
    collection::{btree_map, vec},
    prelude::*,
};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Case {
    name: String,
    entries: Vec<String>,
    payload: Value,
    operation: Option<String>,
    /// Without the members of the caller and of where the answer goes.
    #[serde(default)]
    variables: Value,
    error: Option<String>,
    field: Option<String>,
    /// Of an error.
    id: Option<String>,
}

fn user() -> Caller {
    serde_json::from_value(json!({ "issuer": "https://id.example.com", "sub": "ann" })).unwrap()
}

fn origin(caller: &Caller) -> Origin<'_> {
    Origin {
        caller,
        reply_to: json!({ "events": "/chat/responses/ann" }),
        streams: false,
        listener: "ann".into(),
        derived_id: "derived".into(),
    }
}

fn entry_point(name: &str) -> EntryPoint {
    if name == "events" { EntryPoint::Events } else { EntryPoint::WebSocket }
}

fn check(case: &Case, entry_point: EntryPoint) {
    let (parsed, name) = (parse(&case.payload, entry_point), &case.name);
    assert_eq!(parsed, parse_text(&case.payload.to_string(), entry_point), "{name}");
    let request = match (parsed, &case.error) {
        (Ok(request), None) => request,
        (Err(InvalidInput { id, message, field }), Some(error)) => {
            assert_eq!((&message, field, id), (error, case.field.as_deref(), case.id.clone()), "{name}");
            return;
        }
        (parsed, error) => panic!("{name}: {parsed:?} instead of {error:?}"),
    };
    let caller = user();
    let Some(Call { operation, mut variables }) = to_call(&request, &origin(&caller)) else {
        assert_eq!((case.operation.as_deref(), to_reply(&request, Value::Null)), (None, Some(Reply::Pong)), "{name}");
        return;
    };
    let on_behalf_of = variables.as_object_mut().unwrap().remove("onBehalfOf");
    assert_eq!(on_behalf_of, Some(json!(caller)), "{name}");
    if let Some(reply_to) = variables.get_mut("replyTo") {
        assert_eq!(reply_to.as_object_mut().unwrap().remove("events"), Some(json!("/chat/responses/ann")), "{name}");
    }
    assert_eq!(
        (format!("{operation:?}").as_str(), variables),
        (case.operation.as_deref().unwrap(), case.variables.clone()),
        "{name}"
    );
}

#[test]
fn each_message_becomes_its_call_or_is_refused_with_one_sentence() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("cases.json")).unwrap();
    assert!(cases.len() > 40);
    for case in &cases {
        case.entries.iter().for_each(|name| check(case, entry_point(name)));
    }
}

#[test]
fn text_has_at_most_100_kb_of_escaped_json() {
    let parsed = |text: String| parse(&json!({ "action": "send", "text": text }), EntryPoint::Events);
    let error = "text must be at most 100 KB of JSON-escaped UTF-8.";
    for (text, is_valid) in [
        ("x".repeat(102_400), true),
        ("x".repeat(102_401), false),
        ("\"".repeat(51_200), true),
        ("\"".repeat(51_201), false),
        ("é".repeat(51_200), true),
    ] {
        assert_eq!(
            parsed(text).map(drop).map_err(|invalid| invalid.message),
            if is_valid { Ok(()) } else { Err(error.to_owned()) }
        );
    }
}

#[test]
fn text_that_is_no_json_is_refused() {
    for text in ["", "Hi", "{", "{\"data\":\"\\ud800\"}", "{} {}", "\u{FEFF}{}"] {
        let invalid = parse_text(text, EntryPoint::WebSocket).unwrap_err();
        assert!(invalid.message.starts_with("A message must be a JSON object"), "{text:?}");
    }
    let deep = "[".repeat(100_000);
    assert!(parse_text(&deep, EntryPoint::WebSocket).is_err());
}

#[test]
fn first_message_with_the_api_key_has_an_id_that_nobody_guesses() {
    let api_key = Caller::api_key();
    let id = |payload: Value| {
        let request = parse(&payload, EntryPoint::Events).unwrap();
        to_call(&request, &origin(&api_key)).unwrap().variables["input"]["id"].clone()
    };
    assert_eq!(id(json!({ "content": "Hi" })), "derived");
    assert_eq!(id(json!({ "id": 1732659999999_u64, "content": "Hi" })), "ann-1732659999999");
    assert_eq!(id(json!({ "id": "0123456789abcdef", "content": "Hi" })), "0123456789abcdef");
    assert_eq!(id(json!({ "id": 7, "content": "Hi", "sessionId": "c" })), "7");
    assert_eq!(id(json!({ "id": 7, "data": "Hi" })), "ann-7");
    assert_eq!(id(json!({ "action": "send", "id": 7, "text": "Hi" })), "7", "the API refuses it with a sentence");
}

#[test]
fn deltas_are_sent_where_the_deployment_or_the_message_says_so() {
    let caller = user();
    for (streams, payload, expected) in [
        (true, json!({ "content": "Hi" }), true),
        (true, json!({ "content": "Hi", "stream": false }), false),
        (false, json!({ "content": "Hi" }), false),
        (false, json!({ "content": "Hi", "stream": true }), true),
    ] {
        let request = parse(&payload, EntryPoint::Events).unwrap();
        let call = to_call(&request, &Origin { streams, ..origin(&caller) }).unwrap();
        assert_eq!(call.variables["replyTo"]["stream"], expected, "{streams} {payload}");
    }
}

#[test]
fn only_actions_hear_that_their_run_has_started() {
    let turn = json!({ "id": "t", "conversationId": "c" });
    let accepted = Some(Reply::Accepted { conversation_id: "c".into(), turn_id: "t".into() });
    for (payload, expected) in [
        (json!({ "content": "Hi" }), None),
        (json!({ "data": "Hi" }), None),
        (json!({ "action": "send", "text": "Hi" }), accepted.clone()),
        (json!({ "action": "retry", "conversationId": "c", "turnId": "t" }), accepted),
    ] {
        let request = parse(&payload, EntryPoint::WebSocket).unwrap();
        assert_eq!(to_reply(&request, turn.clone()), expected, "{payload}");
    }
}

fn member_name() -> impl Strategy<Value = String> {
    let names = [
        "action",
        "id",
        "sender",
        "content",
        "type",
        "sessionId",
        "stream",
        "data",
        "conversationId",
        "turnId",
        "text",
        "attempt",
        "afterSequence",
        "before",
        "limit",
        "toolUseId",
        "approved",
        "reason",
        "result",
        "isError",
    ];
    prop_oneof![10 => prop::sample::select(names.to_vec()).prop_map(str::to_owned), 1 => ".{0,8}"]
}

fn text() -> impl Strategy<Value = String> {
    let known = ["send", "cancel", "retry", "continue", "history", "answerToolCall", "ping", "user", "chat", "c1", ""];
    prop_oneof![3 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => ".{0,80}"]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => text().prop_map(Value::String),
        1 => any::<i64>().prop_map(|number| json!(number)),
        1 => any::<f64>().prop_map(|number| json!(number)),
        1 => (0..200_i64).prop_map(|number| json!(number)),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::Array),
            btree_map(".{0,4}", inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    /// A valid message becomes a call whose ids the API takes; another is refused with a sentence that names
    /// a member of it, or what a message is.
    #[test]
    fn random_messages_become_calls_or_are_refused(members in btree_map(member_name(), value(), 0..8)) {
        let payload = json!(members);
        for entry_point in [EntryPoint::Events, EntryPoint::WebSocket] {
            match parse(&payload, entry_point) {
                Ok(request) => {
                    let caller = user();
                    let call = to_call(&request, &origin(&caller));
                    let ids = call.iter().flat_map(|call| [&call.variables["input"]["id"], &call.variables["id"]]);
                    for id in ids.filter_map(Value::as_str) {
                        prop_assert!(gateway::message_id::is_id(id), "{id:?}");
                    }
                }
                Err(InvalidInput { message, field, .. }) => {
                    prop_assert!(message.ends_with('.') && message.len() < 200, "{message}");
                    prop_assert!(field.is_none_or(|field| message.starts_with(field)), "{message}");
                }
            }
        }
    }

    #[test]
    fn random_texts_never_panic(text in ".{0,200}") {
        for entry_point in [EntryPoint::Events, EntryPoint::WebSocket] {
            drop(parse_text(&text, entry_point));
        }
    }
}
