use futures::future::join_all;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::{besieged::Besieged, bystander::Bystander, wire::Socket};

#[tokio::test]
async fn subscribers_who_never_read_keep_nobody_waiting() {
    let mut besieged = Besieged::start().await;
    let bystander = Bystander::of(&besieged, "parlance.long").await;
    let mut silent = Vec::new();
    for _ in 0..15 {
        let mut socket = Socket::ready(&besieged.endpoint).await;
        socket.start("s", bystander.conversation_id()).await;
        assert_eq!(socket.hear().await.unwrap()["type"], "start_ack");
        silent.push(socket);
    }
    for _ in 0..3 {
        bystander.converse().await;
    }
    besieged.holds(250).unwrap();
}

#[tokio::test]
async fn a_connection_has_200_subscriptions_and_no_more() {
    let mut besieged = Besieged::start().await;
    let bystander = Bystander::of(&besieged, "parlance.deltas-5-10").await;
    let mut socket = Socket::ready(&besieged.endpoint).await;
    for number in 0..300 {
        socket.start(&number.to_string(), bystander.conversation_id()).await;
    }
    let mut kinds = [0, 0];
    for _ in 0..300 {
        let frame = socket.hear().await.unwrap();
        match frame["payload"]["errors"][0]["errorType"].as_str() {
            None => kinds[0] += usize::from(frame["type"] == "start_ack"),
            Some(kind) => kinds[1] += usize::from(kind == "MaxSubscriptionsReachedError"),
        }
    }
    assert_eq!(kinds, [200, 100]);
    bystander.converse().await;
    besieged.holds(150).unwrap();
}

#[tokio::test]
async fn what_is_said_before_the_beginning_is_not_heard() {
    let mut besieged = Besieged::start().await;
    let bystander = Bystander::of(&besieged, "parlance.deltas-5-10").await;
    let mut socket = Socket::open(&besieged.endpoint).await;
    for number in 0..500 {
        socket.start(&number.to_string(), bystander.conversation_id()).await;
        socket.say_text("nonsense".into()).await;
    }
    socket.say(&json!({ "type": "connection_init" })).await;
    socket.say(&json!({ "type": "stop", "id": "last" })).await;
    let heard = [socket.hear().await, socket.hear().await, socket.hear().await];
    let kinds = heard.map(|frame| frame.unwrap()["type"].clone());
    assert!(kinds.contains(&json!("connection_ack")) && kinds.contains(&json!("complete")), "{kinds:?}");
    bystander.converse().await;
    besieged.holds(100).unwrap();
}

#[tokio::test]
async fn sockets_that_are_half_open_are_closed() {
    let mut besieged = Besieged::start().await;
    let bystander = Bystander::of(&besieged, "parlance.deltas-5-10").await;
    let half_open = (0..200).map(async |number: usize| {
        let mut socket = Socket::ready(&besieged.endpoint).await;
        if number.is_multiple_of(2) {
            socket.start("s", bystander.conversation_id()).await;
        }
        socket.stream.get_mut().shutdown().await.unwrap();
        while socket.hear().await.is_some() {}
    });
    join_all(half_open).await;
    bystander.converse().await;
    besieged.holds(100).unwrap();
}
