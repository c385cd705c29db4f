//! The models, for the routes of Bedrock and for services that call models themselves.
use std::{fmt::Write, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    response::Response,
};

use super::{
    Guardrail, ScriptedModels, converse_stream,
    forward::{Forwarder, Upstream, router},
    scripted_router,
};
use crate::openai_models::OpenAiModels;

/// Scripted models, those of Amazon Bedrock, or those of an OpenAI-compatible server. Clones share them.
#[derive(Clone)]
pub struct ModelService(Models);

#[derive(Clone)]
enum Models {
    Scripted(ScriptedModels),
    Forwarded(Arc<Forwarder>),
    OpenAi(Arc<OpenAiModels>),
}

impl ModelService {
    pub fn scripted(guardrail: Option<Guardrail>) -> Self {
        Self(Models::Scripted(ScriptedModels::new(guardrail)))
    }

    pub fn forwarded(upstream: Upstream) -> Self {
        Self(Models::Forwarded(Arc::new(Forwarder::new(upstream))))
    }

    pub fn openai(models: OpenAiModels) -> Self {
        Self(Models::OpenAi(Arc::new(models)))
    }

    /// The routes of ConverseStream and Converse. Must be wrapped in `with_iam_guard`.
    pub fn router(&self) -> Router {
        match &self.0 {
            Models::Scripted(models) => scripted_router(models.clone()),
            Models::Forwarded(forwarder) => router(forwarder.clone()),
            Models::OpenAi(models) => models.clone().router(),
        }
    }

    /// Whether AWS bills the answers.
    pub(crate) fn is_billed(&self) -> bool {
        matches!(self.0, Models::Forwarded(_))
    }

    /// The response of ConverseStream. The caller must have been authorized.
    pub(crate) async fn converse_stream(&self, model_id: &str, body: Bytes) -> Response {
        match &self.0 {
            Models::Scripted(models) => {
                converse_stream(State(models.clone()), Path(model_id.to_owned()), Ok(body)).await
            }
            Models::Forwarded(forwarder) => {
                let path = format!("/model/{}/converse-stream", percent_encode(model_id));
                forwarder.forward(&path, body).await
            }
            Models::OpenAi(models) => models.converse_stream(model_id, body).await,
        }
    }
}

/// A segment of a path: an ARN has colons and slashes.
fn percent_encode(segment: &str) -> String {
    segment.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arn_is_one_segment() {
        let arn = "arn:aws:bedrock:us-east-1::foundation-model/a.b-1:0";
        assert_eq!(percent_encode(arn), "arn%3Aaws%3Abedrock%3Aus-east-1%3A%3Afoundation-model%2Fa.b-1%3A0");
    }
}
