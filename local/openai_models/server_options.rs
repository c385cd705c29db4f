//! The options that name an OpenAI-compatible server and its models.
use std::{env, fmt, str::FromStr};

use reqwest::Url;

/// The variable with the server's key, for those who do not want it on a command line.
const KEY_VARIABLE: &str = "PARLANCE_MODEL_KEY";

#[derive(Clone, Debug, Default, clap::Args)]
pub struct ModelServerOptions {
    #[command(flatten)]
    address: ModelServerAddress,
    /// The server's model that answers, or the one that answers for a Bedrock model id; may be repeated.
    #[arg(long = "model", value_name = "[BEDROCK_ID=]NAME", requires = "models_url")]
    model_names: Vec<ModelName>,
}

#[derive(Clone, Debug, Default, clap::Args)]
pub struct ModelServerAddress {
    /// Let the models of an OpenAI-compatible server answer (Ollama, llama-server, LM Studio, vLLM):
    /// http://localhost:11434/v1
    #[arg(long = "models", value_name = "URL", conflicts_with = "bedrock")]
    models_url: Option<ModelServerUrl>,
    /// The server's key; the variable PARLANCE_MODEL_KEY keeps it off the command line.
    #[arg(long, value_name = "KEY", requires = "models_url")]
    model_key: Option<ModelKey>,
}

/// An OpenAI-compatible server, and which of its models answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelServer {
    pub url: ModelServerUrl,
    pub key: Option<ModelKey>,
    pub names: Vec<ModelName>,
}

/// Without a slash at the end: `http://localhost:11434/v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelServerUrl(String);

/// Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct ModelKey(String);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelName {
    /// `None` for every model that has no name of its own.
    pub bedrock_id: Option<String>,
    pub name: String,
}

impl ModelServerOptions {
    /// The server, if there is a URL.
    pub fn server(self) -> Option<ModelServer> {
        self.address.server(self.model_names)
    }
}

impl ModelServerAddress {
    /// The server, if there is a URL.
    pub fn server(self, names: Vec<ModelName>) -> Option<ModelServer> {
        let key = self.model_key.or_else(|| env::var(KEY_VARIABLE).ok()?.parse().ok());
        Some(ModelServer { url: self.models_url?, key, names })
    }
}

impl ModelServerUrl {
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

impl ModelKey {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// A URL without a path gets `/v1`.
impl FromStr for ModelServerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut url = Url::parse(text).map_err(|error| format!("it must be a URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("it must be an http or https URL".into());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it must not have a password in it: give a key by --model-key".into());
        }
        url.set_query(None);
        url.set_fragment(None);
        let path = url.path().trim_end_matches('/').trim_end_matches("/chat/completions").to_owned();
        url.set_path(if path.is_empty() { "/v1" } else { &path });
        Ok(Self(url.into()))
    }
}

impl FromStr for ModelKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "" => Err("the key is empty"),
            key if !key.bytes().all(|byte| byte.is_ascii_graphic()) => Err("the key has characters of no key"),
            key => Ok(Self(key.to_owned())),
        }
    }
}

impl FromStr for ModelName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (bedrock_id, name) = match text.split_once('=') {
            Some((id, name)) => (Some(id.to_owned()), name),
            None => (None, text),
        };
        if name.is_empty() || bedrock_id.as_deref() == Some("") {
            return Err("it must be NAME or BEDROCK_ID=NAME");
        }
        Ok(Self { bedrock_id, name: name.to_owned() })
    }
}

impl fmt::Display for ModelServerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for ModelKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ModelKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_that_of_the_api() {
        for (text, expected) in [
            ("http://localhost:11434", "http://localhost:11434/v1"),
            ("http://localhost:11434/", "http://localhost:11434/v1"),
            ("https://models.example.com/openai/v1/", "https://models.example.com/openai/v1"),
            ("http://localhost:8000/v1/chat/completions", "http://localhost:8000/v1"),
        ] {
            assert_eq!(text.parse::<ModelServerUrl>().unwrap().to_string(), expected);
        }
        for text in ["localhost:11434", "ftp://localhost", "http://ann:secret@localhost", ""] {
            assert!(text.parse::<ModelServerUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn key_is_never_printed() {
        let key: ModelKey = "sk-secret".parse().unwrap();
        assert_eq!((format!("{key:?}").as_str(), key.expose()), ("ModelKey", "sk-secret"));
        assert!(["", " ", "two words", "line\nbreak"].iter().all(|text| text.parse::<ModelKey>().is_err()));
    }

    #[test]
    fn name_may_be_that_of_one_bedrock_id() {
        let name = |bedrock_id: Option<&str>, name: &str| ModelName {
            bedrock_id: bedrock_id.map(str::to_owned),
            name: name.to_owned(),
        };
        assert_eq!("qwen3:4b".parse(), Ok(name(None, "qwen3:4b")));
        assert_eq!("us.amazon.nova-2=a=b".parse(), Ok(name(Some("us.amazon.nova-2"), "a=b")));
        assert!(["", "=a", "a="].iter().all(|text| text.parse::<ModelName>().is_err()));
    }
}
