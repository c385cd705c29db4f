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

fn questions() -> Vec<Question> {
    parse_questions(&fs::read_to_string(knowledge_path("questions.jsonl")).unwrap()).unwrap()
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

/// The figures are exact: corpus, questions and methods are fixed. A change of any of them changes the
/// documents that quote them.
#[test]
fn figures_are_those_of_the_documentation() {
    let [lexical, hashed, fused] = evaluations(&questions()).map(|evaluation| {
        let overall = evaluation.overall;
        let figures = [overall.recall, overall.reciprocal_rank, evaluation.answer_auc.unwrap()];
        figures.map(|figure| format!("{figure:.2}"))
    });
    assert_eq!(lexical, ["0.62", "0.52", "0.65"]);
    assert_eq!(hashed, ["0.65", "0.57", "0.69"]);
    assert_eq!(fused, ["0.71", "0.61", "0.67"]);
}

#[test]
fn fused_is_never_below_the_better_part() {
    let [lexical, hashed, fused] = evaluations(&questions()).map(|evaluation| evaluation.overall);
    assert!(fused.recall >= lexical.recall.max(hashed.recall), "{lexical:?} {hashed:?} {fused:?}");
    assert!(fused.reciprocal_rank >= lexical.reciprocal_rank.max(hashed.reciprocal_rank));
}

/// The weight was chosen on the odd-numbered questions alone.
#[test]
fn fused_is_not_below_the_better_part_on_the_questions_held_out() {
    let number = |question: &Question| question.id[1..].parse::<usize>().unwrap();
    let held_out: Vec<Question> = questions().into_iter().filter(|question| number(question) % 2 == 0).collect();
    let [lexical, hashed, fused] = evaluations(&held_out).map(|evaluation| evaluation.overall);
    assert!(fused.recall >= lexical.recall.max(hashed.recall), "{lexical:?} {hashed:?} {fused:?}");
    assert!(fused.reciprocal_rank >= lexical.reciprocal_rank.max(hashed.reciprocal_rank));
}

#[test]
fn scores_tell_questions_without_an_answer_better_than_a_coin() {
    for evaluation in evaluations(&questions()) {
        assert!(evaluation.answer_auc.unwrap() > 0.6, "{evaluation}");
    }
}

#[test]
fn questions_are_of_seven_kinds() {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for question in questions() {
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
    for question in questions().into_iter().filter(|question| !question.sources.is_empty()) {
        let passage = question.passage.clone().unwrap();
        let verbatim = Question { question: passage, ..question };
        let evaluation = evaluate(&index, std::slice::from_ref(&verbatim), Method::Hybrid, K).unwrap();
        assert_eq!(evaluation.overall.recall, 1.0, "{verbatim:?}");
    }
}

#[test]
fn paraphrases_share_no_content_word_with_their_passage() {
    const FUNCTION_WORDS: [&str; 31] = [
        "a", "am", "at", "can", "do", "does", "for", "from", "get", "how", "i", "if", "is", "it", "me", "must", "my",
        "of", "on", "or", "other", "should", "that", "the", "they", "this", "to", "up", "what", "whom", "with",
    ];
    let terms = |text: &str| -> Vec<String> {
        let terms = text.split(|character: char| !character.is_alphanumeric()).map(str::to_lowercase);
        terms.filter(|term| !term.is_empty() && !FUNCTION_WORDS.contains(&term.as_str())).collect()
    };
    for question in questions().into_iter().filter(|question| question.kind == "paraphrase") {
        let passage = terms(question.passage.as_ref().unwrap());
        let shared: Vec<String> = terms(&question.question).into_iter().filter(|term| passage.contains(term)).collect();
        assert!(shared.is_empty(), "{}: {shared:?}", question.id);
    }
}
