//! Compares README.md, docs/ and the other pages with what they describe.
use std::{collections::BTreeSet, fs, path::Path, process::Command};

use fancy_regex::Regex;
use handler::settings::Settings;
use local::{bedrock::FAULTY_MODELS, fault_injection::Fault};
use turn::limits::Limits;

const PROSE_COLUMNS: usize = 110;

#[test]
fn every_relative_link_has_a_target() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    for (path, text) in pages() {
        for found in link.captures_iter(text.as_str()) {
            let target = found.unwrap()[1].to_owned();
            if target.contains("://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = if file.is_empty() { path.clone() } else { folder_of(&path) + file };
            let content = fs::read_to_string(root().join(&file));
            let is_folder = root().join(&file).is_dir();
            assert!(is_folder || content.is_ok(), "{path}: {target} does not exist");
            let has_anchor = anchor.is_empty() || anchors(&content.unwrap_or_default()).contains(anchor);
            assert!(has_anchor, "{path}: {target} has no such heading");
        }
    }
}

#[test]
fn every_path_in_the_text_exists() {
    let quoted =
        Regex::new(r"`((?:api|handler|client|examples|local|resolvers|tests|benches|docs)/[\w./-]*)`").unwrap();
    for (path, text) in pages() {
        for found in quoted.captures_iter(text.as_str()) {
            let target = &found.unwrap()[1];
            assert!(root().join(target).exists(), "{path}: {target} does not exist");
        }
    }
}

#[test]
fn prose_lines_are_at_most_110_columns_wide() {
    let mut wide_lines = Vec::new();
    for (path, text) in pages() {
        let mut is_code = false;
        for (number, line) in text.lines().enumerate() {
            is_code ^= line.starts_with("```");
            let is_prose = !is_code && !line.starts_with('|');
            if is_prose && line.chars().count() > PROSE_COLUMNS {
                wide_lines.push(format!("{path}:{}", number + 1));
            }
        }
    }
    assert!(wide_lines.is_empty(), "{} wide lines:\n{}", wide_lines.len(), wide_lines.join("\n"));
}

#[test]
fn parameters_page_equals_the_template() {
    let template = read("template.yaml");
    let (_, rest) = template.split_once("\nParameters:\n").unwrap();
    let (section, _) = rest.split_once("\nRules:").unwrap();
    let parameter = Regex::new(r"(?m)^  (\w+):\n((?:    .*(?:\n|$))+)").unwrap();
    let parameters = parameter.captures_iter(section).map(|found| found.unwrap());
    let expected: BTreeSet<String> = parameters.map(|found| parameter_row(&found[1], &found[2])).collect();
    let row = Regex::new(r"(?m)^\| `[A-Z][A-Za-z]*[a-z][A-Za-z]*` \|.*$").unwrap();
    let page = read("docs/parameters.md");
    let found: BTreeSet<String> = row.find_iter(&page).map(|row| row.unwrap().as_str().to_owned()).collect();
    let missing: Vec<_> = expected.difference(&found).collect();
    let unknown: Vec<_> = found.difference(&expected).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing: {missing:#?}\nunknown: {unknown:#?}");
}

fn parameter_row(name: &str, properties: &str) -> String {
    let property = |key: &str| {
        let prefix = format!("{key}: ");
        let value = properties.lines().find_map(|line| line.trim().strip_prefix(&prefix))?;
        Some(value.trim_matches('"').to_owned())
    };
    let description = property("Description").unwrap();
    let values = match (property("AllowedValues"), property("MinValue"), property("MaxValue")) {
        (Some(values), ..) => format!(" One of {}.", values.trim_matches(['[', ']']).replace('"', "")),
        (None, Some(least), Some(most)) => format!(" {least} to {most}."),
        _ => String::new(),
    };
    let default = property("Default").filter(|value| !value.is_empty());
    let default = default.map(|value| format!("`{value}`")).unwrap_or_default();
    format!("| `{name}` | {default} | {description}{values} |")
}

#[test]
fn parameters_page_has_the_settings_of_the_handler() {
    let page = read("docs/parameters.md");
    let name = Regex::new(r#""([A-Z]+(?:_[A-Z]+)+)""#).unwrap();
    for path in ["handler/src/settings.rs", "gateway/src/settings.rs"] {
        for found in name.captures_iter(without_tests(&read(path))) {
            let variable = &found.unwrap()[1];
            assert!(page.contains(&format!("| `{variable}` |")), "docs/parameters.md lacks {variable} of {path}");
        }
    }
    let required = |name: &str| match name {
        "TABLE_NAME" => Some("table".to_owned()),
        "GRAPHQL_URL" => Some("http://localhost/graphql".to_owned()),
        _ => None,
    };
    let Limits { model_silence, one_shot_timeout, pacing_first, pacing_last, batch_max_bytes, event_max_bytes, .. } =
        Settings::read(required).unwrap().limits;
    for (variable, default) in [
        ("MODEL_SILENCE_SECONDS", model_silence.as_secs()),
        ("ONE_SHOT_SECONDS", one_shot_timeout.as_secs()),
        ("PACING_FIRST_MILLISECONDS", pacing_first.as_millis() as u64),
        ("PACING_LAST_MILLISECONDS", pacing_last.as_millis() as u64),
        ("BATCH_MAX_BYTES", batch_max_bytes as u64),
        ("EVENT_MAX_BYTES", event_max_bytes as u64),
    ] {
        assert!(page.contains(&format!("| `{variable}` | {default} |")), "{variable} is {default} by default");
    }
}

#[test]
fn local_page_lists_every_fault_and_every_scripted_model() {
    let page = read("docs/local.md");
    for fault in Fault::ALL {
        let row = format!("| `{}` | {} |", fault.name(), fault.description());
        assert!(page.contains(&row), "docs/local.md should have:\n{row}");
    }
    for model in &FAULTY_MODELS {
        let row = format!("| `{}` | {} |", model.model_id, model.description);
        assert!(page.contains(&row), "docs/local.md should have:\n{row}");
    }
}

#[test]
fn pages_list_every_error_type_and_failure_code() {
    let clients = read("docs/clients.md");
    let raised = Regex::new(r"util\.error\([^;]*?'([A-Z][A-Za-z]+)'").unwrap();
    for (path, text) in files_below("resolvers") {
        for found in raised.captures_iter(text.as_str()) {
            let error_type = &found.unwrap()[1];
            assert!(clients.contains(&format!("| `{error_type}` |")), "{path}: docs/clients.md lacks {error_type}");
        }
    }
    let troubleshooting = read("docs/troubleshooting.md");
    let schema = read("schema.graphql");
    let (_, rest) = schema.split_once("\nenum FailureCode {\n").unwrap();
    let (codes, _) = rest.split_once("\n}").unwrap();
    for code in codes.lines().map(str::trim) {
        assert!(troubleshooting.contains(&format!("| `{code}` |")), "docs/troubleshooting.md lacks {code}");
    }
}

#[test]
fn operations_page_quotes_the_log_messages_of_the_handler() {
    let page = read("docs/operations.md");
    let (_, rest) = page.split_once("| message | level | meaning |\n|---|---|---|\n").unwrap();
    let (table, _) = rest.split_once("\n\n").unwrap();
    let sources: String = files_below("handler/src").into_iter().map(|(_, text)| text).collect();
    let quoted = Regex::new("`([^`]+)`").unwrap();
    for row in table.lines() {
        let messages = row.split('|').nth(1).unwrap();
        for found in quoted.captures_iter(messages) {
            let message = &found.unwrap()[1];
            assert!(sources.contains(&format!("\"{message}\"")), "the handler logs no {message:?}");
        }
    }
}

/// A template for an import may hold nothing but the imported resource.
#[test]
fn command_of_the_operations_page_copies_the_table_alone_out_of_the_template() {
    let page = read("docs/operations.md");
    let command = page.lines().find_map(|line| line.strip_suffix(" > table.yaml")).expect("a command");
    let copied = Command::new("sh").args(["-c", command]).current_dir(root()).output().unwrap();
    let copied = String::from_utf8(copied.stdout).unwrap();
    assert!(copied.starts_with("Resources:\n  Table:\n    Type: AWS::DynamoDB::Table\n"), "{copied}");
    assert!(read("template.yaml").contains(copied.strip_prefix("Resources:").unwrap()), "{copied}");
    assert!(copied.contains("DeletionPolicy:") && copied.contains("KeySchema:"), "{copied}");
    assert!(!copied.contains('!') && copied.matches("\n  Table:").count() == 1, "{copied}");
    assert!(copied.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")).count() == 1, "{copied}");
}

#[test]
fn commands_of_the_pages_name_existing_tests_benchmarks_and_variables() {
    let manifest = read("Cargo.toml");
    let target = Regex::new(r"--(?:test|bench) ([a-z_0-9]+)").unwrap();
    let variable = Regex::new(r"(?m)^([A-Z_]+)=\S+ cargo test").unwrap();
    let mut sources = String::new();
    for folder in ["tests", "handler", "client"] {
        let files = files_below(folder).into_iter().filter(|(path, _)| path.ends_with(".rs"));
        files.for_each(|(_, text)| sources.push_str(&text));
    }
    for (path, text) in pages() {
        for found in target.captures_iter(text.as_str()) {
            let name = &found.unwrap()[1];
            let has_file = |path: String| root().join(path).exists();
            let exists = manifest.contains(&format!("name = \"{name}\""))
                || has_file(format!("tests/{name}.rs"))
                || has_file(format!("client/tests/{name}/main.rs"));
            assert!(exists, "{path}: there is no test or benchmark {name}");
        }
        for found in variable.captures_iter(text.as_str()) {
            let name = &found.unwrap()[1];
            assert!(sources.contains(&format!("\"{name}\"")), "{path}: no test reads {name}");
        }
    }
}

/// The pages with their text, by their path from the root.
fn pages() -> Vec<(String, String)> {
    let at_root = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"];
    let mut pages: Vec<_> = at_root.iter().map(|path| ((*path).to_owned(), read(path))).collect();
    pages.extend(files_below("docs"));
    pages.extend(files_below("examples").into_iter().filter(|(path, _)| path.ends_with(".md")));
    pages
}

/// The text files below a folder, without packages that npm has installed there.
fn files_below(folder: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let path = format!("{folder}/{}", entry.unwrap().file_name().to_str().unwrap());
        if root().join(&path).is_dir() {
            if !path.ends_with("/node_modules") {
                files.extend(files_below(&path));
            }
        } else if let Ok(text) = fs::read_to_string(root().join(&path)) {
            files.push((path, text));
        }
    }
    files
}

/// The headings of a page as GitHub names them in links.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let letters = text.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
        letters.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
    };
    headings.map(anchor).collect()
}

fn folder_of(path: &str) -> String {
    path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"))
}

fn without_tests(source: &str) -> &str {
    source.split("#[cfg(test)]").next().unwrap_or_default()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
