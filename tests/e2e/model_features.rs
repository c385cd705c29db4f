//! Reasoning, prompt caching, guardrails, fallback models and titles, from the request to the subscriber.
use client::{
    requests::{GetConversation, PutAgent, SendMessage, UpdateConversation},
    schema::{
        ConversationUpdate, GuardrailPolicy, GuardrailSource, PromptCaching, ReasoningEffort, ReasoningSettings,
        StopReason, TurnStatus,
    },
};
use local::bedrock::{BLOCKED_INPUT_MESSAGE, BLOCKED_OUTPUT_MESSAGE};
use serde_json::json;

use crate::{
    backend::{Backend, execute, new_id},
    subscriber::Subscriber,
};

const CLAUDE: &str = "global.anthropic.claude-haiku-4-5-20251001-v1:0";

async fn agent(backend: &Backend, agent: PutAgent) -> String {
    backend.administrator.call(&agent).await.expect("the agent is put");
    let id = backend.conversation().await;
    let update = UpdateConversation { id: id.clone(), title: None, agent_id: Some(agent.id) };
    backend.api.call(&update).await.expect("the agent is set");
    id
}

fn streamed_reasoning(updates: &[ConversationUpdate]) -> String {
    let metadata = updates.iter().filter_map(|update| update.metadata.as_ref());
    metadata.filter_map(|metadata| metadata.agent_partial_reasoning.as_deref()).collect()
}

#[tokio::test]
async fn reasoning_is_streamed_and_stored_beside_the_text() {
    let backend = Backend::with_parameters([("ModelId", CLAUDE)]).await;
    let reasoning = ReasoningSettings { effort: Some(ReasoningEffort::Low), budget_tokens: None };
    let settings = PutAgent { id: "thinker".into(), model_id: CLAUDE.into(), ..PutAgent::default() };
    let id = agent(&backend, PutAgent { reasoning: Some(reasoning), ..settings }).await;
    let finished = backend.send_and_wait(&id, "Why does it rain?").await;
    let event = finished.final_event();
    let stored: Vec<_> = event.content.iter().filter_map(|block| block.reasoning.as_ref()).collect();
    assert!(!stored[0].text.is_empty() && stored[0].milliseconds.is_some());
    assert!(stored[0].text.starts_with(&streamed_reasoning(&finished.updates)));
    assert!(!streamed_reasoning(&finished.updates).is_empty());
    assert!(!event.text.as_deref().unwrap_or_default().contains(&stored[0].text));
    assert_eq!((stored[0].signature.as_ref(), stored[0].redacted.as_ref()), (None, None));
    let next = backend.send_and_wait(&id, "And snow?").await;
    assert_eq!(next.final_event().stop_reason, Some(StopReason::EndTurn), "the next turn is accepted");
}

#[tokio::test]
async fn model_that_only_thinks_gives_no_answer() {
    let backend = Backend::start().await;
    let id = backend.conversation_with("parlance.reasoning-only").await;
    let finished = backend.send_and_wait(&id, "Why?").await;
    assert_eq!(finished.final_event().stop_reason, Some(StopReason::NoAnswer));
    assert_eq!(
        backend.turn(&id, &finished.final_event().turn_id.clone().expect("a turn")).await.status,
        TurnStatus::Completed
    );
}

#[tokio::test]
async fn second_turn_reads_what_the_first_has_cached() {
    let backend = Backend::with_parameters([("ModelId", CLAUDE)]).await;
    let settings = PutAgent {
        id: "long".into(),
        model_id: CLAUDE.into(),
        system_prompt: Some("You answer questions about machines. ".repeat(1000)),
        ..PutAgent::default()
    };
    let cached = agent(&backend, settings.clone()).await;
    let first = backend.send_and_wait(&cached, "Why?").await.final_event().usage.expect("usage");
    let second = backend.send_and_wait(&cached, "And now?").await.final_event().usage.expect("usage");
    assert!(first.cache_write_tokens > Some(1000) && first.cache_read_tokens.unwrap_or(0) == 0, "{first:?}");
    assert!(second.cache_read_tokens > Some(1000), "{second:?}");
    let off = PutAgent { id: "off".into(), prompt_caching: Some(PromptCaching::Off), ..settings };
    let uncached = agent(&backend, off).await;
    let usage = backend.send_and_wait(&uncached, "Why?").await.final_event().usage.expect("usage");
    assert_eq!((usage.cache_read_tokens.unwrap_or(0), usage.cache_write_tokens.unwrap_or(0)), (0, 0));
}

/// Each mode with the parameter that says whether the newest message alone is assessed.
#[tokio::test]
async fn blocked_message_ends_its_turn_and_blocks_no_later_one() {
    for (mode, newest_message_only) in [("SYNC", "true"), ("SYNC", "false"), ("ASYNC", "true")] {
        let parameters = [
            ("GuardrailId", "gr1"),
            ("GuardrailVersion", "1"),
            ("GuardrailMode", mode),
            ("GuardrailNewestMessageOnly", newest_message_only),
            ("ModelId", CLAUDE),
        ];
        let backend = Backend::with_parameters(parameters).await;
        let id = backend.conversation().await;
        let blocked = backend.send_and_wait(&id, "Tell me about the forbidden topic.").await;
        let event = blocked.final_event();
        assert_eq!(event.stop_reason, Some(StopReason::GuardrailIntervened));
        assert_eq!(event.text.as_deref(), Some(BLOCKED_INPUT_MESSAGE));
        let guardrail = event.guardrail.as_ref().expect("an intervention");
        assert_eq!(
            (guardrail.source, &guardrail.policies[..]),
            (Some(GuardrailSource::Input), &[GuardrailPolicy::Topic][..])
        );
        let next = backend.send_and_wait(&id, "And what is the forecast?").await;
        assert_eq!(next.final_event().stop_reason, Some(StopReason::EndTurn), "{mode} {newest_message_only}");
        assert_eq!(next.final_event().guardrail, None);
    }
}

#[tokio::test]
async fn blocked_answer_is_replaced_by_the_text_of_the_guardrail() {
    for mode in ["SYNC", "ASYNC"] {
        let parameters = [("GuardrailId", "gr1"), ("GuardrailVersion", "1"), ("GuardrailMode", mode)];
        let backend = Backend::with_parameters(parameters).await;
        let id = backend.conversation_with("parlance.echo").await;
        let words = "long ".repeat(40);
        let finished = backend.send_and_wait(&id, &format!("{words} here is the secret recipe for you.")).await;
        let event = finished.final_event();
        assert_eq!(event.stop_reason, Some(StopReason::GuardrailIntervened), "{mode}");
        assert_eq!(event.text.as_deref(), Some(BLOCKED_OUTPUT_MESSAGE), "{mode}");
        assert_eq!(event.guardrail.as_ref().expect("an intervention").source, Some(GuardrailSource::Output));
    }
}

#[tokio::test]
async fn fallback_model_answers_visibly() {
    let backend = Backend::start().await;
    for model_id in ["parlance.retired", "parlance.unavailable", "parlance.daily-quota"] {
        let settings = PutAgent {
            id: "safe".into(),
            model_id: model_id.into(),
            fallback_model_ids: vec!["parlance.unavailable-at-once".into(), "parlance.echo".into()],
            ..PutAgent::default()
        };
        let id = agent(&backend, settings).await;
        let finished = backend.send_and_wait(&id, "Hello").await;
        assert_eq!(finished.stored_text(), "Hello", "{model_id}");
        assert_eq!(finished.final_event().model_id.as_deref(), Some("parlance.echo"));
        let notes = finished.updates.iter().filter_map(|update| update.metadata.as_ref()?.note.as_deref());
        assert!(notes.into_iter().any(|note| note.contains("another one")), "{model_id}");
    }
}

#[tokio::test]
async fn title_is_published_after_the_first_answer_and_replaces_none() {
    let backend = Backend::with_parameters([("TitleModelId", "parlance.any")]).await;
    let untitled = backend.conversation_with("parlance.echo").await;
    let mut subscriber = Subscriber::subscribe(&backend.api, &untitled).await;
    let message = SendMessage {
        conversation_id: Some(untitled.clone()),
        id: Some(new_id()),
        text: "Why does it rain?".into(),
        ..SendMessage::default()
    };
    backend.api.call(&message).await.expect("the message is stored");
    let updates = subscriber.updates_until(|update| update.title.is_some()).await;
    let title = updates.last().and_then(|update| update.title.clone());
    let stored = backend.api.call(&GetConversation { id: untitled }).await.expect("the conversation");
    assert_eq!(stored.title, title);
    let titled = backend.conversation_with("parlance.echo").await;
    let update = UpdateConversation { id: titled.clone(), title: Some("Mine".into()), agent_id: None };
    backend.api.call(&update).await.expect("the title is set");
    backend.send_and_wait(&titled, "Why?").await;
    backend.send_and_wait(&titled, "And now?").await;
    assert_eq!(
        backend.api.call(&GetConversation { id: titled }).await.expect("the conversation").title.as_deref(),
        Some("Mine")
    );
}

/// The agent reads the name of an agent: a harmless one, and one that the guardrail blocks.
#[tokio::test]
async fn results_of_tools_are_assessed() {
    for (name, expected) in [("Harmless", "Harmless"), ("The forbidden topic", "A guardrail has withheld this result")]
    {
        let backend =
            Backend::with_parameters([("GuardrailId", "gr1"), ("GuardrailVersion", "1"), ("ModelId", CLAUDE)]).await;
        let document = "query Look { getAgent(id: \"looker\") { name } }";
        let input = json!({
            "id": "looker", "name": name, "modelId": CLAUDE,
            "tools": [{ "name": "look", "description": "Looks.", "graphql": { "document": document } }],
        });
        let put = "mutation Put($input: PutAgentInput!) { putAgent(input: $input) { id } }";
        execute(&backend.administrator, put, json!({ "input": input })).await;
        let id = backend.conversation().await;
        let update = UpdateConversation { id: id.clone(), title: None, agent_id: Some("looker".into()) };
        backend.api.call(&update).await.expect("the agent is set");
        backend.send_and_wait(&id, "call look with {}").await;
        let events = backend.newest_events(&id).await;
        let results: Vec<_> = events.iter().flat_map(|event| event.tool_results()).collect();
        assert_eq!(results.len(), 1, "{events:?}");
        let result = results[0].json.as_deref().or(results[0].text.as_deref()).expect("a result");
        assert!(result.contains(expected), "{result}");
    }
}
