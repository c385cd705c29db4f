//! Every role's rights, case by case: `rights.json`.
use std::collections::{BTreeMap, BTreeSet};

use local::{
    identity::{AccessRequest, AssumedRole},
    stack::Stack,
    template::{ACCOUNT, REGION},
};
use serde::Deserialize;
use serde_json::Value;

use crate::{EXTREMES, deployed, texts};

/// AWS asks for a global profile's model by this, and does not say whether a pattern of all regions matches none.
const OF_NO_REGION: &str = "arn:aws:bedrock:::";
const MODEL: &str = "arn:aws:bedrock:eu-west-1::foundation-model/parlance.echo";

#[derive(Deserialize)]
struct Rights {
    may: Vec<Case>,
    #[serde(rename = "may not")]
    may_not: Vec<Case>,
}

/// An action, a resource, and the partition keys that the call names. A resource of the stack's own account and region
/// is written from its service on.
#[derive(Deserialize)]
struct Case(Vec<String>);

fn rights() -> BTreeMap<String, Rights> {
    serde_json::from_str(include_str!("rights.json")).expect("cases are JSON")
}

fn session(stack: &Stack, role: &str) -> AssumedRole {
    AssumedRole::new(&stack.roles[&format!("parlance-{role}")], "test")
}

impl Case {
    fn is_allowed(&self, session: &AssumedRole) -> bool {
        let [action, resource, keys @ ..] = self.0.as_slice() else { panic!("{:?} is no case", self.0) };
        let leading_keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let resource = arn(resource);
        session.authorize(&AccessRequest { action, resource: &resource, leading_keys: &leading_keys }).is_ok()
    }
}

fn arn(resource: &str) -> String {
    match resource.split_once(':') {
        None | Some(("arn", _)) => resource.to_owned(),
        Some((service, rest)) => format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"),
    }
}

#[test]
fn a_role_may_do_what_it_is_for_and_nothing_else() {
    for parameters in EXTREMES {
        let stack = deployed(parameters);
        for (role, Rights { may, may_not }) in rights() {
            let session = session(&stack, &role);
            for case in &may {
                assert!(case.is_allowed(&session), "{role} may {:?} with {parameters:?}", case.0);
            }
            for case in &may_not {
                assert!(!case.is_allowed(&session), "{role} may not {:?} with {parameters:?}", case.0);
            }
        }
    }
}

#[test]
fn every_role_has_rights_and_limits_to_them() {
    for parameters in EXTREMES {
        let stack = deployed(parameters);
        let roles: BTreeSet<&str> = stack.roles.keys().filter_map(|name| name.strip_prefix("parlance-")).collect();
        let rights = rights();
        assert_eq!(roles, rights.keys().map(String::as_str).collect());
        assert!(rights.values().all(|rights| !rights.may.is_empty() && !rights.may_not.is_empty()));
    }
}

#[test]
fn every_action_resource_and_partition_of_a_statement_is_needed_by_a_right() {
    let mut stack = deployed(&[]);
    for (role, Rights { may, .. }) in rights() {
        let name = format!("parlance-{role}");
        for index in 0..stack.roles[&name].statements.len() {
            let whole = stack.roles[&name].statements[index].clone();
            for less in narrower(&whole) {
                stack.roles.get_mut(&name).expect("the role is there").statements[index] = less.clone();
                let session = session(&stack, &role);
                assert!(may.iter().any(|case| !case.is_allowed(&session)), "{role} could do with {less}");
            }
            stack.roles.get_mut(&name).expect("the role is there").statements[index] = whole;
        }
    }
}

/// The statement without one of its actions or resources, or without one of the patterns of its partitions.
fn narrower(statement: &Value) -> Vec<Value> {
    let without = |pointer: &str| {
        let texts = statement.pointer(pointer).map(texts).unwrap_or_default();
        let others = |left_out: usize| {
            let others = texts.iter().enumerate().filter(move |(index, _)| *index != left_out);
            others.map(|(_, text)| *text).collect::<Value>()
        };
        let spoilt = |left_out| {
            let mut less = statement.clone();
            *less.pointer_mut(pointer).expect("it is there") = others(left_out);
            less
        };
        let needed = (0..texts.len()).filter(|index| !texts[*index].starts_with(OF_NO_REGION));
        needed.map(spoilt).collect::<Vec<_>>()
    };
    ["/Action", "/Resource", "/Condition/ForAllValues:StringLike/dynamodb:LeadingKeys"]
        .into_iter()
        .flat_map(without)
        .collect()
}

#[test]
fn further_models_are_the_handlers_alone_and_only_where_they_are_given() {
    let asks = |parameters: &[(&str, &str)], role: &str| {
        let case = Case(vec!["bedrock:InvokeModelWithResponseStream".into(), MODEL.into()]);
        case.is_allowed(&session(&deployed(parameters), role))
    };
    let given = [("MoreModelArns", MODEL)];
    assert!(asks(&given, "HandlerRole"));
    assert!(!asks(&given, "CloserRole") && !asks(&[], "HandlerRole"));
}
