//! Which API, and which of its conversations.
use client::{
    AppSync, Credentials, Error,
    errors::ErrorType,
    requests::{CreateConversation, GetCaller, GetConversation},
    schema::Caller,
};

use super::{ChatError, ChatOptions};
use crate::announced::{self, Announced};

#[derive(Debug)]
pub(super) struct Place {
    pub url: String,
    pub credentials: Credentials,
}

impl Place {
    /// The API that is named, or else the one of a running server.
    pub fn find(options: &ChatOptions) -> Result<Self, ChatError> {
        let Announced { url, api_key } = match &options.url {
            Some(url) => Announced { url: url.clone(), api_key: options.api_key.clone() },
            None => Announced::read(&options.state)?,
        };
        let token = options.token.clone().map(Credentials::Token);
        match token.or(api_key.map(Credentials::ApiKey)) {
            Some(credentials) => Ok(Self { url, credentials }),
            None => Err(ChatError::NoKey { url }),
        }
    }
}

impl From<announced::Fault> for ChatError {
    fn from(fault: announced::Fault) -> Self {
        match fault {
            announced::Fault::NoServer => ChatError::NoServer,
            announced::Fault::File { path, reason } => ChatError::File { path, reason },
        }
    }
}

/// The one asked for, the last one if it still exists, or a new one.
pub(super) async fn choose_conversation(
    api: &AppSync,
    options: &ChatOptions,
    place: &Place,
    last: Option<&str>,
) -> Result<String, ChatError> {
    let wanted = options.conversation.as_deref().or(last.filter(|_| !options.new));
    if let Some(id) = wanted {
        match api.call(&GetConversation { id: id.to_owned() }).await {
            Ok(conversation) => return Ok(conversation.id),
            Err(error) if !is_not_found(&error) => return Err(place.explain(error)),
            Err(_) if options.conversation.is_some() => {
                return Err(ChatError::NoConversation { id: id.to_owned(), url: place.url.clone() });
            }
            Err(_) => {}
        }
    }
    let created = api.call(&CreateConversation::default()).await.map_err(|error| place.explain(error))?;
    Ok(created.id)
}

impl Place {
    pub async fn caller(&self, api: &AppSync) -> Result<Caller, ChatError> {
        api.call(&GetCaller).await.map_err(|error| self.explain(error))
    }

    fn explain(&self, error: Error) -> ChatError {
        match error {
            Error::Transport(_) => ChatError::Unreachable { url: self.url.clone() },
            error => ChatError::Api(error),
        }
    }
}

fn is_not_found(error: &Error) -> bool {
    error.named().is_some_and(|named| named.error_type == Some(ErrorType::NotFound))
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
            state: state.to_owned(),
        }
    }

    fn announce(endpoint: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("endpoint.json"), endpoint).unwrap();
        directory
    }

    fn found(options: &ChatOptions) -> (String, &'static str, String) {
        let Place { url, credentials } = Place::find(options).unwrap();
        match credentials {
            Credentials::ApiKey(key) => (url, "key", key),
            Credentials::Token(token) => (url, "token", token),
            Credentials::Iam(_) => panic!("the chat signs nothing"),
        }
    }

    #[test]
    fn a_running_server_is_found_by_what_it_wrote_down() {
        let directory = announce(r#"{"url":"http://localhost:4000/graphql","realtimeUrl":"ws://x","apiKey":"da2-x"}"#);
        let keyed = options(directory.path());
        assert_eq!(found(&keyed), ("http://localhost:4000/graphql".to_owned(), "key", "da2-x".to_owned()));
        let signed_in = ChatOptions { token: Some("a.b.c".to_owned()), ..keyed };
        assert_eq!(found(&signed_in), ("http://localhost:4000/graphql".to_owned(), "token", "a.b.c".to_owned()));
    }

    #[test]
    fn an_api_that_is_named_needs_no_server() {
        let url = "https://api.example.com/graphql".to_owned();
        let named = ChatOptions { url: Some(url.clone()), ..options(Path::new("nowhere")) };
        let keyed = ChatOptions { api_key: Some("da2-y".to_owned()), ..named.clone() };
        assert_eq!(found(&keyed), (url.clone(), "key", "da2-y".to_owned()));
        let signed_in = ChatOptions { token: Some("a.b.c".to_owned()), ..named };
        assert_eq!(found(&signed_in), (url, "token", "a.b.c".to_owned()));
    }

    #[test]
    fn where_no_key_is_taken_one_sentence_asks_for_a_token() {
        let directory = announce(r#"{"url":"http://localhost:4000/graphql","apiKey":null}"#);
        let error = Place::find(&options(directory.path())).unwrap_err();
        let sentence = "The API at http://localhost:4000/graphql takes no key: say who you are with --token \"$(cargo run -q -- token NAME)\".";
        assert_eq!(error.to_string(), sentence);
    }

    #[test]
    fn without_a_server_one_sentence_says_what_to_do() {
        let error = Place::find(&options(Path::new("nowhere"))).unwrap_err();
        let sentence = "No server runs in this folder: start one with `cargo run`, or name an API with --url and --api-key or --token.";
        assert_eq!(error.to_string(), sentence);
    }

    #[tokio::test]
    async fn a_server_that_has_gone_is_said_to_be_gone() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/graphql", listener.local_addr().unwrap());
        drop(listener);
        let credentials = Credentials::ApiKey("da2-x".to_owned());
        let place = Place { url: url.clone(), credentials: credentials.clone() };
        let api = AppSync::new(&url, credentials).unwrap();
        let error = choose_conversation(&api, &options(Path::new("nowhere")), &place, None).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("Nothing answers at {url}: ")), "{error}");
    }
}
