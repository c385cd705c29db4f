//! A folder of 200 documents: this repository's, those of the evaluation, and generated ones.
use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

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

/// The folder has 200 documents. Returns the number of the generated ones.
fn fill(fixture: &Fixture) -> usize {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let folder = fixture.folder.path();
    let formats = ["md", "txt", "html", "pdf", "docx", "csv"];
    let copied = copy_documents(&root.join("docs"), &folder.join("docs"), &formats)
        + copy_documents(&root.join("tests/knowledge/corpus"), &folder.join("corpus"), &formats);
    for number in 0..DOCUMENTS - copied {
        fixture.write(&sheet_path(number), &data_sheet(number));
    }
    DOCUMENTS - copied
}

fn sheet_path(number: usize) -> String {
    format!("sheets/{:02}/{number}.md", number % 10)
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
    let fixture = Fixture::new(&[]).await;
    let started_at = Instant::now();
    let generated = fill(&fixture);
    fixture.wait_for_documents(DOCUMENTS).await;
    let jobs = fixture.knowledge().jobs();
    let indexed: usize = jobs.borrow().iter().map(|job| job.report.statistics.new_documents_indexed).sum();
    assert_eq!((indexed, generated > 100), (DOCUMENTS, true));
    println!("{:?} after {:?} with the wait for changes", fixture.knowledge().size(), started_at.elapsed());
    for job in jobs.borrow().iter() {
        println!("{} new: {:?}", job.report.statistics.new_documents_indexed, job.updated_at - job.started_at);
    }

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
