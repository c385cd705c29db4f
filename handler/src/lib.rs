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
    claim::{Claim, Refusal},
    limits::Limits,
    mutation::Why,
    request::{Invocation, TurnRequest},
    transcript::{older_events_wanted, transcript},
    words::ModelRequest,
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

async fn answer(mut request: TurnRequest, limits: Limits, aws: &Aws, settings: &Settings) -> Result<(), HandlerError> {
    let claim = match aws.table.claim(&request, SystemTime::now()).await? {
        Ok(claim) => claim,
        Err(refusal) => return refused(refusal),
    };
    read_older_events(&mut request, aws).await?;
    let attempt = claim.attempt;
    let mut turn = Attempt::begin(beginning(request, claim, limits, settings), relay::now());
    let ended = relay::relay(&mut turn, aws).await;
    report(attempt, ended, &turn);
    match ended {
        Ended::Published | Ended::Superseded => Ok(()),
        Ended::Refused => Err(HandlerError::Refused),
        Ended::OutOfTime => Err(HandlerError::OutOfTime),
    }
}

fn refused(refusal: Refusal) -> Result<(), HandlerError> {
    tracing::info!(?refusal, "not claimed");
    if refusal.is_worth_another_look() { Err(HandlerError::Leased) } else { Ok(()) }
}

async fn read_older_events(request: &mut TurnRequest, aws: &Aws) -> Result<(), HandlerError> {
    while let Some(wanted) = older_events_wanted(request) {
        let mut older = aws.table.events_before(&request.conversation_id, wanted).await?;
        request.history_cut = Some(!older.is_empty());
        older.append(&mut request.history);
        request.history = older;
    }
    Ok(())
}

fn beginning(request: TurnRequest, claim: Claim, limits: Limits, settings: &Settings) -> Beginning {
    let ask = ModelRequest {
        model_id: request.agent.model_id.clone(),
        system_prompt: request.agent.system_prompt.clone(),
        inference: request.agent.inference.clone().unwrap_or_default(),
        transcript: transcript(&request),
    };
    let TurnRequest { agent, question, .. } = request;
    Beginning { claim, agent, question, request: ask, bounds: settings.bounds, limits }
}

fn report(attempt: u32, ended: Ended, turn: &Attempt) {
    let updates = turn.updates();
    match turn.why() {
        Some(Why::Failed(failure)) => errors::log_failure(attempt, updates, ended, &failure),
        Some(Why::Stopped(reason)) => tracing::info!(attempt, updates, ?reason, ?ended, "answered"),
        None => tracing::warn!(attempt, updates, ?ended, "not answered"),
    }
}
