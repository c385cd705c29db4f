//! Which API, and which of its conversations.
use std::{fs, io::ErrorKind};

use client::{
    AppSync, Error,
    errors::ErrorType,
    requests::{CreateConversation, GetConversation},
};
use serde::Deserialize;

use super::{ChatError, ChatOptions};

/// A running server writes this down in `endpoint.json`.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(super) struct Place {
    pub url: String,
    pub api_key: String,
}

impl Place {
    pub fn find(options: &ChatOptions) -> Result<Self, ChatError> {
        if let (Some(url), Some(api_key)) = (&options.url, &options.api_key) {
            return Ok(Self { url: url.clone(), api_key: api_key.clone() });
        }
        let path = options.state.join("endpoint.json");
        let unusable = |reason: String| ChatError::File { path: path.clone(), reason };
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| unusable(error.to_string())),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(ChatError::NoServer),
            Err(error) => Err(unusable(error.to_string())),
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
    use std::path::Path;

    use super::*;

    fn options(state: &Path) -> ChatOptions {
        ChatOptions { text: None, url: None, api_key: None, new: false, conversation: None, state: state.to_owned() }
    }

    #[test]
    fn a_running_server_is_found_by_what_it_wrote_down() {
        let directory = tempfile::tempdir().unwrap();
        let endpoint = r#"{"url":"http://localhost:4000/graphql","realtimeUrl":"ws://x","apiKey":"da2-x"}"#;
        fs::write(directory.path().join("endpoint.json"), endpoint).unwrap();
        let place = Place::find(&options(directory.path())).unwrap();
        assert_eq!(place, Place { url: "http://localhost:4000/graphql".to_owned(), api_key: "da2-x".to_owned() });
    }

    #[test]
    fn an_api_that_is_named_needs_no_server() {
        let named = ChatOptions {
            url: Some("https://api.example.com/graphql".to_owned()),
            api_key: Some("da2-y".to_owned()),
            ..options(Path::new("nowhere"))
        };
        assert_eq!(Place::find(&named).unwrap().url, "https://api.example.com/graphql");
    }

    #[test]
    fn without_a_server_one_sentence_says_what_to_do() {
        let error = Place::find(&options(Path::new("nowhere"))).unwrap_err();
        let sentence =
            "No server runs in this folder: start one with `cargo run`, or name an API with --url and --api-key.";
        assert_eq!(error.to_string(), sentence);
    }

    #[tokio::test]
    async fn a_server_that_has_gone_is_said_to_be_gone() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/graphql", listener.local_addr().unwrap());
        drop(listener);
        let place = Place { url: url.clone(), api_key: "da2-x".to_owned() };
        let api = AppSync::new(&url, client::Credentials::ApiKey("da2-x".to_owned())).unwrap();
        let error = choose_conversation(&api, &options(Path::new("nowhere")), &place, None).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("Nothing answers at {url}: ")), "{error}");
    }
}
