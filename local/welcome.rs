//! What a user reads when the backend has started: where it is, and a line that talks to it.
use crate::{
    identity::User,
    server::{AccessKey, Endpoint, Models},
};

/// `users` are those that the user pool knows.
pub fn text(endpoint: &Endpoint, models: Models, kept: &str, users: &[User]) -> String {
    let Endpoint { url, realtime_url, administrator: AccessKey { access_key_id, secret_access_key }, .. } = endpoint;
    let api_key = endpoint.api_key.as_deref().unwrap_or("none is taken");
    let administrator = match endpoint.iam_access {
        true => format!("{access_key_id}:{secret_access_key} (IAM)"),
        false => "none may call".into(),
    };
    let issuers = [("User pool", &endpoint.user_pool), ("OpenID Connect", &endpoint.oidc)];
    let issuers = issuers.into_iter().filter_map(|(name, url)| Some(format!("\n  {name:14} {}", url.as_ref()?)));
    let issuers: String = issuers.collect();
    let models = match models {
        Models::Scripted => "a scripted stand-in (--bedrock asks real ones)",
        Models::Bedrock => "Amazon Bedrock, with your credentials",
    };
    let lines = [("Send a message and read its answer", curl(endpoint)), ("Talk", chat(endpoint, users))];
    let lines = lines.into_iter().filter_map(|(what, line)| Some(format!("\n{what}:\n\n  {}\n", line?)));
    let lines: String = lines.collect();
    format!(
        "Parlance is running. Ctrl-C ends it.

  GraphQL        {url}
  Realtime       {realtime_url}
  API key        {api_key}
  Administrator  {administrator}{issuers}
  Models         {models}
  Kept in        {kept}
{lines}"
    )
}

/// Sends a first message, then reads its turn until it has ended; the ids are the line's own, so that it can be told which turn to read.
fn curl(endpoint: &Endpoint) -> Option<String> {
    let Endpoint { url, administrator, .. } = endpoint;
    let id = format!("hello-{}", &administrator.access_key_id[16..]).to_lowercase();
    let send = format!(
        r#"mutation {{ createConversation(input: {{id: \"{id}\"}}) {{ id }} sendMessage(input: {{conversationId: \"{id}\", id: \"{id}\", text: \"Hello!\"}}) {{ status }} }}"#
    );
    let read = format!(r#"{{ getTurn(conversationId: \"{id}\", id: \"{id}\") {{ status answer {{ text }} }} }}"#);
    let post = format!("curl -s {url} {} -H 'content-type: application/json' -d", credentials(endpoint)?);
    let read = format!(r#"{post} '{{"query":"{read}"}}' | grep -E 'COMPLETED|FAILED'"#);
    Some(format!(r#"{post} '{{"query":"{send}"}}'; until {read}; do sleep 1; done"#))
}

/// The key, or else the administrator's signature, of what may call.
fn credentials(endpoint: &Endpoint) -> Option<String> {
    let Endpoint { api_key, region, administrator: AccessKey { access_key_id, secret_access_key }, .. } = endpoint;
    match api_key {
        Some(key) => Some(format!("-H 'x-api-key: {key}'")),
        None => endpoint
            .iam_access
            .then(|| format!("--aws-sigv4 aws:amz:{region}:appsync --user {access_key_id}:{secret_access_key}")),
    }
}

/// With the key, or else with a token of somebody whom an issuer knows.
fn chat(endpoint: &Endpoint, users: &[User]) -> Option<String> {
    let user = users.first().filter(|_| endpoint.user_pool.is_some());
    let sign_in = match (&endpoint.api_key, user, &endpoint.oidc) {
        (Some(_), ..) => return Some("cargo run -- chat".into()),
        (None, Some(user), _) => user.name.clone(),
        (None, None, Some(_)) => "ada --oidc".into(),
        (None, None, None) => return None,
    };
    Some(format!(r#"cargo run -- chat --token "$(cargo run -q -- token {sign_in})""#))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(api_key: Option<&str>, iam_access: bool, oidc: Option<&str>) -> Endpoint {
        Endpoint {
            url: "http://localhost:4000/graphql".into(),
            realtime_url: "ws://localhost:4000/graphql/realtime".into(),
            api_key: api_key.map(str::to_owned),
            region: "us-east-1".into(),
            user_pool: Some("http://localhost:4000/pool".into()),
            oidc: oidc.map(str::to_owned),
            iam_access,
            administrator: AccessKey {
                access_key_id: format!("AKIA{}", "A".repeat(16)),
                secret_access_key: "s".into(),
            },
        }
    }

    #[test]
    fn what_is_shown_works_with_what_may_call() {
        let ada = [User::named("ada")];
        let as_ada = Some(r#"cargo run -- chat --token "$(cargo run -q -- token ada)""#);
        let as_anybody = Some(r#"cargo run -- chat --token "$(cargo run -q -- token ada --oidc)""#);
        let provider = Some("http://localhost:4000/oidc");
        let cases = [
            (endpoint(Some("da2-x"), false, None), &ada[..], Some("x-api-key: da2-x"), Some("cargo run -- chat")),
            (endpoint(None, true, None), &ada, Some("--aws-sigv4"), as_ada),
            (endpoint(None, false, None), &ada, None, as_ada),
            (endpoint(None, false, provider), &[], None, as_anybody),
            (endpoint(None, true, None), &[], Some("--aws-sigv4"), None),
        ];
        for (endpoint, users, asked, talked) in cases {
            let told = text(&endpoint, Models::Scripted, "memory", users);
            assert_eq!(told.contains("curl"), asked.is_some(), "{told}");
            assert_eq!(told.contains("cargo run"), talked.is_some(), "{told}");
            assert!(asked.is_none_or(|with| told.contains(with)), "{told}");
            assert!(talked.is_none_or(|line| told.ends_with(&format!("\n  {line}\n"))), "{told}");
        }
    }
}
