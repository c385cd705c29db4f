//! Whatever modes are chosen, the template is a stack that has them, and no others.
use apollo_compiler::ast::Document;

use super::{tests::deployment, *};
use crate::stack::{Api, AuthMode, IssuerKind};

const OIDC: &str = "https://id.example.com";
const POOLS: [(&str, Option<&str>); 3] = [
    ("none", None),
    ("create", Some("http://localhost:4000/pool")),
    ("us-east-1_Existing1", Some("https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Existing1")),
];

fn deployed(parameters: &[(&str, &str)]) -> Result<Api, String> {
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let stack = load(root, &Deployment { parameters, ..deployment() });
    stack.map(|stack| stack.api).map_err(|fault| fault.to_string())
}

fn check(key: bool, pool: (&str, Option<&str>), provider: Option<&str>, iam: bool) {
    let (key_access, iam_access) = (key.to_string(), iam.to_string());
    let (pool, pool_issuer) = pool;
    let (oidc, clients) = provider.map_or(("", ""), |oidc| (oidc, "web"));
    let chosen = [
        ("ApiKeyAccess", key_access.as_str()),
        ("UserPool", pool),
        ("OidcIssuer", oidc),
        ("OidcClientPattern", clients),
        ("IamAccess", &iam_access),
    ];
    let api = deployed(&chosen).unwrap_or_else(|fault| panic!("{chosen:?}: {fault}"));
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
fn every_choice_of_modes_is_a_stack() {
    for pool in POOLS {
        for provider in [None, Some(OIDC)] {
            for (key, iam) in [(true, true), (true, false), (false, true), (false, false)] {
                check(key, pool, provider, iam);
            }
        }
    }
}

#[test]
fn a_schema_can_be_told_for_every_choice_of_modes() {
    for (pool, _) in POOLS {
        for (key, oidc) in [("true", ""), ("true", OIDC), ("false", ""), ("false", OIDC)] {
            let clients = if oidc.is_empty() { "" } else { "web" };
            let modes =
                [("ApiKeyAccess", key), ("UserPool", pool), ("OidcIssuer", oidc), ("OidcClientPattern", clients)];
            let others = [("WafRequestsPerFiveMinutes", "1000"), ("HandlerReservedConcurrency", "9")];
            let chosen = [&modes[..], &others].concat();
            let parameters = chosen.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let told = schema(&SchemaOptions { parameters, root: env!("CARGO_MANIFEST_DIR").into() }).unwrap();
            let says = |directive: &str| told.contains(directive);
            assert!(says("@aws_iam") && says("agentPublishEvent"), "{chosen:?}");
            assert_eq!(says("@aws_api_key"), key == "true", "{chosen:?}");
            assert_eq!(says("@aws_cognito_user_pools"), pool != "none", "{chosen:?}");
            assert_eq!(says("@aws_oidc"), !oidc.is_empty(), "{chosen:?}");
            assert!(Document::parse(told, "schema.graphql").is_ok(), "{chosen:?}");
        }
    }
}

#[test]
fn clients_are_named_by_their_whole_ids() {
    let taken = |parameters: &[(&str, &str)], client: &str| {
        let issuer = deployed(parameters).unwrap().issuers.remove(0);
        issuer.clients.is_none_or(|clients| clients.is_match(client).unwrap())
    };
    let own = [("UserPool", "create"), ("UserPoolClientPattern", "other")];
    assert!(taken(&own, CLIENT) && !taken(&own, "other") && !taken(&own, "laptop2"));
    let existing = [("UserPool", "eu-west-1_Existing1"), ("UserPoolClientPattern", "web|app")];
    assert!(taken(&existing, "app") && !taken(&existing, "web2") && !taken(&existing, "myapp"));
    assert!(taken(&existing[..1], "anything"));
    let provider = [("OidcIssuer", OIDC), ("OidcClientPattern", "web|app")];
    assert!(taken(&provider, "web") && !taken(&provider, "webapp"));
}

#[test]
fn a_pool_elsewhere_is_asked_in_its_own_region_and_a_provider_is_believed_for_as_long_as_its_tokens_say() {
    let parameters = [("UserPool", "eu-central-1_Existing1"), ("OidcIssuer", OIDC), ("OidcClientPattern", "web")];
    let issuers = deployed(&parameters).unwrap().issuers;
    assert_eq!(issuers[0].url, "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Existing1");
    assert_eq!(issuers[0].kind, IssuerKind::UserPool);
    assert_eq!(issuers[1].kind, IssuerKind::OpenId { after_issue: None, after_authentication: None });
}

#[test]
fn requests_are_bounded_as_the_parameters_say() {
    let api = deployed(&[]).unwrap();
    assert_eq!((api.limits.query_depth, api.limits.resolvers, api.introspection), (Some(15), 250, true));
    let api = deployed(&[("QueryDepth", "0"), ("ResolverCount", "0"), ("Introspection", "DISABLED")]).unwrap();
    assert_eq!((api.limits.query_depth, api.limits.resolvers, api.introspection), (None, 10_000, false));
}

#[test]
fn a_choice_that_is_none_is_refused_by_name() {
    let cases = [
        ("ApiKeyAccess", "yes"),
        ("IamAccess", ""),
        ("UserPool", ""),
        ("UserPool", "my-pool"),
        ("OidcIssuer", "id.example.com"),
        ("OidcIssuer", "http://id.example.com"),
        ("OidcIssuer", "https://id.example.com/#a"),
        ("QueryDepth", "76"),
        ("ResolverCount", "10001"),
        ("Introspection", "enabled"),
        ("WafRequestsPerFiveMinutes", "9"),
    ];
    for (parameter, value) in cases {
        let refused = deployed(&[(parameter, value)]).expect_err(parameter);
        assert!(refused.starts_with(&format!("template.yaml: the parameter {parameter} must be ")), "{refused}");
    }
    let unbalanced = deployed(&[("OidcIssuer", OIDC), ("OidcClientPattern", "(")]).unwrap_err();
    assert_eq!(unbalanced, "template.yaml: Api: ^(()$ is not a regular expression of client ids");
    let of_any_client = deployed(&[("OidcIssuer", OIDC)]).unwrap_err();
    let sentence = "OidcClientPattern must say which clients of OidcIssuer may call.";
    assert_eq!(of_any_client, format!("template.yaml: OidcClientsRequired: {sentence}"));
    let guarded = deployed(&[("WafRequestsPerFiveMinutes", "1000")]).unwrap_err();
    assert!(guarded.starts_with("template.yaml: Waf"), "{guarded}");
}
