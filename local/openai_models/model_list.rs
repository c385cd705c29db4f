//! Which models a server has, and which of them answers for a model of Bedrock.
use std::time::Duration;

use reqwest::{Client, StatusCode, redirect::Policy};
use serde::Deserialize;

use super::server_options::{ModelKey, ModelName, ModelServer};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A server that loads a model while it lists its models takes its time.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);
/// A list of a thousand models has less.
const MAX_LIST_BYTES: usize = 4 << 20;
/// How many names an error shows.
const MAX_SHOWN_NAMES: usize = 20;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelServerError {
    #[error(
        "no model server answers at {url}: start one, for example with `ollama serve` or `llama-server`, or give \
         another URL with --models"
    )]
    Unreachable { url: String },
    #[error("the model server at {url} does not list its models in time")]
    TimedOut { url: String },
    #[error("the model server at {url} refuses the key: give it with --model-key or in PARLANCE_MODEL_KEY")]
    KeyRefused { url: String },
    #[error("there is no OpenAI-compatible server at {url}: {url}/models gives {answer}; most such URLs end with /v1")]
    NotCompatible { url: String, answer: String },
    #[error("the model server at {url} has no model: load one, for example with `ollama pull qwen3:4b`")]
    NoModel { url: String },
    #[error("the model server at {url} has no model {name}; it has {names}")]
    UnknownName { url: String, name: String, names: String },
    #[error("the client of --models cannot be made: {0}")]
    Client(String),
}

/// The models of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedModels {
    /// As the server lists them; at least one.
    listed: Vec<String>,
    names: Vec<ModelName>,
}

#[derive(Deserialize)]
struct ModelList {
    data: Option<Vec<ListedModel>>,
}

#[derive(Deserialize)]
struct ListedModel {
    id: String,
}

/// A client without a limit on the time of an answer: whoever waits for the answer has one.
pub fn http_client() -> Result<Client, ModelServerError> {
    // A redirect would send the conversation elsewhere. Each request has a connection of its own: some
    // servers close one after a response, without a word, while the next request is on its way.
    let client = Client::builder().connect_timeout(CONNECT_TIMEOUT).redirect(Policy::none()).pool_max_idle_per_host(0);
    client.build().map_err(|error| ModelServerError::Client(error.to_string()))
}

/// The names of the server's models.
pub async fn list_models(client: &Client, server: &ModelServer) -> Result<Vec<String>, ModelServerError> {
    let url = server.url.to_string();
    let mut request = client.get(server.url.join("/models")).timeout(LIST_TIMEOUT);
    if let Some(key) = server.key.as_ref().map(ModelKey::expose) {
        request = request.bearer_auth(key);
    }
    let mut response = request.send().await.map_err(|error| match error.is_timeout() && !error.is_connect() {
        true => ModelServerError::TimedOut { url: url.clone() },
        false => ModelServerError::Unreachable { url: url.clone() },
    })?;
    let answer = |answer: String| ModelServerError::NotCompatible { url: url.clone(), answer };
    match response.status() {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(ModelServerError::KeyRefused { url }),
        status if !status.is_success() => return Err(answer(status.to_string())),
        _ => {}
    }
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_LIST_BYTES {
            break;
        }
    }
    let list: ModelList = serde_json::from_slice(&body).map_err(|_| answer("no list of models".into()))?;
    Ok(list.data.unwrap_or_default().into_iter().map(|model| model.id).collect())
}

impl ServedModels {
    /// Fails without a model, and on a name that the server does not list.
    pub fn new(server: &ModelServer, listed: Vec<String>) -> Result<Self, ModelServerError> {
        let url = server.url.to_string();
        if listed.is_empty() {
            return Err(ModelServerError::NoModel { url });
        }
        let mut names = server.names.clone();
        for ModelName { name, .. } in &mut names {
            match listed_name(&listed, name) {
                Some(listed) => listed.clone_into(name),
                None => {
                    return Err(ModelServerError::UnknownName {
                        url,
                        name: name.clone(),
                        names: joined_names(&listed),
                    });
                }
            }
        }
        Ok(Self { listed, names })
    }

    /// The name of the model that answers for a model id or ARN of Bedrock: the one given for it, the model
    /// of that name, or the one for every other.
    pub fn name_for(&self, model_id: &str) -> &str {
        // The ids in ARNs have no slash.
        let id = if model_id.starts_with("arn:") { model_id.rsplit('/').next().unwrap_or(model_id) } else { model_id };
        let is_given =
            |name: &&ModelName| name.bedrock_id.as_deref().is_some_and(|given| given == model_id || given == id);
        let given = self.names.iter().find(is_given).map(|name| name.name.as_str());
        given.or_else(|| listed_name(&self.listed, id)).unwrap_or_else(|| self.default_name())
    }

    /// The model without an id of Bedrock, or the first that the server lists and that writes text.
    pub fn default_name(&self) -> &str {
        let given = self.names.iter().rfind(|name| name.bedrock_id.is_none()).map(|name| &name.name);
        let listed = || self.listed.iter().find(|name| !name.to_lowercase().contains("embed"));
        given.or_else(listed).or(self.listed.first()).map(String::as_str).unwrap_or_default()
    }

    /// What the message at the start says: `qwen3:4b`, or with ids of Bedrock
    /// `us.amazon.nova-2-lite-v1:0 is gemma3:4b, others are qwen3:4b`.
    pub fn description(&self) -> String {
        let mapped = self.names.iter().filter_map(|ModelName { bedrock_id, name }| Some((bedrock_id.as_ref()?, name)));
        let mut parts: Vec<String> = mapped.map(|(id, name)| format!("{id} is {name}")).collect();
        if parts.is_empty() {
            return self.default_name().to_owned();
        }
        parts.push(format!("others are {}", self.default_name()));
        parts.join(", ")
    }
}

/// Ollama lists `qwen3` as `qwen3:latest`.
fn listed_name<'a>(listed: &'a [String], name: &str) -> Option<&'a str> {
    let is_latest = |listed: &&String| listed.strip_suffix(":latest") == Some(name);
    let found = listed.iter().find(|listed| *listed == name).or_else(|| listed.iter().find(is_latest));
    found.map(String::as_str)
}

fn joined_names(names: &[String]) -> String {
    let first = names.iter().take(MAX_SHOWN_NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MAX_SHOWN_NAMES) {
        0 => first,
        rest => format!("{first} and {rest} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(names: &[&str]) -> ModelServer {
        ModelServer {
            url: "http://localhost:11434".parse().unwrap(),
            key: None,
            names: names.iter().map(|name| name.parse().unwrap()).collect(),
        }
    }

    fn served(names: &[&str], listed: &[&str]) -> Result<ServedModels, ModelServerError> {
        ServedModels::new(&server(names), listed.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn model_ids_of_bedrock_become_names() {
        let listed = ["nomic-embed-text:latest", "qwen3:latest", "gemma3:4b"];
        let first = served(&[], &listed).unwrap();
        assert_eq!(first.description(), "qwen3:latest");
        for (id, name) in [("us.amazon.nova-2-lite-v1:0", "qwen3:latest"), ("gemma3:4b", "gemma3:4b")] {
            assert_eq!(first.name_for(id), name);
        }
        let mapped = served(&["qwen3", "us.a.b-1:0=gemma3:4b"], &listed).unwrap();
        assert_eq!(mapped.description(), "us.a.b-1:0 is gemma3:4b, others are qwen3:latest");
        for (id, name) in [
            ("us.a.b-1:0", "gemma3:4b"),
            ("arn:aws:bedrock:us-east-1:1:inference-profile/us.a.b-1:0", "gemma3:4b"),
            ("a.b-1:0", "qwen3:latest"),
        ] {
            assert_eq!(mapped.name_for(id), name, "{id}");
        }
    }

    #[test]
    fn missing_models_are_said_in_one_sentence() {
        let none = served(&[], &[]).unwrap_err().to_string();
        assert!(none.starts_with("the model server at http://localhost:11434/v1 has no model: load one"), "{none}");
        let unknown = served(&["qwen"], &["a", "b"]).unwrap_err().to_string();
        assert_eq!(unknown, "the model server at http://localhost:11434/v1 has no model qwen; it has a, b");
        assert_eq!(joined_names(&vec!["a".to_owned(); 22]), format!("{}a and 2 more", "a, ".repeat(19)));
    }
}
