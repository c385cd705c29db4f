//! The permissions of the roles of `knowledge/template.yaml`, case by case: `knowledge.json`.
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use local::{identity::AssumedRole, stack::Role, template};
use serde::Deserialize;

use crate::{
    load_stack,
    permissions::{Case, assume_role, reduced_statements},
    statements::{ACTIONS_WITHOUT_RESOURCE, check_resources, check_statement},
};

const RERANK_MODEL: &str = "arn:aws:bedrock:us-east-1::foundation-model/cohere.rerank-v3-5:0";
const STORES: [&str; 2] = ["AURORA", "S3_VECTORS"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Permissions {
    #[serde(default)]
    allowed: Vec<Case>,
    /// Denied with the other store.
    #[serde(default)]
    allowed_with_aurora: Vec<Case>,
    #[serde(default)]
    allowed_with_s3_vectors: Vec<Case>,
    /// Denied without one.
    #[serde(default)]
    allowed_with_rerank_model: Vec<Case>,
    denied: Vec<Case>,
}

fn permissions() -> BTreeMap<String, Permissions> {
    serde_json::from_str(include_str!("knowledge.json")).expect("knowledge.json is valid")
}

/// The roles of the nested template by logical name.
fn roles(store: &str, rerank_model: &str) -> BTreeMap<String, Role> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let parameters = [("Store", store), ("RerankModelArn", rerank_model)];
    let nested = template::load_nested(root, "knowledge/template.yaml", &parameters).expect("the template loads");
    let logical = |name: String| name.trim_start_matches("parlance-knowledge-").to_owned();
    nested.roles.into_iter().map(|(name, role)| (logical(name), role)).collect()
}

#[test]
fn roles_have_exactly_the_listed_permissions() {
    for store in STORES {
        for rerank_model in ["none", RERANK_MODEL] {
            let roles = roles(store, rerank_model);
            for (name, permissions) in permissions() {
                let Some(role) = roles.get(&name) else {
                    assert!(permissions.allowed.is_empty(), "{name} exists with {store}");
                    continue;
                };
                let role = AssumedRole::new(role, "test");
                let check = |cases: &[Case], expected: bool| {
                    for case in cases {
                        assert_eq!(case.is_allowed(&role), expected, "{name} with {store}, {rerank_model}: {case:?}");
                    }
                };
                check(&permissions.allowed, true);
                check(&permissions.allowed_with_aurora, store == "AURORA");
                check(&permissions.allowed_with_s3_vectors, store == "S3_VECTORS");
                check(&permissions.allowed_with_rerank_model, rerank_model == RERANK_MODEL);
                check(&permissions.denied, false);
            }
        }
    }
}

#[test]
fn every_role_has_cases() {
    let with_aurora: BTreeSet<String> = roles("AURORA", "none").into_keys().collect();
    assert_eq!(with_aurora, permissions().into_keys().collect());
    assert_eq!(Vec::from_iter(roles("S3_VECTORS", "none").into_keys()), ["KnowledgeBaseRole", "SyncRole"]);
}

#[test]
fn every_part_of_a_statement_is_needed_by_an_allowed_case() {
    for store in STORES {
        for (name, role) in roles(store, RERANK_MODEL) {
            let permissions = permissions().remove(&name).expect("the role has cases");
            let mut allowed = permissions.allowed;
            allowed.extend(permissions.allowed_with_rerank_model);
            allowed.extend(match store {
                "AURORA" => permissions.allowed_with_aurora,
                _ => permissions.allowed_with_s3_vectors,
            });
            for index in 0..role.statements.len() {
                for reduced in reduced_statements(&role.statements[index]) {
                    let mut role = role.clone();
                    role.statements[index] = reduced.clone();
                    let assumed = AssumedRole::new(&role, "test");
                    assert!(allowed.iter().any(|case| !case.is_allowed(&assumed)), "{name} needs only {reduced}");
                }
            }
        }
    }
}

#[test]
fn statements_have_no_wildcards() {
    for store in STORES {
        for (name, role) in roles(store, RERANK_MODEL) {
            for statement in &role.statements {
                check_statement(&name, statement);
                check_resources(&name, statement);
            }
        }
    }
    assert!(ACTIONS_WITHOUT_RESOURCE.contains(&"bedrock:Rerank"));
}

#[test]
fn only_the_handler_may_search_the_knowledge_base() {
    let may_search = |parameters: &[(&str, &str)], role: &str, knowledge_base: &str| {
        let case = Case::new("bedrock:Retrieve", &format!("bedrock:knowledge-base/{knowledge_base}"));
        case.is_allowed(&assume_role(&load_stack(parameters), role))
    };
    let created = [("Knowledge", "create")];
    let existing = [("Knowledge", "KB12345678")];
    assert!(may_search(&created, "HandlerRole", "LOCALKB001") && may_search(&existing, "HandlerRole", "KB12345678"));
    assert!(!may_search(&created, "HandlerRole", "KB12345678") && !may_search(&existing, "HandlerRole", "LOCALKB001"));
    assert!(!may_search(&[], "HandlerRole", "LOCALKB001"));
    for role in ["CloserRole", "HandlerSourceRole", "TableSourceRole"] {
        assert!(!may_search(&created, role, "LOCALKB001"), "{role}");
    }
}

#[test]
fn only_the_handler_may_generate_answers_and_only_where_the_parameter_says_so() {
    let may_call = |parameters: &[(&str, &str)], role: &str, action: &str, resource: &str| {
        Case::new(action, resource).is_allowed(&assume_role(&load_stack(parameters), role))
    };
    let generates = ("OneShotRetrieveAndGenerate", "true");
    let parameters = [("Knowledge", "create"), generates, ("ModelId", "us.a")];
    for (action, resource) in [
        ("bedrock:RetrieveAndGenerate", "bedrock:anything"),
        ("bedrock:GetInferenceProfile", "bedrock:inference-profile/us.a"),
    ] {
        assert!(may_call(&parameters, "HandlerRole", action, resource), "{action}");
        assert!(
            !may_call(&[("Knowledge", "create"), ("ModelId", "us.a")], "HandlerRole", action, resource),
            "{action}"
        );
        assert!(!may_call(&[generates, ("ModelId", "us.a")], "HandlerRole", action, resource), "{action}");
        assert!(!may_call(&parameters, "CloserRole", action, resource), "{action}");
    }
    let other = "bedrock:inference-profile/us.b";
    assert!(!may_call(&parameters, "HandlerRole", "bedrock:GetInferenceProfile", other));
}

#[test]
fn only_the_handler_may_rerank_and_only_with_the_rerank_model() {
    let may_call = |parameters: &[(&str, &str)], role: &str, action: &str, resource: &str| {
        Case::new(action, resource).is_allowed(&assume_role(&load_stack(parameters), role))
    };
    let parameters = [("Knowledge", "create"), ("RerankModelArn", RERANK_MODEL)];
    for (action, resource) in [("bedrock:Rerank", "bedrock:anything"), ("bedrock:InvokeModel", RERANK_MODEL)] {
        assert!(may_call(&parameters, "HandlerRole", action, resource), "{action}");
        assert!(!may_call(&[("Knowledge", "create")], "HandlerRole", action, resource), "{action}");
        assert!(!may_call(&parameters, "CloserRole", action, resource), "{action}");
    }
    let streamed = "bedrock:InvokeModelWithResponseStream";
    assert!(!may_call(&parameters, "HandlerRole", streamed, RERANK_MODEL));
}
