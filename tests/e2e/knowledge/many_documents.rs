//! A folder of 200 documents: this repository's, those of the evaluation, and generated ones.
use std::{
    fs,
    path::{Path, PathBuf},
};

use local::server::ServerOptions;
use serde_json::{Value, json};

use super::fixture::{Answer, CITING_MODEL, Fixture};

const DOCUMENTS: usize = 200;

/// A data sheet of a pump that no other document names. The facts follow from the number.
fn data_sheet(number: usize) -> String {
    let weight = weight(number);
    let (flow, pressure, interval) = (40 + number * 3, 2 + number % 9, 6 + number % 18);
    format!(
        "# Data sheet: {name}\n\n## Use\n\nThe {name} moves clean water in buildings of up to {floors} floors. It is \
         not made for sea water.\n\n## Figures\n\nThe weight of the {name} is {weight} kilograms. It moves {flow} \
         litres each minute at {pressure} bar.\n\n## Service\n\nThe seal of the {name} is replaced every {interval} \
         months. Its motor needs no grease.\n",
        name = pump_name(number),
        floors = 3 + number % 30,
    )
}

fn weight(number: usize) -> usize {
    100 + number * 7
}

/// A name of its own: `Velbo Tarin 17`.
fn pump_name(number: usize) -> String {
    const BEGINNINGS: [&str; 7] = ["Velbo", "Ostra", "Kirun", "Madel", "Pofin", "Zagor", "Lutem"];
    const ENDINGS: [&str; 11] =
        ["Tarin", "Beskal", "Dovim", "Ferund", "Galmo", "Hirset", "Jolpek", "Nurvas", "Quimbel", "Ruscop", "Wendig"];
    format!("{} {} {number}", BEGINNINGS[number % 7], ENDINGS[number % 11])
}

/// Copies documents below a folder. Returns their number.
fn copy_documents(from: &Path, to: &Path, formats: &[&str]) -> usize {
    let mut copied = 0;
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copied += copy_documents(&source, &target, formats);
        } else if source.extension().is_some_and(|extension| formats.iter().any(|format| extension == *format)) {
            fs::create_dir_all(to).unwrap();
            fs::copy(source, target).unwrap();
            copied += 1;
        }
    }
    copied
}

/// Writes 200 documents. The watch of the folder waits until nothing changes.
fn fill(fixture: &Fixture) {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let folder = &fixture.folder.path().join("library");
    let formats = ["md", "txt", "html", "pdf", "docx", "csv"];
    let copied = copy_documents(&root.join("docs"), &folder.join("docs"), &formats)
        + copy_documents(&root.join("tests/knowledge/corpus"), &folder.join("corpus"), &formats);
    assert!(copied < DOCUMENTS / 2, "most documents are generated");
    for number in 0..DOCUMENTS - copied {
        fixture.write(&sheet_path(number), &data_sheet(number));
    }
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { bytes_below(&path) } else { path.metadata().unwrap().len() }).sum()
}

fn sheet_path(number: usize) -> String {
    format!("library/sheets/{}/{number}.md", number % 10)
}

fn sheet_source(number: usize) -> String {
    format!("s3://local-knowledge/{}", sheet_path(number))
}

/// The passages that an answer cites of a source.
fn cited_passages<'a>(answer: &'a Answer, source: &str) -> Vec<&'a str> {
    let citations = answer.citations();
    citations.into_iter().filter(|citation| citation["source"] == source).filter_map(passage).collect()
}

fn passage(citation: &Value) -> Option<&str> {
    citation["passage"].as_str()
}

#[tokio::test]
async fn answers_cite_the_right_one_of_200_documents_and_follow_its_changes() {
    let mut state = PathBuf::new();
    let keep_state = |options: ServerOptions| {
        state = options.state.clone();
        ServerOptions { ephemeral: false, ..options }
    };
    let fixture = Fixture::with_options(&[], keep_state).await;
    let job = fixture.change(|| fill(&fixture)).await;
    let indexed = job.report.statistics.new_documents_indexed;
    assert_eq!((indexed, fixture.knowledge().size().documents), (DOCUMENTS, DOCUMENTS), "{:?}", job.report.failures);
    let time = job.updated_at.duration_since(job.started_at);
    println!("{indexed} documents, {} chunks: {time:?}", fixture.knowledge().size().chunks);
    let index_bytes = bytes_below(&state.join("knowledge"));
    println!("the index has {index_bytes} bytes, and the documents have {}", bytes_below(fixture.folder.path()));
    assert!((100_000..5_000_000).contains(&index_bytes));

    fixture.put_agent("sheets", CITING_MODEL, json!({ "results": 3 })).await;
    let number = 77;
    let question = format!("What is the weight of the {} in kilograms?", pump_name(number));
    let ask = || fixture.ask(&fixture.backend.api, "sheets", &question);
    let before = format!("is {} kilograms", weight(number));
    let answer = ask().await;
    let passages = cited_passages(&answer, &sheet_source(number));
    assert!(answer.text().contains(&before) && passages[0].contains(&before), "{}", answer.text());

    let after = format!("is {} kilograms", weight(number) + 1);
    fixture.change(|| fixture.write(&sheet_path(number), &data_sheet(number).replace(&before, &after))).await;
    let answer = ask().await;
    assert!(answer.text().contains(&after) && !answer.text().contains(&before), "{}", answer.text());
    assert!(cited_passages(&answer, &sheet_source(number))[0].contains(&after));

    let path = fixture.folder.path().join(sheet_path(number));
    fixture.change(|| fs::remove_file(path).unwrap()).await;
    let answer = ask().await;
    assert!(!answer.text().contains(&after) && cited_passages(&answer, &sheet_source(number)).is_empty());
}
