//! The operations RetrieveAndGenerate and RetrieveAndGenerateStream: a search, and a model's answer from the
//! passages.
use std::io;

use axum::{
    Json,
    body::{Body, Bytes},
    response::{IntoResponse, Response},
};
use futures::stream;
use http::header::CONTENT_TYPE;
use retrieval::Passage;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    KnowledgeBase,
    answer_parts::{AnswerParser, AnswerPiece, CitedPart},
    generation_request::Generation,
    generation_sessions::Exchange,
    retrieve::retrieved_reference,
    service_error,
};
use crate::bedrock::{
    BedrockError, ModelFailure, ModelService, SESSION_ID_HEADER, TextStream, encode_frame, read_text,
};

/// The permission that a caller needs, beside those for the search and the model. It has no resource.
pub const ACTION: &str = "bedrock:RetrieveAndGenerate";
/// Bedrock's answer where nothing is found.
const NOTHING_FOUND: &str = "Sorry, I am unable to assist you with this request.";
/// Shorter questions of a session are searched for together with the question before, in characters. In
/// Bedrock, a model writes the question anew.
const SHORT_QUESTION: usize = 40;
/// Frames that wait for a slow client.
const WAITING_FRAMES: usize = 16;

/// An answer that has begun.
struct Answer {
    knowledge: KnowledgeBase,
    session_id: String,
    question: String,
    passages: Vec<Passage>,
    parser: AnswerParser,
    /// None where nothing was found.
    model: Option<TextStream>,
    text: String,
    is_over: bool,
}

/// Responds with the whole answer.
pub async fn generate(
    knowledge: &KnowledgeBase,
    models: &ModelService,
    generation: Generation,
) -> Result<Response, BedrockError> {
    let mut answer = Answer::begin(knowledge, models, generation).await?;
    let mut citations = Vec::new();
    while let Some(pieces) = answer.next().await? {
        citations.extend(pieces.iter().filter_map(|piece| answer.citation(piece)));
    }
    let body = json!({
        "sessionId": answer.session_id,
        "output": { "text": answer.text },
        "citations": citations,
        "guardrailAction": "NONE",
    });
    Ok(Json(body).into_response())
}

/// Responds with the events of the answer. An error after the first one is an event, too.
pub async fn generate_stream(
    knowledge: &KnowledgeBase,
    models: &ModelService,
    generation: Generation,
) -> Result<Response, BedrockError> {
    let answer = Answer::begin(knowledge, models, generation).await?;
    let session_id = answer.session_id.clone();
    let (sender, receiver) = mpsc::channel(WAITING_FRAMES);
    tokio::spawn(send_events(answer, sender));
    let frames = stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) });
    let headers = [(CONTENT_TYPE.as_str(), "application/vnd.amazon.eventstream"), (SESSION_ID_HEADER, &session_id)];
    Ok((headers, Body::from_stream(frames)).into_response())
}

/// Ends early when the client is gone.
async fn send_events(mut answer: Answer, sender: mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let next = tokio::select! {
            next = answer.next() => next,
            () = sender.closed() => return,
        };
        let (frames, is_over) = match next {
            Ok(Some(pieces)) => (pieces.iter().filter_map(|piece| answer.event(piece)).collect(), false),
            Ok(None) => (vec![encode_frame("event", ":event-type", "guardrail", guardrail_event())], true),
            Err(error) => (vec![exception_frame(&error)], true),
        };
        for frame in frames {
            if sender.send(frame).await.is_err() {
                return;
            }
        }
        if is_over {
            return;
        }
    }
}

impl Answer {
    /// Searches, and asks the model unless nothing is found.
    async fn begin(
        knowledge: &KnowledgeBase,
        models: &ModelService,
        generation: Generation,
    ) -> Result<Self, BedrockError> {
        let (session_id, exchanges) = knowledge.0.sessions.open(generation.session_id.as_deref())?;
        let text = search_text(&generation.question, exchanges.last());
        let passages = generation.search.clone().with_text(text).run(knowledge).await?.passages;
        let model = if passages.is_empty() {
            None
        } else {
            let body = model_request(&generation, &exchanges, &passages);
            let response = models.converse_stream(&generation.model_id, body).await;
            Some(read_text(response).await.map_err(model_error)?)
        };
        let citable = if generation.prompt.asks_for_citations() { passages.len() } else { 0 };
        Ok(Self {
            knowledge: knowledge.clone(),
            session_id,
            question: generation.question,
            passages,
            parser: AnswerParser::new(citable),
            model,
            text: String::new(),
            is_over: false,
        })
    }

    /// The next pieces of the answer. None at its end, which adds it to the session.
    async fn next(&mut self) -> Result<Option<Vec<AnswerPiece>>, BedrockError> {
        if self.is_over {
            let exchange = Exchange { question: self.question.clone(), answer: self.text.clone() };
            self.knowledge.0.sessions.add(&self.session_id, exchange);
            return Ok(None);
        }
        let text = match &mut self.model {
            Some(model) => model.next().await.map_err(model_error)?,
            None => None,
        };
        let mut pieces = match (&text, &self.model) {
            (Some(text), _) => self.parser.push(text),
            (None, Some(_)) => std::mem::replace(&mut self.parser, AnswerParser::new(0)).finish(),
            (None, None) => vec![AnswerPiece::Text(NOTHING_FOUND.to_owned())],
        };
        self.is_over = text.is_none();
        pieces.retain(|piece| *piece != AnswerPiece::Text(String::new()));
        for piece in &pieces {
            if let AnswerPiece::Text(text) = piece {
                self.text.push_str(text);
            }
        }
        Ok(Some(pieces))
    }

    fn citation(&self, piece: &AnswerPiece) -> Option<Value> {
        let AnswerPiece::Citation(CitedPart { text, start, end, passages }) = piece else { return None };
        let cited = passages.iter().filter_map(|number| self.passages.get(number - 1));
        Some(json!({
            "generatedResponsePart": {
                "textResponsePart": { "text": text, "span": { "start": start, "end": end } },
            },
            "retrievedReferences": cited.map(retrieved_reference).collect::<Vec<Value>>(),
        }))
    }

    fn event(&self, piece: &AnswerPiece) -> Option<io::Result<Bytes>> {
        let (name, payload) = match piece {
            AnswerPiece::Text(text) => ("output", json!({ "text": text })),
            AnswerPiece::Citation(_) => {
                let mut payload = self.citation(piece)?;
                // The member `citation` is deprecated, and still sent.
                payload["citation"] = payload.clone();
                ("citation", payload)
            }
        };
        Some(encode_frame("event", ":event-type", name, payload.to_string()))
    }
}

fn search_text(question: &str, before: Option<&Exchange>) -> String {
    match before {
        Some(before) if question.chars().count() < SHORT_QUESTION => format!("{}\n{question}", before.question),
        _ => question.to_owned(),
    }
}

/// The body of ConverseStream.
fn model_request(generation: &Generation, exchanges: &[Exchange], passages: &[Passage]) -> Bytes {
    // A model refuses a message without text.
    let exchanges = exchanges.iter().filter(|exchange| !exchange.answer.trim().is_empty());
    let mut messages: Vec<Value> = exchanges.flat_map(Exchange::messages).collect();
    let content = generation.prompt.content(&generation.question, passages);
    messages.push(json!({ "role": "user", "content": content }));
    let mut request = json!(generation.model_settings);
    request["messages"] = json!(messages);
    request.to_string().into()
}

fn model_error(ModelFailure { error_type, message }: ModelFailure) -> BedrockError {
    service_error::of_model(&error_type, message)
}

fn guardrail_event() -> String {
    json!({ "action": "NONE" }).to_string()
}

/// The names of events begin in lower case.
fn exception_frame(error: &BedrockError) -> io::Result<Bytes> {
    let (error_type, message) = error.parts();
    let name = match error_type {
        "ValidationException" => "validationException",
        "AccessDeniedException" => "accessDeniedException",
        "ResourceNotFoundException" => "resourceNotFoundException",
        "ThrottlingException" => "throttlingException",
        "ServiceQuotaExceededException" => "serviceQuotaExceededException",
        "DependencyFailedException" => "dependencyFailedException",
        _ => "internalServerException",
    };
    encode_frame("exception", ":exception-type", name, json!({ "message": message }).to_string())
}
