//! The built-in tool with which a model searches documents itself.
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use api::{json_size::json_size, types::ConversationEvent};
use serde::{Deserialize, Serialize};

use crate::{
    citations::CitationStyle,
    knowledge::{Knowledge, Passage},
    tool::{MAX_RESULT_BYTES, Tool, ToolApproval, ToolEffect, ToolTarget},
};

/// The tool's name. An agent whose knowledge is a tool has no other tool with it.
pub const SEARCH_TOOL_NAME: &str = "search_documents";

const DESCRIPTION: &str = "Searches documents and returns the passages that fit a query best. Search before you answer \
    a question that documents may answer, again with other words if the passages do not help.";
const ASK_FOR_MARKERS: &str = " Each passage has a number. Cite what you use: put the number of the passage in brackets, \
    such as [1], right after the statement.";
const INPUT_SCHEMA: &str = r#"{"type":"object","properties":{"query":{"type":"string","description":"What to search for, in the words of the documents if you know them. At most 1,000 characters."}},"required":["query"]}"#;

/// Stands for the passages of earlier turns, which are not sent again.
pub const REMOVED_PASSAGES: &str = "[These passages were removed to save space. Search again if you need them.]";

/// The tool of an agent whose knowledge has the mode TOOL.
pub fn search_tool(knowledge: &Knowledge, style: CitationStyle) -> Tool {
    let description = match style {
        CitationStyle::Native => DESCRIPTION.to_owned(),
        CitationStyle::Markers => [DESCRIPTION, ASK_FOR_MARKERS].concat(),
    };
    Tool {
        name: SEARCH_TOOL_NAME.to_owned(),
        title: Some("Search documents".to_owned()),
        description,
        input_schema: INPUT_SCHEMA.to_owned(),
        effect: ToolEffect::Read,
        approval: Some(ToolApproval::Never),
        target: ToolTarget::Knowledge(Arc::new(knowledge.clone())),
    }
}

/// The query in the arguments of a call. The error is a sentence for the model.
pub fn parse_query(input: &str) -> Result<String, &'static str> {
    #[derive(Deserialize)]
    struct Input {
        query: String,
    }
    let query = serde_json::from_str::<Input>(input).map(|input| input.query.trim().to_owned()).unwrap_or_default();
    if query.is_empty() { Err("The argument query must be a text that is not blank.") } else { Ok(query) }
}

/// The result of a search, as the model and the API see it.
#[derive(Debug, Default, Deserialize, Serialize)]
struct FoundPassages {
    passages: Vec<FoundPassage>,
}

#[derive(Debug, Deserialize, Serialize)]
struct FoundPassage {
    /// From 1 over all searches of the answer.
    #[serde(default)]
    number: usize,
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    text: String,
}

/// What the search returns to the attempt, which numbers the passages: as many as a result has room for.
pub fn search_result(mut passages: Vec<Passage>) -> String {
    loop {
        let text = result_text(passages.iter().map(|passage| (0, passage)));
        if json_size(&text) <= MAX_RESULT_BYTES || passages.pop().is_none() {
            return text;
        }
    }
}

/// The JSON text of a search's result, with numbers from `first_number`, and the passages in it. The last
/// passages are left out where the text would pass `max_bytes` of JSON-escaped text.
pub fn numbered_result(passages: Vec<Passage>, first_number: usize, max_bytes: usize) -> (String, Vec<Passage>) {
    let mut kept = passages;
    loop {
        let text = result_text((first_number..).zip(&kept));
        if json_size(&text) <= max_bytes || kept.pop().is_none() {
            return (text, kept);
        }
    }
}

/// The JSON text of a search's result.
pub fn result_text<'a>(passages: impl Iterator<Item = (usize, &'a Passage)>) -> String {
    let found = passages.map(|(number, passage)| FoundPassage {
        number,
        title: passage.title(),
        source: passage.source.clone(),
        page: passage.page,
        score: passage.score,
        text: passage.text.clone(),
    });
    serde_json::to_string(&FoundPassages { passages: found.collect() }).unwrap_or_default()
}

/// The passages in the result of a search, with their numbers; 0 for one without. Empty if the text is no
/// such result.
pub fn passages_of_result(json: &str) -> Vec<(usize, Passage)> {
    let found: FoundPassages = serde_json::from_str(json).unwrap_or_default();
    let numbered =
        |FoundPassage { number, source, page, score, text, .. }| (number, Passage { text, source, score, page });
    found.passages.into_iter().map(numbered).collect()
}

/// The passages that searches of the same answer have found before, by their numbers.
pub fn stored_passages(kept_answer: &[ConversationEvent]) -> BTreeMap<usize, Passage> {
    let searches = search_ids(kept_answer);
    let results = kept_answer.iter().flat_map(ConversationEvent::tool_results);
    let found = results.filter(|result| searches.contains(&result.tool_use_id));
    found.filter_map(|result| result.json.as_deref()).flat_map(passages_of_result).collect()
}

/// Removes the passages of past turns: the model never gets them, and they would take the room of texts. The
/// same as startTurn.js does.
pub fn remove_passages(history: &mut [ConversationEvent]) {
    let searches = search_ids(history);
    for block in history.iter_mut().flat_map(|event| &mut event.content) {
        block.citations = None;
        if let Some(result) = block.tool_result.as_mut().filter(|result| searches.contains(&result.tool_use_id)) {
            result.json = None;
        }
    }
}

fn search_ids(events: &[ConversationEvent]) -> HashSet<String> {
    let calls = events.iter().flat_map(ConversationEvent::tool_uses);
    calls.filter(|call| call.name == SEARCH_TOOL_NAME).map(|call| call.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage(text: &str) -> Passage {
        Passage { text: text.into(), source: Some("s3://bucket/a.md".into()), score: Some(0.5), page: Some(2) }
    }

    #[test]
    fn result_is_read_as_it_was_written() {
        let passages = vec![passage("one"), Passage { source: None, score: None, page: None, ..passage("two") }];
        let (json, kept) = numbered_result(passages.clone(), 3, 10_000);
        assert!(json.starts_with(r#"{"passages":[{"number":3,"title":"a.md","source":"s3://bucket/a.md","page":2,"#));
        assert_eq!(passages_of_result(&json), [(3, passages[0].clone()), (4, passages[1].clone())]);
        assert_eq!(kept, passages);
    }

    #[test]
    fn last_passages_are_left_out_where_the_result_would_be_too_long() {
        let passages: Vec<_> = (0..4).map(|_| passage(&"\"".repeat(1000))).collect();
        let (json, kept) = numbered_result(passages.clone(), 1, 9_000);
        assert_eq!(kept, passages[..2]);
        assert!(json_size(&json) <= 9_000);
        assert_eq!(numbered_result(passages, 1, 0), (r#"{"passages":[]}"#.to_owned(), Vec::new()));
    }

    #[test]
    fn query_must_not_be_blank() {
        assert_eq!(parse_query(r#"{"query":" pump "}"#), Ok("pump".to_owned()));
        for input in ["{}", r#"{"query":" "}"#, r#"{"query":1}"#, ""] {
            assert!(parse_query(input).is_err(), "{input}");
        }
    }
}
