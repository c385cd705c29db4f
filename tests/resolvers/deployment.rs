//! The checks of code at deployment.
use local::resolver::check;
use local::stack::Code;

use super::{files, read};

/// The first line of each file is the expected error.
#[test]
fn unsupported_code_is_refused_with_position_and_reason() {
    let failures: Vec<String> = files("refused")
        .iter()
        .filter_map(|path| {
            let text = read(path);
            let expected = text.lines().next().unwrap_or_default().trim_start_matches("// ").to_owned();
            let actual = match check(&Code { path: "code.js".into(), text }) {
                Ok(()) => "accepted".to_owned(),
                Err(error) => error.to_string(),
            };
            (expected != actual).then(|| format!("{}\n  expected {expected}\n  actual   {actual}", path.display()))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn supported_code_is_accepted() {
    for path in files("accepted") {
        let code = Code { path: path.display().to_string(), text: read(&path) };
        assert_eq!(check(&code), Ok(()));
    }
}

#[test]
fn file_has_at_most_32768_characters() {
    let handlers = "export const request = () => 1;\nexport const response = () => 1;\n";
    let padded = |length: usize| Code {
        path: "code.js".into(),
        text: format!("{handlers}//{}", "é".repeat(length - handlers.len() - 2)),
    };
    assert_eq!(check(&padded(32_768)), Ok(()));
    let error = check(&padded(32_769)).expect_err("the file is too long");
    assert_eq!(error.to_string(), "code.js: a file holds at most 32768 characters, this one 32769.");
}
