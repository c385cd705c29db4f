//! The API, its schema and its keys.
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{
    Ignored, UserPools,
    auth_providers::{DefaultMode, Provider},
    to_text,
};
use crate::{
    stack::{AuthMode, Limits, TokenIssuer},
    template::TemplateError,
};

const MAX_VARIABLES: usize = 50;
const MAX_VALUE_CHARACTERS: usize = 512;
const MAX_QUERY_DEPTH: usize = 75;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ApiProperties {
    pub name: String,
    authentication_type: DefaultMode,
    #[serde(default)]
    additional_authentication_providers: Vec<Provider>,
    #[serde(default)]
    environment_variables: Variables,
    introspection_config: Option<Introspection>,
    #[serde(default)]
    query_depth_limit: usize,
    #[serde(default)]
    resolver_count_limit: usize,
    #[serde(rename = "XrayEnabled")]
    _xray_enabled: Option<Ignored>,
    #[serde(rename = "LogConfig")]
    _log_config: Option<Ignored>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
enum Introspection {
    Enabled,
    Disabled,
}

/// `EnvironmentVariables` within AppSync's limits.
#[derive(Default, Deserialize)]
#[serde(try_from = "BTreeMap<String, Value>")]
struct Variables(BTreeMap<String, String>);

impl ApiProperties {
    /// The default mode first.
    pub fn modes(&self) -> Vec<AuthMode> {
        let more = self.additional_authentication_providers.iter().map(Provider::mode);
        std::iter::once(self.authentication_type.into()).chain(more).collect()
    }

    pub fn issuers(&self, user_pools: &UserPools) -> Vec<TokenIssuer> {
        self.additional_authentication_providers.iter().filter_map(|provider| provider.issuer(user_pools)).collect()
    }

    /// A limit of 0 selects AppSync's own limit.
    pub fn limits(&self) -> Result<Limits, TemplateError> {
        let max_resolvers = Limits::default().resolvers;
        for (property, value, maximum) in [
            ("QueryDepthLimit", self.query_depth_limit, MAX_QUERY_DEPTH),
            ("ResolverCountLimit", self.resolver_count_limit, max_resolvers),
        ] {
            if value > maximum {
                return Err(TemplateError::new(format!("{property} must be from 0 to {maximum}, not {value}")));
            }
        }
        Ok(Limits {
            query_depth: Some(self.query_depth_limit).filter(|limit| *limit > 0),
            resolvers: Some(self.resolver_count_limit).filter(|limit| *limit > 0).unwrap_or(max_resolvers),
        })
    }

    pub fn introspection(&self) -> bool {
        self.introspection_config != Some(Introspection::Disabled)
    }

    pub fn environment(self) -> BTreeMap<String, String> {
        self.environment_variables.0
    }
}

impl TryFrom<BTreeMap<String, Value>> for Variables {
    type Error = TemplateError;

    fn try_from(values: BTreeMap<String, Value>) -> Result<Self, TemplateError> {
        if values.len() > MAX_VARIABLES {
            return Err(TemplateError::new(format!(
                "EnvironmentVariables has {} pairs, more than {MAX_VARIABLES}",
                values.len()
            )));
        }
        let variables = values.into_iter().map(|(name, value)| {
            let value = to_text(&value);
            check_variable(&name, &value)?;
            Ok((name, value))
        });
        variables.collect::<Result<_, _>>().map(Self)
    }
}

fn check_variable(name: &str, value: &str) -> Result<(), TemplateError> {
    if !is_variable_name(name) {
        let allowed = "at least two letters, digits and underscores, a letter first";
        return Err(TemplateError::new(format!("EnvironmentVariables has the name {name}, which must be {allowed}")));
    }
    let length = value.chars().count();
    if length > MAX_VALUE_CHARACTERS {
        let message =
            format!("the environment variable {name} has {length} characters, more than {MAX_VALUE_CHARACTERS}");
        return Err(TemplateError::new(message));
    }
    Ok(())
}

/// `[A-Za-z][A-Za-z0-9_]+`
fn is_variable_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && name.len() > 1
        && characters.all(|character| character.is_ascii_alphanumeric() || character == '_')
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct SchemaProperties {
    #[serde(rename = "ApiId")]
    _api_id: Ignored,
    #[serde(rename = "DefinitionS3Location")]
    pub definition_s3_location: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyProperties {
    #[serde(rename = "ApiId")]
    pub api_id: String,
    #[serde(rename = "Description")]
    _description: Option<Ignored>,
    #[serde(rename = "Expires")]
    _expires: Option<Ignored>,
}
