//! The Lambda that answers turns: claims one, reads what was said, streams the model, publishes.
pub mod settings;

pub mod errors;
pub mod relay;

mod aws;

use std::{sync::Arc, time::SystemTime};

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use tracing::{Instrument, info_span};
use turn::{
    attempt::{Attempt, Beginning, Ended},
    claim::Refusal,
    limits::Limits,
    mutation::Why,
    request::{Agent, Invocation, TurnRequest},
    transcript::{Material, older_events_wanted, transcript},
    words::{ModelRequest, TranscriptMessage},
};

use crate::{aws::Aws, errors::HandlerError, settings::Settings};

/// Serves invocations until the environment ends: what the binary `bootstrap` does, and each environment of the laptop
/// edition. Sets the process's tracing subscriber.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    lambda_runtime::tracing::init_default_subscriber();
    let settings = Settings::read(|name| std::env::var(name).ok())?;
    let aws = Arc::new(Aws::connect(&settings).await?);
    lambda_runtime::run(service_fn(move |event| serve(event, Arc::clone(&aws), settings.clone()))).await
}

async fn serve(event: LambdaEvent<Value>, aws: Arc<Aws>, settings: Settings) -> Result<(), HandlerError> {
    let began = relay::now();
    let left = event.context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
    let limits = Limits::within(began, left);
    match serde_json::from_value(event.payload).map_err(HandlerError::payload)? {
        Invocation::Turn(request) => {
            let span =
                info_span!("turn", conversation = request.conversation_id, turn = request.turn_id, run = request.run);
            answer(*request, limits, &aws, &settings).instrument(span).await
        }
        Invocation::Purge(request) => {
            let span = info_span!("purge", conversation = request.conversation_id);
            Ok(aws.table.purge(&request.conversation_id).instrument(span).await?)
        }
    }
}

async fn answer(request: TurnRequest, limits: Limits, aws: &Aws, settings: &Settings) -> Result<(), HandlerError> {
    let claim = match aws.table.claim(&request, SystemTime::now()).await? {
        Ok(claim) => claim,
        Err(refusal) => return refused(refusal),
    };
    let attempt = claim.attempt;
    let continues = request.continues.unwrap_or(false);
    let mut material = material(&request)?;
    read_older_events(&mut material, &request.conversation_id, aws).await?;
    let ask = ask(&request.agent, transcript(&material));
    let TurnRequest { agent, .. } = request;
    let Material { question, .. } = material;
    let beginning = Beginning { claim, agent, question, continues, request: ask, bounds: settings.bounds, limits };
    let mut turn = Attempt::begin(beginning, relay::now());
    let ended = relay::relay(&mut turn, aws).await;
    report(attempt, ended, &turn);
    match ended {
        Ended::Published | Ended::Superseded => Ok(()),
        Ended::Unannounced => Err(HandlerError::Unannounced),
        Ended::OutOfTime => Err(HandlerError::OutOfTime),
    }
}

fn refused(refusal: Refusal) -> Result<(), HandlerError> {
    tracing::info!(?refusal, "not claimed");
    if refusal.is_worth_another_look() { Err(HandlerError::Leased) } else { Ok(()) }
}

fn material(request: &TurnRequest) -> Result<Material, HandlerError> {
    Ok(Material {
        history: request.history.clone(),
        history_cut: request.history_cut.unwrap_or(false),
        question: request.question.clone().ok_or(HandlerError::Payload)?,
        standing: Vec::new(),
        context_bytes: request.agent.context_bytes,
    })
}

async fn read_older_events(material: &mut Material, conversation: &str, aws: &Aws) -> Result<(), HandlerError> {
    while let Some(wanted) = older_events_wanted(material) {
        let mut older = aws.table.events_before(conversation, wanted).await?;
        material.history_cut = !older.is_empty();
        older.append(&mut material.history);
        material.history = older;
    }
    Ok(())
}

fn ask(agent: &Agent, transcript: Vec<TranscriptMessage>) -> ModelRequest {
    ModelRequest {
        model_id: agent.model_id.clone(),
        system_prompt: agent.system_prompt.clone(),
        inference: agent.inference.clone().unwrap_or_default(),
        transcript,
    }
}

fn report(attempt: u32, ended: Ended, turn: &Attempt) {
    let updates = turn.updates();
    match turn.why() {
        Some(Why::Failed(failure)) => errors::log_failure(attempt, updates, ended, &failure),
        Some(Why::Stopped(reason)) => tracing::info!(attempt, updates, ?reason, ?ended, "answered"),
        None => tracing::warn!(attempt, updates, ?ended, "not answered"),
    }
}
