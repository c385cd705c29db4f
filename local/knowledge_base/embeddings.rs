//! Vectors of an OpenAI-compatible server.
use std::{env, fmt, str::FromStr, sync::Arc, time::Duration};

use reqwest::{Client, Response, StatusCode, Url, redirect::Policy};
use retrieval::{EmbedError, Embedder, TextKind, Vectors};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{runtime::Handle, time::sleep};

/// The variable with the server's key, if it asks for one.
const KEY_VARIABLE: &str = "EMBEDDINGS_API_KEY";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Shorter than the handler waits for a search.
const QUERY_TIMEOUT: Duration = Duration::from_secs(15);
/// For a batch of passages: a model without a GPU takes its time.
const PASSAGE_TIMEOUT: Duration = Duration::from_secs(120);
/// How often a batch of passages is sent at most. A question is sent once.
const MAX_TRIES: u32 = 3;
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// A batch of 32 vectors of 4,096 components has less.
const MAX_RESPONSE_BYTES: usize = 16 << 20;
/// What is shown of an error's message, in characters.
const MAX_MESSAGE_CHARACTERS: usize = 200;

/// How texts become vectors.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct EmbeddingsOptions {
    /// Search by meaning, with the vectors of an OpenAI-compatible server: http://localhost:11434/v1
    #[arg(long = "embeddings", value_name = "URL", requires = "knowledge")]
    pub url: Option<EmbeddingsUrl>,
    /// Name of the server's model, or QUERY,PASSAGE where questions and passages have different ones
    #[arg(long = "embeddings-model", value_name = "NAME", requires = "url")]
    pub model: Option<ModelNames>,
}

/// The URL to which texts are posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddingsUrl(Url);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelNames {
    query: String,
    passage: String,
}

#[derive(Debug, thiserror::Error)]
#[error("the client of --embeddings cannot be made: {0}")]
pub struct EmbedderError(#[from] reqwest::Error);

/// Calls block, and must be made on a thread that is not one of the runtime's workers.
struct HttpEmbedder {
    name: String,
    url: Url,
    model: Option<ModelNames>,
    key: Option<String>,
    client: Client,
    runtime: Handle,
}

/// Why one try failed.
struct TryError {
    error: EmbedError,
    may_succeed_later: bool,
}

#[derive(Deserialize)]
struct EmbeddingsResponse {
    data: Vec<Embedding>,
}

#[derive(Deserialize)]
struct Embedding {
    index: usize,
    embedding: Vec<f32>,
}

impl EmbeddingsOptions {
    /// Must be called within a tokio runtime that runs as long as the vectors are used.
    pub fn vectors(&self) -> Result<Vectors, EmbedderError> {
        match &self.url {
            Some(url) => Ok(Vectors::Embedded(Arc::new(HttpEmbedder::new(url, self.model.clone())?))),
            None => Ok(Vectors::HashedNgrams),
        }
    }
}

/// Appends what is missing of `/v1/embeddings`.
impl FromStr for EmbeddingsUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut url = Url::parse(text).map_err(|error| format!("it must be a URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("it must be an http or https URL".into());
        }
        let path = url.path().trim_end_matches('/');
        let path = match path {
            "" => "/v1/embeddings".to_owned(),
            path if path.ends_with("/embeddings") => path.to_owned(),
            path => format!("{path}/embeddings"),
        };
        url.set_path(&path);
        Ok(Self(url))
    }
}

impl FromStr for ModelNames {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (query, passage) = text.split_once(',').unwrap_or((text, text));
        if query.is_empty() || passage.is_empty() {
            return Err("a name is empty");
        }
        Ok(Self { query: query.to_owned(), passage: passage.to_owned() })
    }
}

impl HttpEmbedder {
    fn new(EmbeddingsUrl(url): &EmbeddingsUrl, model: Option<ModelNames>) -> Result<Self, reqwest::Error> {
        let name = match &model {
            Some(ModelNames { query, passage }) => format!("{url} {query} {passage}"),
            None => url.to_string(),
        };
        // A redirect would send documents elsewhere.
        let client = Client::builder().connect_timeout(CONNECT_TIMEOUT).redirect(Policy::none()).build()?;
        let key = env::var(KEY_VARIABLE).ok().filter(|key| !key.is_empty());
        Ok(Self { name, url: url.clone(), model, key, client, runtime: Handle::current() })
    }

    async fn embed_with_retries(&self, texts: &[&str], kind: TextKind) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut tries = 1;
        loop {
            match self.try_embed(texts, kind).await {
                Ok(vectors) => return Ok(vectors),
                Err(TryError { may_succeed_later: true, .. }) if kind == TextKind::Passage && tries < MAX_TRIES => {
                    sleep(RETRY_DELAY * tries).await;
                    tries += 1;
                }
                Err(TryError { error, .. }) => return Err(error),
            }
        }
    }

    async fn try_embed(&self, texts: &[&str], kind: TextKind) -> Result<Vec<Vec<f32>>, TryError> {
        let timeout = match kind {
            TextKind::Query => QUERY_TIMEOUT,
            TextKind::Passage => PASSAGE_TIMEOUT,
        };
        let mut request = self.client.post(self.url.clone()).timeout(timeout).json(&self.request(texts, kind));
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let body = self.read(response).await?;
        if !status.is_success() {
            return Err(self.refusal(status, &body));
        }
        let response: EmbeddingsResponse =
            serde_json::from_slice(&body).map_err(|_| self.unavailable("gives no embeddings"))?;
        let mut data = response.data;
        data.sort_by_key(|embedding| embedding.index);
        Ok(data.into_iter().map(|embedding| embedding.embedding).collect())
    }

    fn request(&self, texts: &[&str], kind: TextKind) -> Value {
        let mut request = json!({ "input": texts, "encoding_format": "float" });
        if let Some(ModelNames { query, passage }) = &self.model {
            request["model"] = match kind {
                TextKind::Query => json!(query),
                TextKind::Passage => json!(passage),
            };
        }
        request
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, TryError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_RESPONSE_BYTES {
                return Err(self.unavailable("gives a response that is too long"));
            }
        }
        Ok(body)
    }

    /// Texts that the model cannot take fail alone; any other refusal would meet all texts.
    fn refusal(&self, status: StatusCode, body: &[u8]) -> TryError {
        let message = format!("{} answers {status}: {}", self.url, error_message(body));
        let are_texts_refused = matches!(
            status,
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY
        );
        let may_succeed_later = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        let error = if are_texts_refused { EmbedError::Refused(message) } else { EmbedError::Unavailable(message) };
        TryError { error, may_succeed_later }
    }

    fn unreachable(&self, error: &reqwest::Error) -> TryError {
        let reason = if error.is_timeout() { "does not answer in time" } else { "cannot be reached" };
        TryError { may_succeed_later: true, ..self.unavailable(reason) }
    }

    fn unavailable(&self, reason: &str) -> TryError {
        let error = EmbedError::Unavailable(format!("{} {reason}.", self.url));
        TryError { error, may_succeed_later: false }
    }
}

impl Embedder for HttpEmbedder {
    fn name(&self) -> &str {
        &self.name
    }

    fn embed(&self, texts: &[&str], kind: TextKind) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.runtime.block_on(self.embed_with_retries(texts, kind))
    }
}

/// OpenAI's servers answer `{"error": {"message": …}}`, others `{"error": …}` or plain text.
fn error_message(body: &[u8]) -> String {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = &json["error"];
    let message = error["message"].as_str().or(error.as_str()).map(str::to_owned);
    let message = message.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    message.chars().filter(|character| !character.is_control()).take(MAX_MESSAGE_CHARACTERS).collect()
}

impl fmt::Display for EmbeddingsUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::{Json, Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
    use tokio::{net::TcpListener, task::spawn_blocking};

    use super::*;

    /// Gives its responses in order, the last one again and again, and keeps the requests.
    struct EmbeddingsServer {
        url: EmbeddingsUrl,
        requests: Arc<Mutex<Vec<Value>>>,
    }

    type ServerState = (Arc<Mutex<Vec<Value>>>, Arc<Vec<(u16, Value)>>);

    impl EmbeddingsServer {
        async fn start(responses: Vec<(u16, Value)>) -> Self {
            let requests = Arc::new(Mutex::new(Vec::new()));
            let state = (requests.clone(), Arc::new(responses));
            let router = Router::new().route("/v1/embeddings", post(respond)).with_state(state);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
            tokio::spawn(async move { axum::serve(listener, router).await });
            Self { url, requests }
        }

        async fn embed(&self, model: Option<&str>, kind: TextKind) -> Result<Vec<Vec<f32>>, EmbedError> {
            let model = model.map(|model| model.parse().unwrap());
            let embedder = HttpEmbedder::new(&self.url, model).unwrap();
            spawn_blocking(move || embedder.embed(&["a", "b"], kind)).await.unwrap()
        }

        fn requests(&self) -> Vec<Value> {
            self.requests.lock().unwrap().clone()
        }
    }

    async fn respond(
        State((requests, responses)): State<ServerState>,
        headers: HeaderMap,
        body: Bytes,
    ) -> (StatusCode, Json<Value>) {
        assert_eq!(headers["content-type"], "application/json");
        let mut requests = requests.lock().unwrap();
        let (status, response) = responses.get(requests.len()).or(responses.last()).unwrap();
        requests.push(serde_json::from_slice(&body).unwrap());
        (StatusCode::from_u16(*status).unwrap(), Json(response.clone()))
    }

    fn two_vectors() -> Value {
        json!({ "data": [
            { "index": 1, "object": "embedding", "embedding": [0.0, 1.0] },
            { "index": 0, "object": "embedding", "embedding": [1.0, 0.0] },
        ] })
    }

    #[tokio::test]
    async fn vectors_are_in_the_order_of_the_texts() {
        let server = EmbeddingsServer::start(vec![(200, two_vectors())]).await;
        let vectors = server.embed(None, TextKind::Passage).await.unwrap();
        assert_eq!(vectors, [[1.0, 0.0], [0.0, 1.0]]);
        assert_eq!(server.requests(), [json!({ "input": ["a", "b"], "encoding_format": "float" })]);
    }

    #[tokio::test]
    async fn questions_and_passages_may_have_different_models() {
        let server = EmbeddingsServer::start(vec![(200, two_vectors())]).await;
        for (model, kind) in [
            ("e5-query,e5-passage", TextKind::Query),
            ("e5-query,e5-passage", TextKind::Passage),
            ("nomic", TextKind::Passage),
        ] {
            server.embed(Some(model), kind).await.unwrap();
        }
        let models: Vec<Value> = server.requests().iter().map(|request| request["model"].clone()).collect();
        assert_eq!(models, ["e5-query", "e5-passage", "nomic"]);
    }

    #[tokio::test]
    async fn busy_server_is_asked_again_for_passages_only() {
        let busy = || (503, json!({ "error": "loading" }));
        let server = EmbeddingsServer::start(vec![busy(), (200, two_vectors())]).await;
        assert!(server.embed(None, TextKind::Passage).await.is_ok());
        let server = EmbeddingsServer::start(vec![busy()]).await;
        let message = format!("{} answers 503 Service Unavailable: loading", server.url);
        assert_eq!(server.embed(None, TextKind::Query).await, Err(EmbedError::Unavailable(message)));
        assert_eq!(server.requests().len(), 1);
    }

    #[tokio::test]
    async fn refused_texts_are_told_from_a_model_that_does_not_exist() {
        let error = json!({ "error": { "message": "input is too long" } });
        let server = EmbeddingsServer::start(vec![(400, error.clone())]).await;
        let message = format!("{} answers 400 Bad Request: input is too long", server.url);
        assert_eq!(server.embed(None, TextKind::Passage).await, Err(EmbedError::Refused(message)));
        let server = EmbeddingsServer::start(vec![(404, error)]).await;
        let result = server.embed(None, TextKind::Passage).await;
        assert!(matches!(result, Err(EmbedError::Unavailable(_))), "{result:?}");
        assert_eq!(server.requests().len(), 1);
    }

    #[tokio::test]
    async fn response_without_embeddings_is_an_error() {
        let server = EmbeddingsServer::start(vec![(200, json!({ "data": "none" }))]).await;
        let message = format!("{} gives no embeddings.", server.url);
        assert_eq!(server.embed(None, TextKind::Query).await, Err(EmbedError::Unavailable(message)));
    }

    #[tokio::test]
    async fn server_that_does_not_run_is_named() {
        let url: EmbeddingsUrl = "http://127.0.0.1:1/v1".parse().unwrap();
        let embedder = HttpEmbedder::new(&url, None).unwrap();
        let result = spawn_blocking(move || embedder.embed(&["a"], TextKind::Query)).await.unwrap();
        let message = "http://127.0.0.1:1/v1/embeddings cannot be reached.";
        assert_eq!(result, Err(EmbedError::Unavailable(message.into())));
    }

    #[test]
    fn path_of_the_url_is_completed() {
        for (given, expected) in [
            ("http://localhost:11434", "http://localhost:11434/v1/embeddings"),
            ("http://localhost:11434/v1/", "http://localhost:11434/v1/embeddings"),
            ("https://a.example/api/embeddings", "https://a.example/api/embeddings"),
        ] {
            assert_eq!(given.parse::<EmbeddingsUrl>().unwrap().to_string(), expected);
        }
        assert_eq!("file:///a".parse::<EmbeddingsUrl>(), Err("it must be an http or https URL".into()));
        assert!("localhost:1".parse::<EmbeddingsUrl>().is_err());
        assert_eq!(",passage".parse::<ModelNames>(), Err("a name is empty"));
    }
}
