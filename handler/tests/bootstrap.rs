//! The binary that Lambda starts.
use std::process::Command;

#[test]
fn problems_of_the_environment_are_reported_in_sentences() {
    let mut bootstrap = Command::new(env!("CARGO_BIN_EXE_bootstrap"));
    let output = bootstrap.env_clear().env("GRAPHQL_URL", "ftp://x").output().unwrap();
    assert!(!output.status.success());
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "TABLE_NAME must be set. GRAPHQL_URL must be an http or https URL, not \"ftp://x\".\n"
    );
}
