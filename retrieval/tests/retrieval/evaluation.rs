//! The corpus and the questions in `tests/knowledge`, and the figures that the methods reach on them.
//!
//! The figures with a model's embeddings need a server; `examples/evaluate.rs` measures them.
use std::{collections::BTreeMap, fs};

use retrieval::{
    Chunking, Folder, Index, Method, Vectors,
    evaluation::{Evaluation, Question, evaluate, parse_questions},
};

use crate::fixture::{keep_going, knowledge_path};

const K: usize = 5;

/// The methods were chosen on these questions.
const QUESTIONS: &str = "questions.jsonl";
/// Written after the choice.
const HELD_OUT: &str = "held-out.jsonl";

fn questions(file: &str) -> Vec<Question> {
    parse_questions(&fs::read_to_string(knowledge_path(file)).unwrap()).unwrap()
}

fn index(directory: &tempfile::TempDir) -> Index {
    let index = Index::open(directory.path(), Chunking::default(), Vectors::HashedNgrams).unwrap();
    let folder = Folder { path: knowledge_path("corpus"), uri_prefix: "s3://bucket/".into() };
    let report = index.ingest(&folder, &mut keep_going).unwrap();
    assert_eq!((report.statistics.new_documents_indexed, report.failures.len()), (31, 0));
    index
}

fn evaluations(questions: &[Question]) -> [Evaluation; 3] {
    let directory = tempfile::tempdir().unwrap();
    let index = index(&directory);
    [Method::Lexical, Method::Semantic, Method::Hybrid].map(|method| evaluate(&index, questions, method, K).unwrap())
}

/// Recall, mean reciprocal rank and AUC of BM25, hashed n-grams and both. They are exact: corpus, questions
/// and methods are fixed. A change of any of them changes the documents that quote them.
#[test]
fn figures_are_those_of_the_documentation() {
    let figures = |file| {
        evaluations(&questions(file)).map(|evaluation| {
            let overall = evaluation.overall;
            let figures = [overall.recall, overall.reciprocal_rank, evaluation.answer_auc.unwrap()];
            figures.map(|figure| format!("{figure:.2}"))
        })
    };
    assert_eq!(figures(QUESTIONS), [["0.62", "0.52", "0.65"], ["0.65", "0.57", "0.69"], ["0.71", "0.61", "0.67"]]);
    assert_eq!(figures(HELD_OUT), [["0.64", "0.59", "0.65"], ["0.69", "0.58", "0.63"], ["0.69", "0.62", "0.66"]]);
}

#[test]
fn fused_is_never_below_the_better_part() {
    for file in [QUESTIONS, HELD_OUT] {
        let [lexical, hashed, fused] = evaluations(&questions(file)).map(|evaluation| evaluation.overall);
        assert!(fused.recall >= lexical.recall.max(hashed.recall), "{lexical:?} {hashed:?} {fused:?}");
        assert!(fused.reciprocal_rank >= lexical.reciprocal_rank.max(hashed.reciprocal_rank));
    }
}

#[test]
fn scores_tell_questions_without_an_answer_better_than_a_coin() {
    for evaluation in evaluations(&questions(QUESTIONS)) {
        assert!(evaluation.answer_auc.unwrap() > 0.6, "{evaluation}");
    }
}

#[test]
fn questions_are_of_seven_kinds() {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for question in questions(QUESTIONS) {
        *kinds.entry(question.kind).or_default() += 1;
    }
    let expected = [
        ("near-duplicate", 6),
        ("no answer", 8),
        ("other language", 8),
        ("paraphrase", 12),
        ("same words", 10),
        ("table", 8),
        ("typo", 8),
    ];
    assert_eq!(kinds, expected.map(|(kind, count)| (kind.to_owned(), count)).into());
}

/// The passage of an answer exists in a chunk, so that a perfect method would find all.
#[test]
fn every_answer_is_in_the_index() {
    let directory = tempfile::tempdir().unwrap();
    let index = index(&directory);
    let questions = questions(QUESTIONS).into_iter().chain(questions(HELD_OUT));
    for question in questions.filter(|question| !question.sources.is_empty()) {
        let passage = question.passage.clone().unwrap();
        let verbatim = Question { question: passage, ..question };
        let evaluation = evaluate(&index, std::slice::from_ref(&verbatim), Method::Hybrid, K).unwrap();
        assert_eq!(evaluation.overall.recall, 1.0, "{verbatim:?}");
    }
}

#[test]
fn paraphrases_share_no_content_word_with_their_passage() {
    const FUNCTION_WORDS: [&str; 33] = [
        "a", "am", "at", "be", "by", "can", "do", "does", "for", "from", "get", "how", "i", "if", "is", "it", "me",
        "must", "my", "of", "on", "or", "other", "should", "that", "the", "they", "this", "to", "up", "what", "whom",
        "with",
    ];
    let terms = |text: &str| -> Vec<String> {
        let terms = text.split(|character: char| !character.is_alphanumeric()).map(str::to_lowercase);
        terms.filter(|term| !term.is_empty() && !FUNCTION_WORDS.contains(&term.as_str())).collect()
    };
    let questions = questions(QUESTIONS).into_iter().chain(questions(HELD_OUT));
    for question in questions.filter(|question| question.kind == "paraphrase") {
        let passage = terms(question.passage.as_ref().unwrap());
        let shared: Vec<String> = terms(&question.question).into_iter().filter(|term| passage.contains(term)).collect();
        assert!(shared.is_empty(), "{}: {shared:?}", question.id);
    }
}
