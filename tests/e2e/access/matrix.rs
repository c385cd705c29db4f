//! The matrix as data: who may do what.
use std::collections::BTreeMap;

const WRITTEN: &str = include_str!("matrix.txt");

/// Outcomes by field and caller, as `matrix.txt` has them; each field has one for each caller.
pub struct Matrix(BTreeMap<String, BTreeMap<String, String>>);

impl Matrix {
    pub fn read() -> Self {
        let mut blocks = WRITTEN.split("\n\n").filter_map(block).collect::<BTreeMap<_, _>>();
        let everywhere = blocks.remove("*").expect("what holds for every field");
        for outcomes in blocks.values_mut() {
            for (caller, outcome) in &everywhere {
                outcomes.entry(caller.clone()).or_insert_with(|| outcome.clone());
            }
        }
        Self(blocks)
    }

    /// Field, caller, outcome.
    pub fn cells(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.0.iter().flat_map(|(field, outcomes)| {
            outcomes.iter().map(move |(caller, outcome)| (field.as_str(), caller.as_str(), outcome.as_str()))
        })
    }

    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Fields with the callers that each admits.
    fn admitted(&self) -> impl Iterator<Item = (&str, Vec<&str>)> {
        self.0.iter().map(|(field, outcomes)| {
            let admitted = outcomes.iter().filter(|(_, outcome)| *outcome == "ok");
            (field.as_str(), admitted.map(|(caller, _)| caller.as_str()).collect())
        })
    }

    /// The README's table: fields that admit the same callers share a row.
    pub fn table(&self) -> String {
        let mut rows: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
        for (field, admitted) in self.admitted() {
            let name = field.split_once('.').map_or(field, |(_, name)| name);
            match rows.iter_mut().find(|(_, known)| *known == admitted) {
                Some((names, _)) => names.push(name),
                None => rows.push((vec![name], admitted)),
            }
        }
        let head = "| field | API key | user pool | OIDC | IAM |\n|---|---|---|---|---|\n".to_owned();
        rows.into_iter().fold(head, |table, (names, admitted)| table + &row(&names, &admitted))
    }
}

fn block(text: &str) -> Option<(String, BTreeMap<String, String>)> {
    let mut lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let field = lines.next()?.to_owned();
    let mut outcomes = BTreeMap::new();
    for line in lines {
        let (outcome, callers) = line.split_once("  ").unwrap_or_else(|| panic!("{line} is an outcome and callers"));
        for caller in callers.split_whitespace() {
            let other = outcomes.insert(caller.to_owned(), outcome.to_owned());
            assert_eq!(other, None, "{field} has two outcomes for {caller}");
        }
    }
    Some((field, outcomes))
}

fn row(names: &[&str], admitted: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    let modes = ["key", "pool", "oidc", "iam"].map(|mode| people(mode, admitted));
    format!("| {} | {} |\n", names.join(" "), modes.join(" | "))
}

/// Whom of a mode a field admits, in as few words as say it.
fn people(mode: &str, admitted: &[&str]) -> String {
    let of_mode: Vec<_> = admitted.iter().filter_map(|caller| caller.strip_prefix(mode)?.strip_prefix('.')).collect();
    let everybody = |known: &[&str]| known.iter().all(|who| of_mode.contains(who));
    if of_mode.is_empty() {
        "–".to_owned()
    } else if everybody(&["owner", "stranger"]) {
        if mode == "iam" && !everybody(&["identity"]) { "all but identity pools' users".into() } else { "all".into() }
    } else {
        ["owner", "writer", "reader", "administrator", "handler", "closer"]
            .into_iter()
            .filter(|who| of_mode.contains(who))
            .collect::<Vec<_>>()
            .join(", ")
    }
}
