//! What a search finds, in which order, within which bounds.
use retrieval::{
    Chunking, Filter, Method, Query, SearchError, TextKind, Vectors,
    search::{MAX_QUESTION_BYTES, MAX_RESULTS},
};
use serde_json::json;

use crate::fixture::{Fixture, LetterEmbedder, knowledge_path};

const FILES: [(&str, &str); 4] = [
    ("boiler.txt", "The boiler is heated to sixty degrees."),
    ("invoice.txt", "An invoice is paid within thirty days."),
    ("pump.txt", "The pump is calibrated every spring, because calibration drifts."),
    ("valve.txt", "A valve is closed before the pump is removed."),
];

fn with_attributes() -> Fixture {
    let fixture = Fixture::new(&FILES);
    for (name, attributes) in [
        ("boiler.txt", json!({"team": "heat", "year": 2023})),
        ("pump.txt", json!({"team": "water", "year": 2024})),
        ("valve.txt", json!({"team": "water", "year": 2025})),
    ] {
        let sidecar = json!({"metadataAttributes": attributes}).to_string();
        fixture.write(&format!("{name}.metadata.json"), sidecar);
    }
    fixture.ingest();
    fixture
}

fn filtered(fixture: &Fixture, filter: serde_json::Value, results: usize) -> Vec<String> {
    let filter = Filter::parse(&filter).unwrap();
    let query = Query { filter: Some(&filter), results, ..Query::new("the pump") };
    fixture.index.search(&query).unwrap().passages.into_iter().map(|passage| passage.uri).collect()
}

#[test]
fn each_method_finds_the_passage() {
    let fixture = Fixture::ingested(&FILES);
    for method in [Method::Lexical, Method::Semantic, Method::Hybrid] {
        assert_eq!(fixture.found("When is an invoice paid?", method)[0], "invoice.txt");
    }
}

#[test]
fn typo_is_found_by_vectors_and_not_by_words() {
    let fixture = Fixture::ingested(&FILES);
    assert!(fixture.found("callibratoin", Method::Lexical).is_empty());
    assert_eq!(fixture.found("callibratoin", Method::Semantic)[0], "pump.txt");
    assert_eq!(fixture.found("callibratoin", Method::Hybrid)[0], "pump.txt");
}

#[test]
fn scores_lie_between_0_and_1_and_descend() {
    let fixture = Fixture::ingested(&FILES);
    for method in [Method::Lexical, Method::Semantic, Method::Hybrid] {
        for question in ["pump", "the pump is removed", "zzz", "?!", "The boiler is heated to sixty degrees."] {
            let scores: Vec<f64> = fixture.search(question, method).iter().map(|passage| passage.score).collect();
            assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)), "{question}: {scores:?}");
            assert!(scores.is_sorted_by(|left, right| left >= right), "{question}: {scores:?}");
        }
    }
}

#[test]
fn question_without_an_answer_has_a_lower_score() {
    let fixture = Fixture::ingested(&FILES);
    for method in [Method::Lexical, Method::Semantic, Method::Hybrid] {
        let best = |question| fixture.search(question, method).first().map_or(0.0, |passage| passage.score);
        assert!(best("How warm is the boiler?") > best("Who won the football cup in Brazil?"), "{method:?}");
    }
}

#[test]
fn filter_is_applied_before_the_best_are_chosen() {
    let fixture = with_attributes();
    let heat = json!({"equals": {"key": "team", "value": "heat"}});
    assert_eq!(filtered(&fixture, heat, 1), ["s3://bucket/boiler.txt"]);
    let new_water = json!({"andAll": [
        {"equals": {"key": "team", "value": "water"}},
        {"greaterThan": {"key": "year", "value": 2024}},
    ]});
    assert_eq!(filtered(&fixture, new_water, 5), ["s3://bucket/valve.txt"]);
    assert!(filtered(&fixture, json!({"equals": {"key": "team", "value": "sales"}}), 5).is_empty());
}

#[test]
fn filter_may_name_the_source() {
    let fixture = with_attributes();
    let source = json!({"equals": {"key": "x-amz-bedrock-kb-source-uri", "value": "s3://bucket/invoice.txt"}});
    assert_eq!(filtered(&fixture, source, 5), ["s3://bucket/invoice.txt"]);
}

#[test]
fn filter_does_not_change_scores() {
    let fixture = with_attributes();
    let filter = Filter::parse(&json!({"equals": {"key": "team", "value": "water"}})).unwrap();
    let all = fixture.search("the pump", Method::Hybrid);
    let query = Query { filter: Some(&filter), ..Query::new("the pump") };
    for passage in fixture.index.search(&query).unwrap().passages {
        assert!(all.contains(&passage));
    }
}

#[test]
fn pages_hold_every_passage_once() {
    let fixture = Fixture::ingested(&FILES);
    let all = fixture.search("the pump", Method::Hybrid);
    let mut paged = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let query = Query { results: 3, next_page: token.as_deref(), ..Query::new("the pump") };
        let page = fixture.index.search(&query).unwrap();
        paged.extend(page.passages);
        match page.next_page {
            Some(next) => token = Some(next),
            None => break,
        }
    }
    assert_eq!(paged, all);
}

#[test]
fn token_of_another_search_is_refused() {
    let fixture = Fixture::ingested(&FILES);
    let search = |query: &Query<'_>| fixture.index.search(query);
    let token = search(&Query { results: 1, ..Query::new("pump") }).unwrap().next_page.unwrap();
    let filter = Filter::parse(&json!({"equals": {"key": "a", "value": 1}})).unwrap();
    let next_page = Some(token.as_str());
    let refused = [
        Query { next_page, ..Query::new("valve") },
        Query { next_page, method: Method::Semantic, ..Query::new("pump") },
        Query { next_page, filter: Some(&filter), ..Query::new("pump") },
        Query { next_page: Some("1"), ..Query::new("pump") },
        Query { next_page: Some("x-y"), ..Query::new("pump") },
        Query { next_page: Some(""), ..Query::new("pump") },
    ];
    for query in refused {
        assert!(matches!(search(&query), Err(SearchError::PageToken)), "{query:?}");
    }
    // A page beyond the end is empty: documents may have been deleted in between.
    let (_, digest) = token.split_once('-').unwrap();
    let beyond = format!("ffffffff-{digest}");
    let page = search(&Query { next_page: Some(&beyond), ..Query::new("pump") }).unwrap();
    assert!(page.passages.is_empty() && page.next_page.is_none());
}

#[test]
fn questions_and_pages_are_bounded() {
    let fixture = Fixture::ingested(&FILES);
    let error = |query: Query<'_>| fixture.index.search(&query).unwrap_err().to_string();
    assert_eq!(error(Query::new(" ")), "The question is empty.");
    assert_eq!(error(Query::new(&"x".repeat(MAX_QUESTION_BYTES + 1))), "The question has more than 20000 bytes.");
    assert_eq!(error(Query { results: 0, ..Query::new("x") }), "A page has 1 to 100 results, not 0.");
    assert_eq!(error(Query { results: 101, ..Query::new("x") }), "A page has 1 to 100 results, not 101.");
    let longest = "pump ".repeat(MAX_QUESTION_BYTES / 5);
    assert!(fixture.index.search(&Query { results: MAX_RESULTS, ..Query::new(&longest) }).is_ok());
}

#[test]
fn passage_names_its_chunk_range_and_page() {
    let fixture = Fixture::new(&[("two.txt", "One two three four.\n\nFive six seven eight.")]);
    fixture.write("gateway.pdf", std::fs::read(knowledge_path("corpus/manuals/kestrel-gateway.pdf")).unwrap());
    let fixture = fixture.reopen(Chunking::fixed_size(60, 20).unwrap(), Vectors::HashedNgrams);
    fixture.ingest();
    let passages = fixture.search("Which port does the gateway need for NTP?", Method::Lexical);
    assert!(passages[0].text.contains("port 8883"));
    assert_eq!(passages[0].page, Some(3));
    let again = fixture.search("Which port does the gateway need for NTP?", Method::Hybrid);
    assert_eq!(again[0].chunk_id, passages[0].chunk_id);

    let fixture = fixture.reopen(Chunking::fixed_size(5, 1).unwrap(), Vectors::HashedNgrams);
    fixture.ingest();
    let passage = &fixture.search("five six seven", Method::Lexical)[0];
    assert_eq!((passage.text.as_str(), passage.range.clone(), passage.page), ("Five six seven eight.", 21..42, None));
}

#[test]
fn index_without_documents_finds_nothing() {
    let fixture = Fixture::new(&[]);
    assert!(fixture.search("anything", Method::Hybrid).is_empty());
    fixture.ingest();
    assert!(fixture.search("anything", Method::Semantic).is_empty());
}

#[test]
fn questions_are_embedded_as_questions() {
    let embedder = LetterEmbedder::new("letters", 26);
    let fixture = Fixture::with_vectors(&FILES, Vectors::Embedded(embedder.clone()));
    fixture.ingest();
    embedder.take_passages();
    assert_eq!(fixture.search("pump", Method::Semantic).len(), 4);
    assert_eq!(*embedder.texts.lock().unwrap(), [("pump".to_owned(), TextKind::Query)]);
}

#[test]
fn vectors_of_another_model_are_not_compared() {
    let fixture = Fixture::ingested(&FILES);
    let fixture = fixture.reopen(Chunking::default(), Vectors::Embedded(LetterEmbedder::new("letters", 26)));
    let search = |fixture: &Fixture, method| fixture.index.search(&Query { method, ..Query::new("pump") });
    assert!(matches!(search(&fixture, Method::Semantic), Err(SearchError::OtherVectors)));
    assert!(matches!(search(&fixture, Method::Hybrid), Err(SearchError::OtherVectors)));
    assert_eq!(search(&fixture, Method::Lexical).unwrap().passages.len(), 2);
    fixture.ingest();
    let fixture = fixture.reopen(Chunking::default(), Vectors::Embedded(LetterEmbedder::new("letters", 13)));
    assert!(matches!(search(&fixture, Method::Semantic), Err(SearchError::OtherVectors)));
}
