use client::{
    errors::ErrorType,
    requests::{GetConversation, GetEvents, GetTurn, SendMessage},
    schema::{SenderKind, StopReason, TurnStatus},
};
use serde_json::json;

use crate::backend::{Backend, Ear, draw, refusal, say};

#[tokio::test]
async fn an_answer_streams_in_numbered_updates_and_is_stored_as_it_streamed() {
    let backend = Backend::start().await;
    let conversation = backend.conversation().await;
    let heard = backend.converse(&conversation, "Hello!").await;

    assert_eq!(heard.sequences(), Vec::from_iter(1..=heard.updates.len() as u32));
    assert!(heard.updates.len() > 3, "the answer came in several batches");
    let first = &heard.updates[0];
    let question = first.event.as_ref().expect("the first update shows the user's event");
    assert_eq!((question.sender.kind, question.text_or_empty(), question.position), (SenderKind::User, "Hello!", 1));
    assert_eq!(first.metadata.as_ref().map(|metadata| metadata.status), Some(TurnStatus::Running));

    let answer = heard.last_event();
    assert_eq!((answer.sender.kind, answer.position), (SenderKind::Agent, 2));
    assert_eq!(answer.stop_reason, Some(StopReason::EndTurn));
    assert!(answer.usage.is_some_and(|usage| usage.output_tokens > 0));
    assert!(answer.text_or_empty().contains("scripted model"), "the model says what it is: {}", answer.text_or_empty());
    assert!(answer.text_or_empty().starts_with(&heard.streamed()), "the final event ends what was streamed");
    assert_eq!(heard.stored(), answer.text_or_empty());
    assert_eq!(heard.turn.status, TurnStatus::Completed);
    assert_eq!(heard.turn.usage, answer.usage);
}

#[tokio::test]
async fn stored_batches_are_the_updates_that_were_published() {
    let backend = Backend::start().await;
    let conversation = backend.conversation_with("parlance.deltas-40-15").await;
    let heard = backend.converse(&conversation, "Count.").await;
    let published: Vec<_> = heard.updates[..heard.updates.len() - 1]
        .iter()
        .map(|update| (update.sequence, update.metadata.clone()))
        .collect();
    let stored: Vec<_> =
        heard.turn.batches.iter().flatten().map(|batch| (Some(batch.sequence), Some(batch.metadata.clone()))).collect();
    assert_eq!(stored, published);
    assert_eq!(heard.turn.has_more_batches, Some(false));

    let request =
        GetTurn { conversation_id: conversation, id: heard.turn.id.clone(), attempt: Some(1), after_sequence: Some(2) };
    let rest = backend.api.call(&request).await.unwrap();
    assert_eq!(
        rest.batches.iter().flatten().map(|batch| batch.sequence).collect::<Vec<_>>(),
        Vec::from_iter(3..heard.updates.len() as u32)
    );
}

#[tokio::test]
async fn a_second_question_is_answered_with_the_first_in_mind() {
    let backend = Backend::start().await;
    let conversation = backend.conversation().await;
    backend.converse(&conversation, "What is a quokka?").await;
    let second = backend.converse(&conversation, "And what did I ask before?").await;
    assert!(second.stored().contains("What is a quokka?"), "{}", second.stored());
    let positions: Vec<u32> = backend
        .events(GetEvents { conversation_id: conversation, ..GetEvents::default() })
        .await
        .iter()
        .map(|event| event.position)
        .collect();
    assert_eq!(positions, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_message_without_a_conversation_begins_one() {
    let backend = Backend::start().await;
    let send = "mutation { sendMessage(input: {text: \"Hello!\"}) { id conversationId status run attempt question { text position } } }";
    let answer = backend.execute(send, json!({})).await;
    let turn = &answer["data"]["sendMessage"];
    assert_eq!((&turn["status"], &turn["run"], &turn["attempt"]), (&json!("QUEUED"), &json!(1), &json!(0)), "{answer}");
    assert_eq!(turn["question"], json!({ "text": "Hello!", "position": 1 }));
    let id = turn["conversationId"].as_str().unwrap().to_owned();
    let conversation = backend.api.call(&GetConversation { id }).await.unwrap();
    assert_eq!(conversation.agent_id, "default");
    assert_eq!(conversation.active_turn.map(|active| active.id).as_deref(), turn["id"].as_str());
}

#[tokio::test]
async fn a_first_message_sent_again_is_one_conversation_and_one_turn() {
    let backend = Backend::start().await;
    let message = SendMessage { conversation_id: None, id: Some(draw()), text: "Hello!".into() };
    let first = backend.api.call(&message).await.unwrap();
    let again = backend.api.call(&message).await.unwrap();
    assert_eq!((&again.conversation_id, &again.id, again.run), (&first.conversation_id, &first.id, first.run));
    let other = SendMessage { text: "Goodbye!".into(), ..message };
    assert_eq!(refusal(&backend.api, &other).await.0, ErrorType::IdConflict);
}

#[tokio::test]
async fn a_message_sent_again_is_the_same_turn() {
    let backend = Backend::start().await;
    let conversation = backend.conversation().await;
    let mut ear = Ear::open(&backend.api, &conversation).await;
    let id = draw();
    let first = say(&backend.api, &conversation, &id, "Hello!").await.unwrap();
    let again = say(&backend.api, &conversation, &id, "Hello!").await.unwrap();
    assert_eq!((first.id, first.run), (again.id, again.run));
    ear.until_end(&id).await;
    let after = say(&backend.api, &conversation, &id, "Hello!").await.unwrap();
    assert_eq!((after.status, after.attempt), (TurnStatus::Completed, 1));

    let other = SendMessage { conversation_id: Some(conversation.clone()), id: Some(id), text: "Goodbye!".into() };
    assert_eq!(refusal(&backend.api, &other).await.0, ErrorType::IdConflict);
    let events = backend.events(GetEvents { conversation_id: conversation, ..GetEvents::default() }).await;
    assert_eq!(events.len(), 2, "one question, one answer");
}

#[tokio::test]
async fn a_busy_conversation_names_the_turn_that_keeps_it_busy() {
    let backend = Backend::start().await;
    let conversation = backend.conversation().await;
    let mut ear = Ear::open(&backend.api, &conversation).await;
    let running = backend.say(&conversation, "Hello!").await;
    let second = SendMessage { conversation_id: Some(conversation.clone()), id: None, text: "Hurry!".into() };
    assert_eq!(refusal(&backend.api, &second).await, (ErrorType::ConversationBusy, json!({ "turnId": running.id })));
    ear.until_end(&running.id).await;
    assert!(backend.api.call(&second).await.is_ok(), "the conversation is free again");
}

#[tokio::test]
async fn two_messages_at_once_are_one_turn_and_one_refusal() {
    let backend = Backend::start().await;
    let conversation = backend.conversation().await;
    let (ids, texts) = ([draw(), draw()], ["One.", "Two."]);
    let (one, two) = tokio::join!(
        say(&backend.api, &conversation, &ids[0], texts[0]),
        say(&backend.api, &conversation, &ids[1], texts[1])
    );
    let refused = match (one, two) {
        (Ok(_), Err(error)) | (Err(error), Ok(_)) => error.api_error().and_then(|error| error.error_type.clone()),
        (one, two) => panic!("one wins: {one:?}, {two:?}"),
    };
    assert!(matches!(refused, Some(ErrorType::ConversationBusy | ErrorType::TryAgain)), "{refused:?}");
    let events = backend.events(GetEvents { conversation_id: conversation, ..GetEvents::default() }).await;
    assert_eq!(events.iter().filter(|event| event.sender.kind == SenderKind::User).count(), 1);
}

#[tokio::test]
async fn everybody_who_is_subscribed_hears_the_same() {
    let backend = Backend::start().await;
    let conversation = backend.conversation().await;
    let mut ears = [Ear::open(&backend.api, &conversation).await, Ear::open(&backend.api, &conversation).await];
    let turn = backend.say(&conversation, "Hello!").await;
    let [one, two] = &mut ears;
    let (one, two) = tokio::join!(one.until_end(&turn.id), two.until_end(&turn.id));
    assert_eq!(one, two);
}
