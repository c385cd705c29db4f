//! Input that nobody wrote on purpose: no document panics, and none stops the ingestion of the others.
use std::fs;

use retrieval::{Document, Format, Query};

use crate::fixture::{Fixture, knowledge_path};

const FORMATS: [Format; 6] = [Format::Text, Format::Markdown, Format::Html, Format::Pdf, Format::Docx, Format::Csv];

/// Puts every content at once, each under its own URI.
fn put(fixture: &Fixture, contents: Vec<(Format, Vec<u8>)>) {
    let document = |(number, (format, content))| Document {
        uri: format!("s3://bucket/odd-{number}"),
        format,
        content,
        attributes: Default::default(),
    };
    let documents: Vec<Document> = contents.into_iter().enumerate().map(document).collect();
    let scanned = documents.len();
    let statistics = fixture.index.put_documents(documents).unwrap().statistics;
    assert_eq!(statistics.new_documents_indexed + statistics.documents_failed, scanned);
}

#[test]
fn damaged_documents_of_every_format_never_panic() {
    let fixture = Fixture::ingested(&[("good.txt", "Good.")]);
    let mut random = fastrand::Rng::with_seed(12);
    let samples =
        ["manuals/kestrel-gateway.pdf", "policies/warranty.docx", "portal/alerts.html", "tables/error-codes.csv"];
    let mut contents = Vec::new();
    for sample in samples {
        let complete = fs::read(knowledge_path("corpus").join(sample)).unwrap();
        for _ in 0..50 {
            let mut content = complete[..random.usize(..=complete.len())].to_vec();
            for _ in 0..random.usize(..4).min(content.len()) {
                let position = random.usize(..content.len());
                content[position] = random.u8(..);
            }
            contents.push((Format::from_name(sample).unwrap(), content.clone()));
            contents.push((FORMATS[random.usize(..FORMATS.len())], content));
        }
    }
    put(&fixture, contents);
    assert_eq!(fixture.document_names().first().map(String::as_str), Some("good.txt"));
}

#[test]
fn unusual_texts_are_indexed() {
    let fixture = Fixture::ingested(&[("good.txt", "Good.")]);
    let long = [("x", 50_000), ("<p>", 50_000), ("# ", 20_000), ("a\n", 20_000), ("[", 5_000), ("> ", 2_000)];
    let long = long.map(|(part, count)| part.repeat(count));
    let short = ["\0\u{1}\u{202e}", "a", "\u{1f600}\u{301}\u{301}"].map(str::to_owned);
    let formats = [Format::Text, Format::Markdown, Format::Csv, Format::Html];
    let texts = long.into_iter().chain(short);
    put(&fixture, texts.flat_map(|text| formats.map(|format| (format, text.clone().into_bytes()))).collect());
    fixture.index.search(&Query::new("good \u{0} \u{1f600}")).unwrap();
}
