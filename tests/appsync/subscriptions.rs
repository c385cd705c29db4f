//! Conversations over WebSockets.
use std::time::Duration;

use local::graphql::ApiSettings;
use serde_json::{Value, json};

use crate::{
    api::{KEY, Server, api},
    signing::{ADMINISTRATOR, PUBLISHER},
    socket::{Handshake, Socket, acknowledged, data, key_of, refused},
};

const ALL: &str = "subscription { onUpdate { id count } }";

async fn publish(server: &Server, id: &str, count: u32) {
    let query = "mutation($id: ID!, $count: Int) { publish(id: $id, count: $count) { id count sender { name } } }";
    let answer = server.ask(query, json!({ "id": id, "count": count })).await;
    assert_eq!(answer["data"]["publish"]["id"], id, "{answer}");
}

#[tokio::test]
async fn every_kind_of_client_gets_in_with_its_key() {
    let server = Server::start().await;
    let headers = key_of(&server);
    let own = [("x-api-key", KEY)];
    let handshakes = [Handshake::SubProtocol(&headers), Handshake::Query(&headers), Handshake::Headers(&own)];
    for handshake in handshakes {
        let mut socket = Socket::open(&server, "/graphql/realtime", handshake).await;
        assert_eq!(socket.protocol, "graphql-ws");
        socket.initialize().await;
        assert_eq!(socket.start("s", ALL).await, acknowledged("s"));
    }
    Socket::open(&server, "/graphql", Handshake::SubProtocol(&headers)).await.initialize().await;
}

#[tokio::test]
async fn bad_credentials_are_told_on_the_socket_which_then_closes() {
    let server = Server::start().await;
    let host = server.address.to_string();
    let mut stale = ADMINISTRATOR.headers(&host, "/graphql", "{}");
    stale.insert("accept".into(), "application/json".into());
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
        let told = json!({ "type": "connection_error", "payload": { "errors": [error] } });
        assert_eq!(socket.hear().await, Some(told), "{headers}");
        assert_eq!(socket.hear().await, None);
    }
    let mut socket = Socket::open(&server, "/graphql/realtime", Handshake::SubProtocol(&Value::Object(stale))).await;
    let told = socket.hear().await.unwrap();
    assert_eq!(told["payload"]["errors"][0]["errorType"], "BadRequestException", "signed for another path");
}

#[tokio::test]
async fn a_handshake_and_each_start_are_signed_on_their_own() {
    let server = Server::start().await;
    let headers = Value::Object(ADMINISTRATOR.headers(&server.address.to_string(), "/graphql/connect", "{}"));
    let mut socket = Socket::open(&server, "/graphql/realtime", Handshake::SubProtocol(&headers)).await;
    socket.initialize().await;
    let locked = "subscription { onLocked { id sender { secret } } }";
    assert_eq!(socket.start_signed("signed", locked, ADMINISTRATOR).await, acknowledged("signed"));
    let denial = json!({ "errorType": "UnauthorizedException", "message": "Permission denied", "errorCode": 401 });
    assert_eq!(socket.start_signed("other", locked, PUBLISHER).await, refused("other", denial));
    let denial =
        json!({ "errorType": "Unauthorized", "message": "Not Authorized to access onLocked on type Subscription" });
    assert_eq!(socket.start("keyed", locked).await, refused("keyed", denial));
    let missing = json!({ "message": "Required headers are missing.", "errorCode": 400 });
    assert_eq!(socket.start_as("bare", "{}", json!({})).await, refused("bare", missing));
    let query = "mutation { publish(id: 1) { id sender { secret } } }";
    let body = json!({ "query": query }).to_string();
    let mut request = reqwest::Client::new().post(server.url()).body(body.clone());
    for (name, value) in ADMINISTRATOR.headers(&server.address.to_string(), "/graphql", &body) {
        request = request.header(name, value.as_str().unwrap());
    }
    request.send().await.unwrap();
    let update = json!({ "onLocked": { "id": "1", "sender": { "secret": "hush" } } });
    assert_eq!(socket.hear().await, data("signed", update));
}

#[tokio::test]
async fn a_subscriber_sees_its_own_selection_of_what_the_mutation_selected() {
    let server = Server::start().await;
    let mut socket = Socket::ready(&server).await;
    let query = "subscription S { news: onUpdate { ...U text } } fragment U on Update { key: id from: sender { name kind __typename } }";
    assert_eq!(socket.start("s", query).await, acknowledged("s"));
    let mutation = "mutation { done: publish(id: 7, text: \"hi\") { text nr: id sender { who: name } } }";
    let answer = server.ask(mutation, json!({})).await;
    assert_eq!(answer["data"]["done"], json!({ "text": "hi", "nr": "7", "sender": { "who": "Ann" } }));
    let from = json!({ "name": "Ann", "kind": null, "__typename": "Thing" });
    assert_eq!(socket.hear().await, data("s", json!({ "news": { "key": "7", "from": from, "text": "hi" } })));
}

#[tokio::test]
async fn what_the_mutation_did_not_select_is_null_and_an_error_where_null_is_forbidden() {
    let server = Server::start().await;
    let mut socket = Socket::ready(&server).await;
    socket.start("s", ALL).await;
    server.ask("mutation { publish(id: 7) { count } }", json!({})).await;
    let told = socket.hear().await.unwrap();
    assert_eq!(told["payload"]["data"], json!({ "onUpdate": null }));
    let message = "Cannot return null for non-nullable type: 'ID' within parent 'Update' (/onUpdate/id)";
    assert_eq!(told["payload"]["errors"][0]["message"], message);
}

#[tokio::test]
async fn arguments_filter_and_those_left_out_do_not() {
    let server = Server::start().await;
    let mut socket = Socket::ready(&server).await;
    let query = "subscription($id: ID, $count: Int) { onUpdate(id: $id, count: $count) { id count } }";
    for (id, variables) in
        [("one", json!({ "id": 1 })), ("both", json!({ "id": 1, "count": 2 })), ("null", json!({ "count": null }))]
    {
        assert_eq!(socket.start_with(id, query, variables).await, acknowledged(id));
    }
    publish(&server, "2", 2).await;
    publish(&server, "1", 1).await;
    assert_eq!(socket.hear().await, data("one", json!({ "onUpdate": { "id": "1", "count": 1 } })));
    server.ask("mutation { publish(id: 3) { id count } }", json!({})).await;
    assert_eq!(socket.hear().await, data("null", json!({ "onUpdate": { "id": "3", "count": null } })));
}

#[tokio::test]
async fn a_resolvers_filter_decides_instead_of_arguments() {
    let server = Server::start().await;
    let mut socket = Socket::ready(&server).await;
    let query = "subscription { onFiltered(most: 3) { id } }";
    assert_eq!(socket.start("s", query).await, acknowledged("s"));
    for (id, count) in [("a", 4), ("b", 3)] {
        publish(&server, id, count).await;
    }
    assert_eq!(socket.hear().await, data("s", json!({ "onFiltered": { "id": "b" } })));
}

#[tokio::test]
async fn a_subscriptions_resolver_may_refuse_or_greet() {
    let server = Server::start().await;
    let mut socket = Socket::ready(&server).await;
    let error = json!({ "errorType": "NotFound", "message": "Not yours." });
    assert_eq!(socket.start("no", "subscription { onRefused { id } }").await, refused("no", error));
    assert_eq!(socket.start("hi", "subscription { onGreeted { id text } }").await, acknowledged("hi"));
    assert_eq!(socket.hear().await, data("hi", json!({ "onGreeted": { "id": "hello", "text": "greeting" } })));
}

#[tokio::test]
async fn a_mutation_that_failed_is_not_told_to_subscribers() {
    let server = Server::start().await;
    let mut socket = Socket::ready(&server).await;
    socket.start("s", ALL).await;
    server.ask("mutation { fail(id: 1) { id } }", json!({})).await;
    publish(&server, "2", 2).await;
    assert_eq!(socket.hear().await, data("s", json!({ "onUpdate": { "id": "2", "count": 2 } })));
}

#[tokio::test]
async fn mutations_of_one_request_are_told_in_their_order() {
    let server = Server::start().await;
    let mut socket = Socket::ready(&server).await;
    socket.start("s", ALL).await;
    let fields: String =
        (0..50).map(|number| format!("m{number}: publish(id: {number}, count: {number}) {{ id count }} ")).collect();
    server.ask(&format!("mutation {{ {fields} }}"), json!({})).await;
    for number in 0..50 {
        let update = json!({ "onUpdate": { "id": number.to_string(), "count": number } });
        assert_eq!(socket.hear().await, data("s", update));
    }
}

#[tokio::test]
async fn an_update_past_the_payload_limit_is_lost() {
    let server = Server::start().await;
    let mut socket = Socket::ready(&server).await;
    socket.start("s", "subscription { onUpdate { id text } }").await;
    let query = "mutation($id: ID!, $text: String) { publish(id: $id, text: $text) { id text } }";
    let large = server.ask(query, json!({ "id": 1, "text": "x".repeat(240 * 1024) })).await;
    assert_eq!(large["data"]["publish"]["id"], "1");
    server.ask(query, json!({ "id": 2, "text": "x".repeat(239 * 1024) })).await;
    assert_eq!(socket.hear().await.unwrap()["payload"]["data"]["onUpdate"]["id"], "2");
}

#[tokio::test]
async fn a_stopped_subscription_is_complete_and_hears_nothing_more() {
    let server = Server::start().await;
    let mut socket = Socket::ready(&server).await;
    socket.start("first", ALL).await;
    socket.start("second", ALL).await;
    socket.say(&json!({ "id": "first", "type": "stop" })).await;
    assert_eq!(socket.hear().await, Some(json!({ "id": "first", "type": "complete" })));
    publish(&server, "1", 1).await;
    assert_eq!(socket.hear().await, data("second", json!({ "onUpdate": { "id": "1", "count": 1 } })));
    assert_eq!(socket.start("first", ALL).await, acknowledged("first"));
}

#[tokio::test]
async fn starts_that_cannot_be_served_are_errors_of_their_id() {
    let server = Server::start().await;
    let mut socket = Socket::ready(&server).await;
    socket.start("taken", ALL).await;
    let duplicate = json!({ "errorType": "DuplicatedOperationError", "message": "Duplicated operation with id taken" });
    assert_eq!(socket.start("taken", ALL).await, refused("taken", duplicate));
    let undefined =
        "Validation error of type FieldUndefined: Field 'nope' in type 'Update' is undefined @ 'onUpdate/nope'";
    assert_eq!(
        socket.start("bad", "subscription { onUpdate { nope } }").await,
        refused("bad", json!({ "message": undefined }))
    );
    socket.say(&json!({ "type": "dance" })).await;
    let unsupported =
        json!({ "errorType": "UnsupportedOperation", "message": "unknown not supported through the realtime channel" });
    assert_eq!(socket.hear().await, refused("", unsupported));
}

#[tokio::test]
async fn a_connection_holds_two_hundred_subscriptions() {
    let server = Server::start().await;
    let mut socket = Socket::ready(&server).await;
    for number in 0..200 {
        assert_eq!(socket.start(&number.to_string(), ALL).await, acknowledged(&number.to_string()));
    }
    let error =
        json!({ "errorType": "MaxSubscriptionsReachedError", "message": "Max number of 200 subscriptions reached" });
    assert_eq!(socket.start("one more", ALL).await, refused("one more", error));
}

#[tokio::test]
async fn a_mutation_may_end_subscriptions() {
    let server = Server::start().await;
    let (mut kicked, mut kept) = (Socket::ready(&server).await, Socket::ready(&server).await);
    assert_eq!(kicked.start("s", "subscription { onKickable(id: 1) { id } }").await, acknowledged("s"));
    assert_eq!(kept.start("s", "subscription { onKickable(id: 2) { id } }").await, acknowledged("s"));
    server.ask("mutation { kick(id: 1) { id } }", json!({})).await;
    let payload = json!({ "message": "Subscription complete." });
    assert_eq!(kicked.hear().await, Some(json!({ "id": "s", "type": "complete", "payload": payload })));
    assert_eq!(kicked.hear().await, None);
    publish(&server, "2", 2).await;
    assert_eq!(kept.hear().await, data("s", json!({ "onKickable": { "id": "2" } })));
}

#[tokio::test]
async fn an_idle_connection_is_kept_alive() {
    let settings = ApiSettings { keep_alive: Duration::from_millis(20), ..ApiSettings::default() };
    let server = Server::start_with(api(), settings).await;
    let mut socket = Socket::ready(&server).await;
    for _ in 0..3 {
        assert_eq!(socket.hear().await, Some(json!({ "type": "ka" })));
    }
}

#[tokio::test]
async fn nothing_is_heard_before_the_connection_is_initialized() {
    let server = Server::start().await;
    let headers = key_of(&server);
    let mut socket = Socket::open(&server, "/graphql/realtime", Handshake::SubProtocol(&headers)).await;
    socket.say(&json!({ "id": "early", "type": "stop" })).await;
    socket.initialize().await;
}

#[tokio::test]
async fn a_subscriber_who_never_reads_is_dropped() {
    let send_timeout = Duration::from_millis(300);
    let server = Server::start_with(api(), ApiSettings { send_timeout, ..ApiSettings::default() }).await;
    let mut silent = Socket::ready(&server).await;
    assert_eq!(silent.start("s", "subscription { onUpdate { id text } }").await, acknowledged("s"));
    let mutation = "mutation($text: String) { publish(id: 1, text: $text) { id text } }";
    let published = 80; // more than two sockets hold between them
    for _ in 0..published {
        server.ask(mutation, json!({ "text": "x".repeat(200_000) })).await;
    }
    // Nobody outside can tell when it happens, and whoever reads too soon is none who never reads.
    tokio::time::sleep(3 * send_timeout).await;
    let mut heard = 0;
    while silent.hear().await.is_some() {
        heard += 1;
    }
    assert!(heard < published, "it was dropped before it could hear everything");
}
