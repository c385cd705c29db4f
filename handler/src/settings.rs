//! Settings from environment variables.
use std::{ops::RangeInclusive, time::Duration};

use turn::limits::Limits;

use crate::{
    function_arn::AllowedFunctions,
    graphql_urls::GraphqlUrls,
    mcp_urls::{AllowedSecrets, McpUrls},
};

#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub table_name: String,
    pub graphql_url: String,
    /// In place of Lambda's own URL, for tools.
    pub lambda_endpoint: Option<String>,
    /// The functions that agents may have as tools.
    pub tool_functions: AllowedFunctions,
    /// In place of KMS's own URL.
    pub kms_endpoint: Option<String>,
    /// The GraphQL APIs that tools may call.
    pub tool_graphql_urls: GraphqlUrls,
    /// The MCP servers whose tools agents may have.
    pub tool_mcp_urls: McpUrls,
    /// The secrets that are sent to MCP servers.
    pub tool_secrets: AllowedSecrets,
    /// In place of the URL of bedrock-agent-runtime.
    pub knowledge_base_endpoint: Option<String>,
    /// The bucket of the documents that answers cite. Links lead to its objects alone.
    pub documents_bucket: Option<String>,
    /// In place of S3's own URL.
    pub s3_endpoint: Option<String>,
    /// In place of Secrets Manager's own URL.
    pub secrets_manager_endpoint: Option<String>,
    /// The URL at which the Events API takes events, for replies.
    pub events_url: Option<String>,
    /// The URL of the WebSocket API's stage, for replies.
    pub connections_url: Option<String>,
    /// The URLs of the API keys in AppSync's API that this function renews.
    pub api_key_urls: Vec<String>,
    /// The model that writes titles. `None` takes the first words of the message.
    pub title_model_id: Option<String>,
    /// The models that agents may have besides those of the parameters with a single one. ARNs.
    pub more_model_arns: Vec<String>,
    pub limits: Limits,
}

/// All problems of the environment, one sentence each.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join(" "))]
pub struct SettingsError(Vec<String>);

impl Settings {
    /// `get_variable` returns the value of an environment variable, if it is set.
    pub fn read(get_variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut reader = Reader { get_variable, problems: Vec::new() };
        let defaults = Limits::default();
        let table_name = reader.required("TABLE_NAME");
        let graphql_url = reader.url("GRAPHQL_URL");
        let settings = Self {
            table_name,
            tool_graphql_urls: reader.graphql_urls("TOOL_GRAPHQL_URLS", &graphql_url),
            graphql_url,
            lambda_endpoint: reader.optional_url("AWS_ENDPOINT_URL_LAMBDA"),
            tool_functions: AllowedFunctions::from_list(&reader.optional("TOOL_FUNCTION_ARNS").unwrap_or_default()),
            kms_endpoint: reader.optional_url("AWS_ENDPOINT_URL_KMS"),
            tool_mcp_urls: reader.mcp_urls("TOOL_MCP_URLS"),
            tool_secrets: AllowedSecrets::from_list(&reader.optional("TOOL_SECRET_ARNS").unwrap_or_default()),
            knowledge_base_endpoint: reader.optional_url("AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME"),
            documents_bucket: reader.optional("DOCUMENTS_BUCKET"),
            s3_endpoint: reader.optional_url("AWS_ENDPOINT_URL_S3"),
            secrets_manager_endpoint: reader.optional_url("AWS_ENDPOINT_URL_SECRETS_MANAGER"),
            events_url: reader.url_unless_local("AWS_ENDPOINT_URL_APPSYNC_EVENTS", "EVENTS_URL"),
            connections_url: reader.url_unless_local("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI", "CONNECTIONS_URL"),
            api_key_urls: ["API_KEY_URL", "EVENTS_API_KEY_URL"]
                .into_iter()
                .filter_map(|name| reader.secret_url(name))
                .collect(),
            more_model_arns: reader.list("MORE_MODEL_ARNS"),
            title_model_id: reader.optional("TITLE_MODEL_ID").filter(|id| id != "none"),
            limits: Limits {
                model_silence: reader.seconds("MODEL_SILENCE_SECONDS", 1..=900, defaults.model_silence),
                pacing_first: reader.milliseconds("PACING_FIRST_MILLISECONDS", defaults.pacing_first),
                pacing_last: reader.milliseconds("PACING_LAST_MILLISECONDS", defaults.pacing_last),
                batch_max_bytes: reader.bytes("BATCH_MAX_BYTES", 64..=65_536, defaults.batch_max_bytes),
                event_max_bytes: reader.bytes("EVENT_MAX_BYTES", 8_192..=240_000, defaults.event_max_bytes),
                one_shot_timeout: reader.seconds("ONE_SHOT_SECONDS", 1..=27, defaults.one_shot_timeout),
                ..defaults
            },
        };
        if settings.limits.pacing_first > settings.limits.pacing_last {
            reader.problems.push("PACING_FIRST_MILLISECONDS must not be above PACING_LAST_MILLISECONDS.".into());
        }
        if reader.problems.is_empty() { Ok(settings) } else { Err(SettingsError(reader.problems)) }
    }
}

/// Reads variables and collects the problems, so that all of them are reported together.
struct Reader<F> {
    get_variable: F,
    problems: Vec<String>,
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    fn required(&mut self, name: &str) -> String {
        match (self.get_variable)(name) {
            Some(value) if !value.is_empty() => value,
            _ => {
                self.problems.push(format!("{name} must be set."));
                String::new()
            }
        }
    }

    /// `None` for an empty value.
    fn optional(&self, name: &str) -> Option<String> {
        (self.get_variable)(name).filter(|value| !value.is_empty())
    }

    /// Texts separated by commas. `none` and an empty value are no text.
    fn list(&self, name: &str) -> Vec<String> {
        let list = self.optional(name).filter(|list| list != "none").unwrap_or_default();
        list.split(',').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect()
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
    fn url_unless_local(&mut self, local_name: &str, name: &str) -> Option<String> {
        self.optional_url(local_name).or_else(|| self.optional_url(name))
    }

    fn check_url(&mut self, name: &str, value: &str) {
        if !value.is_empty() && !is_http_url(value) {
            self.problems.push(format!("{name} must be an http or https URL, not {value:?}."));
        }
    }

    fn graphql_urls(&mut self, name: &str, own: &str) -> GraphqlUrls {
        let list = self.optional(name).unwrap_or_default();
        GraphqlUrls::from_list(own, &list).unwrap_or_else(|error| {
            self.problems.push(format!("{name} {error}"));
            GraphqlUrls::default()
        })
    }

    fn mcp_urls(&mut self, name: &str) -> McpUrls {
        let list = self.optional(name).unwrap_or_default();
        McpUrls::from_list(&list).unwrap_or_else(|error| {
            self.problems.push(format!("{name} {error}"));
            McpUrls::default()
        })
    }

    /// An optional URL. A problem does not quote it.
    fn secret_url(&mut self, name: &str) -> Option<String> {
        let value = (self.get_variable)(name)?;
        if !is_http_url(&value) {
            self.problems.push(format!("{name} must be an http or https URL."));
        }
        Some(value)
    }

    fn seconds(&mut self, name: &str, range: RangeInclusive<u64>, default: Duration) -> Duration {
        Duration::from_secs(self.number(name, range, default.as_secs()))
    }

    fn milliseconds(&mut self, name: &str, default: Duration) -> Duration {
        Duration::from_millis(self.number(name, 1..=10_000, default.as_millis() as u64))
    }

    fn bytes(&mut self, name: &str, range: RangeInclusive<u64>, default: usize) -> usize {
        self.number(name, range, default as u64) as usize
    }

    fn number(&mut self, name: &str, range: RangeInclusive<u64>, default: u64) -> u64 {
        let Some(value) = (self.get_variable)(name) else { return default };
        match value.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let (min, max) = range.into_inner();
                self.problems.push(format!("{name} must be a whole number from {min} to {max}, not {value:?}."));
                default
            }
        }
    }
}

fn is_http_url(text: &str) -> bool {
    reqwest::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::read(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn two_variables_are_required() {
        let settings = read(&[("TABLE_NAME", "parlance"), ("GRAPHQL_URL", "https://api.example.com/graphql")]).unwrap();
        assert_eq!(settings.limits, Limits::default());
        assert_eq!((settings.lambda_endpoint, settings.tool_functions), (None, AllowedFunctions::default()));
        assert_eq!((settings.api_key_urls, settings.kms_endpoint), (Vec::new(), None));
        assert_eq!(settings.tool_graphql_urls.allowed_url(None), Some("https://api.example.com/graphql"));
        assert_eq!((settings.tool_mcp_urls, settings.tool_secrets), (McpUrls::default(), AllowedSecrets::default()));
        assert_eq!(settings.secrets_manager_endpoint, None);
        assert_eq!((settings.documents_bucket, settings.s3_endpoint), (None, None));
    }

    #[test]
    fn variables_override_defaults() {
        let settings = read(&[
            ("TABLE_NAME", "parlance"),
            ("GRAPHQL_URL", "http://localhost:4000/graphql"),
            ("MODEL_SILENCE_SECONDS", "3"),
            ("ONE_SHOT_SECONDS", "4"),
            ("PACING_LAST_MILLISECONDS", "500"),
            ("EVENT_MAX_BYTES", "9000"),
            ("AWS_ENDPOINT_URL_LAMBDA", "http://localhost:4001"),
            ("TOOL_FUNCTION_ARNS", "arn:aws:lambda:eu-west-1:123456789012:function:*"),
            ("AWS_ENDPOINT_URL_KMS", "http://localhost:4002"),
            ("TOOL_GRAPHQL_URLS", "https://other.example.com/graphql"),
            ("TOOL_MCP_URLS", "https://mcp.example.com/*"),
            ("TOOL_SECRET_ARNS", "arn:a,arn:b"),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://localhost:4003"),
            ("DOCUMENTS_BUCKET", "documents"),
            ("AWS_ENDPOINT_URL_S3", "http://localhost:4004"),
            ("EVENTS_URL", "https://a.example.com/event"),
            ("CONNECTIONS_URL", "https://b.example.com/prod"),
            ("TITLE_MODEL_ID", "amazon.nova-micro-v1:0"),
            ("MORE_MODEL_ARNS", "arn:a,arn:b"),
        ]);
        let settings = settings.unwrap();
        assert_eq!(settings.lambda_endpoint.as_deref(), Some("http://localhost:4001"));
        assert!(settings.tool_functions.allows("arn:aws:lambda:eu-west-1:123456789012:function:look"));
        assert_eq!(settings.kms_endpoint.as_deref(), Some("http://localhost:4002"));
        let other = Some("https://other.example.com/graphql");
        assert_eq!(settings.tool_graphql_urls.allowed_url(other), other);
        assert!(settings.tool_mcp_urls.allows("https://mcp.example.com/a"));
        assert!(settings.tool_secrets.allows("arn:b"));
        assert_eq!(settings.secrets_manager_endpoint.as_deref(), Some("http://localhost:4003"));
        assert_eq!(settings.documents_bucket.as_deref(), Some("documents"));
        assert_eq!(settings.s3_endpoint.as_deref(), Some("http://localhost:4004"));
        assert_eq!(settings.events_url.as_deref(), Some("https://a.example.com/event"));
        assert_eq!(settings.connections_url.as_deref(), Some("https://b.example.com/prod"));
        assert_eq!(settings.title_model_id.as_deref(), Some("amazon.nova-micro-v1:0"));
        assert_eq!(settings.more_model_arns, ["arn:a", "arn:b"]);
        let limits = settings.limits;
        assert_eq!(limits.model_silence, Duration::from_secs(3));
        assert_eq!(limits.one_shot_timeout, Duration::from_secs(4));
        assert_eq!((limits.pacing_last, limits.event_max_bytes), (Duration::from_millis(500), 9000));
    }

    #[test]
    fn all_problems_are_reported_together() {
        let problems = read(&[
            ("GRAPHQL_URL", "ftp://x"),
            ("AWS_ENDPOINT_URL_LAMBDA", "localhost:4001"),
            ("TOOL_GRAPHQL_URLS", "https://a.example.com,http://b.example.com"),
            ("TOOL_MCP_URLS", "https://a.example.com,http://b.example.com/*"),
            ("EVENTS_URL", "a.example.com/event"),
            ("CONNECTIONS_URL", "wss://b.example.com/prod"),
            ("API_KEY_URL", "da2-secret"),
            ("MODEL_SILENCE_SECONDS", "never"),
            ("BATCH_MAX_BYTES", "1"),
            ("ONE_SHOT_SECONDS", "28"),
            ("PACING_FIRST_MILLISECONDS", "300"),
            ("PACING_LAST_MILLISECONDS", "0"),
        ]);
        assert_eq!(
            problems.unwrap_err().to_string(),
            "TABLE_NAME must be set. \
             GRAPHQL_URL must be an http or https URL, not \"ftp://x\". \
             TOOL_GRAPHQL_URLS must be https URLs with commas between them, not \"http://b.example.com\". \
             AWS_ENDPOINT_URL_LAMBDA must be an http or https URL, not \"localhost:4001\". \
             TOOL_MCP_URLS must be https URLs with commas between them, not \"http://b.example.com/*\". \
             EVENTS_URL must be an http or https URL, not \"a.example.com/event\". \
             CONNECTIONS_URL must be an http or https URL, not \"wss://b.example.com/prod\". \
             API_KEY_URL must be an http or https URL. \
             MODEL_SILENCE_SECONDS must be a whole number from 1 to 900, not \"never\". \
             PACING_LAST_MILLISECONDS must be a whole number from 1 to 10000, not \"0\". \
             BATCH_MAX_BYTES must be a whole number from 64 to 65536, not \"1\". \
             ONE_SHOT_SECONDS must be a whole number from 1 to 27, not \"28\". \
             PACING_FIRST_MILLISECONDS must not be above PACING_LAST_MILLISECONDS."
        );
    }
}
