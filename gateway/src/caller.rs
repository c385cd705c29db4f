//! The users for whom the gateway makes requests.
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A longer name is cut, as the resolvers do over GraphQL. In UTF-16 code units.
const MAX_NAME_LENGTH: usize = 200;
/// The API takes no more groups, and no longer ones, in UTF-16 code units. The others are left out.
const MAX_GROUPS: usize = 100;
const MAX_GROUP_LENGTH: usize = 1_024;
const MAX_ISSUER_CHARACTERS: usize = 512;
const MAX_SUBJECT_CHARACTERS: usize = 255;

/// An authenticated caller, in the form of the API's argument `onBehalfOf`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Caller {
    User(TokenUser),
    Iam { iam: IamUser },
    ApiKey(ApiKey),
}

/// The user of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUser {
    pub issuer: String,
    pub sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IamUser {
    pub account_id: String,
    /// IAM's unique id, with the session's name for a role.
    pub username: String,
    /// The identity of a user of an identity pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cognito_identity_id: Option<String>,
}

/// All callers with the API key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "ApiKeyObject")]
pub struct ApiKey {
    api_key: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiKeyObject {
    api_key: bool,
}

impl TryFrom<ApiKeyObject> for ApiKey {
    type Error = &'static str;

    fn try_from(object: ApiKeyObject) -> Result<Self, Self::Error> {
        if object.api_key { Ok(Self { api_key: true }) } else { Err("apiKey is true or left out") }
    }
}

/// A token's issuer or subject that the API does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the API takes no user with such an issuer or subject")]
pub struct UnusableIdentity;

impl Caller {
    pub const fn api_key() -> Self {
        Self::ApiKey(ApiKey { api_key: true })
    }

    /// The user of a verified token, from `ctx.identity` as the resolvers get it over GraphQL.
    pub fn from_identity(identity: &Value) -> Result<Self, UnusableIdentity> {
        let text = |name: &str| identity[name].as_str().unwrap_or_default().to_owned();
        let (issuer, sub) = (text("issuer"), text("sub"));
        if !is_issuer(&issuer) || !is_subject(&sub) {
            return Err(UnusableIdentity);
        }
        let name = identity["claims"].as_object().and_then(display_name);
        let groups = groups(identity);
        Ok(Self::User(TokenUser { issuer, sub, name, groups: (!groups.is_empty()).then_some(groups) }))
    }

    pub fn is_api_key(&self) -> bool {
        matches!(self, Self::ApiKey(_))
    }

    /// The user's id, as `userIdOf` of resolvers/auth/authenticate.js makes it.
    pub fn user_id(&self) -> String {
        match self {
            Self::ApiKey(_) => "API_KEY".to_owned(),
            Self::User(TokenUser { issuer, sub, .. }) => format!("{issuer}#{sub}"),
            Self::Iam { iam: IamUser { cognito_identity_id: Some(id), .. } } => format!("IAM#{id}"),
            Self::Iam { iam: IamUser { account_id, username, cognito_identity_id: None } } => {
                let is_role_session = username.starts_with("AROA");
                let name = if is_role_session { username.split(':').next().unwrap_or_default() } else { username };
                format!("IAM#{account_id}#{name}")
            }
        }
    }
}

fn is_issuer(text: &str) -> bool {
    (1..=MAX_ISSUER_CHARACTERS).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

fn is_subject(text: &str) -> bool {
    (1..=MAX_SUBJECT_CHARACTERS).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

/// The claim that `userNameOf` of resolvers/auth/authenticate.js takes.
fn display_name(claims: &Map<String, Value>) -> Option<String> {
    let names = ["name", "cognito:username", "username", "preferred_username"];
    let claim = names.iter().find_map(|name| claims.get(*name).filter(|value| !value.is_null()))?;
    Some(utf16_prefix(claim.as_str()?, MAX_NAME_LENGTH).to_owned()).filter(|name| !name.is_empty())
}

/// The whole characters at the beginning of a text that have at most this many UTF-16 code units.
fn utf16_prefix(text: &str, max_length: usize) -> &str {
    let mut length = 0;
    let cut = text.char_indices().find(|(_, character)| {
        length += character.len_utf16();
        length > max_length
    });
    cut.map_or(text, |(end, _)| &text[..end])
}

/// The groups as `groupsOf` of resolvers/auth/authenticate.js takes them, without those that are too long.
fn groups(identity: &Value) -> Vec<String> {
    let own = Some(&identity["groups"]).filter(|groups| !groups.is_null());
    let list = match own.unwrap_or(&identity["claims"]["groups"]) {
        Value::String(group) => std::slice::from_ref(group).to_vec(),
        Value::Array(groups) => {
            groups.iter().take(MAX_GROUPS).filter_map(|group| group.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    };
    list.into_iter().filter(|group| group.encode_utf16().count() <= MAX_GROUP_LENGTH).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    #[test]
    fn callers_have_the_form_of_the_argument() {
        for form in [
            json!({ "issuer": "https://a", "sub": "s", "name": "Ada", "groups": ["g"] }),
            json!({ "issuer": "https://a", "sub": "s" }),
            json!({ "apiKey": true }),
            json!({ "iam": { "accountId": "1", "username": "AIDA" } }),
            json!({ "iam": { "accountId": "1", "username": "AROA:s", "cognitoIdentityId": "r:u" } }),
        ] {
            let caller: Caller = from_value(form.clone()).unwrap();
            assert_eq!(to_value(&caller).unwrap(), form);
        }
        for form in [json!({}), json!({ "apiKey": false }), json!({ "issuer": "https://a" }), json!(null), json!([])] {
            assert!(from_value::<Caller>(form.clone()).is_err(), "{form}");
        }
    }

    #[test]
    fn user_ids_are_those_of_the_resolvers() {
        let user_id = |form: Value| from_value::<Caller>(form).unwrap().user_id();
        assert_eq!(user_id(json!({ "issuer": "https://a", "sub": "s" })), "https://a#s");
        assert_eq!(user_id(json!({ "apiKey": true })), "API_KEY");
        let iam = |username: &str, identity: Value| {
            user_id(json!({ "iam": { "accountId": "12", "username": username, "cognitoIdentityId": identity } }))
        };
        assert_eq!(iam("AROAX:session", json!(null)), "IAM#12#AROAX");
        assert_eq!(iam("AIDAX:a", json!(null)), "IAM#12#AIDAX:a");
        assert_eq!(iam("AROAX:session", json!("r:u")), "IAM#r:u");
    }

    #[test]
    fn name_and_groups_are_those_that_the_resolvers_take() {
        let caller = |claims: Value, groups: Value| {
            let identity = json!({ "issuer": "https://a", "sub": "s", "groups": groups, "claims": claims });
            to_value(Caller::from_identity(&identity).unwrap()).unwrap()
        };
        let user = |name: Value, groups: Value| {
            let mut user = json!({ "issuer": "https://a", "sub": "s", "name": name, "groups": groups });
            user.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            user
        };
        for (claims, groups, name, expected) in [
            (json!({ "name": "Ada", "username": "ada" }), json!(["a"]), json!("Ada"), json!(["a"])),
            (json!({ "cognito:username": "ada" }), json!(null), json!("ada"), json!(null)),
            (json!({ "username": "ada", "groups": ["g", 7] }), json!(null), json!("ada"), json!(["g"])),
            (json!({ "name": null, "preferred_username": "ada" }), json!([]), json!("ada"), json!(null)),
            (json!({ "name": 7, "username": "ada", "groups": "g" }), json!(null), json!(null), json!(["g"])),
            (json!({ "name": "", "groups": ["g"] }), json!(["a"]), json!(null), json!(["a"])),
        ] {
            assert_eq!(caller(claims.clone(), groups), user(name, expected), "{claims}");
        }
        let long = caller(json!({ "name": "é".repeat(5_000) }), json!(["g".repeat(1_025), "h", "🙂".repeat(513)]));
        assert_eq!((&long["name"], &long["groups"]), (&json!("é".repeat(200)), &json!(["h"])));
        let longest = json!(["é".repeat(1_024), "🙂".repeat(512)]);
        let split = caller(json!({ "name": format!("a{}", "🙂".repeat(100)) }), longest.clone());
        assert_eq!((&split["name"], &split["groups"]), (&json!(format!("a{}", "🙂".repeat(99))), &longest));
        let many = caller(json!({}), json!((0..200).map(|number| format!("g{number}")).collect::<Vec<_>>()));
        assert_eq!(many["groups"].as_array().unwrap().len(), 100);
    }

    #[test]
    fn identities_that_the_api_does_not_take_are_refused() {
        for (issuer, sub) in [
            ("", "s"),
            ("https://a", ""),
            ("https://a#b", "s"),
            ("https://a b", "s"),
            ("https://a", "ü"),
            (&"i".repeat(513), "s"),
            ("https://a", &"s".repeat(256)),
        ] {
            let identity = json!({ "issuer": issuer, "sub": sub });
            assert_eq!(Caller::from_identity(&identity), Err(UnusableIdentity), "{identity}");
        }
    }
}
