//! Chooses the API to call and the conversation to continue.
use client::{
    AppSync, Credentials, Error,
    errors::ErrorType,
    requests::{CreateConversation, GetCaller, GetConversation},
    schema::{Caller, Conversation},
};

use super::{ChatError, ChatOptions};
use crate::endpoint_file::{EndpointFile, EndpointFileError};

#[derive(Debug)]
pub(super) struct Target {
    pub url: String,
    pub credentials: Credentials,
}

impl Target {
    /// The API that the options name, or else the server that runs in this folder.
    pub fn from_options(options: &ChatOptions) -> Result<Self, ChatError> {
        let (url, api_key) = match &options.url {
            Some(url) => (url.clone(), options.api_key.clone()),
            None => {
                let endpoint = EndpointFile::read(&options.state)?;
                (endpoint.url, endpoint.api_key)
            }
        };
        let credentials = match (&options.token, api_key) {
            (Some(token), _) => Credentials::Token(token.clone()),
            (None, Some(api_key)) => Credentials::ApiKey(api_key),
            (None, None) => return Err(ChatError::NoApiKey { url }),
        };
        Ok(Self { url, credentials })
    }

    pub async fn caller(&self, api: &AppSync) -> Result<Caller, ChatError> {
        api.call(&GetCaller).await.map_err(|error| self.to_chat_error(error))
    }

    fn to_chat_error(&self, error: Error) -> ChatError {
        match error {
            Error::Transport(_) => ChatError::Unreachable { url: self.url.clone() },
            error => ChatError::Api(error),
        }
    }
}

impl From<EndpointFileError> for ChatError {
    fn from(error: EndpointFileError) -> Self {
        match error {
            EndpointFileError::NoServer => Self::NoServer,
            EndpointFileError::Unusable { path, reason } => Self::UnusableFile { path, reason },
        }
    }
}

/// The conversation that the options name, the last one if it still exists, or a new one.
pub(super) async fn choose_conversation(
    api: &AppSync,
    options: &ChatOptions,
    target: &Target,
    last: Option<&str>,
) -> Result<Conversation, ChatError> {
    let last = if options.new { None } else { last };
    if let Some(id) = options.conversation.as_deref().or(last) {
        match api.call(&GetConversation { id: id.to_owned() }).await {
            Ok(conversation) => return Ok(conversation),
            Err(error) if !is_not_found(&error) => return Err(target.to_chat_error(error)),
            Err(_) if options.conversation.is_some() => {
                return Err(ChatError::NoConversation { id: id.to_owned(), url: target.url.clone() });
            }
            Err(_) => {}
        }
    }
    api.call(&CreateConversation::default()).await.map_err(|error| target.to_chat_error(error))
}

fn is_not_found(error: &Error) -> bool {
    error.api_error().is_some_and(|error| error.error_type == Some(ErrorType::NotFound))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn options(state: &Path) -> ChatOptions {
        ChatOptions {
            text: None,
            url: None,
            api_key: None,
            token: None,
            new: false,
            conversation: None,
            tools: Vec::new(),
            sources: false,
            reasoning: false,
            state: state.to_owned(),
        }
    }

    fn state_dir_with(endpoint_json: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("endpoint.json"), endpoint_json).unwrap();
        directory
    }

    fn target(options: &ChatOptions) -> (String, &'static str, String) {
        let Target { url, credentials } = Target::from_options(options).unwrap();
        match credentials {
            Credentials::ApiKey(key) => (url, "key", key),
            Credentials::Token(token) => (url, "token", token),
            Credentials::Iam(_) => panic!("the chat does not use IAM"),
        }
    }

    #[test]
    fn running_server_is_found_by_its_endpoint_file() {
        let json = r#"{"url":"http://localhost:4000/graphql","realtimeUrl":"ws://x","apiKey":"da2-x"}"#;
        let directory = state_dir_with(json);
        let with_key = options(directory.path());
        assert_eq!(target(&with_key), ("http://localhost:4000/graphql".to_owned(), "key", "da2-x".to_owned()));
        let with_token = ChatOptions { token: Some("a.b.c".to_owned()), ..with_key };
        assert_eq!(target(&with_token), ("http://localhost:4000/graphql".to_owned(), "token", "a.b.c".to_owned()));
    }

    #[test]
    fn named_api_needs_no_server() {
        let url = "https://api.example.com/graphql".to_owned();
        let named = ChatOptions { url: Some(url.clone()), ..options(Path::new("missing")) };
        let with_key = ChatOptions { api_key: Some("da2-y".to_owned()), ..named.clone() };
        assert_eq!(target(&with_key), (url.clone(), "key", "da2-y".to_owned()));
        let with_token = ChatOptions { token: Some("a.b.c".to_owned()), ..named };
        assert_eq!(target(&with_token), (url, "token", "a.b.c".to_owned()));
    }

    #[test]
    fn api_without_keys_asks_for_a_token() {
        let directory = state_dir_with(r#"{"url":"http://localhost:4000/graphql","apiKey":null}"#);
        let error = Target::from_options(&options(directory.path())).unwrap_err();
        let sentence = "The API at http://localhost:4000/graphql accepts no API key: \
                        sign in with --token \"$(cargo run -q -- token NAME)\".";
        assert_eq!(error.to_string(), sentence);
    }

    #[test]
    fn missing_server_fails_with_one_sentence() {
        let error = Target::from_options(&options(Path::new("missing"))).unwrap_err();
        let sentence = "No server runs in this folder: start one with `cargo run`, \
                        or name an API with --url and --api-key or --token.";
        assert_eq!(error.to_string(), sentence);
    }

    #[tokio::test]
    async fn stopped_server_fails_with_one_sentence() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/graphql", listener.local_addr().unwrap());
        drop(listener);
        let credentials = Credentials::ApiKey("da2-x".to_owned());
        let target = Target { url: url.clone(), credentials: credentials.clone() };
        let api = AppSync::new(&url, credentials).unwrap();
        let error = choose_conversation(&api, &options(Path::new("missing")), &target, None).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("Nothing answers at {url}: ")), "{error}");
    }
}
