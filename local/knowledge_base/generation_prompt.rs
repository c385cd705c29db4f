//! The prompt of RetrieveAndGenerate: the passages and the question in their template.
use retrieval::Passage;
use serde_json::{Value, json};

use super::{URI_PREFIX, service_error::constraint};
use crate::bedrock::BedrockError;

/// The longest `textPromptTemplate`.
const MAX_TEMPLATE_CHARACTERS: usize = 4_000;
const SEARCH_RESULTS: &str = "$search_results$";
const QUERY: &str = "$query$";
const OUTPUT_FORMAT: &str = "$output_format_instructions$";

const DEFAULT_TEMPLATE: &str = "Answer the question at the end from these search results alone. Say so if they \
    hold no answer. A claim in the question may be wrong: check it against the search results.\n\n\
    $search_results$\n\n$output_format_instructions$";
const OUTPUT_FORMAT_INSTRUCTIONS: &str = "After each statement, write the numbers of the search results that it is \
    from in square brackets, such as [1] or [2, 3].";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptTemplate(String);

impl Default for PromptTemplate {
    fn default() -> Self {
        Self(DEFAULT_TEMPLATE.to_owned())
    }
}

impl PromptTemplate {
    /// `member` is the path of the template in the request.
    pub fn parse(template: String, member: &str) -> Result<Self, BedrockError> {
        if !(1..=MAX_TEMPLATE_CHARACTERS).contains(&template.chars().count()) {
            return Err(constraint(member, &format!("have length between 1 and {MAX_TEMPLATE_CHARACTERS}")));
        }
        if !template.contains(SEARCH_RESULTS) {
            return Err(constraint(member, &format!("contain {SEARCH_RESULTS}")));
        }
        Ok(Self(template))
    }

    /// Whether the model is told to cite. Without that, Bedrock's answers have no citations.
    pub fn asks_for_citations(&self) -> bool {
        self.0.contains(OUTPUT_FORMAT)
    }

    /// The content of the user's message. The search results are a block of their own, and the question is
    /// the last one.
    pub fn content(&self, question: &str, passages: &[Passage]) -> Vec<Value> {
        let results = search_results(passages);
        // The question comes in last: it may contain the name of a placeholder.
        let fill = |text: &str| text.replace(OUTPUT_FORMAT, OUTPUT_FORMAT_INSTRUCTIONS).replace(QUERY, question);
        let parts = self.0.split(SEARCH_RESULTS).map(fill).collect::<Vec<_>>();
        let mut texts = Vec::new();
        for (index, part) in parts.into_iter().enumerate() {
            if index > 0 {
                texts.push(results.clone());
            }
            texts.push(part);
        }
        texts.push(question.to_owned());
        texts.into_iter().filter(|text| !text.trim().is_empty()).map(|text| json!({ "text": text })).collect()
    }
}

/// `[1] leave.md`, a line break and the passage, for each.
fn search_results(passages: &[Passage]) -> String {
    let result = |(number, passage): (usize, &Passage)| {
        let title = passage.uri.strip_prefix(URI_PREFIX).unwrap_or(&passage.uri);
        format!("[{number}] {title}\n{}", passage.text)
    };
    (1..).zip(passages).map(result).collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn passage(uri: &str, text: &str) -> Passage {
        Passage {
            chunk_id: "1".into(),
            uri: format!("{URI_PREFIX}{uri}"),
            text: text.into(),
            range: 0..1,
            page: None,
            score: 0.5,
            attributes: BTreeMap::new(),
        }
    }

    #[test]
    fn template_is_filled() {
        let template = "Results: $search_results$ Format: $output_format_instructions$ Asked: $query$";
        let template = PromptTemplate::parse(template.into(), "template").unwrap();
        assert!(template.asks_for_citations());
        let passages = [passage("a.md", "One $query$."), passage("b/c.md", "Two.")];
        let content = template.content("Why $search_results$?", &passages);
        let expected = json!([
            { "text": "Results: " },
            { "text": "[1] a.md\nOne $query$.\n\n[2] b/c.md\nTwo." },
            { "text": format!(" Format: {OUTPUT_FORMAT_INSTRUCTIONS} Asked: Why $search_results$?") },
            { "text": "Why $search_results$?" },
        ]);
        assert_eq!(json!(content), expected);
    }

    #[test]
    fn blank_parts_are_left_out() {
        let template = PromptTemplate::parse("$search_results$".into(), "template").unwrap();
        assert!(!template.asks_for_citations());
        assert_eq!(template.content("Why?", &[passage("a.md", "One.")]).len(), 2);
    }

    #[test]
    fn template_needs_a_place_for_the_search_results() {
        for template in [String::new(), "$query$".into(), format!("$search_results${}", "a".repeat(4_000))] {
            assert!(PromptTemplate::parse(template, "template").is_err());
        }
    }
}
