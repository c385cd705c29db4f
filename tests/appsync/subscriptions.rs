//! Subscriptions over WebSockets.
use std::time::Duration;

use local::graphql::ApiSettings;
use serde_json::{Value, json};

use crate::{
    fixture::{KEY, Server, api},
    signing::{ADMINISTRATOR, PUBLISHER},
    socket::{Handshake, RawSocket, Socket, api_key_headers, data_frame, error_frame, start_ack},
};

const ALL: &str = "subscription { onUpdate { id count } }";

async fn publish(server: &Server, id: &str, count: u32) {
    let query = "mutation($id: ID!, $count: Int) { publish(id: $id, count: $count) { id count sender { name } } }";
    let response = server.execute(query, json!({ "id": id, "count": count })).await;
    assert_eq!(response["data"]["publish"]["id"], id, "{response}");
}

#[tokio::test]
async fn api_key_is_accepted_in_every_place_of_the_handshake() {
    let server = Server::start().await;
    let headers = api_key_headers(&server);
    let http_headers = [("x-api-key", KEY)];
    let handshakes = [Handshake::SubProtocol(&headers), Handshake::Query(&headers), Handshake::Headers(&http_headers)];
    for handshake in handshakes {
        let mut socket = Socket::open(&server, "/graphql/realtime", handshake).await;
        assert_eq!(socket.protocol, "graphql-ws");
        socket.initialize().await;
        assert_eq!(socket.start("s", ALL).await, start_ack("s"));
    }
    Socket::open(&server, "/graphql", Handshake::SubProtocol(&headers)).await.initialize().await;
}

#[tokio::test]
async fn invalid_credentials_are_reported_before_the_close() {
    let server = Server::start().await;
    let host = server.address.to_string();
    let mut wrong_path = ADMINISTRATOR.headers("appsync", "POST", &host, "/graphql", b"{}");
    wrong_path.insert("accept".into(), "application/json".into());
    let missing = json!({ "message": "Required headers are missing.", "errorCode": 400 });
    let unauthorized =
        |message: &str| json!({ "errorType": "UnauthorizedException", "message": message, "errorCode": 401 });
    let cases = [
        (json!({ "host": host, "x-api-key": "da2-wrong" }), unauthorized("You are not authorized to make this call.")),
        (json!({ "host": host }), missing.clone()),
        (json!({ "x-api-key": KEY }), missing),
    ];
    for (headers, error) in cases {
        let mut socket = Socket::open(&server, "/graphql/realtime", Handshake::SubProtocol(&headers)).await;
        let frame = json!({ "type": "connection_error", "payload": { "errors": [error] } });
        assert_eq!(socket.receive().await, Some(frame), "{headers}");
        assert_eq!(socket.receive().await, None);
    }
    let mut socket =
        Socket::open(&server, "/graphql/realtime", Handshake::SubProtocol(&Value::Object(wrong_path))).await;
    let frame = socket.receive().await.unwrap();
    assert_eq!(frame["payload"]["errors"][0]["errorType"], "BadRequestException", "signed for another path");
}

#[tokio::test]
async fn handshake_and_start_frames_have_signatures_of_their_own() {
    let server = Server::start().await;
    let host = server.address.to_string();
    let headers = Value::Object(ADMINISTRATOR.headers("appsync", "POST", &host, "/graphql/connect", b"{}"));
    let mut socket = Socket::open(&server, "/graphql/realtime", Handshake::SubProtocol(&headers)).await;
    socket.initialize().await;
    let locked = "subscription { onLocked { id sender { secret } } }";
    assert_eq!(socket.start_signed("signed", locked, ADMINISTRATOR).await, start_ack("signed"));
    let error = json!({ "errorType": "UnauthorizedException", "message": "Permission denied", "errorCode": 401 });
    assert_eq!(socket.start_signed("other", locked, PUBLISHER).await, error_frame("other", error));
    let error =
        json!({ "errorType": "Unauthorized", "message": "Not Authorized to access onLocked on type Subscription" });
    assert_eq!(socket.start("keyed", locked).await, error_frame("keyed", error));
    let missing = json!({ "message": "Required headers are missing.", "errorCode": 400 });
    assert_eq!(socket.start_with_headers("bare", "{}", json!({})).await, error_frame("bare", missing));
    let query = "mutation { publish(id: 1) { id sender { secret } } }";
    let body = json!({ "query": query }).to_string();
    let mut request = reqwest::Client::new().post(server.url()).body(body.clone());
    for (name, value) in ADMINISTRATOR.headers("appsync", "POST", &host, "/graphql", body.as_bytes()) {
        request = request.header(name, value.as_str().unwrap());
    }
    request.send().await.unwrap();
    let update = json!({ "onLocked": { "id": "1", "sender": { "secret": "hush" } } });
    assert_eq!(socket.receive().await, data_frame("signed", update));
}

#[tokio::test]
async fn subscriber_receives_its_own_selection() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    let query = "subscription S { latest: onUpdate { ...U text } } fragment U on Update { key: id from: sender { who: name kind __typename } }";
    assert_eq!(socket.start("s", query).await, start_ack("s"));
    let mutation = "mutation { done: publish(id: 7, text: \"hi\") { text id sender { name } } }";
    let response = server.execute(mutation, json!({})).await;
    assert_eq!(response["data"]["done"], json!({ "text": "hi", "id": "7", "sender": { "name": "Ann" } }));
    let from = json!({ "who": "Ann", "kind": null, "__typename": "Thing" });
    assert_eq!(
        socket.receive().await,
        data_frame("s", json!({ "latest": { "key": "7", "from": from, "text": "hi" } }))
    );
}

#[tokio::test]
async fn aliased_field_of_a_mutation_is_published_under_its_alias() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    assert_eq!(
        socket.start("s", "subscription { onUpdate { id text count sender { name kind } } }").await,
        start_ack("s")
    );
    let by_text = "subscription($text: Int) { onUpdate(count: $text) { id } }";
    assert_eq!(socket.start_with("count", by_text, json!({ "text": 3 })).await, start_ack("count"));
    let mutation = "mutation { publish(id: 7, text: \"hi\", count: 3) { id body: text text: id nr: count sender { name: id kind } } }";
    server.execute(mutation, json!({})).await;
    // `text` is what the alias `text` selected; `count` was selected under another name.
    let update = json!({ "id": "7", "text": "7", "count": null, "sender": { "name": "s", "kind": null } });
    assert_eq!(socket.receive().await, data_frame("s", json!({ "onUpdate": update })));
    publish(&server, "8", 3).await;
    assert_eq!(socket.receive().await.unwrap()["id"], "s");
    assert_eq!(socket.receive().await, data_frame("count", json!({ "onUpdate": { "id": "8" } })));
}

#[tokio::test]
async fn field_that_the_mutation_did_not_select_is_null() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    socket.start("s", ALL).await;
    server.execute("mutation { publish(id: 7) { count } }", json!({})).await;
    let frame = socket.receive().await.unwrap();
    assert_eq!(frame["payload"]["data"], json!({ "onUpdate": null }));
    let message = "Cannot return null for non-nullable type: 'ID' within parent 'Update' (/onUpdate/id)";
    assert_eq!(frame["payload"]["errors"][0]["message"], message);
}

#[tokio::test]
async fn given_arguments_filter_and_an_unsent_variable_is_null() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    let query = "subscription($id: ID, $count: Int) { onUpdate(id: $id, count: $count) { id count } }";
    let only_id = "subscription($id: ID) { onUpdate(id: $id) { id count } }";
    for (id, query, variables) in [
        ("one", only_id, json!({ "id": 1 })),
        ("both", query, json!({ "id": 1, "count": 2 })),
        ("unsent", query, json!({ "id": 3 })),
        ("null", "subscription { onUpdate(count: null) { id count } }", json!({})),
    ] {
        assert_eq!(socket.start_with(id, query, variables).await, start_ack(id));
    }
    publish(&server, "2", 2).await;
    publish(&server, "3", 2).await;
    publish(&server, "1", 1).await;
    assert_eq!(socket.receive().await, data_frame("one", json!({ "onUpdate": { "id": "1", "count": 1 } })));
    server.execute("mutation { publish(id: 3) { id count } }", json!({})).await;
    let update = json!({ "onUpdate": { "id": "3", "count": null } });
    assert_eq!(socket.receive().await, data_frame("unsent", update.clone()));
    assert_eq!(socket.receive().await, data_frame("null", update));
}

#[tokio::test]
async fn enhanced_filter_replaces_argument_filter() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    let query = "subscription { onFiltered(maxCount: 3) { id } }";
    assert_eq!(socket.start("s", query).await, start_ack("s"));
    for (id, count) in [("a", 4), ("b", 3)] {
        publish(&server, id, count).await;
    }
    assert_eq!(socket.receive().await, data_frame("s", json!({ "onFiltered": { "id": "b" } })));
}

#[tokio::test]
async fn subscription_resolver_may_reject_or_return_an_initial_payload() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    let error = json!({ "errorType": "NotFound", "message": "Not yours." });
    assert_eq!(socket.start("no", "subscription { onRefused { id } }").await, error_frame("no", error));
    assert_eq!(socket.start("hi", "subscription { onGreeted { id text } }").await, start_ack("hi"));
    assert_eq!(socket.receive().await, data_frame("hi", json!({ "onGreeted": { "id": "hello", "text": "greeting" } })));
}

#[tokio::test]
async fn failed_mutation_is_not_published() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    socket.start("s", ALL).await;
    server.execute("mutation { fail(id: 1) { id } }", json!({})).await;
    publish(&server, "2", 2).await;
    assert_eq!(socket.receive().await, data_frame("s", json!({ "onUpdate": { "id": "2", "count": 2 } })));
}

#[tokio::test]
async fn mutations_of_one_request_are_published_in_order() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    socket.start("s", ALL).await;
    let fields: String =
        (0..50).map(|number| format!("m{number}: publish(id: {number}, count: {number}) {{ id count }} ")).collect();
    server.execute(&format!("mutation {{ {fields} }}"), json!({})).await;
    for number in 0..50 {
        let update = json!({ "onUpdate": { "id": number.to_string(), "count": number } });
        assert_eq!(socket.receive().await, data_frame("s", update));
    }
}

#[tokio::test]
async fn update_beyond_the_payload_limit_is_dropped() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    socket.start("s", "subscription { onUpdate { id text } }").await;
    let query = "mutation($id: ID!, $text: String) { publish(id: $id, text: $text) { id text } }";
    let large = server.execute(query, json!({ "id": 1, "text": "x".repeat(240 * 1024) })).await;
    assert_eq!(large["data"]["publish"]["id"], "1");
    server.execute(query, json!({ "id": 2, "text": "x".repeat(239 * 1024) })).await;
    assert_eq!(socket.receive().await.unwrap()["payload"]["data"]["onUpdate"]["id"], "2");
}

#[tokio::test]
async fn stopped_subscription_receives_nothing_more() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    socket.start("first", ALL).await;
    socket.start("second", ALL).await;
    socket.send(&json!({ "id": "first", "type": "stop" })).await;
    assert_eq!(socket.receive().await, Some(json!({ "id": "first", "type": "complete" })));
    publish(&server, "1", 1).await;
    assert_eq!(socket.receive().await, data_frame("second", json!({ "onUpdate": { "id": "1", "count": 1 } })));
    assert_eq!(socket.start("first", ALL).await, start_ack("first"));
}

#[tokio::test]
async fn invalid_frames_are_reported_with_their_id() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    socket.start("taken", ALL).await;
    let duplicate = json!({ "errorType": "DuplicatedOperationError", "message": "Duplicated operation with id taken" });
    assert_eq!(socket.start("taken", ALL).await, error_frame("taken", duplicate));
    let undefined =
        "Validation error of type FieldUndefined: Field 'nope' in type 'Update' is undefined @ 'onUpdate/nope'";
    assert_eq!(
        socket.start("bad", "subscription { onUpdate { nope } }").await,
        error_frame("bad", json!({ "message": undefined }))
    );
}

#[tokio::test]
async fn error_of_no_operation_has_no_id() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    let data = r#"{"query":"subscription { onUpdate { id } }"}"#;
    let authorization = json!({ "host": server.address.to_string(), "x-api-key": KEY });
    let extensions = json!({ "authorization": authorization });
    let frames = [
        json!({ "type": "dance", "id": "x" }),
        json!({ "type": "start", "id": "x" }),
        json!({ "type": "start", "id": "x", "payload": { "data": { "query": data }, "extensions": extensions } }),
        json!({ "type": "start", "id": "x", "payload": [data, extensions] }),
        json!({ "type": "start", "payload": { "data": data, "extensions": extensions } }),
        json!(["start", "x", { "data": data, "extensions": extensions }]),
        json!(["connection_init"]),
        json!({ "type": "stop" }),
        json!("connection_init"),
        json!({}),
    ];
    let entry =
        json!({ "errorType": "UnsupportedOperation", "message": "unknown not supported through the realtime channel" });
    for frame in frames {
        socket.send(&frame).await;
        let expected = json!({ "type": "error", "payload": { "errors": [entry] } });
        assert_eq!(socket.receive().await, Some(expected), "{frame}");
    }
    socket.send_text("no JSON").await;
    assert_eq!(socket.receive().await.unwrap().get("id"), None);
    let start = json!({ "type": "start", "id": "s", "payload": { "data": data, "extensions": [authorization] } });
    socket.send(&start).await;
    assert_eq!(socket.receive().await.unwrap()["payload"]["errors"][0]["message"], "Required headers are missing.");
    let start = r#"{"type":"start","id":"old","id":"s","payload":{"data":"DATA","extensions":{"authorization":AUTH}}}"#;
    let start = start.replace("DATA", &data.replace('"', "\\\"")).replace("AUTH", &authorization.to_string());
    socket.send_text(&format!("\u{feff}{start}")).await;
    assert_eq!(socket.receive().await, start_ack("s"));
}

#[tokio::test]
async fn connection_is_limited_to_two_hundred_subscriptions() {
    let server = Server::start().await;
    let mut socket = Socket::connect(&server).await;
    for number in 0..200 {
        assert_eq!(socket.start(&number.to_string(), ALL).await, start_ack(&number.to_string()));
    }
    let error =
        json!({ "errorType": "MaxSubscriptionsReachedError", "message": "Max number of 200 subscriptions reached" });
    assert_eq!(socket.start("one more", ALL).await, error_frame("one more", error));
}

#[tokio::test]
async fn mutation_may_invalidate_subscriptions() {
    let server = Server::start().await;
    let mut invalidated = Socket::connect(&server).await;
    let mut other = Socket::connect(&server).await;
    assert_eq!(invalidated.start("s", "subscription { onInvalidatable(id: 1) { id } }").await, start_ack("s"));
    assert_eq!(other.start("s", "subscription { onInvalidatable(id: 2) { id } }").await, start_ack("s"));
    server.execute("mutation { invalidate(id: 1) { id } }", json!({})).await;
    let payload = json!({ "message": "Subscription complete." });
    assert_eq!(invalidated.receive().await, Some(json!({ "id": "s", "type": "complete", "payload": payload })));
    assert_eq!(invalidated.receive().await, None);
    publish(&server, "2", 2).await;
    assert_eq!(other.receive().await, data_frame("s", json!({ "onInvalidatable": { "id": "2" } })));
}

#[tokio::test]
async fn idle_connection_receives_keep_alives() {
    let settings = ApiSettings { keep_alive: Duration::from_millis(20), ..ApiSettings::default() };
    let server = Server::start_with(api(), settings).await;
    let mut socket = Socket::connect(&server).await;
    for _ in 0..3 {
        assert_eq!(socket.receive().await, Some(json!({ "type": "ka" })));
    }
}

#[tokio::test]
async fn connection_ends_at_its_longest_duration() {
    let settings = ApiSettings { max_connection_age: Duration::from_millis(300), ..ApiSettings::default() };
    let server = Server::start_with(api(), settings).await;
    let mut socket = Socket::connect(&server).await;
    assert_eq!(socket.close_code().await, Some(1001));
    assert_eq!(ApiSettings::default().max_connection_age, Duration::from_secs(24 * 60 * 60));
}

#[tokio::test]
async fn connection_init_is_optional() {
    let server = Server::start().await;
    let headers = api_key_headers(&server);
    let mut socket = Socket::open(&server, "/graphql/realtime", Handshake::SubProtocol(&headers)).await;
    assert_eq!(socket.start("early", ALL).await, start_ack("early"));
    publish(&server, "1", 1).await;
    assert_eq!(socket.receive().await, data_frame("early", json!({ "onUpdate": { "id": "1", "count": 1 } })));
    socket.send(&json!({ "id": "early", "type": "stop" })).await;
    assert_eq!(socket.receive().await, Some(json!({ "id": "early", "type": "complete" })));
    socket.initialize().await;
}

#[tokio::test]
async fn missing_or_other_sub_protocol_is_reported_after_the_upgrade() {
    let server = Server::start().await;
    let encoded = Handshake::SubProtocol(&api_key_headers(&server)).protocols();
    let header = encoded.split(", ").nth(1).unwrap().to_owned();
    let cases = [
        (None, "NoProtocolError"),
        (Some("graphql-transport-ws"), "SubProtocolNotSupportedError"),
        (Some("graphql-transport-ws, soap"), "SubProtocolNotSupportedError"),
        (Some(header.as_str()), "SubProtocolNotSupportedError"),
    ];
    for (protocols, message) in cases {
        for path in ["/graphql/realtime", "/graphql"] {
            let mut socket = RawSocket::open(&server, path, protocols).await;
            let errors = json!({ "errors": [{ "message": message, "errorCode": 400 }] });
            let frame = json!({ "type": "connection_error", "payload": errors });
            assert_eq!(socket.receive_text().await, Some(frame), "{protocols:?}");
            assert!(socket.receive_close().await.is_some(), "{protocols:?}");
        }
    }
}

#[tokio::test]
async fn close_frame_of_a_client_is_answered() {
    let server = Server::start().await;
    for code in [1000, 1001, 4000] {
        let mut socket = RawSocket::open(&server, "/graphql/realtime", Some("graphql-ws")).await;
        socket.send_close(code).await;
        assert_eq!(socket.receive_close().await, Some(code));
        assert!(socket.is_closed().await, "the server closes the TCP connection");
    }
}

#[tokio::test]
async fn servers_close_frames_have_a_code() {
    let server = Server::start().await;
    let wrong_key = json!({ "host": server.address.to_string(), "x-api-key": "da2-wrong" });
    let mut refused = Socket::open(&server, "/graphql/realtime", Handshake::SubProtocol(&wrong_key)).await;
    refused.receive().await.unwrap();
    assert_eq!(refused.close_code().await, Some(1008));
    let mut invalidated = Socket::connect(&server).await;
    invalidated.start("s", "subscription { onInvalidatable(id: 1) { id } }").await;
    server.execute("mutation { invalidate(id: 1) { id } }", json!({})).await;
    invalidated.receive().await.unwrap();
    assert_eq!(invalidated.close_code().await, Some(1000));
    let mut talkative = RawSocket::open(&server, "/graphql/realtime", Some("graphql-ws")).await;
    // The head of a text frame with 1 MB and a byte.
    talkative.send_bytes(&[0x81, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1, 0, 0, 0, 0]).await;
    assert_eq!(talkative.receive_close().await, Some(1009));
    let mut unmasked = RawSocket::open(&server, "/graphql/realtime", Some("graphql-ws")).await;
    unmasked.send_bytes(&[0x81, 0x02, b'{', b'}']).await;
    assert_eq!(unmasked.receive_close().await, Some(1002));
    let mut no_utf8 = RawSocket::open(&server, "/graphql/realtime", Some("graphql-ws")).await;
    no_utf8.send_bytes(&[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xff]).await;
    assert_eq!(no_utf8.receive_close().await, Some(1007));
}

#[tokio::test]
async fn subscriber_that_does_not_read_is_disconnected() {
    let send_timeout = Duration::from_millis(300);
    let server = Server::start_with(api(), ApiSettings { send_timeout, ..ApiSettings::default() }).await;
    let mut slow = Socket::connect(&server).await;
    assert_eq!(slow.start("s", "subscription { onUpdate { id text } }").await, start_ack("s"));
    let mutation = "mutation($text: String) { publish(id: 1, text: $text) { id text } }";
    let published = 80; // more than the buffers of both sockets hold
    for _ in 0..published {
        server.execute(mutation, json!({ "text": "x".repeat(200_000) })).await;
    }
    // The test cannot observe the disconnection without reading, so it waits.
    tokio::time::sleep(3 * send_timeout).await;
    let mut received = 0;
    while slow.receive().await.is_some() {
        received += 1;
    }
    assert!(received < published, "the connection was closed before the last update");
}
