//! The API itself, its schema and its keys.
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{WithoutEffect, text};
use crate::{stack::AuthMode, template::Fault};

const MOST_VARIABLES: usize = 50;
/// In characters.
const LONGEST_VALUE: usize = 512;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ApiProperties {
    pub name: String,
    authentication_type: Authentication,
    #[serde(default)]
    additional_authentication_providers: Vec<Provider>,
    #[serde(default)]
    environment_variables: Variables,
    introspection_config: Option<Introspection>,
    #[serde(rename = "XrayEnabled")]
    _xray_enabled: Option<WithoutEffect>,
    #[serde(rename = "LogConfig")]
    _log_config: Option<WithoutEffect>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Provider {
    authentication_type: Authentication,
}

#[derive(Clone, Copy, Deserialize)]
enum Authentication {
    #[serde(rename = "API_KEY")]
    ApiKey,
    #[serde(rename = "AWS_IAM")]
    Iam,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
enum Introspection {
    Enabled,
    Disabled,
}

/// What AppSync accepts as `EnvironmentVariables`.
#[derive(Default, Deserialize)]
#[serde(try_from = "BTreeMap<String, Value>")]
struct Variables(BTreeMap<String, String>);

impl ApiProperties {
    /// The default mode first.
    pub fn modes(&self) -> Vec<AuthMode> {
        let more = self.additional_authentication_providers.iter().map(|provider| provider.authentication_type);
        std::iter::once(self.authentication_type).chain(more).map(AuthMode::from).collect()
    }

    pub fn introspection(&self) -> bool {
        self.introspection_config != Some(Introspection::Disabled)
    }

    pub fn environment(self) -> BTreeMap<String, String> {
        self.environment_variables.0
    }
}

impl From<Authentication> for AuthMode {
    fn from(authentication: Authentication) -> Self {
        match authentication {
            Authentication::ApiKey => Self::ApiKey,
            Authentication::Iam => Self::Iam,
        }
    }
}

impl TryFrom<BTreeMap<String, Value>> for Variables {
    type Error = Fault;

    fn try_from(values: BTreeMap<String, Value>) -> Result<Self, Fault> {
        if values.len() > MOST_VARIABLES {
            return Err(Fault::new(format!(
                "EnvironmentVariables has {} pairs, more than {MOST_VARIABLES}",
                values.len()
            )));
        }
        let checked = values.into_iter().map(|(name, value)| {
            let value = text(&value);
            check(&name, &value)?;
            Ok((name, value))
        });
        checked.collect::<Result<_, _>>().map(Self)
    }
}

fn check(name: &str, value: &str) -> Result<(), Fault> {
    if !is_name(name) {
        let allowed = "at least two letters, digits and underscores, a letter first";
        return Err(Fault::new(format!("EnvironmentVariables has the name {name}, which must be {allowed}")));
    }
    let length = value.chars().count();
    if length > LONGEST_VALUE {
        let sentence = format!("the environment variable {name} has {length} characters, more than {LONGEST_VALUE}");
        return Err(Fault::new(sentence));
    }
    Ok(())
}

/// `[A-Za-z][A-Za-z0-9_]+`
fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && name.len() > 1
        && characters.all(|character| character.is_ascii_alphanumeric() || character == '_')
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct SchemaProperties {
    #[serde(rename = "ApiId")]
    _api_id: WithoutEffect,
    #[serde(rename = "DefinitionS3Location")]
    pub definition_s3_location: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyProperties {
    #[serde(rename = "ApiId")]
    _api_id: WithoutEffect,
    #[serde(rename = "Description")]
    _description: Option<WithoutEffect>,
    #[serde(rename = "Expires")]
    _expires: Option<WithoutEffect>,
}
