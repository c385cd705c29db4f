//! How well questions find their sources: recall, mean reciprocal rank, and whether scores tell questions
//! without an answer.
use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    index::Index,
    search::{Method, Passage, Query, SearchError},
};

/// Mean reciprocal ranks count a source among this many passages.
pub const RANK_DEPTH: usize = 10;
/// A longer file of questions is refused.
pub const MAX_QUESTIONS: usize = 10_000;

/// A line of a file of questions.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    pub id: String,
    /// What makes the question hard. Figures are given for each kind.
    pub kind: String,
    pub question: String,
    /// Ends of URIs. A passage of any of them answers the question; without one the question has no answer.
    #[serde(default)]
    pub sources: Vec<String>,
    /// What the passage has to contain. White space is compared as one space.
    #[serde(default)]
    pub passage: Option<String>,
}

#[derive(Debug, Error, PartialEq)]
pub enum QuestionsError {
    #[error("Line {line} of the questions is not a question: {reason}.")]
    Line { line: usize, reason: String },
    #[error("A file has at most {MAX_QUESTIONS} questions.")]
    TooMany,
}

/// Parses JSON Lines. Empty lines are skipped.
pub fn parse_questions(text: &str) -> Result<Vec<Question>, QuestionsError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let mut questions = Vec::new();
    for (index, line) in lines {
        let question = serde_json::from_str(line);
        questions.push(question.map_err(|error| QuestionsError::Line { line: index + 1, reason: error.to_string() })?);
        if questions.len() > MAX_QUESTIONS {
            return Err(QuestionsError::TooMany);
        }
    }
    Ok(questions)
}

/// What one search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub question: Question,
    /// The rank of the first passage that answers, counted from 1, among the first [`RANK_DEPTH`].
    pub rank: Option<usize>,
    /// The score of the first passage, 0 without one.
    pub best_score: f64,
}

/// Averages over questions that have an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    pub questions: usize,
    /// The share of questions with an answer among the first `k` passages.
    pub recall: f64,
    /// The mean of 1 / rank, 0 where no passage among the first [`RANK_DEPTH`] answers.
    pub reciprocal_rank: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    pub method: Method,
    pub k: usize,
    pub overall: Figures,
    pub by_kind: BTreeMap<String, Figures>,
    /// The probability that a question with an answer has a better best score than one without (area under
    /// the curve; 0.5 is no better than a coin). `None` where either group is empty.
    pub answer_auc: Option<f64>,
    pub outcomes: Vec<Outcome>,
}

/// Asks every question with one method. `k` is at most [`RANK_DEPTH`].
pub fn evaluate(index: &Index, questions: &[Question], method: Method, k: usize) -> Result<Evaluation, SearchError> {
    let outcomes = questions.iter().map(|question| ask(index, question, method)).collect::<Result<Vec<_>, _>>()?;
    Ok(summarize(outcomes, method, k.min(RANK_DEPTH)))
}

fn ask(index: &Index, question: &Question, method: Method) -> Result<Outcome, SearchError> {
    let query = Query { method, results: RANK_DEPTH, ..Query::new(&question.question) };
    let passages = index.search(&query)?.passages;
    Ok(Outcome {
        question: question.clone(),
        rank: passages.iter().position(|passage| question.is_answered_by(passage)).map(|position| position + 1),
        best_score: passages.first().map_or(0.0, |passage| passage.score),
    })
}

fn summarize(outcomes: Vec<Outcome>, method: Method, k: usize) -> Evaluation {
    let (answerable, unanswerable): (Vec<&Outcome>, Vec<&Outcome>) =
        outcomes.iter().partition(|outcome| !outcome.question.sources.is_empty());
    let mut kinds: BTreeMap<String, Vec<&Outcome>> = BTreeMap::new();
    for outcome in &answerable {
        kinds.entry(outcome.question.kind.clone()).or_default().push(outcome);
    }
    Evaluation {
        method,
        k,
        overall: figures(&answerable, k),
        by_kind: kinds.into_iter().map(|(kind, outcomes)| (kind, figures(&outcomes, k))).collect(),
        answer_auc: area_under_curve(&best_scores(&answerable), &best_scores(&unanswerable)),
        outcomes,
    }
}

fn best_scores(outcomes: &[&Outcome]) -> Vec<f64> {
    outcomes.iter().map(|outcome| outcome.best_score).collect()
}

fn figures(outcomes: &[&Outcome], k: usize) -> Figures {
    let found = outcomes.iter().filter(|outcome| outcome.rank.is_some_and(|rank| rank <= k)).count();
    let reciprocal: f64 = outcomes.iter().filter_map(|outcome| outcome.rank).map(|rank| 1.0 / rank as f64).sum();
    let questions = outcomes.len();
    let mean = |sum: f64| if questions == 0 { 0.0 } else { sum / questions as f64 };
    Figures { questions, recall: mean(found as f64), reciprocal_rank: mean(reciprocal) }
}

/// The share of pairs in which the positive has the larger score. A tie counts half.
fn area_under_curve(positives: &[f64], negatives: &[f64]) -> Option<f64> {
    let pairs = positives.len() * negatives.len();
    let wins = |positive: &f64| -> f64 {
        let win = |negative: &f64| match positive.total_cmp(negative) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        };
        negatives.iter().map(win).sum()
    };
    (pairs > 0).then(|| positives.iter().map(wins).sum::<f64>() / pairs as f64)
}

impl Question {
    fn is_answered_by(&self, passage: &Passage) -> bool {
        let is_source = self.sources.iter().any(|source| passage.uri.ends_with(source.as_str()));
        is_source && self.passage.as_ref().is_none_or(|part| one_spaced(&passage.text).contains(&one_spaced(part)))
    }
}

fn one_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A table of the figures, for people.
impl fmt::Display for Evaluation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let recall = format!("recall@{}", self.k);
        writeln!(formatter, "{:<16} {:>9} {recall:>9} {:>7}", format!("{:?}", self.method), "questions", "MRR@10")?;
        let all = ("all".to_owned(), self.overall);
        for (kind, figures) in self.by_kind.clone().into_iter().chain([all]) {
            let Figures { questions, recall, reciprocal_rank } = figures;
            writeln!(formatter, "{kind:<16} {questions:>9} {recall:>9.2} {reciprocal_rank:>7.2}")?;
        }
        match self.answer_auc {
            Some(auc) => writeln!(formatter, "AUC of questions without an answer: {auc:.2}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(kind: &str, sources: &[&str], rank: Option<usize>, best_score: f64) -> Outcome {
        let question = Question {
            id: "q".into(),
            kind: kind.into(),
            question: "?".into(),
            sources: sources.iter().map(|source| (*source).to_owned()).collect(),
            passage: None,
        };
        Outcome { question, rank, best_score }
    }

    fn passage(uri: &str, text: &str) -> Passage {
        Passage {
            chunk_id: String::new(),
            uri: uri.into(),
            text: text.into(),
            range: 0..text.len(),
            page: None,
            score: 0.5,
            attributes: Default::default(),
        }
    }

    #[test]
    fn figures_are_means_over_answerable_questions() {
        let outcomes = vec![
            outcome("typo", &["a"], Some(1), 0.9),
            outcome("typo", &["a"], Some(6), 0.5),
            outcome("table", &["a"], None, 0.4),
            outcome("no answer", &[], None, 0.4),
        ];
        let evaluation = summarize(outcomes, Method::Hybrid, 5);
        assert_eq!(evaluation.by_kind["typo"], Figures { questions: 2, recall: 0.5, reciprocal_rank: 7.0 / 12.0 });
        assert_eq!(evaluation.by_kind["table"], Figures { questions: 1, recall: 0.0, reciprocal_rank: 0.0 });
        assert!(!evaluation.by_kind.contains_key("no answer"));
        assert_eq!(evaluation.overall.questions, 3);
        assert_eq!(evaluation.answer_auc, Some(2.5 / 3.0));
    }

    #[test]
    fn area_needs_both_groups() {
        assert_eq!(area_under_curve(&[0.5], &[]), None);
        assert_eq!(area_under_curve(&[0.9, 0.1], &[0.5]), Some(0.5));
    }

    #[test]
    fn passage_answers_by_source_and_content() {
        let line = r#"{"id":"1","kind":"table","question":"?","sources":["a.csv","b.md"],"passage":"two days"}"#;
        let question = &parse_questions(line).unwrap()[0];
        assert!(question.is_answered_by(&passage("s3://bucket/b.md", "within two\ndays.")));
        assert!(!question.is_answered_by(&passage("s3://bucket/b.md", "within three days")));
        assert!(!question.is_answered_by(&passage("s3://bucket/c.md", "two days")));
    }

    #[test]
    fn broken_line_is_named() {
        let text = "\n{\"id\":\"1\",\"kind\":\"k\",\"question\":\"?\"}\n{\"id\":1}\n";
        let error = parse_questions(text).unwrap_err().to_string();
        assert!(error.starts_with("Line 3 of the questions is not a question: "), "{error}");
    }
}
