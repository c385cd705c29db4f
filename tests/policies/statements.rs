//! Rules that every policy statement and every role must satisfy.
use local::stack::DataSource;
use serde_json::Value;

use crate::{PARAMETER_SETS, load_stack, to_texts};

const ENTRY_POINTS: &[(&str, &str)] = &[("EventsApi", "true"), ("WebSocketApi", "true")];

/// Actions for which AWS supports no narrower resource than `*`.
pub const ACTIONS_WITHOUT_RESOURCE: [&str; 4] =
    ["bedrock:Rerank", "bedrock:RetrieveAndGenerate", "xray:PutTraceSegments", "xray:PutTelemetryRecords"];

/// Calls `check` with each role's name and each of its statements.
fn for_each_statement(check: impl Fn(&str, &Value)) {
    for parameters in PARAMETER_SETS.into_iter().chain([ENTRY_POINTS]) {
        for (name, role) in load_stack(parameters).roles {
            assert!(!role.statements.is_empty(), "{name} has no statement");
            role.statements.iter().for_each(|statement| check(&name, statement));
        }
    }
}

#[test]
fn statements_allow_actions_without_wildcards() {
    for_each_statement(check_statement);
}

/// The statement allows, and its actions have no wildcards.
pub fn check_statement(role: &str, statement: &Value) {
    assert_eq!(statement["Effect"], "Allow", "{role}: {statement}");
    let actions = to_texts(&statement["Action"]);
    assert!(!actions.is_empty() && actions.iter().all(|action| !action.contains(['*', '?'])), "{role}: {statement}");
}

#[test]
fn only_actions_without_resources_have_a_wildcard_resource() {
    for_each_statement(check_resources);
}

/// The statement has the resource `*` exactly if AWS supports no other for its actions.
pub fn check_resources(role: &str, statement: &Value) {
    let has_wildcard_resource = to_texts(&statement["Resource"]).contains(&"*");
    let supports_no_resource =
        to_texts(&statement["Action"]).iter().all(|action| ACTIONS_WITHOUT_RESOURCE.contains(action));
    assert_eq!(has_wildcard_resource, supports_no_resource, "{role}: {statement}");
}

#[test]
fn table_statements_are_limited_to_partitions() {
    for_each_statement(|role, statement| {
        let is_table_statement = to_texts(&statement["Action"]).iter().any(|action| action.starts_with("dynamodb:"));
        let patterns = to_texts(&statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]);
        let has_prefix_patterns =
            patterns.iter().all(|pattern| !pattern.starts_with(['*', '?'])) && !patterns.is_empty();
        let requires_partition_keys = statement["Condition"]["Null"]["dynamodb:LeadingKeys"] == "false";
        assert_eq!(is_table_statement, has_prefix_patterns && requires_partition_keys, "{role}: {statement}");
    });
}

#[test]
fn no_role_is_shared() {
    for parameters in PARAMETER_SETS.into_iter().chain([ENTRY_POINTS]) {
        let stack = load_stack(parameters);
        let functions = stack.functions.values().map(|function| &function.role.arn);
        let sources = stack.api.data_sources.values().filter_map(|source| match source {
            DataSource::None => None,
            DataSource::Table { role, .. } | DataSource::Lambda { role, .. } | DataSource::Kms { role } => {
                Some(&role.arn)
            }
        });
        let mut used: Vec<&String> = functions.chain(sources).collect();
        let count = used.len();
        used.sort();
        used.dedup();
        assert_eq!(used.len(), count, "{used:?}");
    }
}
