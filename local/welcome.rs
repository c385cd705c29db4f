//! What a user reads when the backend has started: where it is, and a line that talks to it.
use crate::laptop::{Endpoint, Keys, Models};

pub fn text(endpoint: &Endpoint, models: Models, kept: &str) -> String {
    let Endpoint { url, realtime_url, administrator, .. } = endpoint;
    let api_key = endpoint.api_key.as_deref().unwrap_or("none is taken");
    let issuers = [("User pool", &endpoint.user_pool), ("OpenID Connect", &endpoint.oidc)];
    let issuers = issuers.into_iter().filter_map(|(name, url)| Some(format!("\n  {name:14} {}", url.as_ref()?)));
    let issuers: String = issuers.collect();
    let models = match models {
        Models::Scripted => "a scripted stand-in (--bedrock asks real ones)",
        Models::Real => "Amazon Bedrock, with your credentials",
    };
    format!(
        "Parlance is running. Ctrl-C ends it.

  GraphQL        {url}
  Realtime       {realtime_url}
  API key        {api_key}
  Administrator  {id}:{secret} (IAM){issuers}
  Models         {models}
  Kept in        {kept}

Send a message and read its answer:

  {curl}

Or talk:

  cargo run -- chat
",
        id = administrator.access_key_id,
        secret = administrator.secret_access_key,
        curl = curl(endpoint),
    )
}

/// Sends a first message, then reads its turn until it has ended; the ids are the line's own, so that it can be told which turn to read.
pub fn curl(endpoint: &Endpoint) -> String {
    let Endpoint { url, administrator, .. } = endpoint;
    let id = format!("hello-{}", &administrator.access_key_id[16..]).to_lowercase();
    let send = format!(
        r#"mutation {{ createConversation(input: {{id: \"{id}\"}}) {{ id }} sendMessage(input: {{conversationId: \"{id}\", id: \"{id}\", text: \"Hello!\"}}) {{ status }} }}"#
    );
    let read = format!(r#"{{ getTurn(conversationId: \"{id}\", id: \"{id}\") {{ status answer {{ text }} }} }}"#);
    let post = format!("curl -s {url} {} -H 'content-type: application/json' -d", credentials(endpoint));
    let read = format!(r#"{post} '{{"query":"{read}"}}' | grep -E 'COMPLETED|FAILED'"#);
    format!(r#"{post} '{{"query":"{send}"}}'; until {read}; do sleep 1; done"#)
}

/// The key, or else the administrator's signature.
fn credentials(endpoint: &Endpoint) -> String {
    let Endpoint { api_key, region, administrator: Keys { access_key_id, secret_access_key }, .. } = endpoint;
    match api_key {
        Some(key) => format!("-H 'x-api-key: {key}'"),
        None => format!("--aws-sigv4 aws:amz:{region}:appsync --user {access_key_id}:{secret_access_key}"),
    }
}
