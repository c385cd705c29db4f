//! How much of a long conversation the handler's requests read from the prompt cache, and what it costs.
use std::sync::Arc;

use api::types::{ConversationEvent, InferenceSettings, Usage};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use futures::TryStreamExt;
use handler::model::{Bedrock, Model, ModelRequest, StreamEvent};
use local::bedrock::{ScriptedModels, scripted_router};
use serde_json::json;
use turn::{
    model::PromptCaching,
    transcript::{TranscriptInput, build_transcript},
};

const MODEL: &str = "global.anthropic.claude-sonnet-5";
const TURNS: u32 = 50;
/// The prices of the model in dollars for a million tokens: input, output, read from the cache, written to it
/// (models.dev, July 2026).
const PRICES: [f64; 4] = [2.0, 10.0, 0.2, 2.5];

#[tokio::test]
async fn nine_tenths_of_a_long_conversation_are_read_from_the_cache() {
    let all = usages(400_000, PromptCaching::FiveMinutes).await;
    let trimmed = usages(20_000, PromptCaching::FiveMinutes).await;
    let uncached = usages(400_000, PromptCaching::Off).await;
    assert_ne!(trimmed, all, "the transcript is cut");
    for (name, usages) in [("whole conversation", &all), ("cut to 20,000 bytes", &trimmed)] {
        let share = cached_share(&usages[2..]);
        println!("{name}: {:.1} % of the input read from the cache from turn 3 on", share * 100.0);
        assert!(share >= 0.9, "{name}: {share}");
    }
    assert_eq!(cached_share(&uncached), 0.0);
    let (with, without) = (cost(&all), cost(&uncached));
    println!("{TURNS} turns cost ${with:.4} with caching and ${without:.4} without: {:.1} times", without / with);
    assert!(with < without / 2.0);
}

/// The transcript of the newest turns is cut anew only where many turns have been added.
#[test]
fn beginning_of_a_cut_transcript_stays_the_same_for_many_turns() {
    let mut history = Vec::new();
    let mut beginnings = Vec::new();
    for number in 0..200 {
        let question = event(2 * number + 1, "USER", &format!("Question {number}: {}", "why? ".repeat(60)));
        let input = input(history.clone(), question.clone(), 40_000);
        beginnings.push(build_transcript(&input)[0].clone());
        history.extend([question, event(2 * number + 2, "AGENT", &"because ".repeat(60))]);
    }
    beginnings.dedup();
    assert!((2..=16).contains(&beginnings.len()), "{} beginnings", beginnings.len());
}

/// The usage of each turn of a conversation.
async fn usages(context_bytes: usize, prompt_caching: PromptCaching) -> Vec<Usage> {
    let bedrock = start_bedrock().await;
    let mut history = Vec::new();
    let mut usages = Vec::new();
    for number in 0..TURNS {
        let text = format!("Question {number}: how long does part {number} last, and where is it written?");
        let question = event(2 * number + 1, "USER", &text);
        let request = ModelRequest {
            model_id: MODEL.into(),
            system_prompt: Some("You answer questions about machines. Be brief and exact. ".repeat(150)),
            inference: InferenceSettings::default(),
            transcript: build_transcript(&input(history.clone(), question.clone(), context_bytes)),
            prompt_caching,
            ..ModelRequest::default()
        };
        let events: Vec<StreamEvent> = bedrock.answer(Arc::new(request)).try_collect().await.expect("an answer");
        let text = events.iter().filter_map(|event| match event {
            StreamEvent::Text { text, .. } => Some(text.as_str()),
            _ => None,
        });
        history.extend([question, event(2 * number + 2, "AGENT", &text.collect::<String>())]);
        usages.extend(events.iter().filter_map(|event| match event {
            StreamEvent::Usage(usage) => Some(*usage),
            _ => None,
        }));
    }
    assert_eq!(usages.len(), TURNS as usize);
    usages
}

async fn start_bedrock() -> Bedrock {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let endpoint = format!("http://{}", listener.local_addr().expect("the listener has an address"));
    let router = scripted_router(ScriptedModels::without_pauses());
    tokio::spawn(async { axum::serve(listener, router).await });
    let credentials = Credentials::new("any", "any", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .build();
    Bedrock::new(&config)
}

fn input(history: Vec<ConversationEvent>, question: ConversationEvent, context_bytes: usize) -> TranscriptInput {
    TranscriptInput {
        history,
        history_cut: false,
        question,
        context: Vec::new(),
        kept_answer: Vec::new(),
        context_bytes,
        model_id: MODEL.into(),
    }
}

fn event(position: u32, sender: &str, text: &str) -> ConversationEvent {
    let event = json!({
        "id": format!("e{position}"), "conversationId": "c1", "position": position,
        "turnId": format!("t{}", position.div_ceil(2)), "sender": { "kind": sender }, "content": [{ "text": text }],
        "createdAt": "2026-11-27T09:00:00.000Z",
    });
    serde_json::from_value(event).expect("the members are those of an event")
}

/// The part of the input tokens that were read from the cache.
fn cached_share(usages: &[Usage]) -> f64 {
    let sum = |count: fn(&Usage) -> u32| usages.iter().map(|usage| f64::from(count(usage))).sum::<f64>();
    let read = sum(|usage| usage.cache_read_tokens.unwrap_or(0));
    let written = sum(|usage| usage.cache_write_tokens.unwrap_or(0));
    read / (read + written + sum(|usage| usage.input_tokens))
}

/// In dollars.
fn cost(usages: &[Usage]) -> f64 {
    let of_turn = |usage: &Usage| {
        let counts = [
            usage.input_tokens,
            usage.output_tokens,
            usage.cache_read_tokens.unwrap_or(0),
            usage.cache_write_tokens.unwrap_or(0),
        ];
        counts.iter().zip(PRICES).map(|(count, price)| f64::from(*count) * price / 1e6).sum::<f64>()
    };
    usages.iter().map(of_turn).sum()
}
