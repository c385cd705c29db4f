use local::resolver::check;
use local::stack::Code;

use super::{files, read};

/// The first line of each file says where and why it is refused.
#[test]
fn a_file_outside_the_subset_is_refused_with_its_place_and_reason() {
    let faults: Vec<String> = files("refused")
        .iter()
        .filter_map(|path| {
            let text = read(path);
            let expected = text.lines().next().unwrap_or_default().trim_start_matches("// ").to_owned();
            let found = match check(&Code { path: "code.js".into(), text }) {
                Ok(()) => "accepted".to_owned(),
                Err(fault) => fault.to_string(),
            };
            (expected != found).then(|| format!("{}\n  expected {expected}\n  found    {found}", path.display()))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_file_inside_the_subset_is_accepted() {
    for path in files("accepted") {
        let code = Code { path: path.display().to_string(), text: read(&path) };
        assert_eq!(check(&code), Ok(()));
    }
}

#[test]
fn a_file_holds_at_most_32768_characters() {
    let handlers = "export const request = () => 1;\nexport const response = () => 1;\n";
    let padded = |length: usize| Code {
        path: "code.js".into(),
        text: format!("{handlers}//{}", "é".repeat(length - handlers.len() - 2)),
    };
    assert_eq!(check(&padded(32_768)), Ok(()));
    let fault = check(&padded(32_769)).expect_err("the file is too long");
    assert_eq!(fault.to_string(), "code.js: a file holds at most 32768 characters, this one 32769.");
}
