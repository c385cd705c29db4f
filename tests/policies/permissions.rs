//! The permissions of every role, case by case: `permissions.json`.
use std::collections::{BTreeMap, BTreeSet};

use local::{
    identity::{AccessRequest, AssumedRole},
    stack::Stack,
    template::{self, ACCOUNT, Deployment, REGION},
};
use serde::Deserialize;
use serde_json::Value;

use crate::{PARAMETER_SETS, load_stack, repository_template::TEMPLATE, to_texts};

/// AWS authorizes the model of a global inference profile with an ARN without a region. AWS does not document
/// whether a pattern for all regions matches this ARN, so the template has a resource for it.
const ARN_WITHOUT_REGION: &str = "arn:aws:bedrock:::";
const MODEL: &str = "arn:aws:bedrock:eu-west-1::foundation-model/parlance.echo";

#[derive(Deserialize)]
struct Permissions {
    allowed: Vec<Case>,
    /// Allowed with the default parameters, denied to a stack without an API key or with an expiry for it.
    #[serde(default)]
    allowed_with_renewal: Vec<Case>,
    denied: Vec<Case>,
}

/// An action, a resource, and the partition keys of the request. The ARN of a resource in the stack's account
/// and region begins with its service.
#[derive(Debug, Deserialize)]
pub struct Case(Vec<String>);

fn permissions() -> BTreeMap<String, Permissions> {
    serde_json::from_str(include_str!("permissions.json")).expect("permissions.json is valid")
}

/// The cases that a role is allowed also without the other entry points, by role.
pub fn permissions_without_entry_points() -> BTreeMap<String, Vec<Case>> {
    let with_renewal = |Permissions { mut allowed, allowed_with_renewal, .. }| {
        allowed.extend(allowed_with_renewal);
        allowed
    };
    permissions().into_iter().map(|(name, permissions)| (name, with_renewal(permissions))).collect()
}

pub fn assume_role(stack: &Stack, role: &str) -> AssumedRole {
    AssumedRole::new(&stack.roles[&format!("parlance-{role}")], "test")
}

impl Case {
    pub fn new(action: &str, resource: &str) -> Self {
        Self(vec![action.to_owned(), resource.to_owned()])
    }

    pub fn is_allowed(&self, role: &AssumedRole) -> bool {
        let [action, resource, keys @ ..] = self.0.as_slice() else { panic!("{:?} is not a case", self.0) };
        let leading_keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let resource = full_arn(resource);
        role.authorize(&AccessRequest { action, resource: &resource, leading_keys: &leading_keys }).is_ok()
    }
}

fn full_arn(resource: &str) -> String {
    match resource.split_once(':') {
        None | Some(("arn", _)) => resource.to_owned(),
        Some((service, rest)) => format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"),
    }
}

#[test]
fn roles_have_exactly_the_listed_permissions() {
    for parameters in PARAMETER_SETS {
        let stack = load_stack(parameters);
        for (name, Permissions { allowed, denied, .. }) in permissions() {
            let role = assume_role(&stack, &name);
            for case in &allowed {
                assert!(case.is_allowed(&role), "{name} must be allowed {:?} with {parameters:?}", case.0);
            }
            for case in &denied {
                assert!(!case.is_allowed(&role), "{name} must be denied {:?} with {parameters:?}", case.0);
            }
        }
    }
}

#[test]
fn every_role_has_allowed_and_denied_cases() {
    for parameters in PARAMETER_SETS {
        let stack = load_stack(parameters);
        let roles: BTreeSet<&str> = stack.roles.keys().filter_map(|name| name.strip_prefix("parlance-")).collect();
        let permissions = permissions();
        assert_eq!(roles, permissions.keys().map(String::as_str).collect());
        assert!(permissions.values().all(|cases| !cases.allowed.is_empty() && !cases.denied.is_empty()));
    }
}

#[test]
fn every_part_of_a_statement_is_needed_by_an_allowed_case() {
    let mut stack = load_stack(&[]);
    for (role, Permissions { mut allowed, allowed_with_renewal, .. }) in permissions() {
        allowed.extend(allowed_with_renewal);
        let name = format!("parlance-{role}");
        for index in 0..stack.roles[&name].statements.len() {
            let original = stack.roles[&name].statements[index].clone();
            for reduced in reduced_statements(&original) {
                stack.roles.get_mut(&name).expect("the role exists").statements[index] = reduced.clone();
                let assumed = assume_role(&stack, &role);
                assert!(allowed.iter().any(|case| !case.is_allowed(&assumed)), "{role} needs no more than {reduced}");
            }
            stack.roles.get_mut(&name).expect("the role exists").statements[index] = original;
        }
    }
}

#[test]
fn only_a_key_without_an_expiry_may_be_renewed() {
    let is_allowed = |parameters: &[(&str, &str)]| {
        let stack = load_stack(parameters);
        let mut results = BTreeSet::new();
        for (name, Permissions { allowed_with_renewal, .. }) in permissions() {
            let role = assume_role(&stack, &name);
            results.extend(allowed_with_renewal.iter().map(|case| case.is_allowed(&role)));
        }
        Vec::from_iter(results)
    };
    assert_eq!(is_allowed(&[]), [true]);
    assert_eq!(is_allowed(&[("ApiKeyAccess", "false")]), [false]);
    assert_eq!(is_allowed(&[("ApiKeyExpires", "1893456000")]), [false]);
}

/// The statement without one of its actions, resources or partition key patterns.
pub fn reduced_statements(statement: &Value) -> Vec<Value> {
    let pointers = ["/Action", "/Resource", "/Condition/ForAllValues:StringLike/dynamodb:LeadingKeys"];
    let mut reduced = Vec::new();
    for pointer in pointers {
        let texts = statement.pointer(pointer).map(to_texts).unwrap_or_default();
        for removed in 0..texts.len() {
            if texts[removed].starts_with(ARN_WITHOUT_REGION) {
                continue;
            }
            let remaining = texts.iter().enumerate().filter(|(index, _)| *index != removed);
            let mut copy = statement.clone();
            *copy.pointer_mut(pointer).expect("the pointer exists") = remaining.map(|(_, text)| *text).collect();
            reduced.push(copy);
        }
    }
    reduced
}

#[test]
fn only_the_handler_may_use_the_models_of_more_model_arns() {
    let may_call_model = |parameters: &[(&str, &str)], role: &str| {
        let role = assume_role(&load_stack(parameters), role);
        let is_allowed = |action: &str| Case(vec![action.into(), MODEL.into()]).is_allowed(&role);
        let streamed = is_allowed("bedrock:InvokeModelWithResponseStream");
        assert_eq!(streamed, is_allowed("bedrock:InvokeModel"));
        streamed
    };
    let parameters = [("MoreModelArns", MODEL)];
    assert!(may_call_model(&parameters, "HandlerRole"));
    assert!(!may_call_model(&parameters, "CloserRole") && !may_call_model(&[], "HandlerRole"));
}

/// As that of ModelId: the profile in this account, and its model wherever the profile may route.
#[test]
fn handler_may_call_the_fallback_models_and_the_title_model() {
    let may_call = |parameters: &[(&str, &str)], role: &str, resource: &str| {
        let role = assume_role(&load_stack(parameters), role);
        let results = ["bedrock:InvokeModelWithResponseStream", "bedrock:InvokeModel"]
            .map(|action| Case::new(action, resource).is_allowed(&role));
        assert_eq!(results[0], results[1], "{resource}");
        results[0]
    };
    let resources = |id: &str, model: &str| {
        [
            format!("bedrock:inference-profile/{id}"),
            format!("arn:aws:bedrock:eu-west-1::foundation-model/{model}"),
            format!("arn:aws:bedrock:::foundation-model/{model}"),
        ]
    };
    let lists = ["us.m1", "us.m1,m2", "m2,us.m1", "eu.m3,us.m1,m2", "global.m3,jp.m4,us.m1"];
    let fallbacks = lists.map(|list| ("FallbackModelIds", list));
    for parameter in fallbacks.into_iter().chain([("TitleModelId", "us.m1")]) {
        for resource in resources("us.m1", "m1") {
            assert!(may_call(&[parameter], "HandlerRole", &resource), "{resource} with {parameter:?}");
            assert!(!may_call(&[], "HandlerRole", &resource) && !may_call(&[parameter], "CloserRole", &resource));
        }
        for resource in resources("us.m5", "m5").into_iter().chain(resources("us.us.m1", "us.m1")) {
            assert!(!may_call(&[parameter], "HandlerRole", &resource), "{resource} with {parameter:?}");
        }
    }
    for (id, model) in [("eu.m3", "m3"), ("us.m1", "m1"), ("m2", "m2")] {
        for resource in resources(id, model) {
            assert!(may_call(&[("FallbackModelIds", "eu.m3,us.m1,m2")], "HandlerRole", &resource), "{resource}");
        }
    }
}

#[test]
fn fallback_models_are_at_most_three_ids() {
    let load = |ids: &str| {
        let deployment = Deployment::at("http://localhost", [("FallbackModelIds".to_owned(), ids.to_owned())].into());
        TEMPLATE.load(&deployment).map(|stack| stack.api.environment["FALLBACK_MODEL_IDS"].clone())
    };
    let arn = "arn:aws:bedrock:us-east-1:000000000000:application-inference-profile/a1b2c3";
    let three = format!("us.amazon.nova-pro-v1:0,{arn},m");
    for ids in ["none", "m", &three] {
        assert_eq!(load(ids).as_deref(), Ok(ids));
    }
    for ids in ["", ",", "m,", "m,,n", "m, n", "a,b,c,d", "m*", &format!("{0},{0},{0}", "m".repeat(171))] {
        assert!(load(ids).is_err(), "{ids}");
    }
}

#[test]
fn only_the_handler_may_apply_the_guardrail_of_guardrail_id() {
    let may_apply = |parameters: &[(&str, &str)], role: &str, guardrail: &str| {
        Case::new("bedrock:ApplyGuardrail", guardrail).is_allowed(&assume_role(&load_stack(parameters), role))
    };
    let arn = "arn:aws:bedrock:eu-west-1:111122223333:guardrail/a1b2c3";
    for (id, resource) in [("a1b2c3", "bedrock:guardrail/a1b2c3"), (arn, arn)] {
        let parameters = [("GuardrailId", id)];
        assert!(may_apply(&parameters, "HandlerRole", resource), "{id}");
        assert!(!may_apply(&[], "HandlerRole", resource), "{id}");
        for role in ["CloserRole", "HandlerSourceRole", "TableSourceRole"] {
            assert!(!may_apply(&parameters, role, resource), "{role}");
        }
        for other in ["bedrock:guardrail/d4e5f6", "bedrock:guardrail/a1b2c34", "bedrock:guardrail/*"] {
            assert!(!may_apply(&parameters, "HandlerRole", other), "{other}");
        }
        assert_eq!(load_stack(&parameters).api.environment["GUARDRAIL_ID"], id);
    }
}

#[test]
fn guardrail_is_named_by_its_id_or_arn_and_a_version() {
    let load = |name: &str, value: &str| {
        let deployment = Deployment::at("http://localhost", [(name.to_owned(), value.to_owned())].into());
        TEMPLATE.load(&deployment).map(drop)
    };
    let arn = "arn:aws:bedrock:eu-west-1:111122223333:guardrail/a1b2c3";
    for id in ["none", "a1b2c3", arn] {
        assert_eq!(load("GuardrailId", id), Ok(()), "{id}");
    }
    for id in ["", "A1B2C3", "a*", "guardrail/a1b2c3", &arn.replace("guardrail/a1b2c3", "guardrail/*"), "a1,b2"] {
        assert!(load("GuardrailId", id).is_err(), "{id}");
    }
    for version in ["DRAFT", "1", "99999999"] {
        assert_eq!(load("GuardrailVersion", version), Ok(()), "{version}");
    }
    for version in ["", "0", "draft", "100000000", "1.0"] {
        assert!(load("GuardrailVersion", version).is_err(), "{version}");
    }
}

/// An environment value of the API has at most 512 characters, which a list of ARNs may exceed.
#[test]
fn handler_has_the_arns_of_more_models_and_the_model_of_titles() {
    assert_eq!(handler_variable("MoreModelArns", "none", "MORE_MODEL_ARNS").as_deref(), Ok("none"));
    let arns = [MODEL; 10].join(",");
    assert_eq!(handler_variable("MoreModelArns", &arns, "MORE_MODEL_ARNS").as_deref(), Ok(arns.as_str()));
    for id in ["none", "us.amazon.nova-micro-v1:0"] {
        assert_eq!(handler_variable("TitleModelId", id, "TITLE_MODEL_ID").as_deref(), Ok(id));
    }
}

#[test]
fn only_the_handler_may_invoke_the_functions_of_tool_function_arns() {
    let orders = "arn:aws:lambda:eu-west-1:111122223333:function:orders";
    let may_invoke = |parameters: &[(&str, &str)], role: &str, function: &str| {
        let case = Case(vec!["lambda:InvokeFunction".into(), function.into()]);
        case.is_allowed(&assume_role(&load_stack(parameters), role))
    };
    let one = [("ToolFunctionArns", orders)];
    assert!(may_invoke(&one, "HandlerRole", orders));
    assert!(!may_invoke(&[], "HandlerRole", orders));
    for role in ["CloserRole", "HandlerSourceRole", "TableSourceRole"] {
        assert!(!may_invoke(&one, role, orders), "{role}");
    }
    for other in [format!("{orders}:live"), format!("{orders}-archive"), orders.replace("eu-west-1", "eu-west-2")] {
        assert!(!may_invoke(&one, "HandlerRole", &other), "{other}");
    }
    let qualified = format!("{orders}:*");
    let list = format!("{qualified}, arn:aws:lambda:eu-west-1:111122223333:function:stock-*");
    let many = [("ToolFunctionArns", list.as_str())];
    for function in [format!("{orders}:live"), "arn:aws:lambda:eu-west-1:111122223333:function:stock-count".into()] {
        assert!(may_invoke(&many, "HandlerRole", &function), "{function}");
    }
    assert!(!may_invoke(&many, "HandlerRole", orders));
}

#[test]
fn tool_function_arns_name_functions() {
    let load = |arns: &str| {
        let parameters = [("ToolFunctionArns".to_owned(), arns.to_owned())].into();
        let deployment = Deployment::at("http://localhost", parameters);
        TEMPLATE.load(&deployment).map(drop)
    };
    let function = "arn:aws:lambda:eu-west-1:111122223333:function:";
    for arns in ["none".to_owned(), format!("{function}*"), format!("{function}a:1, {function}b-*")] {
        assert!(load(&arns).is_ok(), "{arns}");
    }
    for arns in ["", "*", "orders", "arn:aws:lambda:*:111122223333:function:a", "arn:aws:s3:::bucket"] {
        assert!(load(arns).is_err(), "{arns}");
    }
    for arns in [format!("{function}*a"), format!("{function}a, *")] {
        assert!(load(&arns).is_err(), "{arns}");
    }
}

#[test]
fn tool_graphql_urls_are_https_or_local() {
    let load = |urls: &str| handler_variable("ToolGraphqlUrls", urls, "TOOL_GRAPHQL_URLS");
    let urls = "https://a.example/graphql,http://localhost:4000/graphql,http://127.0.0.1";
    for urls in ["none", urls] {
        assert_eq!(load(urls).as_deref(), Ok(urls));
    }
    for urls in [
        "",
        "http://a.example/graphql",
        "http://localhost.example/",
        "https://",
        "https://a#b",
        "https://user@a",
        "https://a:b@c/",
        "none,a",
    ] {
        assert!(load(urls).is_err(), "{urls}");
    }
}

#[test]
fn tool_mcp_urls_are_https_or_local() {
    let load = |urls: &str| handler_variable("ToolMcpUrls", urls, "TOOL_MCP_URLS");
    let urls = "https://a.example/mcp,https://b.example/*,https://c.example/mcp/*,http://localhost:3001/mcp,\
        http://127.0.0.1/*";
    for urls in ["none", urls] {
        assert_eq!(load(urls).as_deref(), Ok(urls));
    }
    for urls in [
        "",
        "*",
        "https://*",
        "https://a.example*",
        "https://a.example/mcp*",
        "https://a.example/*/mcp",
        "http://a.example/mcp",
        "http://localhost.example/",
        "https://",
        "https://a/#b",
        "https://user@a/",
        "none,a",
    ] {
        assert!(load(urls).is_err(), "{urls}");
    }
}

#[test]
fn only_the_handler_may_read_the_secrets_of_tool_secret_arns() {
    let secret = |name: &str| format!("arn:aws:secretsmanager:eu-west-1:111122223333:secret:{name}");
    let may_read = |parameters: &[(&str, &str)], role: &str, secret: &str| {
        let case = Case(vec!["secretsmanager:GetSecretValue".into(), secret.into()]);
        case.is_allowed(&assume_role(&load_stack(parameters), role))
    };
    let list = format!("{}, {}", secret("mcp-AbC123"), secret("other/mcp-dEf456"));
    let parameters = [("ToolSecretArns", list.as_str())];
    for name in ["mcp-AbC123", "other/mcp-dEf456"] {
        assert!(may_read(&parameters, "HandlerRole", &secret(name)), "{name}");
        assert!(!may_read(&[], "HandlerRole", &secret(name)), "{name}");
    }
    assert!(!may_read(&parameters, "HandlerRole", &secret("third-AbC123")));
    for role in ["CloserRole", "HandlerSourceRole", "TableSourceRole"] {
        assert!(!may_read(&parameters, role, &secret("mcp-AbC123")), "{role}");
    }
}

/// Of the stack's own knowledge base, or of an existing one.
#[test]
fn only_the_handler_may_read_the_bucket_of_the_documents() {
    let may_read = |parameters: &[(&str, &str)], role: &str, bucket: &str| {
        let case = Case::new("s3:GetObject", &format!("arn:aws:s3:::{bucket}/hr/leave.md"));
        case.is_allowed(&assume_role(&load_stack(parameters), role))
    };
    let existing = [("Knowledge", "KB12345678"), ("KnowledgeBucket", "documents.example")];
    for (parameters, bucket) in [(&[("Knowledge", "create")][..], "local-knowledge"), (&existing, "documents.example")]
    {
        assert!(may_read(parameters, "HandlerRole", bucket), "{bucket}");
        assert!(!may_read(parameters, "HandlerRole", &bucket.replace('.', "-").replace("local-", "")), "{bucket}");
        let stack = load_stack(parameters);
        assert_eq!(stack.functions["parlance-Handler"].environment["DOCUMENTS_BUCKET"], bucket);
        for role in ["CloserRole", "HandlerSourceRole", "TableSourceRole"] {
            assert!(!may_read(parameters, role, bucket), "{role}");
        }
    }
    for parameters in [&[][..], &existing[..1]] {
        assert!(!may_read(parameters, "HandlerRole", "documents.example"), "{parameters:?}");
        let stack = load_stack(parameters);
        assert!(!stack.functions["parlance-Handler"].environment.contains_key("DOCUMENTS_BUCKET"));
    }
}

#[test]
fn knowledge_bucket_is_the_name_of_a_bucket_of_an_existing_knowledge_base() {
    let load = |knowledge: &str, bucket: &str| {
        let parameters = [("Knowledge", knowledge), ("KnowledgeBucket", bucket)];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        TEMPLATE.load(&Deployment::at("http://localhost", parameters)).map(drop).map_err(|error| error.to_string())
    };
    for bucket in ["none", "abc", "documents.example-1"] {
        assert_eq!(load("KB12345678", bucket), Ok(()), "{bucket}");
    }
    for bucket in ["", "*", "a/*", "Documents", "s3://documents", "documents/hr", "ab", "-documents"] {
        assert!(load("KB12345678", bucket).is_err(), "{bucket}");
    }
    let error = load("create", "documents").unwrap_err();
    let expected = "template.yaml: KnowledgeBucketIsOfExistingKnowledge: KnowledgeBucket must be none with \
                    Knowledge=create, because that knowledge base has its own bucket.";
    assert_eq!(error, expected);
}

#[test]
fn tool_secret_arns_are_complete() {
    let load = |arns: &str| handler_variable("ToolSecretArns", arns, "TOOL_SECRET_ARNS");
    let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:mcp/token-AbC123";
    for arns in ["none", arn] {
        assert_eq!(load(arns).as_deref(), Ok(arns));
    }
    for arns in ["", "*", "mcp/token", &arn.replace("-AbC123", ""), &arn.replace("AbC123", "*"), "arn:aws:s3:::bucket"]
    {
        assert!(load(arns).is_err(), "{arns}");
    }
}

/// The variable of the handler if the parameter has this value.
fn handler_variable(parameter: &str, value: &str, variable: &str) -> Result<String, template::TemplateError> {
    let parameters = [(parameter.to_owned(), value.to_owned())].into();
    let deployment = Deployment::at("http://localhost", parameters);
    let stack = TEMPLATE.load(&deployment)?;
    Ok(stack.functions["parlance-Handler"].environment[variable].clone())
}

#[test]
fn stack_without_caller_tools_has_no_key() {
    let stack = load_stack(&[("CallerTools", "false")]);
    assert!(stack.encryption_keys.is_empty() && !stack.roles.contains_key("parlance-KmsSourceRole"));
    assert_eq!(stack.api.environment["CALLER_KEY_ARN"], "none");
    assert_eq!(stack.api.functions["sealCredential"].data_source, "Nothing");
    let decrypt = |stack: &Stack| {
        let case = Case(vec!["kms:Decrypt".into(), "kms:key/parlance-CallerKey".into()]);
        case.is_allowed(&assume_role(stack, "HandlerRole"))
    };
    assert!(!decrypt(&stack));
    let stack = load_stack(&[]);
    assert!(decrypt(&stack));
    assert_eq!(stack.encryption_keys, [stack.api.environment["CALLER_KEY_ARN"].as_str()]);
    assert_eq!(stack.api.functions["sealCredential"].data_source, "Kms");
}

/// An inference profile's id is its model's id behind a prefix that names its regions.
#[test]
fn handler_may_use_the_foundation_model_that_model_id_implies() {
    const CLAUDE: &str = "anthropic.claude-haiku-4-5-20251001-v1:0";
    let may_call_model = |parameters: &[(&str, &str)], model: &str| {
        let arn = format!("arn:aws:bedrock:eu-west-1::foundation-model/{model}");
        let case = Case(vec!["bedrock:InvokeModelWithResponseStream".into(), arn]);
        case.is_allowed(&assume_role(&load_stack(parameters), "HandlerRole"))
    };
    for prefix in ["", "global.", "us.", "us-gov.", "eu.", "apac.", "jp.", "au."] {
        let model_id = format!("{prefix}{CLAUDE}");
        assert!(may_call_model(&[("ModelId", &model_id)], CLAUDE), "{model_id}");
        assert!(!may_call_model(&[("ModelId", &model_id)], "anthropic.claude-opus-4-1"), "{model_id}");
    }
    let named = [("ModelId", "a1b2c3"), ("FoundationModelId", CLAUDE)];
    assert!(may_call_model(&named, CLAUDE) && !may_call_model(&named, "a1b2c3"));
}
