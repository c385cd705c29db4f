//! The functions' environment variables.
use std::time::{Duration, SystemTime};

use fancy_regex::Regex;
use tokens::{IssuerKind, TokenIssuer, parse_client_pattern};

/// What the function of this process does.
#[derive(Clone, Debug)]
pub enum FunctionSettings {
    /// Serves messages of AppSync Events.
    Events(EventsSettings),
    /// Serves connections and messages of a WebSocket API.
    WebSocket(WebSocketSettings),
    /// Decides who may connect to a WebSocket API.
    Authorizer(AuthorizerSettings),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsSettings {
    pub region: String,
    pub graphql_url: String,
    pub events_url: String,
    /// Whether deltas are sent where a message does not say.
    pub streams: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketSettings {
    pub region: String,
    pub graphql_url: String,
    /// Of the stage.
    pub connections_url: String,
    pub table_name: String,
    /// In place of DynamoDB's own.
    pub dynamodb_endpoint: Option<String>,
}

#[derive(Clone)]
pub struct AuthorizerSettings {
    pub issuers: Vec<TokenIssuer>,
    pub api_key: Option<AcceptedApiKey>,
}

#[derive(Clone)]
pub struct AcceptedApiKey {
    pub text: String,
    /// `None` for a key that is renewed.
    pub expires: Option<SystemTime>,
}

/// The names of issuers without the API key.
impl std::fmt::Debug for AuthorizerSettings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let urls: Vec<_> = self.issuers.iter().map(|issuer| &issuer.url).collect();
        let has_api_key = self.api_key.is_some();
        formatter.debug_struct("AuthorizerSettings").field("issuers", &urls).field("api_key", &has_api_key).finish()
    }
}

/// Every problem, in one sentence each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join(" "))]
pub struct SettingsError(Vec<String>);

impl FunctionSettings {
    /// Reads and checks the variables of the function that `FUNCTION` names. A value `none` counts as
    /// missing, as the parameters of the template have it.
    pub fn read(get_variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut reader = Reader { get_variable, problems: Vec::new() };
        let settings = match reader.optional("FUNCTION").as_deref() {
            Some("EVENTS") => Some(Self::Events(reader.events())),
            Some("WEBSOCKET") => Some(Self::WebSocket(reader.websocket())),
            Some("AUTHORIZER") => Some(Self::Authorizer(reader.authorizer())),
            _ => {
                reader.problems.push("FUNCTION must be EVENTS, WEBSOCKET or AUTHORIZER.".into());
                None
            }
        };
        match settings {
            Some(settings) if reader.problems.is_empty() => Ok(settings),
            _ => Err(SettingsError(reader.problems)),
        }
    }
}

/// Reads variables and collects the problems, so that all of them are reported together.
struct Reader<F> {
    get_variable: F,
    problems: Vec<String>,
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    fn events(&mut self) -> EventsSettings {
        EventsSettings {
            region: self.required("AWS_REGION"),
            graphql_url: self.url("GRAPHQL_URL"),
            events_url: self.url_unless_local("AWS_ENDPOINT_URL_APPSYNC_EVENTS", "EVENTS_URL"),
            streams: self.flag("EVENTS_STREAM"),
        }
    }

    fn websocket(&mut self) -> WebSocketSettings {
        WebSocketSettings {
            region: self.required("AWS_REGION"),
            graphql_url: self.url("GRAPHQL_URL"),
            connections_url: self.url_unless_local("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI", "CONNECTIONS_URL"),
            table_name: self.required("TABLE_NAME"),
            dynamodb_endpoint: self.optional_url("AWS_ENDPOINT_URL_DYNAMODB"),
        }
    }

    fn authorizer(&mut self) -> AuthorizerSettings {
        let issuers: Vec<_> = [self.user_pool(), self.oidc_provider()].into_iter().flatten().collect();
        let api_key = self.api_key();
        if issuers.is_empty() && api_key.is_none() {
            self.problems.push("One of USER_POOL_ISSUER, OIDC_ISSUER and API_KEY must be set.".into());
        }
        AuthorizerSettings { issuers, api_key }
    }

    fn user_pool(&mut self) -> Option<TokenIssuer> {
        let url = self.optional_url("USER_POOL_ISSUER")?;
        let clients = self.client_pattern("USER_POOL_CLIENT_PATTERN");
        Some(TokenIssuer { url, clients, kind: IssuerKind::UserPool })
    }

    /// Without a pattern, the tokens of every client of the provider would be accepted.
    fn oidc_provider(&mut self) -> Option<TokenIssuer> {
        let url = self.optional_url("OIDC_ISSUER")?;
        let clients = self.client_pattern("OIDC_CLIENT_PATTERN");
        if clients.is_none() {
            self.problems.push("OIDC_CLIENT_PATTERN must be set.".into());
        }
        Some(TokenIssuer { url, clients, kind: IssuerKind::OpenId { iat_ttl: None, auth_ttl: None } })
    }

    fn api_key(&mut self) -> Option<AcceptedApiKey> {
        let text = self.optional("API_KEY")?;
        let expires = self.optional("API_KEY_EXPIRES").and_then(|seconds| match seconds.parse() {
            Ok(0) => None,
            Ok(seconds) => SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)),
            Err(_) => {
                self.problems.push(format!("API_KEY_EXPIRES must be seconds since 1970, not {seconds:?}."));
                None
            }
        });
        Some(AcceptedApiKey { text, expires })
    }

    fn client_pattern(&mut self, name: &str) -> Option<Regex> {
        let pattern = self.optional(name)?;
        parse_client_pattern(&pattern).map_err(|error| self.problems.push(format!("{name}: {error}."))).ok()
    }

    fn required(&mut self, name: &str) -> String {
        self.optional(name).unwrap_or_else(|| {
            self.problems.push(format!("{name} must be set."));
            String::new()
        })
    }

    fn optional(&self, name: &str) -> Option<String> {
        (self.get_variable)(name).filter(|value| !value.is_empty() && value != "none")
    }

    fn url(&mut self, name: &str) -> String {
        let value = self.required(name);
        self.check_url(name, &value);
        value
    }

    fn optional_url(&mut self, name: &str) -> Option<String> {
        let value = self.optional(name)?;
        self.check_url(name, &value);
        Some(value)
    }

    /// The variable of the local server, or that of the template.
    fn url_unless_local(&mut self, local_name: &str, name: &str) -> String {
        self.optional_url(local_name).unwrap_or_else(|| self.url(name))
    }

    fn check_url(&mut self, name: &str, value: &str) {
        let is_http = reqwest::Url::parse(value).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !value.is_empty() && !is_http {
            self.problems.push(format!("{name} must be an http or https URL, not {value:?}."));
        }
    }

    fn flag(&mut self, name: &str) -> bool {
        match self.optional(name).as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(value) => {
                self.problems.push(format!("{name} must be true or false, not {value:?}."));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRAPHQL: (&str, &str) = ("GRAPHQL_URL", "https://api.example.com/graphql");
    const REGION: (&str, &str) = ("AWS_REGION", "eu-west-1");

    fn read(variables: &[(&str, &str)]) -> Result<FunctionSettings, String> {
        let settings = FunctionSettings::read(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        });
        settings.map_err(|error| error.to_string())
    }

    #[test]
    fn each_function_reads_its_own_variables() {
        let events_url = ("EVENTS_URL", "https://events.example.com/event");
        let Ok(FunctionSettings::Events(events)) = read(&[("FUNCTION", "EVENTS"), GRAPHQL, REGION, events_url]) else {
            panic!()
        };
        assert_eq!((events.events_url.as_str(), events.streams), ("https://events.example.com/event", false));
        let Ok(FunctionSettings::WebSocket(websocket)) = read(&[
            ("FUNCTION", "WEBSOCKET"),
            GRAPHQL,
            REGION,
            ("CONNECTIONS_URL", "https://ws.example.com/prod"),
            ("TABLE_NAME", "parlance"),
        ]) else {
            panic!()
        };
        assert_eq!(websocket.connections_url, "https://ws.example.com/prod");
        assert_eq!((websocket.table_name.as_str(), websocket.dynamodb_endpoint), ("parlance", None));
        let Ok(FunctionSettings::Authorizer(authorizer)) = read(&[
            ("FUNCTION", "AUTHORIZER"),
            ("USER_POOL_ISSUER", "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC123"),
            ("USER_POOL_CLIENT_PATTERN", "none"),
            ("OIDC_ISSUER", "https://id.example.com"),
            ("OIDC_CLIENT_PATTERN", "^(web|app)$"),
            ("API_KEY", "da2-secret"),
            ("API_KEY_EXPIRES", "1795000000"),
        ]) else {
            panic!()
        };
        let [pool, provider] = &authorizer.issuers[..] else { panic!() };
        assert_eq!(pool.url, "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbC123");
        assert!(pool.clients.is_none() && provider.clients.as_ref().unwrap().is_match("web").unwrap());
        let key = authorizer.api_key.as_ref().unwrap();
        assert_eq!(key.expires, SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(1_795_000_000)));
        assert!(!format!("{authorizer:?}").contains("da2-secret"));
    }

    #[test]
    fn variables_of_the_local_server_win() {
        let local = ("AWS_ENDPOINT_URL_APPSYNC_EVENTS", "http://localhost:4000/event");
        let variables = [("FUNCTION", "EVENTS"), GRAPHQL, REGION, ("EVENTS_URL", "https://e/event"), local];
        let Ok(FunctionSettings::Events(events)) = read(&[&variables[..], &[("EVENTS_STREAM", "true")]].concat())
        else {
            panic!()
        };
        assert_eq!((events.events_url.as_str(), events.streams), ("http://localhost:4000/event", true));
        let Ok(FunctionSettings::WebSocket(websocket)) = read(&[
            ("FUNCTION", "WEBSOCKET"),
            GRAPHQL,
            REGION,
            ("TABLE_NAME", "t"),
            ("CONNECTIONS_URL", "https://ws/prod"),
            ("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI", "http://localhost:4000/prod"),
            ("AWS_ENDPOINT_URL_DYNAMODB", "http://localhost:4001"),
        ]) else {
            panic!()
        };
        assert_eq!(websocket.connections_url, "http://localhost:4000/prod");
        assert_eq!(websocket.dynamodb_endpoint.as_deref(), Some("http://localhost:4001"));
    }

    #[test]
    fn all_problems_are_reported_together() {
        for (variables, expected) in [
            (&[][..], "FUNCTION must be EVENTS, WEBSOCKET or AUTHORIZER."),
            (&[("FUNCTION", "events")], "FUNCTION must be EVENTS, WEBSOCKET or AUTHORIZER."),
            (
                &[("FUNCTION", "EVENTS"), ("EVENTS_URL", "e.example.com"), ("EVENTS_STREAM", "yes")],
                "AWS_REGION must be set. GRAPHQL_URL must be set. \
                 EVENTS_URL must be an http or https URL, not \"e.example.com\". \
                 EVENTS_STREAM must be true or false, not \"yes\".",
            ),
            (&[("FUNCTION", "WEBSOCKET"), GRAPHQL, REGION], "CONNECTIONS_URL must be set. TABLE_NAME must be set."),
            (&[("FUNCTION", "AUTHORIZER")], "One of USER_POOL_ISSUER, OIDC_ISSUER and API_KEY must be set."),
            (
                &[
                    ("FUNCTION", "AUTHORIZER"),
                    ("USER_POOL_ISSUER", "pool"),
                    ("USER_POOL_CLIENT_PATTERN", "("),
                    ("OIDC_ISSUER", "https://id.example.com"),
                    ("API_KEY", "da2-secret"),
                    ("API_KEY_EXPIRES", "soon"),
                ],
                "USER_POOL_ISSUER must be an http or https URL, not \"pool\". \
                 USER_POOL_CLIENT_PATTERN: ( is not a regular expression of client ids. OIDC_CLIENT_PATTERN must be set. \
                 API_KEY_EXPIRES must be seconds since 1970, not \"soon\".",
            ),
        ] {
            assert_eq!(read(variables).unwrap_err(), expected);
        }
    }
}
