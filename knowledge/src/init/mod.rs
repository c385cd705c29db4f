//! The function behind the custom resource that prepares the database of a knowledge base.
//!
//! It answers CloudFormation whatever happens: an unanswered custom resource stops its stack until the
//! resource's ServiceTimeout.
pub mod cloudformation;
mod data_api;
pub mod statements;

use std::time::{Duration, SystemTime};

use api::{backoff::Backoff, errors::is_retryable_status};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::aws::{Aws, SECRETS_MANAGER};
use cloudformation::{Outcome, Properties, Request, RequestType};
use data_api::{DataApi, TransactionError};
use statements::{Statement, statements};

/// At the end of the function's time, for a rollback and the answer.
const TIME_TO_ANSWER: Duration = Duration::from_secs(25);
/// The part of it that a rollback may take.
const ROLLBACK_TIMEOUT: Duration = Duration::from_secs(8);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// A paused database resumes within about 30 seconds.
const TRANSACTION_BACKOFF: Backoff = Backoff::half_jitter(Duration::from_millis(250), Duration::from_secs(5));
const ANSWER_BACKOFF: Backoff = Backoff::half_jitter(Duration::from_millis(100), Duration::from_secs(2));

#[derive(Debug, thiserror::Error)]
pub enum InitError {
    #[error("the payload is no request of CloudFormation")]
    Payload,
    #[error("CloudFormation does not take the answer: {0}")]
    NotAnswered(String),
}

impl From<InitError> for Diagnostic {
    fn from(error: InitError) -> Self {
        let error_type = match &error {
            InitError::Payload => "Init.Payload",
            InitError::NotAnswered(_) => "Init.NotAnswered",
        };
        Self { error_type: error_type.into(), error_message: error.to_string() }
    }
}

/// Serves invocations until Lambda shuts the environment down.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    lambda_runtime::tracing::init_default_subscriber();
    let aws = Aws::from_environment()?;
    lambda_runtime::run(service_fn(move |event| serve(event, aws.clone()))).await
}

/// Lambda repeats an invocation whose answer CloudFormation did not take.
async fn serve(event: LambdaEvent<Value>, aws: Aws) -> Result<(), InitError> {
    let remaining = event.context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
    let deadline = Instant::now() + remaining;
    // The error would quote the request, whose URL is a secret.
    let request: Request = serde_json::from_value(event.payload).map_err(|_| InitError::Payload)?;
    let outcome = serve_request(&request, aws.clone(), deadline).await;
    match &outcome {
        Outcome::Success => tracing::info!(request = ?request.request_type, "the database is ready"),
        Outcome::Failure(reason) => tracing::error!(request = ?request.request_type, reason, "not ready"),
    }
    send_answer(&aws.http, &request, &outcome, deadline).await
}

async fn serve_request(request: &Request, aws: Aws, deadline: Instant) -> Outcome {
    // The table is deleted with its cluster. A deletion must succeed also where the creation has failed.
    if request.request_type == RequestType::Delete {
        return Outcome::Success;
    }
    let properties = match request.properties() {
        Ok(properties) => properties,
        Err(error) => return Outcome::Failure(format!("The properties of the resource are wrong: {error}.")),
    };
    let until = deadline.checked_sub(TIME_TO_ANSWER).unwrap_or_else(Instant::now);
    outcome_of(async move { prepare_database(&aws, &properties, until).await }, until + ROLLBACK_TIMEOUT).await
}

/// There is an outcome also if the preparation panics or never ends.
async fn outcome_of(
    preparation: impl Future<Output = Result<(), TransactionError>> + Send + 'static,
    until: Instant,
) -> Outcome {
    // A task of its own turns a panic into an error.
    let mut preparation = tokio::spawn(preparation);
    let outcome = match timeout_at(until, &mut preparation).await {
        Ok(Ok(Ok(()))) => Outcome::Success,
        Ok(Ok(Err(error))) => Outcome::Failure(format!("The database cannot be prepared. {error}.")),
        Ok(Err(_)) => Outcome::Failure("The database cannot be prepared: the function has panicked.".into()),
        Err(_) => Outcome::Failure("The database cannot be prepared: the time is up.".into()),
    };
    preparation.abort();
    outcome
}

/// Runs the transaction until it succeeds, fails for good, or the time is up.
async fn prepare_database(aws: &Aws, properties: &Properties, until: Instant) -> Result<(), TransactionError> {
    let mut failures = 0;
    loop {
        let Err(error) = try_to_prepare(aws, properties, until).await else { return Ok(()) };
        failures += 1;
        let delay = TRANSACTION_BACKOFF.seeded_delay(failures, 0);
        if !error.is_transient || Instant::now() + delay >= until {
            return Err(error);
        }
        tracing::info!(%error, failures, "the transaction is repeated");
        sleep(delay).await;
    }
}

async fn try_to_prepare(aws: &Aws, properties: &Properties, until: Instant) -> Result<(), TransactionError> {
    let data_api = DataApi { aws, properties };
    let time_is_up = |step: &str| TransactionError::new(step, "the time is up", true);
    let preparation = async {
        let password = read_password(aws, properties).await?;
        let statements = statements(&password)
            .map_err(|error| TransactionError::new(&properties.user_secret_arn, error.to_string(), false))?;
        Ok((data_api.begin().await?, statements))
    };
    let (transaction, statements) =
        timeout_at(until, preparation).await.unwrap_or_else(|_| Err(time_is_up("BeginTransaction")))?;
    let work = run_statements(&data_api, &transaction, &statements);
    let result = timeout_at(until, work).await.unwrap_or_else(|_| Err(time_is_up("the transaction")));
    if result.is_err() {
        roll_back(&data_api, &transaction).await;
    }
    result
}

async fn run_statements(
    data_api: &DataApi<'_>,
    transaction: &str,
    statements: &[Statement],
) -> Result<(), TransactionError> {
    for statement in statements {
        data_api.execute(transaction, statement).await?;
    }
    data_api.commit(transaction).await
}

/// The Data API ends an abandoned transaction itself, after three minutes.
async fn roll_back(data_api: &DataApi<'_>, transaction: &str) {
    match timeout(ROLLBACK_TIMEOUT, data_api.roll_back(transaction)).await {
        Ok(Ok(())) => tracing::info!("the transaction is rolled back"),
        Ok(Err(error)) => tracing::warn!(%error, "the transaction is not rolled back"),
        Err(_) => tracing::warn!("the transaction is not rolled back in time"),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SecretValue {
    secret_string: String,
}

#[derive(Deserialize)]
struct UserSecret {
    password: String,
}

async fn read_password(aws: &Aws, properties: &Properties) -> Result<String, TransactionError> {
    let arn = &properties.user_secret_arn;
    let response = aws.call_json(SECRETS_MANAGER, "secretsmanager.GetSecretValue", &json!({ "SecretId": arn })).await;
    let value: SecretValue = response.map_err(|error| TransactionError::from_call("GetSecretValue", &error))?;
    // The error would quote the secret.
    let secret = serde_json::from_str::<UserSecret>(&value.secret_string);
    let secret = secret.map_err(|_| TransactionError::new(arn, "the secret has no text \"password\"", false))?;
    Ok(secret.password)
}

/// Sends the answer until CloudFormation takes it or the function's time is up.
async fn send_answer(
    http: &reqwest::Client,
    request: &Request,
    outcome: &Outcome,
    deadline: Instant,
) -> Result<(), InitError> {
    let body = request.answer(outcome);
    let mut failures = 0;
    loop {
        let error = match try_to_answer(http, &request.response_url, &body).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        failures += 1;
        let delay = ANSWER_BACKOFF.seeded_delay(failures, 0);
        tracing::warn!(error = error.message, failures, "the answer is not taken");
        if !error.is_transient || Instant::now() + delay + ANSWER_TIMEOUT >= deadline {
            return Err(InitError::NotAnswered(error.message));
        }
        sleep(delay).await;
    }
}

struct AnswerError {
    message: String,
    is_transient: bool,
}

/// Tries once. The URL is signed for an empty content type.
async fn try_to_answer(http: &reqwest::Client, url: &str, body: &[u8]) -> Result<(), AnswerError> {
    let put = http.put(url).header(CONTENT_TYPE, "").timeout(ANSWER_TIMEOUT).body(body.to_vec());
    let response = put
        .send()
        .await
        .map_err(|error| AnswerError { is_transient: !error.is_builder(), message: error.without_url().to_string() })?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let is_transient = is_retryable_status(status.as_u16());
    Err(AnswerError { message: format!("HTTP {status}"), is_transient })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn panics_and_endless_preparations_have_an_outcome() {
        let until = Instant::now() + Duration::from_secs(60);
        let reason = |reason: &str| Outcome::Failure(format!("The database cannot be prepared: {reason}."));
        assert_eq!(outcome_of(async { Ok(()) }, until).await, Outcome::Success);
        assert_eq!(outcome_of(async { panic!("a bug") }, until).await, reason("the function has panicked"));
        assert_eq!(outcome_of(std::future::pending(), until).await, reason("the time is up"));
    }
}
