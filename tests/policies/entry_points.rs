//! The permissions that the nested stacks of the other entry points have and add, case by case:
//! `entry_points.json`.
use std::collections::BTreeMap;

use local::{identity::AssumedRole, stack::Stack};
use serde::Deserialize;

use crate::{
    load_stack,
    permissions::{Case, assume_role, permissions_without_entry_points, reduced_statements},
};

const EVENTS: (&str, &str) = ("EventsApi", "true");
const WEBSOCKET: (&str, &str) = ("WebSocketApi", "true");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Permissions {
    allowed: Vec<Case>,
    denied: Vec<Case>,
}

fn permissions() -> BTreeMap<String, Permissions> {
    serde_json::from_str(include_str!("entry_points.json")).expect("entry_points.json is valid")
}

fn with_both() -> Stack {
    load_stack(&[EVENTS, WEBSOCKET])
}

#[test]
fn roles_have_exactly_the_listed_permissions() {
    let stack = with_both();
    for (name, Permissions { allowed, denied }) in permissions() {
        let role = assume_role(&stack, &name);
        for case in &allowed {
            assert!(case.is_allowed(&role), "{name} must be allowed {case:?}");
        }
        for case in &denied {
            assert!(!case.is_allowed(&role), "{name} must be denied {case:?}");
        }
    }
}

#[test]
fn every_role_of_an_entry_point_has_cases() {
    let without: Vec<String> = load_stack(&[]).roles.into_keys().collect();
    let permissions = permissions();
    for name in with_both().roles.into_keys().filter(|name| !without.contains(name)) {
        let name = name.trim_start_matches("parlance-");
        assert!(permissions.get(name).is_some_and(|cases| !cases.denied.is_empty()), "{name} has no cases");
    }
}

#[test]
fn every_part_of_a_statement_is_needed_by_an_allowed_case() {
    let stack = with_both();
    let mut cases_without = permissions_without_entry_points();
    for (name, Permissions { mut allowed, .. }) in permissions() {
        allowed.extend(cases_without.remove(&name).into_iter().flatten());
        let role = &stack.roles[&format!("parlance-{name}")];
        for index in 0..role.statements.len() {
            for reduced in reduced_statements(&role.statements[index]) {
                let mut role = role.clone();
                role.statements[index] = reduced.clone();
                let assumed = AssumedRole::new(&role, "test");
                assert!(allowed.iter().any(|case| !case.is_allowed(&assumed)), "{name} needs no more than {reduced}");
            }
        }
    }
}

#[test]
fn stack_without_an_entry_point_has_none_of_its_permissions() {
    let events = Case::new("appsync:EventPublish", "appsync:apis/local-events/channelNamespace/chat");
    let connection =
        Case::new("execute-api:ManageConnections", "execute-api:local-websocket/prod/POST/@connections/abc=");
    for (parameters, has_events, has_websocket) in
        [(&[][..], false, false), (&[EVENTS][..], true, false), (&[WEBSOCKET][..], false, true)]
    {
        let stack = load_stack(parameters);
        for role in ["HandlerRole", "CloserRole"] {
            let role = assume_role(&stack, role);
            assert_eq!(events.is_allowed(&role), has_events, "{parameters:?}");
            assert_eq!(connection.is_allowed(&role), has_websocket, "{parameters:?}");
        }
        let [events_sessions, websocket_sessions] =
            stack.api.environment["GATEWAY_SESSIONS"].split(',').collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(events_sessions != "none", has_events, "{parameters:?}");
        assert_eq!(websocket_sessions != "none", has_websocket, "{parameters:?}");
    }
}
