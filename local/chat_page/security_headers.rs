//! The headers of every response of the chat page, as those of the deployed page in `web/template.yaml`. The
//! page runs no script and loads no style but its own.
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS},
};
use reqwest::Url;

use super::page_config::PageConfig;

const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

const HEADERS: [(HeaderName, &str); 6] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
    (CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
    (PERMISSIONS_POLICY, "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"),
];

/// Adds the headers. A response keeps a policy that is its own.
pub fn add_security_headers(headers: &mut HeaderMap, policy: &HeaderValue) {
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CONTENT_SECURITY_POLICY).or_insert_with(|| policy.clone());
}

/// The Content-Security-Policy of the page.
pub fn content_security_policy(config: &PageConfig) -> String {
    let api = [&config.graphql_url, &config.realtime_url].into_iter().filter_map(|url| origin(url));
    let issuers = config.sign_in.iter().filter_map(|mode| mode.issuer()).flat_map(issuer_sources);
    let mut connections = vec!["'self'".to_owned()];
    for source in api.chain(issuers) {
        if !connections.contains(&source) {
            connections.push(source);
        }
    }
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data: https:; \
         connect-src {}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        connections.join(" ")
    )
}

/// Where a page finds the discovery document and the tokens of an issuer. The tokens of a Cognito user pool
/// are at the domain of its managed login, whose name is not that of the issuer.
fn issuer_sources(issuer: &str) -> Vec<String> {
    let region = issuer.strip_prefix("https://cognito-idp.").and_then(|rest| rest.split_once(".amazonaws.com/"));
    let managed_login = region.map(|(region, _)| format!("https://*.auth.{region}.amazoncognito.com"));
    origin(issuer).into_iter().chain(managed_login).collect()
}

/// The scheme, host and port of a URL.
fn origin(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}://{}{port}", url.scheme(), url.host_str()?))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use super::*;
    use crate::{chat_page::page_config::SignInMode, template};

    fn policy(sign_in: Vec<SignInMode>) -> String {
        content_security_policy(&PageConfig {
            graphql_url: "http://localhost:4000/graphql".into(),
            realtime_url: "ws://localhost:4000/graphql/realtime".into(),
            region: "us-east-1".into(),
            sign_in,
        })
    }

    fn connections(sign_in: Vec<SignInMode>) -> String {
        let policy = policy(sign_in);
        assert!(!policy.contains("unsafe"), "{policy}");
        let directive = policy.split("; ").find_map(|directive| directive.strip_prefix("connect-src "));
        directive.unwrap().to_owned()
    }

    #[test]
    fn headers_are_those_of_the_deployed_page() {
        let template = include_str!("../../web/template.yaml");
        for (name, value) in &HEADERS[1..] {
            assert!(template.contains(value), "{name}: {value}");
        }
    }

    /// A page that works here works there. Where it connects to is not in the template's policy.
    #[test]
    fn policy_is_that_of_the_deployed_page() {
        let parameters = [("Domain", "none"), ("CertificateArn", "none")];
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let deployed = template::load_chat_page(root, "web/template.yaml", &parameters).unwrap();
        let directives = |policy: &str| -> BTreeSet<String> {
            let all = policy.split("; ").map(str::to_owned);
            all.filter(|directive| !directive.starts_with("connect-src ")).collect()
        };
        let local = directives(&policy(Vec::new()));
        assert_eq!(local, directives(&deployed.content_security_policy));
        assert_eq!(local.len(), 8);
    }

    #[test]
    fn page_connects_to_its_api_and_its_issuers_alone() {
        let api = "'self' http://localhost:4000 ws://localhost:4000";
        assert_eq!(connections(vec![SignInMode::ApiKey { api_key: "da2".into() }]), api);
        let pool = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEf";
        let pool = SignInMode::UserPool { issuer: pool.into(), client_id: "c".into() };
        let provider = "https://id.example.com:8443/realms/a";
        let provider = SignInMode::OpenId { issuer: provider.into(), client_id: "c".into(), scope: "openid" };
        let expected = format!(
            "{api} https://cognito-idp.eu-west-1.amazonaws.com https://*.auth.eu-west-1.amazoncognito.com \
             https://id.example.com:8443"
        );
        assert_eq!(connections(vec![pool, provider]), expected);
        let local = SignInMode::UserPool { issuer: "http://localhost:4000/pool".into(), client_id: "local".into() };
        assert_eq!(connections(vec![local]), api);
    }
}
