//! The command `parlance retrieve`: searches a folder of documents without a server, or measures how well
//! questions find their sources.
use std::{
    fs,
    io::{self, IsTerminal, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Instant,
};

use clap::{Args, ValueEnum};
use retrieval::{
    Chunking, Filter, Folder, Index, Method, Passage, Query,
    evaluation::{Evaluation, Figures, RANK_DEPTH, evaluate, parse_questions},
    index,
    search::MAX_RESULTS,
};
use tokio::task::spawn_blocking;

use crate::knowledge_base::{
    EmbeddingsOptions, IndexSize, Progress, URI_PREFIX, clear_progress, format_statistics, open_index, show_progress,
};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Args)]
pub struct RetrieveOptions {
    /// Print the passages that fit this question best
    #[arg(required_unless_present = "questions", conflicts_with = "questions")]
    pub question: Option<String>,
    /// Folder of documents: txt, md, html, pdf, docx and csv
    #[arg(long, value_name = "DIR")]
    pub knowledge: PathBuf,
    /// Measure each search with a file of questions and their sources, as JSON Lines
    #[arg(long, value_name = "FILE")]
    pub questions: Option<PathBuf>,
    #[command(flatten)]
    pub embeddings: EmbeddingsOptions,
    /// How many passages are printed, or in how many of the first ones a source must be
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    pub results: usize,
    /// How the question is searched for
    #[arg(long, value_enum, default_value_t = Search::Hybrid)]
    pub search: Search,
    /// Search only documents whose attributes match a filter of Bedrock's Retrieve
    #[arg(long, value_name = "JSON", value_parser = parse_filter)]
    pub filter: Option<Filter>,
    /// Folder that keeps the index from one call to the next
    #[arg(long, default_value = ".parlance")]
    pub state: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Search {
    /// By words and vectors
    Hybrid,
    /// By vectors
    Semantic,
    /// By words
    Lexical,
}

/// Prints what the options ask for.
pub async fn run(options: RetrieveOptions) -> Result<(), AnyError> {
    let largest = if options.questions.is_some() { RANK_DEPTH } else { MAX_RESULTS };
    if !(1..=largest).contains(&options.results) {
        return Err(format!("--results must be from 1 to {largest}, not {}", options.results).into());
    }
    // Also makes the client of --embeddings, which needs the runtime.
    let vectors = options.embeddings.vectors()?;
    let text = spawn_blocking(move || {
        // Not the folder of the server's index, which a running server has open.
        let index = open_index(&options.state.join("retrieve"), Chunking::default(), vectors)?;
        ingest(&index, &options.knowledge)?;
        match (&options.questions, &options.question) {
            (Some(questions), _) => evaluation_text(&index, questions, options.results),
            (None, question) => search_text(&index, question.as_deref().unwrap_or_default(), &options),
        }
    });
    Ok(io::stdout().write_all(text.await??.as_bytes())?)
}

/// What changed is printed to the error output.
fn ingest(index: &Index, folder: &Path) -> Result<(), AnyError> {
    let folder = Folder { path: folder.to_owned(), uri_prefix: URI_PREFIX.to_owned() };
    let mut output = io::stderr();
    let is_terminal = output.is_terminal();
    let started_at = Instant::now();
    let mut on_document = |progress: index::Progress<'_>| {
        if is_terminal {
            show_progress(&mut output, Progress { done: progress.documents_done, total: progress.documents });
        }
        ControlFlow::Continue(())
    };
    let report = index.ingest(&folder, &mut on_document)?;
    let text = format_statistics(&report, IndexSize::of(index), started_at.elapsed());
    if is_terminal {
        clear_progress(&mut output);
    }
    output.write_all(text.as_bytes())?;
    Ok(())
}

fn search_text(index: &Index, question: &str, options: &RetrieveOptions) -> Result<String, AnyError> {
    let query = Query {
        method: options.search.method(),
        results: options.results,
        filter: options.filter.as_ref(),
        ..Query::new(question)
    };
    let passages = index.search(&query)?.passages;
    if passages.is_empty() {
        return Ok("Nothing was found.\n".to_owned());
    }
    Ok((1..).zip(&passages).map(|(number, passage)| passage_text(number, passage)).collect::<Vec<_>>().join("\n"))
}

/// Control characters of a document would reach the terminal.
fn passage_text(number: usize, passage: &Passage) -> String {
    let name = passage.uri.strip_prefix(URI_PREFIX).unwrap_or(&passage.uri);
    let page = passage.page.map_or_else(String::new, |page| format!(", page {page}"));
    let text = format!("[{number}] {:.2} {name}{page}\n{}\n", passage.score, passage.text.trim());
    text.chars().filter(|character| !character.is_control() || matches!(character, '\n' | '\t')).collect()
}

fn evaluation_text(index: &Index, file: &Path, results: usize) -> Result<String, AnyError> {
    let text = fs::read_to_string(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let questions = parse_questions(&text)?;
    let methods = [Method::Lexical, Method::Semantic, Method::Hybrid];
    let evaluations = methods.map(|method| evaluate(index, &questions, method, results));
    Ok(evaluation_table(&evaluations.into_iter().collect::<Result<Vec<_>, _>>()?))
}

/// A row for each kind of question, and two columns for each method.
fn evaluation_table(evaluations: &[Evaluation]) -> String {
    let kinds = evaluations.first().map(|evaluation| evaluation.by_kind.keys()).into_iter().flatten();
    let mut rows = vec![header_row(evaluations)];
    rows.extend(kinds.map(|kind| figures_row(kind, evaluations, |evaluation| evaluation.by_kind.get(kind))));
    rows.push(figures_row("all", evaluations, |evaluation| Some(&evaluation.overall)));
    rows.push(answer_row(evaluations));
    aligned(&rows)
}

fn header_row(evaluations: &[Evaluation]) -> Vec<String> {
    let columns = evaluations.iter().flat_map(|Evaluation { method, k, .. }| {
        let name = format!("{method:?}").to_lowercase();
        [format!("{name} recall@{k}"), format!("MRR@{RANK_DEPTH}")]
    });
    ["kind".to_owned(), "questions".to_owned()].into_iter().chain(columns).collect()
}

fn figures_row<'a>(
    name: &str,
    evaluations: &'a [Evaluation],
    figures: impl Fn(&'a Evaluation) -> Option<&'a Figures>,
) -> Vec<String> {
    let figures: Vec<Figures> =
        evaluations.iter().map(|evaluation| figures(evaluation).copied().unwrap_or_default()).collect();
    let questions = figures.first().map_or(0, |figures| figures.questions);
    let columns = figures
        .iter()
        .flat_map(|Figures { recall, reciprocal_rank, .. }| [format!("{recall:.2}"), format!("{reciprocal_rank:.2}")]);
    [name.to_owned(), questions.to_string()].into_iter().chain(columns).collect()
}

/// How well the best score tells questions with an answer from those without one.
fn answer_row(evaluations: &[Evaluation]) -> Vec<String> {
    let columns = evaluations.iter().flat_map(|evaluation| {
        let auc = evaluation.answer_auc.map_or_else(|| "-".to_owned(), |auc| format!("{auc:.2}"));
        [auc, String::new()]
    });
    ["has an answer (AUC)".to_owned(), String::new()].into_iter().chain(columns).collect()
}

/// The first column begins at the left, all others end at the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

fn parse_filter(text: &str) -> Result<Filter, String> {
    let json = serde_json::from_str(text).map_err(|error| format!("it must be JSON: {error}"))?;
    Filter::parse(&json).map_err(|error| error.to_string())
}

impl Search {
    fn method(self) -> Method {
        match self {
            Self::Hybrid => Method::Hybrid,
            Self::Semantic => Method::Semantic,
            Self::Lexical => Method::Lexical,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn evaluation(method: Method, recall: f64, answer_auc: Option<f64>) -> Evaluation {
        let figures = |questions, recall| Figures { questions, recall, reciprocal_rank: recall / 2.0 };
        Evaluation {
            method,
            k: 5,
            overall: figures(60, recall),
            by_kind: BTreeMap::from([("typo".into(), figures(8, 1.0)), ("table".into(), figures(10, recall))]),
            answer_auc,
            outcomes: Vec::new(),
        }
    }

    #[test]
    fn figures_of_all_methods_are_one_table() {
        let evaluations = [evaluation(Method::Lexical, 0.5, None), evaluation(Method::Hybrid, 0.75, Some(0.8))];
        let expected = "\
kind                 questions  lexical recall@5  MRR@10  hybrid recall@5  MRR@10
table                       10              0.50    0.25             0.75    0.38
typo                         8              1.00    0.50             1.00    0.50
all                         60              0.50    0.25             0.75    0.38
has an answer (AUC)                            -                     0.80
";
        assert_eq!(evaluation_table(&evaluations), expected);
    }

    #[test]
    fn passage_is_printed_without_control_characters() {
        let passage = Passage {
            chunk_id: "1".into(),
            uri: "s3://local-knowledge/a/leave.md".into(),
            text: "20 days\u{1b}[31m\n\tof leave\r\n".into(),
            range: 0..1,
            page: Some(2),
            score: 0.666,
            attributes: BTreeMap::new(),
        };
        assert_eq!(passage_text(1, &passage), "[1] 0.67 a/leave.md, page 2\n20 days[31m\n\tof leave\n");
    }
}
