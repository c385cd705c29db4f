//! The message that the server prints when it has started: what listens where, and commands that call it.
use crate::{
    identity::PoolUser,
    knowledge_base::KnowledgeOptions,
    server::{AccessKey, Endpoint, ServerOptions},
};

/// `models` says which models answer.
pub fn text(endpoint: &Endpoint, models: &str, options: &ServerOptions) -> String {
    let ServerOptions { users, functions, secrets, .. } = options;
    let Endpoint { url, realtime_url, administrator: AccessKey { access_key_id, secret_access_key }, .. } = endpoint;
    let api_key = endpoint.api_key.as_deref().unwrap_or("none (API keys are switched off)");
    let administrator = match endpoint.iam_access {
        true => format!("{access_key_id}:{secret_access_key} (IAM)"),
        false => "none (IAM is switched off)".into(),
    };
    let chat_page = endpoint.chat_page_url.as_ref().map(|url| format!("\n  Chat page      {url}")).unwrap_or_default();
    let mut entries = String::new();
    for (name, url) in [("Events", &endpoint.events_url), ("WebSocket", &endpoint.websocket_url)] {
        if let Some(url) = url {
            entries += &format!("\n  {name:14} {url}");
        }
    }
    let mut issuers = String::new();
    for (name, url) in [("User pool", &endpoint.user_pool), ("OpenID Connect", &endpoint.oidc)] {
        if let Some(url) = url {
            issuers += &format!("\n  {name:14} {url}");
        }
    }
    let functions: String = functions.iter().map(|function| format!("\n  Function       {}", function.arn())).collect();
    let secrets: String = secrets.iter().map(|secret| format!("\n  Secret         {}", secret.arn())).collect();
    let knowledge = options.knowledge.as_ref().map(knowledge_line).unwrap_or_default();
    let mut commands = String::new();
    if !may_anybody_call(endpoint, users) {
        commands += "\nNobody may call this API: add a user with --user, or let in API keys, OpenID Connect or IAM.\n";
    }
    for (purpose, command) in
        [("Send a message and read its answer", curl_command(endpoint)), ("Chat", chat_command(endpoint, users))]
    {
        if let Some(command) = command {
            commands += &format!("\n{purpose}:\n\n  {command}\n");
        }
    }
    format!(
        "Parlance is running. Press Ctrl-C to stop it.
{chat_page}
  GraphQL        {url}
  Realtime       {realtime_url}{entries}
  API key        {api_key}
  Administrator  {administrator}{issuers}
  Models         {models}{functions}{secrets}{knowledge}
  State          {}
  TLS            at the same port, with the certificate {}
{commands}",
        options.table_location(),
        endpoint.tls_certificate.display()
    )
}

/// Hashed n-grams claim no meaning.
fn knowledge_line(KnowledgeOptions { folder, embeddings }: &KnowledgeOptions) -> String {
    let search = match &embeddings.url {
        Some(url) => format!("words, and meaning by {url}"),
        None => "words and spelling; --embeddings URL adds meaning".to_owned(),
    };
    format!("\n  Documents      {} (found by {search})", folder.display())
}

/// Whether the server's own modes let a caller in. A pool of AWS is not run here, and has users of its own.
fn may_anybody_call(endpoint: &Endpoint, users: &[PoolUser]) -> bool {
    let is_pool_without_users = endpoint.user_pool.is_some() && users.is_empty();
    endpoint.api_key.is_some() || endpoint.iam_access || endpoint.oidc.is_some() || !is_pool_without_users
}

/// A command line that sends a message to a new conversation and reads its turn until that has ended. It
/// chooses the ids of the conversation and of the message itself, so that no id has to be parsed from a
/// response.
fn curl_command(endpoint: &Endpoint) -> Option<String> {
    let Endpoint { url, administrator, .. } = endpoint;
    let id = format!("hello-{}", &administrator.access_key_id[16..]).to_lowercase();
    let send = format!(
        r#"mutation {{ createConversation(input: {{id: \"{id}\"}}) {{ id }} sendMessage(input: {{conversationId: \"{id}\", id: \"{id}\", text: \"Hello!\"}}) {{ status }} }}"#
    );
    let read = format!(r#"{{ getTurn(conversationId: \"{id}\", id: \"{id}\") {{ status answer {{ text }} }} }}"#);
    let post = format!("curl -s {url} {} -H 'content-type: application/json' -d", curl_credentials(endpoint)?);
    let read = format!(r#"{post} '{{"query":"{read}"}}' | grep -E 'COMPLETED|FAILED'"#);
    Some(format!(r#"{post} '{{"query":"{send}"}}'; echo; until {read}; do sleep 1; done"#))
}

/// curl's options for the API key or, without one, for the administrator's IAM keys. None if the API accepts
/// neither.
fn curl_credentials(endpoint: &Endpoint) -> Option<String> {
    let Endpoint { api_key, region, administrator: AccessKey { access_key_id, secret_access_key }, .. } = endpoint;
    match api_key {
        Some(key) => Some(format!("-H 'x-api-key: {key}'")),
        None if endpoint.iam_access => {
            Some(format!("--aws-sigv4 aws:amz:{region}:appsync --user {access_key_id}:{secret_access_key}"))
        }
        None => None,
    }
}

/// A chat with the API key or, without one, with a token of a user of the server's issuers.
fn chat_command(endpoint: &Endpoint, users: &[PoolUser]) -> Option<String> {
    if endpoint.api_key.is_some() {
        return Some("cargo run -- chat".into());
    }
    let pool_user = users.first().filter(|_| endpoint.user_pool.is_some());
    let token_arguments = match (pool_user, &endpoint.oidc) {
        (Some(user), _) => user.name.clone(),
        (None, Some(_)) => "ada --oidc".into(),
        (None, None) => return None,
    };
    Some(format!(r#"cargo run -- chat --token "$(cargo run -q -- token {token_arguments})""#))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge_base::EmbeddingsOptions;

    fn endpoint(api_key: Option<&str>, iam_access: bool, oidc: Option<&str>) -> Endpoint {
        Endpoint {
            url: "http://localhost:4000/graphql".into(),
            realtime_url: "ws://localhost:4000/graphql/realtime".into(),
            chat_page_url: None,
            api_key: api_key.map(str::to_owned),
            events_url: None,
            events_api_key: None,
            websocket_url: None,
            region: "us-east-1".into(),
            user_pool: Some("http://localhost:4000/pool".into()),
            oidc: oidc.map(str::to_owned),
            iam_access,
            tls_certificate: ".parlance/tls-certificate.pem".into(),
            administrator: AccessKey {
                access_key_id: format!("AKIA{}", "A".repeat(16)),
                secret_access_key: "s".into(),
            },
        }
    }

    #[test]
    fn printed_commands_use_modes_that_are_switched_on() {
        let ada = [PoolUser::named("ada")];
        let pool_chat = Some(r#"cargo run -- chat --token "$(cargo run -q -- token ada)""#);
        let oidc_chat = Some(r#"cargo run -- chat --token "$(cargo run -q -- token ada --oidc)""#);
        let oidc = Some("http://localhost:4000/oidc");
        let cases = [
            (endpoint(Some("da2-x"), false, None), &ada[..], Some("x-api-key: da2-x"), Some("cargo run -- chat")),
            (endpoint(None, true, None), &ada, Some("--aws-sigv4"), pool_chat),
            (endpoint(None, false, None), &ada, None, pool_chat),
            (endpoint(None, false, oidc), &[], None, oidc_chat),
            (endpoint(None, true, None), &[], Some("--aws-sigv4"), None),
        ];
        for (endpoint, users, curl_credentials, chat_command) in cases {
            let text =
                text(&endpoint, "scripted", &ServerOptions { users: users.to_vec(), ..ServerOptions::for_tests() });
            assert!(!text.contains("Nobody"), "{text}");
            assert_eq!(text.contains("curl"), curl_credentials.is_some(), "{text}");
            assert_eq!(text.contains("cargo run"), chat_command.is_some(), "{text}");
            assert!(curl_credentials.is_none_or(|credentials| text.contains(credentials)), "{text}");
            assert!(chat_command.is_none_or(|command| text.ends_with(&format!("\n  {command}\n"))), "{text}");
        }
    }

    #[test]
    fn chat_page_comes_first_if_it_is_served() {
        let first_line = |chat_page_url: Option<&str>| {
            let endpoint =
                Endpoint { chat_page_url: chat_page_url.map(str::to_owned), ..endpoint(Some("da2-x"), true, None) };
            let text = text(&endpoint, "scripted", &ServerOptions::for_tests());
            text.lines().nth(2).map(str::to_owned)
        };
        let page = first_line(Some("http://localhost:4000/"));
        assert_eq!(page.as_deref(), Some("  Chat page      http://localhost:4000/"));
        assert_eq!(first_line(None).as_deref(), Some("  GraphQL        http://localhost:4000/graphql"));
    }

    #[test]
    fn entry_points_and_certificate_are_printed() {
        let lines = |endpoint: &Endpoint| {
            let text = text(endpoint, "scripted", &ServerOptions::for_tests());
            let names = ["Events ", "WebSocket ", "TLS "];
            let lines = text.lines().map(str::trim).filter(|line| names.iter().any(|name| line.starts_with(name)));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let graphql_only = endpoint(Some("da2-x"), true, None);
        let tls = "TLS            at the same port, with the certificate .parlance/tls-certificate.pem";
        assert_eq!(lines(&graphql_only), [tls]);
        let all = Endpoint {
            events_url: Some("http://localhost:4000/event".into()),
            websocket_url: Some("ws://localhost:4000/ws/prod".into()),
            ..graphql_only
        };
        let urls = ["Events         http://localhost:4000/event", "WebSocket      ws://localhost:4000/ws/prod"];
        assert_eq!(lines(&all), [urls[0], urls[1], tls]);
    }

    #[test]
    fn pool_without_users_as_the_only_mode_is_a_warning() {
        let text = text(&endpoint(None, false, None), "scripted", &ServerOptions::for_tests());
        assert!(text.contains("Nobody may call this API: add a user with --user"), "{text}");
    }

    #[test]
    fn search_without_a_model_claims_no_meaning() {
        let documents = |url: Option<&str>| {
            let embeddings = EmbeddingsOptions { url: url.map(|url| url.parse().unwrap()), model: None };
            let knowledge = Some(KnowledgeOptions { folder: "docs".into(), embeddings });
            let text = text(
                &endpoint(None, true, None),
                "scripted",
                &ServerOptions { knowledge, ..ServerOptions::for_tests() },
            );
            text.lines().find(|line| line.contains("Documents")).unwrap().trim().to_owned()
        };
        let hashed = "Documents      docs (found by words and spelling; --embeddings URL adds meaning)";
        assert_eq!(documents(None), hashed);
        let embedded = "Documents      docs (found by words, and meaning by http://localhost:11434/v1/embeddings)";
        assert_eq!(documents(Some("http://localhost:11434")), embedded);
    }
}
