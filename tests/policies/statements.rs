//! What holds for every statement and every role, whatever it is for.
use local::stack::DataSource;
use serde_json::Value;

use crate::{EXTREMES, deployed, texts};

/// AWS allows nothing narrower for these.
const WITHOUT_RESOURCE: [&str; 2] = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"];

/// Each role's name with each of its statements.
fn check(holds: impl Fn(&str, &Value)) {
    for parameters in EXTREMES {
        for (name, role) in deployed(parameters).roles {
            assert!(!role.statements.is_empty(), "{name} is for nothing");
            role.statements.iter().for_each(|statement| holds(&name, statement));
        }
    }
}

#[test]
fn every_action_is_named_in_full() {
    check(|role, statement| {
        assert_eq!(statement["Effect"], "Allow", "{role}: {statement}");
        let actions = texts(&statement["Action"]);
        assert!(
            !actions.is_empty() && actions.iter().all(|action| !action.contains(['*', '?'])),
            "{role}: {statement}"
        );
    });
}

#[test]
fn a_statement_is_of_all_resources_only_where_aws_allows_nothing_narrower() {
    check(|role, statement| {
        let is_of_all = texts(&statement["Resource"]).contains(&"*");
        let is_without = texts(&statement["Action"]).iter().all(|action| WITHOUT_RESOURCE.contains(action));
        assert_eq!(is_of_all, is_without, "{role}: {statement}");
    });
}

#[test]
fn a_statement_of_the_table_is_of_some_partitions() {
    check(|role, statement| {
        let is_of_table = texts(&statement["Action"]).iter().any(|action| action.starts_with("dynamodb:"));
        let patterns = texts(&statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]);
        let is_kept_to_some = patterns.iter().all(|pattern| !pattern.starts_with(['*', '?'])) && !patterns.is_empty();
        let is_present = statement["Condition"]["Null"]["dynamodb:LeadingKeys"] == "false";
        assert_eq!(is_of_table, is_kept_to_some && is_present, "{role}: {statement}");
    });
}

#[test]
fn nothing_shares_a_role() {
    for parameters in EXTREMES {
        let stack = deployed(parameters);
        let functions = stack.functions.values().map(|function| &function.role.arn);
        let sources = stack.api.data_sources.values().filter_map(|source| match source {
            DataSource::None => None,
            DataSource::Table { role, .. } | DataSource::Lambda { role, .. } => Some(&role.arn),
        });
        let mut used: Vec<&String> = functions.chain(sources).collect();
        let count = used.len();
        used.sort();
        used.dedup();
        assert_eq!(used.len(), count, "{used:?}");
    }
}
