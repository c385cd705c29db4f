//! The services that the init function calls, in one HTTP server: the RDS Data API over a real database,
//! Secrets Manager, and CloudFormation's answer URL.
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{post, put},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_postgres::Client;

use crate::{
    postgres::{ADMIN, ADMIN_PASSWORD, DATABASE, Postgres},
    support::{Responses, RuntimeApi, environment},
};

pub const CLUSTER: &str = "arn:aws:rds:us-east-1:000000000000:cluster:knowledge";
pub const ADMIN_SECRET: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:admin-AbC123";
pub const USER_SECRET: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:user-AbC123";

/// What goes wrong with a call of the Data API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call has no effect.
    Refused { status: u16, kind: &'static str, message: &'static str },
    /// The call has its effect, and its answer does not arrive.
    AnswerLost,
    /// The call never ends.
    Hangs,
}

pub const DEFINITE: Fault = Fault::Refused {
    status: 400,
    kind: "DatabaseErrorException",
    message: "ERROR: permission denied; SQLState: 42501",
};
pub const RESUMING: Fault = Fault::Refused {
    status: 400,
    kind: "DatabaseResumingException",
    message: "The Aurora DB instance is resuming after being auto-paused. Please wait a few seconds and try again.",
};

/// Faults by the number of the call: `BeginTransaction` is call 0.
#[derive(Default)]
pub struct Faults {
    pub calls: HashMap<usize, Fault>,
    /// How many answers to CloudFormation are refused with this status.
    pub refused_answers: usize,
    pub refusal_status: u16,
}

pub struct Services {
    pub postgres: Postgres,
    /// The name and the password that the administrator's secret has.
    admin: (&'static str, &'static str),
    transactions: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Client>>>>,
    calls: AtomicUsize,
    faults: Mutex<Faults>,
    user_secret: Mutex<String>,
    answers: Mutex<Vec<Value>>,
    runtime: Arc<RuntimeApi>,
    url: String,
}

impl Services {
    pub async fn start() -> (Arc<Self>, Responses) {
        Self::start_as((ADMIN, ADMIN_PASSWORD)).await
    }

    pub async fn start_as(admin: (&'static str, &'static str)) -> (Arc<Self>, Responses) {
        let postgres = Postgres::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (runtime, responses) = RuntimeApi::new();
        let services = Arc::new(Self {
            postgres,
            admin,
            transactions: Mutex::default(),
            calls: AtomicUsize::new(0),
            faults: Mutex::default(),
            user_secret: Mutex::default(),
            answers: Mutex::default(),
            runtime: Arc::clone(&runtime),
            url,
        });
        services.set_password("secret");
        let router = Router::new()
            .route("/BeginTransaction", post(begin))
            .route("/Execute", post(execute))
            .route("/CommitTransaction", post(commit))
            .route("/RollbackTransaction", post(roll_back))
            .route("/", post(secret_value))
            .route("/answer", put(take_answer))
            .with_state(Arc::clone(&services))
            .merge(runtime.router());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (services, responses)
    }

    /// The variables of the function's environment.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let endpoints = ["AWS_ENDPOINT_URL_RDS_DATA", "AWS_ENDPOINT_URL_SECRETS_MANAGER"];
        let mut variables = environment(&self.url);
        variables.extend(endpoints.map(|name| (name, self.url.clone())));
        variables
    }

    pub fn runtime(&self) -> &Arc<RuntimeApi> {
        &self.runtime
    }

    pub fn set_password(&self, password: &str) {
        let secret = json!({ "username": "bedrock_user", "password": password });
        *self.user_secret.lock().unwrap() = secret.to_string();
    }

    /// Sets the next invocation, which has this long, and the faults during it.
    pub fn set_invocation(&self, event: Value, time: Duration, faults: Faults) {
        self.calls.store(0, Ordering::SeqCst);
        *self.faults.lock().unwrap() = faults;
        self.runtime.set_invocation(event, time);
    }

    pub fn request(&self, request_type: &str) -> Value {
        json!({
            "RequestType": request_type,
            "ServiceToken": "arn:aws:lambda:us-east-1:000000000000:function:init",
            "ResponseURL": format!("{}/answer", self.url),
            "StackId": "arn:aws:cloudformation:us-east-1:000000000000:stack/knowledge/1",
            "RequestId": "r1",
            "ResourceType": "Custom::Database",
            "LogicalResourceId": "DatabaseInit",
            "ResourceProperties": {
                "ServiceTimeout": "900", "ClusterArn": CLUSTER, "Database": DATABASE,
                "AdminSecretArn": ADMIN_SECRET, "UserSecretArn": USER_SECRET,
            },
        })
    }

    /// The answers that CloudFormation has taken since the last call of this function.
    pub fn take_answers(&self) -> Vec<Value> {
        std::mem::take(&mut self.answers.lock().unwrap())
    }

    /// Ends all open transactions, as the Data API does after three minutes.
    pub fn expire_transactions(&self) -> usize {
        self.abandoned_transactions().len()
    }

    /// Takes the open transactions out of the Data API. They end when the returned value is dropped.
    pub fn abandoned_transactions(&self) -> HashMap<String, Arc<tokio::sync::Mutex<Client>>> {
        std::mem::take(&mut self.transactions.lock().unwrap())
    }

    /// How many calls the Data API has had in this invocation.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// What is to happen with this call.
    fn next_fault(&self) -> Option<Fault> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        self.faults.lock().unwrap().calls.get(&call).copied()
    }

    fn transaction(&self, request: &Value) -> Option<Arc<tokio::sync::Mutex<Client>>> {
        let id = request["transactionId"].as_str()?;
        self.transactions.lock().unwrap().get(id).cloned()
    }

    async fn open_transaction(&self) -> Result<String, Response> {
        let (user, password) = self.admin;
        let client = self.postgres.connect(user, password).await.map_err(|error| database_error(&error))?;
        client.batch_execute("BEGIN").await.map_err(|error| database_error(&error))?;
        let id = format!("transaction-{}", fastrand::u64(..));
        self.transactions.lock().unwrap().insert(id.clone(), Arc::new(tokio::sync::Mutex::new(client)));
        Ok(id)
    }

    /// `COMMIT` or `ROLLBACK`.
    async fn end_transaction(&self, request: &Value, sql: &str) -> Response {
        let Some(client) = self.transaction(request) else { return not_found() };
        let result = client.lock().await.batch_execute(sql).await;
        self.transactions.lock().unwrap().remove(request["transactionId"].as_str().unwrap_or_default());
        match result {
            Ok(()) => Json(json!({ "transactionStatus": "Transaction ended" })).into_response(),
            Err(error) => database_error(&error),
        }
    }
}

async fn begin(State(services): State<Arc<Services>>, headers: HeaderMap, Json(request): Json<Value>) -> Response {
    with_fault(&services, &headers, &request, async {
        assert_eq!(request["database"], DATABASE);
        match services.open_transaction().await {
            Ok(id) => Json(json!({ "transactionId": id })).into_response(),
            Err(response) => response,
        }
    })
    .await
}

async fn execute(State(services): State<Arc<Services>>, headers: HeaderMap, Json(request): Json<Value>) -> Response {
    with_fault(&services, &headers, &request, async {
        let Some(client) = services.transaction(&request) else { return not_found() };
        let sql = request["sql"].as_str().expect("a statement");
        // The extended protocol takes one statement, as the Data API does.
        match client.lock().await.query(sql, &[]).await {
            Ok(rows) => Json(json!({ "numberOfRecordsUpdated": 0, "records": vec![(); rows.len()] })).into_response(),
            Err(error) => database_error(&error),
        }
    })
    .await
}

async fn commit(State(services): State<Arc<Services>>, headers: HeaderMap, Json(request): Json<Value>) -> Response {
    with_fault(&services, &headers, &request, services.end_transaction(&request, "COMMIT")).await
}

async fn roll_back(State(services): State<Arc<Services>>, headers: HeaderMap, Json(request): Json<Value>) -> Response {
    check_request(&headers, &request);
    services.end_transaction(&request, "ROLLBACK").await
}

async fn with_fault(
    services: &Services,
    headers: &HeaderMap,
    request: &Value,
    call: impl Future<Output = Response>,
) -> Response {
    check_request(headers, request);
    match services.next_fault() {
        None => call.await,
        Some(Fault::Refused { status, kind, message }) => error(status, kind, message),
        Some(Fault::AnswerLost) => {
            call.await;
            error(504, "", "")
        }
        Some(Fault::Hangs) => std::future::pending().await,
    }
}

fn check_request(headers: &HeaderMap, request: &Value) {
    let authorization = headers["authorization"].to_str().expect("text");
    assert!(authorization.contains("/us-east-1/rds-data/aws4_request"), "{authorization}");
    assert_eq!((&request["resourceArn"], &request["secretArn"]), (&json!(CLUSTER), &json!(ADMIN_SECRET)));
}

fn database_error(error: &tokio_postgres::Error) -> Response {
    let Some(database) = error.as_db_error() else { return self::error(500, "InternalServerErrorException", "") };
    let message = format!("{}: {}; SQLState: {}", database.severity(), database.message(), database.code().code());
    self::error(400, "DatabaseErrorException", &message)
}

fn not_found() -> Response {
    error(404, "TransactionNotFoundException", "Transaction is not found")
}

fn error(status: u16, kind: &str, message: &str) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    (status, [("x-amzn-errortype", kind.to_owned())], Json(json!({ "message": message }))).into_response()
}

async fn secret_value(State(services): State<Arc<Services>>, headers: HeaderMap, body: Bytes) -> Json<Value> {
    let request: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(headers["x-amz-target"], "secretsmanager.GetSecretValue");
    assert_eq!(request["SecretId"], USER_SECRET);
    Json(json!({ "SecretString": *services.user_secret.lock().unwrap() }))
}

async fn take_answer(State(services): State<Arc<Services>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    assert_eq!(headers["content-type"], "");
    assert!(headers.contains_key("content-length") && !headers.contains_key("authorization"));
    assert!(body.len() <= 4_096);
    let mut faults = services.faults.lock().unwrap();
    if faults.refused_answers > 0 {
        faults.refused_answers -= 1;
        return StatusCode::from_u16(faults.refusal_status).expect("a status");
    }
    services.answers.lock().unwrap().push(serde_json::from_slice(&body).expect("JSON"));
    StatusCode::OK
}
