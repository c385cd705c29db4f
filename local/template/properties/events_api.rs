//! The Events API and its channel namespaces.
use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    Ignored, UserPools,
    auth_providers::{OpenIdConnectConfig, Provider, UserPoolConfig},
};
use crate::{
    events_api::is_namespace_name,
    lambda::InvocationType,
    stack::{AuthMode, ChannelNamespace, Code, DataSource, EventsApi, HandlerConfig, Role},
    template::{EVENTS_API_ID, TemplateError},
};

const MAX_NAMESPACES: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct EventsApiProperties {
    name: String,
    event_config: EventConfig,
    #[serde(rename = "OwnerContact")]
    _owner_contact: Option<Ignored>,
    #[serde(rename = "Tags")]
    _tags: Option<Ignored>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct EventConfig {
    auth_providers: Vec<EventsProvider>,
    connection_auth_modes: Vec<Mode>,
    default_publish_auth_modes: Vec<Mode>,
    default_subscribe_auth_modes: Vec<Mode>,
    #[serde(rename = "LogConfig")]
    _log_config: Option<Ignored>,
}

/// The providers that the local server has: a function cannot authorize callers here.
#[derive(Deserialize)]
#[serde(tag = "AuthType", deny_unknown_fields)]
enum EventsProvider {
    #[serde(rename = "API_KEY")]
    ApiKey {},
    #[serde(rename = "AWS_IAM")]
    Iam {},
    #[serde(rename = "AMAZON_COGNITO_USER_POOLS")]
    UserPool {
        #[serde(rename = "CognitoConfig")]
        pool: UserPoolConfig,
    },
    #[serde(rename = "OPENID_CONNECT")]
    OpenId {
        #[serde(rename = "OpenIDConnectConfig")]
        provider: OpenIdConnectConfig,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Mode {
    auth_type: ModeName,
}

#[derive(Clone, Copy, Deserialize)]
enum ModeName {
    #[serde(rename = "API_KEY")]
    ApiKey,
    #[serde(rename = "AWS_IAM")]
    Iam,
    #[serde(rename = "AMAZON_COGNITO_USER_POOLS")]
    UserPool,
    #[serde(rename = "OPENID_CONNECT")]
    OpenId,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ChannelNamespaceProperties {
    #[serde(rename = "ApiId")]
    _api_id: Ignored,
    name: String,
    code_handlers: Option<String>,
    #[serde(rename = "CodeS3Location")]
    code_s3_location: Option<String>,
    #[serde(default)]
    handler_configs: HandlerConfigs,
    publish_auth_modes: Option<Vec<Mode>>,
    subscribe_auth_modes: Option<Vec<Mode>>,
    #[serde(rename = "Tags")]
    _tags: Option<Ignored>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct HandlerConfigs {
    on_publish: Option<HandlerConfigProperties>,
    on_subscribe: Option<HandlerConfigProperties>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct HandlerConfigProperties {
    behavior: Behavior,
    integration: Integration,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Behavior {
    Code,
    Direct,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Integration {
    data_source_name: String,
    lambda_config: Option<InvokeConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct InvokeConfig {
    invoke_type: InvokeType,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum InvokeType {
    RequestResponse,
    Event,
}

/// The modes of an API's operations.
pub struct DefaultModes {
    providers: Vec<AuthMode>,
    publish: Vec<AuthMode>,
    subscribe: Vec<AuthMode>,
}

impl EventsApiProperties {
    pub fn default_modes(&self) -> Result<DefaultModes, TemplateError> {
        let config = &self.event_config;
        let providers: Vec<AuthMode> = config.auth_providers.iter().map(EventsProvider::mode).collect();
        let publish = among_providers("DefaultPublishAuthModes", &config.default_publish_auth_modes, &providers)?;
        let subscribe = among_providers("DefaultSubscribeAuthModes", &config.default_subscribe_auth_modes, &providers)?;
        Ok(DefaultModes { providers, publish, subscribe })
    }

    pub fn into_api(
        self,
        modes: DefaultModes,
        keys: Vec<String>,
        user_pools: &UserPools,
        namespaces: BTreeMap<String, ChannelNamespace>,
    ) -> Result<EventsApi, TemplateError> {
        let config = self.event_config;
        let modes = modes.providers;
        let connection_modes = among_providers("ConnectionAuthModes", &config.connection_auth_modes, &modes)?;
        if namespaces.len() > MAX_NAMESPACES {
            let count = namespaces.len();
            return Err(TemplateError::new(format!("it has at most {MAX_NAMESPACES} channel namespaces, not {count}")));
        }
        let providers = config.auth_providers.into_iter().map(Provider::from);
        let issuers = providers.filter_map(|provider| provider.issuer(user_pools)).collect();
        Ok(EventsApi {
            name: self.name,
            id: EVENTS_API_ID.to_owned(),
            modes,
            keys,
            issuers,
            connection_modes,
            namespaces,
        })
    }
}

impl ChannelNamespaceProperties {
    /// The namespace with its name.
    pub fn into_namespace(
        self,
        default_modes: &DefaultModes,
        data_sources: &BTreeMap<String, DataSource>,
    ) -> Result<(String, ChannelNamespace), TemplateError> {
        let name = self.name;
        if !is_namespace_name(&name) {
            let rule = "has 1 to 50 letters, digits and -, none of them first or last";
            return Err(TemplateError::new(format!("the name of a channel namespace {rule}, and {name:?} has not")));
        }
        let modes = |property, own: Option<Vec<Mode>>, default: &Vec<AuthMode>| {
            own.map_or_else(|| Ok(default.clone()), |own| among_providers(property, &own, &default_modes.providers))
        };
        let publish_modes = modes("PublishAuthModes", self.publish_auth_modes, &default_modes.publish)?;
        let subscribe_modes = modes("SubscribeAuthModes", self.subscribe_auth_modes, &default_modes.subscribe)?;
        if let Some(location) = self.code_s3_location {
            return Err(unavailable_code(&location));
        }
        let code = self.code_handlers.map(|text| Code { path: format!("{name}.js"), text });
        let HandlerConfigs { on_publish, on_subscribe } = self.handler_configs;
        let handler =
            |config: Option<HandlerConfigProperties>| config.map(|config| config.into_config(data_sources)).transpose();
        let (on_publish, on_subscribe) = (handler(on_publish)?, handler(on_subscribe)?);
        Ok((name, ChannelNamespace { publish_modes, subscribe_modes, code, on_publish, on_subscribe }))
    }
}

/// SAM uploads no code of a channel namespace, so that a file is not deployed to AWS.
fn unavailable_code(location: &str) -> TemplateError {
    let reason = match location.starts_with("s3://") {
        true => "the local server reads no code from S3",
        false => "SAM uploads no code of a channel namespace",
    };
    TemplateError::new(format!("CodeS3Location is {location}, and {reason}: give the code inline, as CodeHandlers"))
}

impl HandlerConfigProperties {
    fn into_config(self, data_sources: &BTreeMap<String, DataSource>) -> Result<HandlerConfig, TemplateError> {
        let Integration { data_source_name: name, lambda_config } = self.integration;
        let source = data_sources.get(&name);
        let source = source.ok_or_else(|| TemplateError::new(format!("the Events API has no data source {name}")))?;
        match (self.behavior, lambda_config) {
            (Behavior::Code, None) => Ok(HandlerConfig::Code(source.clone())),
            (Behavior::Code, Some(_)) => Err(TemplateError::new(
                "LambdaConfig is for the Behavior DIRECT; code says invocationType itself".into(),
            )),
            (Behavior::Direct, config) => {
                let (function, role) = function_of(source).ok_or_else(|| {
                    TemplateError::new(format!(
                        "the Behavior DIRECT needs a function, and the data source {name} has none"
                    ))
                })?;
                let invocation = match config.map(|config| config.invoke_type) {
                    None | Some(InvokeType::RequestResponse) => InvocationType::RequestResponse,
                    Some(InvokeType::Event) => InvocationType::Event,
                };
                Ok(HandlerConfig::Direct { function, role, invocation })
            }
        }
    }
}

fn function_of(source: &DataSource) -> Option<(String, Role)> {
    match source {
        DataSource::Lambda { function, role } => Some((function.clone(), role.clone())),
        DataSource::None | DataSource::Table { .. } | DataSource::Kms { .. } => None,
    }
}

/// The modes of an operation, each of which must have a provider.
fn among_providers(property: &str, given: &[Mode], providers: &[AuthMode]) -> Result<Vec<AuthMode>, TemplateError> {
    let modes: Vec<AuthMode> = given.iter().map(|mode| mode.auth_type.into()).collect();
    if modes.iter().all(|mode| providers.contains(mode)) {
        return Ok(modes);
    }
    Err(TemplateError::new(format!("{property} has a mode that is not among the AuthProviders")))
}

impl EventsProvider {
    fn mode(&self) -> AuthMode {
        match self {
            Self::ApiKey {} => AuthMode::ApiKey,
            Self::Iam {} => AuthMode::Iam,
            Self::UserPool { .. } => AuthMode::UserPool,
            Self::OpenId { .. } => AuthMode::OpenId,
        }
    }
}

impl From<ModeName> for AuthMode {
    fn from(name: ModeName) -> Self {
        match name {
            ModeName::ApiKey => Self::ApiKey,
            ModeName::Iam => Self::Iam,
            ModeName::UserPool => Self::UserPool,
            ModeName::OpenId => Self::OpenId,
        }
    }
}

impl From<EventsProvider> for Provider {
    fn from(provider: EventsProvider) -> Self {
        match provider {
            EventsProvider::ApiKey {} => Self::ApiKey {},
            EventsProvider::Iam {} => Self::Iam {},
            EventsProvider::UserPool { pool } => Self::UserPool { pool },
            EventsProvider::OpenId { provider } => Self::OpenId { provider },
        }
    }
}
