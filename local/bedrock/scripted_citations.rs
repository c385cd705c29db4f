//! Answers of the scripted model from passages of documents: it quotes what fits the question best and cites
//! it, by itself as Claude does, or by numbers in brackets.
use serde::Deserialize;

use super::{
    canned_text::{INTRODUCTION, limit_answer, split_tokens},
    quotes::best_quotes,
    request::{ContentBlock, Message, SearchResult, Transcript},
    script::{Delta, Pace, Script, ScriptBuilder, new_tool_use_id},
    search_results::search_results,
};

/// The built-in tool of agents that search documents themselves.
pub(super) const SEARCH_TOOL: &str = "search_documents";

/// A passage as the request numbers it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Passage<'a> {
    /// Of a search result: its index in the request, from 0. Of numbered text: its number.
    number: usize,
    text: &'a str,
}

/// The answer to a question with passages, or a search. None if the request has neither passages nor the
/// tool.
pub(super) fn script(transcript: &Transcript) -> Option<Script> {
    let (message, answer) = transcript.split_at_question()?;
    let question = message.last_text()?;
    let search_results = search_results(transcript);
    if !search_results.is_empty() {
        let passages = (0..).zip(search_results.iter().copied());
        let passages: Vec<_> = passages.map(|(number, result)| Passage { number, text: result.text() }).collect();
        return Some(answer_with_citations(transcript, &search_results, &choose_quotes(question, &passages)));
    }
    let found = found_passages(answer);
    let passages: Vec<Passage> = match &found {
        Some(found) => found.iter().map(|(number, text)| Passage { number: *number, text }).collect(),
        None => numbered_passages(message),
    };
    if !passages.is_empty() {
        return Some(answer_with_markers(transcript, &choose_quotes(question, &passages)));
    }
    let can_search = found.is_none() && transcript.tool_names().any(|name| name == SEARCH_TOOL);
    can_search.then(|| search(transcript, question))
}

/// The passages in the texts before the question, such as `[1] leave.md`, a line break and the passage.
fn numbered_passages(message: &Message) -> Vec<Passage<'_>> {
    let texts: Vec<&str> = message.content.iter().filter_map(ContentBlock::text).collect();
    let before_question = texts.split_last().map_or(&[][..], |(_, before)| before);
    before_question.iter().flat_map(|text| text.split("\n\n[")).filter_map(numbered_passage).collect()
}

fn numbered_passage(text: &str) -> Option<Passage<'_>> {
    let (number, rest) = text.split_once("] ")?;
    let (_title, text) = rest.split_once('\n')?;
    Some(Passage { number: number.trim_start_matches('[').parse().ok()?, text })
}

/// The passages in the results of searches. None if nothing was searched.
fn found_passages(answer: &[Message]) -> Option<Vec<(usize, String)>> {
    #[derive(Deserialize)]
    struct Found {
        passages: Vec<FoundPassage>,
    }
    #[derive(Deserialize)]
    struct FoundPassage {
        number: usize,
        text: String,
    }
    let is_search = |id: &str| {
        answer
            .iter()
            .flat_map(Message::tool_uses)
            .any(|call| call.id() == id && call.name.as_deref() == Some(SEARCH_TOOL))
    };
    let results: Vec<_> =
        answer.iter().flat_map(Message::tool_results).filter(|result| is_search(result.id())).collect();
    if results.is_empty() {
        return None;
    }
    let texts = results.iter().flat_map(|result| &result.content).filter_map(|content| content.as_text());
    let found = texts.filter_map(|text| serde_json::from_str::<Found>(&text).ok());
    Some(found.flat_map(|found| found.passages).map(|passage| (passage.number, passage.text)).collect())
}

/// What the answer quotes of each passage.
fn choose_quotes<'a>(question: &str, passages: &[Passage<'a>]) -> Vec<Passage<'a>> {
    let texts: Vec<&str> = passages.iter().map(|passage| passage.text).collect();
    let quotes = best_quotes(question, &texts).into_iter();
    quotes.map(|quote| Passage { number: passages[quote.passage].number, text: quote.text }).collect()
}

fn introduction(quoted: &[Passage<'_>]) -> String {
    match quoted {
        [] => format!("{INTRODUCTION} The documents that were found do not have the words of your question."),
        _ => format!("{INTRODUCTION} The documents say: "),
    }
}

fn answer_with_citations(transcript: &Transcript, results: &[&SearchResult], passages: &[Passage<'_>]) -> Script {
    let introduction = introduction(passages);
    let mut script = ScriptBuilder::new(Pace::Natural).text(split_tokens(&introduction)).close_block();
    for passage in passages {
        let result = results[passage.number];
        let (title, source) = (result.title.clone().unwrap_or_default(), result.source.clone().unwrap_or_default());
        let cited = passage.text.to_owned();
        script = script
            .delta(Delta::Citation { title, source, search_result: Some((passage.number, cited)) })
            .text(split_tokens(passage.text))
            .close_block()
            .text([" "])
            .close_block();
    }
    script.finish("end_turn", transcript)
}

fn answer_with_markers(transcript: &Transcript, passages: &[Passage<'_>]) -> Script {
    let quotes: Vec<_> = passages.iter().map(|passage| format!("{} [{}]", passage.text, passage.number)).collect();
    let text = introduction(passages) + &quotes.join(" ");
    let (tokens, reason) = limit_answer(&transcript.inference_config, &text);
    ScriptBuilder::new(Pace::Natural).text(tokens).close_block().finish(reason, transcript)
}

fn search(transcript: &Transcript, question: &str) -> Script {
    let arguments = serde_json::json!({ "query": question }).to_string();
    let text = format!("{INTRODUCTION} I search the documents.");
    ScriptBuilder::new(Pace::Natural)
        .text(split_tokens(&text))
        .close_block()
        .tool_call(&new_tool_use_id(), SEARCH_TOOL, &arguments)
        .finish("tool_use", transcript)
}
