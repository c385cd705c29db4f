//! Parser of matrix.txt.
use std::collections::BTreeMap;

const TEXT: &str = include_str!("matrix.txt");

/// The outcome for each field and caller.
pub struct Matrix(BTreeMap<String, BTreeMap<String, String>>);

impl Matrix {
    pub fn load() -> Self {
        let mut blocks = TEXT.split("\n\n").filter_map(parse_block).collect::<BTreeMap<_, _>>();
        let defaults = blocks.remove("*").expect("matrix.txt has a block for every field");
        for outcomes in blocks.values_mut() {
            for (caller, outcome) in &defaults {
                outcomes.entry(caller.clone()).or_insert_with(|| outcome.clone());
            }
        }
        Self(blocks)
    }

    /// Field, caller and outcome of each cell.
    pub fn cells(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.0.iter().flat_map(|(field, outcomes)| {
            outcomes.iter().map(move |(caller, outcome)| (field.as_str(), caller.as_str(), outcome.as_str()))
        })
    }

    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The table in docs/access.md. Fields with the same allowed callers share a row.
    pub fn table(&self) -> String {
        let mut rows: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
        for (field, allowed) in self.allowed_callers() {
            let name = field.split_once('.').map_or(field, |(_, name)| name);
            match rows.iter_mut().find(|(_, callers)| *callers == allowed) {
                Some((names, _)) => names.push(name),
                None => rows.push((vec![name], allowed)),
            }
        }
        let mut table = "| field | API key | user pool | OIDC | IAM |\n|---|---|---|---|---|\n".to_owned();
        for (names, allowed) in rows {
            table.push_str(&table_row(&names, &allowed));
        }
        table
    }

    /// Each field with the callers that it allows.
    fn allowed_callers(&self) -> impl Iterator<Item = (&str, Vec<&str>)> {
        self.0.iter().map(|(field, outcomes)| {
            let allowed = outcomes.iter().filter(|(_, outcome)| *outcome == "ok");
            (field.as_str(), allowed.map(|(caller, _)| caller.as_str()).collect())
        })
    }
}

/// A field with its outcomes by caller.
fn parse_block(text: &str) -> Option<(String, BTreeMap<String, String>)> {
    let mut lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let field = lines.next()?.to_owned();
    let mut outcomes = BTreeMap::new();
    for line in lines {
        let (outcome, callers) =
            line.split_once("  ").unwrap_or_else(|| panic!("{line:?} lacks an outcome or callers"));
        for caller in callers.split_whitespace() {
            let other = outcomes.insert(caller.to_owned(), outcome.to_owned());
            assert_eq!(other, None, "{field} has two outcomes for {caller}");
        }
    }
    Some((field, outcomes))
}

fn table_row(names: &[&str], allowed: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    let modes = ["key", "pool", "oidc", "iam"].map(|mode| describe_roles(mode, allowed));
    format!("| {} | {} |\n", names.join(" "), modes.join(" | "))
}

/// The allowed roles of one mode, as short as possible.
fn describe_roles(mode: &str, allowed: &[&str]) -> String {
    let roles: Vec<_> = allowed.iter().filter_map(|caller| caller.strip_prefix(mode)?.strip_prefix('.')).collect();
    if roles.is_empty() {
        return "–".to_owned();
    }
    if roles.contains(&"owner") && roles.contains(&"outsider") {
        let excludes_identity_pools = mode == "iam" && !roles.contains(&"identity");
        return if excludes_identity_pools { "all but identity pools' users" } else { "all" }.to_owned();
    }
    let ordered = ["owner", "writer", "reader", "administrator", "handler", "closer"];
    ordered.into_iter().filter(|role| roles.contains(role)).collect::<Vec<_>>().join(", ")
}
