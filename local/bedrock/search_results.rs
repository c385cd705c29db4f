//! Search results: the models that take them, with Bedrock's messages, and their order in a request.
use super::{
    bedrock_error::BedrockError,
    request::{ContentBlock, Message, SearchResult, Transcript},
};

/// A model of which the handler assumes, by its name, that it takes search results.
pub(super) const REFUSING_MODEL: &str = "parlance.anthropic.claude-no-search-results";

/// The beginnings of the names of Claude's versions without search results.
const OLD_VERSIONS: [&str; 6] = ["v2", "instant", "3-haiku", "3-sonnet", "3-opus", "3-5-sonnet"];

/// All search results of a request, in the order in which their indices count.
pub(super) fn search_results(transcript: &Transcript) -> Vec<&SearchResult> {
    let blocks = transcript.messages.iter().flat_map(|message| &message.content);
    blocks.flat_map(of_block).collect()
}

fn of_block(block: &ContentBlock) -> impl Iterator<Item = &SearchResult> {
    let contents = block.tool_result.iter().flat_map(|result| &result.content);
    block.search_result.iter().chain(contents.filter_map(|content| content.search_result.as_ref()))
}

/// Members without a value. Bedrock reports them together with those of other members.
pub(super) fn violations(index: usize, message: &Message) -> Vec<String> {
    let blocks = message.content.iter().enumerate();
    let results = blocks.flat_map(|(block_index, block)| {
        let path = format!("messages.{}.member.content.{}.member", index + 1, block_index + 1);
        let own = block.search_result.iter().map({
            let path = path.clone();
            move |result| (format!("{path}.searchResult"), result)
        });
        let contents = block.tool_result.iter().flat_map(|result| result.content.iter().enumerate());
        let nested = contents.filter_map(move |(content_index, content)| {
            let path = format!("{path}.toolResult.content.{}.member.searchResult", content_index + 1);
            Some((path, content.search_result.as_ref()?))
        });
        own.chain(nested)
    });
    results.flat_map(|(path, result)| missing_members(&path, result)).collect()
}

fn missing_members(path: &str, result: &SearchResult) -> Vec<String> {
    let members = [("source", result.source.is_none()), ("title", result.title.is_none())];
    let missing = members.into_iter().filter(|(_, is_missing)| *is_missing);
    let violation =
        |(member, _)| format!("Value null at '{path}.{member}' failed to satisfy constraint: Member must not be null");
    missing.map(violation).collect()
}

/// The message was recorded as far as "field" for this member, and whole for documents.
pub(super) fn check(model_id: &str, transcript: &Transcript) -> Result<(), BedrockError> {
    let is_in = |role: &str| {
        let messages = transcript.messages.iter().filter(|message| message.role == role);
        messages.flat_map(|message| &message.content).any(|block| of_block(block).next().is_some())
    };
    let role = match (is_in("user") && !takes_search_results(model_id), is_in("assistant")) {
        (true, _) => "user",
        (false, true) => "assistant",
        (false, false) => return check_values(&search_results(transcript)),
    };
    Err(BedrockError::validation(format!(
        "This model doesn't support the searchResult field for {role} messages. Remove searchResult and try again."
    )))
}

fn takes_search_results(model_id: &str) -> bool {
    let name = model_id.rsplit('/').next().unwrap_or(model_id);
    let version = name.split_once("anthropic.claude-").map(|(_, version)| version);
    name != REFUSING_MODEL && version.is_some_and(|version| !OLD_VERSIONS.iter().any(|old| version.starts_with(old)))
}

/// Anthropic documents both rules; the messages are assumed.
fn check_values(results: &[&SearchResult]) -> Result<(), BedrockError> {
    let error = if results.iter().any(|result| result.is_blank()) {
        "search_result: text content blocks must be non-empty"
    } else if results.windows(2).any(|pair| pair[0].has_citations() != pair[1].has_citations()) {
        "search_result: citations must be enabled for all search results or for none"
    } else {
        return Ok(());
    };
    Err(BedrockError::validation(format!("The model returned the following errors: {error}")))
}
