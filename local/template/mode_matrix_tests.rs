//! Loads the real template with every combination of authorization modes.
use apollo_compiler::ast::Document;
use turn::request::{Invocation, RenewApiKeyRequest};

use super::{
    tests::{TEMPLATE, deployment},
    *,
};
use crate::stack::{Api, AuthMode, IssuerKind, TokenIssuer};

const OIDC: &str = "https://id.example.com";
const POOLS: [(&str, Option<&str>); 3] = [
    ("none", None),
    ("create", Some("http://localhost:4000/pool")),
    ("us-east-1_Existing1", Some("https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Existing1")),
];

fn load_api(parameters: &[(&str, &str)]) -> Result<Api, String> {
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let stack = TEMPLATE.load(&Deployment { parameters, ..deployment() });
    stack.map(|stack| stack.api).map_err(|error| error.to_string())
}

fn check_modes(key: bool, pool: (&str, Option<&str>), provider: Option<&str>, iam: bool) {
    let (key_access, iam_access) = (key.to_string(), iam.to_string());
    let (pool, pool_issuer) = pool;
    let (oidc, clients) = provider.map_or(("none", "none"), |oidc| (oidc, "web"));
    let chosen = [
        ("ApiKeyAccess", key_access.as_str()),
        ("UserPool", pool),
        ("OidcIssuer", oidc),
        ("OidcClientPattern", clients),
        ("IamAccess", &iam_access),
    ];
    let nobody_may_call = !key && pool_issuer.is_none() && provider.is_none() && !iam;
    if nobody_may_call {
        let error = load_api(&chosen).unwrap_err();
        return assert!(error.starts_with("template.yaml: SomeoneMayCall: "), "{error}");
    }
    let api = load_api(&chosen).unwrap_or_else(|error| panic!("{chosen:?}: {error}"));
    let modes = [
        Some(AuthMode::Iam),
        key.then_some(AuthMode::ApiKey),
        pool_issuer.map(|_| AuthMode::UserPool),
        provider.map(|_| AuthMode::OpenId),
    ];
    assert_eq!(api.modes, modes.into_iter().flatten().collect::<Vec<_>>(), "{chosen:?}");
    assert_eq!(api.keys.len(), usize::from(key), "{chosen:?}");
    let issuers: Vec<_> = api.issuers.iter().map(|issuer| issuer.url.as_str()).collect();
    assert_eq!(issuers, [pool_issuer, provider].into_iter().flatten().collect::<Vec<_>>(), "{chosen:?}");
    assert_eq!(api.environment["IAM_ACCESS"], iam_access, "{chosen:?}");
}

#[test]
fn every_combination_of_modes_is_a_stack() {
    for pool in POOLS {
        for provider in [None, Some(OIDC)] {
            for (key, iam) in [(true, true), (true, false), (false, true), (false, false)] {
                check_modes(key, pool, provider, iam);
            }
        }
    }
}

fn load_with_entry_points(parameters: &[(&str, &str)]) -> Result<Stack, String> {
    let entry_points = [("EventsApi", "true"), ("WebSocketApi", "true")];
    let parameters = entry_points.iter().chain(parameters);
    let parameters = parameters.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    TEMPLATE.load(&Deployment { parameters, ..deployment() }).map_err(|error| error.to_string())
}

/// Who may call the GraphQL API may also connect, publish and listen over the Events API. The handler
/// publishes with IAM, whoever else may.
#[test]
fn events_api_has_the_modes_of_the_graphql_api() {
    for (pool, pool_issuer) in POOLS {
        for (key, oidc) in [("true", "none"), ("true", OIDC), ("false", OIDC)] {
            let clients = if oidc == "none" { "none" } else { "web|phone" };
            let chosen = [
                ("ApiKeyAccess", key),
                ("UserPool", pool),
                ("OidcIssuer", oidc),
                ("OidcClientPattern", clients),
                ("IamAccess", "false"),
            ];
            let stack = load_with_entry_points(&chosen).unwrap_or_else(|error| panic!("{chosen:?}: {error}"));
            let events = stack.events_api.expect("the stack has an Events API");
            assert_eq!(events.modes, stack.api.modes, "{chosen:?}");
            assert_eq!(events.connection_modes, stack.api.modes, "{chosen:?}");
            let chat = &events.namespaces["chat"];
            assert_eq!((&chat.publish_modes, &chat.subscribe_modes), (&stack.api.modes, &stack.api.modes));
            assert_eq!(events.keys.len(), usize::from(key == "true"), "{chosen:?}");
            let issuers: Vec<_> = events.issuers.iter().map(|issuer| issuer.url.as_str()).collect();
            let expected = [pool_issuer, (oidc != "none").then_some(OIDC)];
            assert_eq!(issuers, expected.into_iter().flatten().collect::<Vec<_>>(), "{chosen:?}");
            for (of_events, of_graphql) in events.issuers.iter().zip(&stack.api.issuers) {
                let pattern = |issuer: &TokenIssuer| issuer.clients.as_ref().map(|clients| clients.as_str().to_owned());
                assert_eq!(pattern(of_events), pattern(of_graphql), "{chosen:?}");
            }
        }
    }
}

#[test]
fn authorizer_of_connections_has_the_issuers_and_the_key_of_the_graphql_api() {
    let variables = |parameters: &[(&str, &str)]| {
        let functions = load_with_entry_points(parameters).unwrap().functions;
        functions["parlance-WebSocketStack-Authorize"].environment.clone()
    };
    let own = variables(&[("UserPool", "create"), ("OidcIssuer", OIDC), ("OidcClientPattern", "web|phone")]);
    let expected = [
        ("API_KEY", "da2-key"),
        ("API_KEY_EXPIRES", "0"),
        ("FUNCTION", "AUTHORIZER"),
        ("OIDC_CLIENT_PATTERN", "^(web|phone)$"),
        ("OIDC_ISSUER", OIDC),
        ("USER_POOL_CLIENT_PATTERN", &format!("^{LOCAL_CLIENT_ID}$")),
        ("USER_POOL_ISSUER", "http://localhost:4000/pool"),
    ];
    assert_eq!(own, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    let existing = variables(&[("UserPool", "eu-west-1_Existing1"), ("ApiKeyAccess", "false")]);
    let expected = [
        ("API_KEY_EXPIRES", "0"),
        ("FUNCTION", "AUTHORIZER"),
        ("USER_POOL_ISSUER", "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Existing1"),
    ];
    assert_eq!(existing, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
}

#[test]
fn websocket_api_that_nobody_may_connect_to_is_refused() {
    let error = load_with_entry_points(&[("ApiKeyAccess", "false")]).unwrap_err();
    let expected = "template.yaml: SomeoneMayConnect: Nobody may connect to the WebSocket API: one of ApiKeyAccess, \
                    UserPool and OidcIssuer must let callers in.";
    assert_eq!(error, expected);
}

/// The local server serves the page itself, with or without the parameter.
#[test]
fn chat_page_changes_nothing_on_the_local_server() {
    let load = |parameters: &[(&str, &str)]| {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let stack = TEMPLATE.load(&Deployment { parameters, ..deployment() });
        stack.map(|stack| format!("{stack:?}")).map_err(|error| error.to_string())
    };
    let domain = ("ChatPageDomain", "chat.example.com");
    let certificate = ("ChatPageCertificateArn", "arn:aws:acm:us-east-1:123456789012:certificate/a1b2-c3");
    for modes in [&[][..], &[("UserPool", "create")], &[("UserPool", "us-east-1_Existing1")]] {
        let expected = load(modes).unwrap();
        for page in [&[("ChatPage", "true")][..], &[("ChatPage", "true"), domain, certificate]] {
            assert_eq!(load(&[modes, page].concat()).as_ref(), Ok(&expected), "{modes:?} {page:?}");
        }
    }
    let without_certificate = load(&[("ChatPage", "true"), domain]).unwrap_err();
    let message = "ChatPageCertificateArn must be a certificate of ChatPageDomain.";
    assert_eq!(without_certificate, format!("template.yaml: ChatPageCertificateRequired: {message}"));
    for region in ["eu-west-1", "us-west-2"] {
        let certificate = certificate.1.replace("us-east-1", region);
        let error = load(&[domain, ("ChatPageCertificateArn", &certificate)]).unwrap_err();
        assert!(error.starts_with("template.yaml: the parameter ChatPageCertificateArn must be "), "{error}");
    }
    for domain in ["", "https://chat.example.com", "chat.example.com/", "Chat.example.com", "chat", "*.example.com"] {
        let error = load(&[("ChatPageDomain", domain), certificate]).unwrap_err();
        assert!(error.starts_with("template.yaml: the parameter ChatPageDomain must be "), "{domain}: {error}");
    }
}

#[test]
fn chat_page_on_which_nobody_may_sign_in_is_refused() {
    let error = load_api(&[("ChatPage", "true"), ("ApiKeyAccess", "false")]).unwrap_err();
    let expected = "template.yaml: SomeoneMaySignIn: Nobody may sign in on the chat page: one of ApiKeyAccess, \
                    UserPool and OidcIssuer must let callers in.";
    assert_eq!(error, expected);
}

#[test]
fn schema_has_directives_of_enabled_modes_only() {
    for (pool, _) in POOLS {
        for (key, oidc) in [("true", "none"), ("true", OIDC), ("false", "none"), ("false", OIDC)] {
            let clients = if oidc == "none" { "none" } else { "web" };
            let modes =
                [("ApiKeyAccess", key), ("UserPool", pool), ("OidcIssuer", oidc), ("OidcClientPattern", clients)];
            let others = [("WafRequestsPerFiveMinutes", "1000"), ("HandlerReservedConcurrency", "9")];
            let chosen = [&modes[..], &others].concat();
            let parameters = chosen.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let filtered =
                filtered_schema(&SchemaOptions { parameters, root: env!("CARGO_MANIFEST_DIR").into() }).unwrap();
            let has = |directive: &str| filtered.contains(directive);
            assert!(has("@aws_iam") && has("agentPublishEvent"), "{chosen:?}");
            assert_eq!(has("@aws_api_key"), key == "true", "{chosen:?}");
            assert_eq!(has("@aws_cognito_user_pools"), pool != "none", "{chosen:?}");
            assert_eq!(has("@aws_oidc"), oidc != "none", "{chosen:?}");
            assert!(Document::parse(filtered, "schema.graphql").is_ok(), "{chosen:?}");
        }
    }
}

#[test]
fn client_pattern_matches_whole_ids() {
    let accepts = |parameters: &[(&str, &str)], client: &str| {
        let issuer = load_api(parameters).unwrap().issuers.remove(0);
        issuer.clients.is_none_or(|clients| clients.is_match(client).unwrap())
    };
    let own = [("UserPool", "create"), ("UserPoolClientPattern", "other")];
    assert!(accepts(&own, LOCAL_CLIENT_ID) && !accepts(&own, "other") && !accepts(&own, "local2"));
    let existing = [("UserPool", "eu-west-1_Existing1"), ("UserPoolClientPattern", "web|app")];
    assert!(accepts(&existing, "app") && !accepts(&existing, "web2") && !accepts(&existing, "myapp"));
    assert!(accepts(&existing[..1], "anything"));
    let provider = [("OidcIssuer", OIDC), ("OidcClientPattern", "web|app")];
    assert!(accepts(&provider, "web") && !accepts(&provider, "webapp"));
}

#[test]
fn existing_pool_is_in_its_own_region_and_oidc_tokens_have_no_extra_ttl() {
    let parameters = [("UserPool", "eu-central-1_Existing1"), ("OidcIssuer", OIDC), ("OidcClientPattern", "web")];
    let issuers = load_api(&parameters).unwrap().issuers;
    assert_eq!(issuers[0].url, "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Existing1");
    assert_eq!(issuers[0].kind, IssuerKind::UserPool);
    assert_eq!(issuers[1].kind, IssuerKind::OpenId { iat_ttl: None, auth_ttl: None });
}

#[test]
fn parameters_set_the_limits_of_requests() {
    let api = load_api(&[]).unwrap();
    assert_eq!((api.limits.query_depth, api.limits.resolvers, api.introspection), (Some(15), 250, true));
    let api = load_api(&[("QueryDepth", "0"), ("ResolverCount", "0"), ("Introspection", "DISABLED")]).unwrap();
    assert_eq!((api.limits.query_depth, api.limits.resolvers, api.introspection), (None, 10_000, false));
}

/// The schedule's input is one that the closer serves.
#[test]
fn api_key_without_an_expiry_is_renewed_every_day() {
    let load = |parameters: &[(&str, &str)]| {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let stack = TEMPLATE.load(&Deployment { parameters, ..deployment() }).unwrap();
        let closer = &stack.functions["parlance-Closer"];
        (stack.schedules, closer.arn.clone(), closer.environment.get("API_KEY_URL").cloned())
    };
    let (schedules, closer, url) = load(&[]);
    let [schedule] = schedules.as_slice() else { panic!("{schedules:?}") };
    assert_eq!((&schedule.function, schedule.rate.as_str()), (&closer, "rate(1 day)"));
    let order = serde_json::from_value(schedule.input.clone());
    assert_eq!(order.ok(), Some(Invocation::RenewApiKey(RenewApiKeyRequest {})));
    assert_eq!(url.as_deref(), Some("https://appsync.us-east-1.amazonaws.com/v1/apis/local/apikeys/local"));
    for not_renewed in [[("ApiKeyAccess", "false")], [("ApiKeyExpires", "1893456000")]] {
        let (schedules, _, url) = load(&not_renewed);
        assert_eq!((schedules, url), (Vec::new(), None), "{not_renewed:?}");
    }
}

/// A handler of one's own may answer with the models of a service whose ids Bedrock does not have.
#[test]
fn model_id_may_be_one_of_another_service() {
    for model in ["gemma3:4b", "meta-llama/llama-3.3_70b:free", "us.amazon.nova-lite-v1:0"] {
        assert_eq!(load_api(&[("ModelId", model)]).unwrap().environment["MODEL_ID"], model);
    }
}

#[test]
fn alarm_topic_may_be_in_any_partition() {
    for partition in ["aws", "aws-cn", "aws-us-gov"] {
        let topic = format!("arn:{partition}:sns:us-gov-west-1:123456789012:on-call_1");
        load_api(&[("AlarmTopicArn", &topic)]).unwrap();
    }
}

#[test]
fn invalid_parameter_value_is_refused_by_name() {
    let cases = [
        ("ModelId", ""),
        ("ModelId", "gpt 4"),
        ("ModelId", "gpt-4\n"),
        ("ApiKeyAccess", "yes"),
        ("IamAccess", ""),
        ("UserPool", ""),
        ("UserPool", "my-pool"),
        ("OidcIssuer", "id.example.com"),
        ("OidcIssuer", "http://id.example.com"),
        ("OidcIssuer", "https://id.example.com/#a"),
        ("OidcIssuer", ""),
        ("QueryDepth", "76"),
        ("ResolverCount", "10001"),
        ("Introspection", "enabled"),
        ("WafRequestsPerFiveMinutes", "9"),
        ("AlarmTopicArn", ""),
        ("AlarmTopicArn", "alarms"),
        ("AlarmTopicArn", "arn:aws:sqs:us-east-1:123456789012:alarms"),
        ("AlarmTopicArn", "arn:aws:sns:us-east-1:123456789012:alarms.fifo"),
    ];
    for (parameter, value) in cases {
        let error = load_api(&[(parameter, value)]).expect_err(parameter);
        assert!(error.starts_with(&format!("template.yaml: the parameter {parameter} must be ")), "{error}");
    }
    for too_low in ["1", "5"] {
        let error = load_api(&[("QueryDepth", too_low)]).unwrap_err();
        assert!(error.starts_with("template.yaml: QueryDepthAllowsRequests: "), "{error}");
    }
    let unbalanced = load_api(&[("OidcIssuer", OIDC), ("OidcClientPattern", "(")]).unwrap_err();
    assert_eq!(unbalanced, "template.yaml: Api: ^(()$ is not a regular expression of client ids");
    let without_pattern = load_api(&[("OidcIssuer", OIDC)]).unwrap_err();
    let message = "OidcClientPattern must name the clients of OidcIssuer that may call.";
    assert_eq!(without_pattern, format!("template.yaml: OidcClientsRequired: {message}"));
    let with_web_acl = load_api(&[("WafRequestsPerFiveMinutes", "1000")]).unwrap_err();
    assert!(with_web_acl.starts_with("template.yaml: Waf"), "{with_web_acl}");
}
