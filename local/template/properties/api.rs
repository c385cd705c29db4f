//! The API itself, its schema and its keys.
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{
    Pools, WithoutEffect,
    modes::{DefaultMode, Provider},
    text,
};
use crate::{
    stack::{AuthMode, Limits, TokenIssuer},
    template::Fault,
};

const MOST_VARIABLES: usize = 50;
/// In characters.
const LONGEST_VALUE: usize = 512;
const DEEPEST_QUERY: usize = 75;

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
    _xray_enabled: Option<WithoutEffect>,
    #[serde(rename = "LogConfig")]
    _log_config: Option<WithoutEffect>,
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
        let more = self.additional_authentication_providers.iter().map(Provider::mode);
        std::iter::once(self.authentication_type.into()).chain(more).collect()
    }

    pub fn issuers(&self, pools: &Pools) -> Vec<TokenIssuer> {
        self.additional_authentication_providers.iter().filter_map(|provider| provider.issuer(pools)).collect()
    }

    /// A limit of 0 is none of its own.
    pub fn limits(&self) -> Result<Limits, Fault> {
        let most = Limits::default().resolvers;
        for (limit, given, most) in [
            ("QueryDepthLimit", self.query_depth_limit, DEEPEST_QUERY),
            ("ResolverCountLimit", self.resolver_count_limit, most),
        ] {
            if given > most {
                return Err(Fault::new(format!("{limit} must be from 0 to {most}, not {given}")));
            }
        }
        Ok(Limits {
            query_depth: Some(self.query_depth_limit).filter(|limit| *limit > 0),
            resolvers: Some(self.resolver_count_limit).filter(|limit| *limit > 0).unwrap_or(most),
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
