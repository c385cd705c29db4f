//! The knowledge of an agent: documents that are searched for passages to answer from.
use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::Value;

use crate::{knowledge_filter::fill_filter, tool::Caller};

/// The largest number of passages that one search returns.
pub const MAX_RESULTS: u32 = 20;
/// The largest length of a query, in characters: Retrieve accepts no longer text (API reference,
/// KnowledgeBaseQuery).
pub const MAX_QUERY_CHARACTERS: usize = 1000;
/// A question that is shorter is searched for together with the question before it, in characters.
pub const SHORT_QUESTION_CHARACTERS: usize = 40;

/// What an agent knows: the settings of `PutAgentInput.knowledge`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Knowledge {
    pub knowledge_base_id: String,
    pub mode: KnowledgeMode,
    /// How many passages a search returns: 1 to `MAX_RESULTS`.
    #[serde(default = "default_results")]
    pub results: u32,
    /// `None` lets Bedrock choose what the store can do.
    pub search: Option<KnowledgeSearch>,
    /// Passages with a lower score are left out. 0 to 1.
    pub min_score: Option<f64>,
    /// A filter of Retrieve as JSON text. It may refer to the caller.
    pub filter: Option<String>,
    pub rerank_model_arn: Option<String>,
    /// The model that writes the query from the question and what was said before. By default the question is
    /// the query.
    pub query_model_id: Option<String>,
    #[serde(default)]
    pub on_failure: KnowledgeFailure,
}

/// When documents are searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum KnowledgeMode {
    /// Before the model is asked, for each question.
    Always,
    /// When the model calls the tool `search_documents`.
    Tool,
}

/// How documents are searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum KnowledgeSearch {
    /// By meaning and by words.
    Hybrid,
    /// By meaning.
    Semantic,
}

/// What happens to an answer whose documents cannot be searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum KnowledgeFailure {
    /// The model answers without documents and is to say so.
    #[default]
    Answer,
    /// The turn fails.
    Fail,
}

/// One search for passages.
#[derive(Clone, Debug, PartialEq)]
pub struct RetrievalRequest {
    pub knowledge_base_id: String,
    /// Not blank, at most `MAX_QUERY_CHARACTERS`.
    pub query: String,
    pub results: u32,
    pub search: Option<KnowledgeSearch>,
    pub filter: Filter,
    pub rerank_model_arn: Option<String>,
}

/// Which documents a search may find.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    All,
    /// The documents that match a filter of Retrieve.
    Matching(Value),
    /// None: the filter asks for something that the caller does not have.
    Nothing,
}

/// A piece of a document, as a search returns it.
#[derive(Clone, Debug, PartialEq)]
pub struct Passage {
    pub text: String,
    /// The URI of the document, such as `s3://bucket/key`. `None` for a document without one.
    pub source: Option<String>,
    /// 0 to 1; higher is better.
    pub score: Option<f64>,
    /// The page of the document, from 1.
    pub page: Option<u32>,
}

/// Why a search failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetrievalError {
    /// The database of the knowledge base wakes up, which takes about half a minute.
    Resuming,
    /// The search may succeed if it is repeated.
    Temporary,
    /// A repeated search would fail as well.
    Refused,
}

impl Knowledge {
    /// The search for a text. Only the beginning of a long text counts.
    pub fn request(&self, text: &str, caller: &Caller) -> RetrievalRequest {
        RetrievalRequest {
            knowledge_base_id: self.knowledge_base_id.clone(),
            query: text.chars().take(MAX_QUERY_CHARACTERS).collect(),
            results: self.results.clamp(1, MAX_RESULTS),
            search: self.search,
            filter: self.filter.as_deref().map_or(Filter::All, |filter| fill_filter(filter, caller)),
            rerank_model_arn: self.rerank_model_arn.clone(),
        }
    }

    /// The passages that are good enough.
    pub fn select(&self, passages: Vec<Passage>) -> Vec<Passage> {
        let min_score = self.min_score.unwrap_or(0.0);
        let is_good = |passage: &Passage| passage.score.is_none_or(|score| score >= min_score);
        passages.into_iter().filter(is_good).take(self.results.min(MAX_RESULTS) as usize).collect()
    }
}

/// What to search for before a question is answered: a short question alone says too little.
pub fn query_for_question(question: &str, question_before: Option<&str>) -> String {
    let question = question.trim();
    match question_before {
        Some(before) if question.chars().count() < SHORT_QUESTION_CHARACTERS => {
            let room = MAX_QUERY_CHARACTERS - SHORT_QUESTION_CHARACTERS;
            let before: String = before.trim().chars().take(room).collect();
            format!("{before}\n{question}")
        }
        _ => question.to_owned(),
    }
}

impl Passage {
    /// The document's name for people: the last part of its path, percent-decoded, without its query.
    pub fn title(&self) -> String {
        let Some(source) = &self.source else { return "Document".to_owned() };
        let path = source.split(['?', '#']).next().unwrap_or(source);
        let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or(path);
        let name = if source.starts_with("s3://") { name.to_owned() } else { percent_decoded(name) };
        if name.is_empty() { source.clone() } else { name }
    }

    /// The document's address for a browser. `None` for an object of S3, which needs a signed link.
    pub fn url(&self) -> Option<&str> {
        self.source.as_deref().filter(|source| source.starts_with("https://") || source.starts_with("http://"))
    }
}

const fn default_results() -> u32 {
    6
}

/// The text itself if it is not valid UTF-8 once decoded.
fn percent_decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().map_or_else(|_| text.to_owned(), Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage(source: &str, score: f64) -> Passage {
        Passage { text: "Text.".into(), source: Some(source.into()), score: Some(score), page: None }
    }

    #[test]
    fn title_is_the_last_part_of_the_path() {
        for (source, title) in [
            ("s3://bucket/manuals/pump 7.pdf", "pump 7.pdf"),
            ("s3://bucket/100%25.md", "100%25.md"),
            ("https://example.com/a/Zo%C3%AB.html?version=2#top", "Zoë.html"),
            ("https://example.com/%ff", "%ff"),
            ("https://example.com/50%", "50%"),
            ("s3://", "s3:"),
            ("", ""),
        ] {
            assert_eq!(passage(source, 0.5).title(), title, "{source}");
        }
    }

    #[test]
    fn only_web_pages_have_a_url() {
        assert_eq!(passage("https://example.com/a", 0.5).url(), Some("https://example.com/a"));
        assert_eq!(passage("s3://bucket/a", 0.5).url(), None);
        assert_eq!(passage("javascript:alert(1)", 0.5).url(), None);
    }

    #[test]
    fn short_question_is_searched_with_the_question_before() {
        let long = "How long does the battery of the pump last in winter?";
        assert_eq!(query_for_question(" And in summer? ", Some(long)), format!("{long}\nAnd in summer?"));
        assert_eq!(query_for_question("And in summer?", None), "And in summer?");
        assert_eq!(query_for_question(long, Some("Hello")), long);
    }

    #[test]
    fn query_is_cut_at_a_character() {
        let knowledge: Knowledge =
            serde_json::from_str(r#"{"knowledgeBaseId":"KB1","mode":"ALWAYS"}"#).expect("settings");
        let request = knowledge.request(&"é".repeat(2000), &Caller::default());
        assert_eq!(request.query.chars().count(), MAX_QUERY_CHARACTERS);
        assert_eq!((request.results, request.filter), (6, Filter::All));
    }

    #[test]
    fn passages_below_the_score_are_left_out() {
        let mut knowledge: Knowledge =
            serde_json::from_str(r#"{"knowledgeBaseId":"KB1","mode":"TOOL","results":2,"minScore":0.5}"#)
                .expect("settings");
        let passages = vec![passage("a", 0.9), passage("b", 0.49), passage("c", 0.5), passage("d", 0.5)];
        assert_eq!(knowledge.select(passages.clone()), [passages[0].clone(), passages[2].clone()]);
        knowledge.min_score = None;
        assert_eq!(knowledge.select(passages.clone()), passages[..2]);
    }
}
