//! What the prompt cache reads and writes.
use std::time::Duration;

use aws_sdk_bedrockruntime::types::{
    CacheTtl, ContentBlock, ConversationRole, Message, SystemContentBlock, TokenUsage, Tool, ToolConfiguration,
};
use tokio::time::advance;

use crate::sdk_client::{Bedrock, StreamResult, cache_point, message, message_of, receive, tool};

const SONNET: &str = "global.anthropic.claude-sonnet-4-5-20250929-v1:0";
const HAIKU: &str = "global.anthropic.claude-haiku-4-5-20251001-v1:0";

/// A conversation with cache points after tools, system prompt and the last two messages of the user.
struct Conversation<'a> {
    bedrock: &'a Bedrock,
    model_id: &'static str,
    system: String,
    tool_description: String,
    ttl: Option<CacheTtl>,
    messages: Vec<Message>,
}

/// A text of so many tokens.
fn text_of(tokens: usize) -> String {
    "words ".repeat(tokens).trim_end().to_owned()
}

impl<'a> Conversation<'a> {
    fn new(bedrock: &'a Bedrock, model_id: &'static str, system_tokens: usize) -> Self {
        Self {
            bedrock,
            model_id,
            system: text_of(system_tokens),
            tool_description: "Says the forecast.".into(),
            ttl: None,
            messages: Vec::new(),
        }
    }

    async fn ask(&mut self, question: &str) -> TokenUsage {
        self.messages.push(message(ConversationRole::User, question));
        let result = self.send(true).await;
        self.messages.push(result.as_message());
        result.usage.expect("usage")
    }

    async fn send(&self, has_points: bool) -> StreamResult {
        let point = || has_points.then(|| cache_point(self.ttl.clone()));
        let tools = [Some(tool("forecast", Some(&self.tool_description))), point().map(Tool::CachePoint)];
        let tools = ToolConfiguration::builder().set_tools(Some(tools.into_iter().flatten().collect()));
        let system = [Some(SystemContentBlock::Text(self.system.clone())), point().map(SystemContentBlock::CachePoint)];
        let first_point = self.messages.len().saturating_sub(3);
        let messages = self.messages.iter().enumerate().map(|(index, message)| {
            let has_point = index >= first_point && message.role == ConversationRole::User;
            let point = point().filter(|_| has_point).map(ContentBlock::CachePoint);
            message_of(message.role.clone(), message.content.iter().cloned().chain(point))
        });
        let request = self.bedrock.request(self.model_id).tool_config(tools.build().expect("tools"));
        let request = request.set_system(Some(system.into_iter().flatten().collect()));
        receive(request.set_messages(Some(messages.collect()))).await
    }
}

fn read(usage: &TokenUsage) -> i32 {
    usage.cache_read_input_tokens.expect("tokens that were read")
}

fn written(usage: &TokenUsage) -> i32 {
    usage.cache_write_input_tokens.expect("tokens that were written")
}

#[tokio::test(start_paused = true)]
async fn each_turn_reads_what_the_last_wrote() {
    let bedrock = Bedrock::start().await;
    let mut conversation = Conversation::new(&bedrock, SONNET, 2_000);
    let first = conversation.ask("What is a turn?").await;
    assert_eq!((read(&first), first.input_tokens), (0, 0), "everything stands before a cache point");
    let second = conversation.ask("And a run?").await;
    assert_eq!(read(&second), written(&first));
    assert!(written(&second) < 300, "{second:?}");
    let answer = conversation.messages.pop().expect("an answer");
    let without_points = conversation.send(false).await.usage.expect("usage");
    assert_eq!(without_points.cache_read_input_tokens, None);
    let total = second.input_tokens + read(&second) + written(&second);
    assert_eq!(without_points.input_tokens, total);
    assert_eq!(second.total_tokens, total + second.output_tokens, "all are in the total");
    conversation.messages.push(answer);
}

#[tokio::test(start_paused = true)]
async fn nine_tenths_of_fifty_turns_are_read_from_the_cache() {
    let bedrock = Bedrock::start().await;
    let mut conversation = Conversation::new(&bedrock, SONNET, 2_000);
    for turn in 1..=50 {
        let usage = conversation.ask(&format!("This is question {turn}. What comes next?")).await;
        let total = usage.input_tokens + read(&usage) + written(&usage);
        assert!(turn < 3 || read(&usage) * 10 >= total * 9, "turn {turn}: {usage:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn entries_live_for_their_time_after_their_last_use() {
    let bedrock = Bedrock::start().await;
    for (ttl, minutes) in [(None, 5), (Some(CacheTtl::OneHour), 60)] {
        let mut conversation = Conversation::new(&bedrock, SONNET, 2_000 + minutes as usize);
        conversation.ttl = ttl.clone();
        let almost = Duration::from_secs(minutes * 60 - 30);
        conversation.ask("One?").await;
        for question in ["Two?", "Three?"] {
            advance(almost).await;
            let usage = conversation.ask(question).await;
            assert!(read(&usage) > 2_000, "{ttl:?}: a use renews the entry: {usage:?}");
        }
        advance(Duration::from_secs(minutes * 60)).await;
        let usage = conversation.ask("Four?").await;
        assert_eq!(read(&usage), 0, "{ttl:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn short_prefix_is_silently_not_cached() {
    let bedrock = Bedrock::start().await;
    let mut conversation = Conversation::new(&bedrock, HAIKU, 2_000);
    for question in ["One?", "Two?"] {
        let usage = conversation.ask(question).await;
        assert_eq!((read(&usage), written(&usage)), (0, 0));
        assert!(usage.input_tokens > 2_000 && usage.cache_details().is_empty());
    }
    let mut conversation = Conversation::new(&bedrock, HAIKU, 5_000);
    conversation.ask("One?").await;
    assert!(read(&conversation.ask("Two?").await) > 5_000);
}

#[tokio::test(start_paused = true)]
async fn change_of_an_earlier_part_makes_the_later_ones_unknown() {
    let bedrock = Bedrock::start().await;
    let mut conversation = Conversation::new(&bedrock, SONNET, 2_000);
    conversation.tool_description = text_of(1_500);
    conversation.ask("One?").await;
    conversation.system.push_str(" Be brief.");
    let usage = conversation.ask("Two?").await;
    assert!((1_500..2_000).contains(&read(&usage)), "the tools are known: {usage:?}");
    conversation.tool_description.push('!');
    assert_eq!(read(&conversation.ask("Three?").await), 0);
    conversation.model_id = "global.anthropic.claude-sonnet-4-6";
    assert_eq!(read(&conversation.ask("Four?").await), 0, "each model has its own cache");
}

#[tokio::test(start_paused = true)]
async fn details_name_the_tokens_of_each_lifetime() {
    let bedrock = Bedrock::start().await;
    let request = |last: Option<CacheTtl>| {
        let system = [
            SystemContentBlock::Text(text_of(1_200)),
            SystemContentBlock::CachePoint(cache_point(Some(CacheTtl::OneHour))),
        ];
        let question = [ContentBlock::Text(text_of(300)), ContentBlock::CachePoint(cache_point(last))];
        let request = bedrock.request(SONNET).set_system(Some(system.into()));
        request.messages(message_of(ConversationRole::User, question))
    };
    let usage = receive(request(None)).await.usage.expect("usage");
    let details: Vec<_> =
        usage.cache_details().iter().map(|detail| (detail.ttl.as_str(), detail.input_tokens)).collect();
    assert_eq!(details, [("1h", 1_200), ("5m", 300)]);
    assert_eq!(written(&usage), 1_500);
}

#[tokio::test(start_paused = true)]
async fn some_models_take_no_cache_points() {
    let bedrock = Bedrock::start().await;
    let question = || [ContentBlock::Text("Hello".into()), ContentBlock::CachePoint(cache_point(None))];
    let ask = |model_id: &'static str| {
        receive(bedrock.request(model_id).messages(message_of(ConversationRole::User, question())))
    };
    for model_id in [
        "us.meta.llama4-scout-17b-instruct-v1:0",
        "mistral.mistral-large-2407-v1:0",
        "us.deepseek.v3.2",
        "qwen.qwen3-32b-v1:0",
        "nvidia.nemotron-super-3-120b",
        "anthropic.claude-3-haiku-20240307-v1:0",
        "anthropic.claude-3-5-sonnet-20240620-v1:0",
    ] {
        let result = ask(model_id).await;
        let message = "You invoked an unsupported model or your request did not allow prompt caching. See the \
                       documentation for more information.";
        assert_eq!((result.code(), result.message.as_deref()), (Some("AccessDeniedException"), Some(message)));
    }
    for model_id in ["anthropic.claude-3-5-sonnet-20241022-v2:0", "us.amazon.nova-pro-v1:0", "parlance.echo"] {
        assert_eq!(ask(model_id).await.failure, None, "{model_id}");
    }
}
