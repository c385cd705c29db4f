//! The local server: every part of the backend, assembled from template.yaml and served on one port.
mod deployment;
mod listeners;
mod tls_certificate;
mod tls_listener;

use std::{collections::BTreeMap, fs::File, io, path::PathBuf, sync::Arc, time::Duration};

use axum::Router;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    appsync::AppSync,
    bedrock::{self, AwsAccount, Forwarder, Guardrail, ModelService, Upstream, UpstreamError},
    chat_page::{ChatPage, PageConfig, SignInMode},
    command_line::CommandLine,
    dynamodb::{DynamoDb, TableSetupError},
    events_api::EventsApi,
    fault_injection::{CallRecorder, FaultInjector, FaultPlan, with_publish_faults},
    graphql::{self, ApiSettings, DataSources},
    identity::{self, Authenticator, LocalIssuers, PoolUser, Principal},
    json_service::JsonService,
    kms::{KeyFileError, Kms},
    knowledge_base::{self, KnowledgeBase, KnowledgeError, KnowledgeOptions, Searches},
    lambda::{DestinationError, EnvironmentBuilder, Lambda, Launcher, LocalFunction, Processes},
    openai_models::{ModelServer, ModelServerError, OpenAiModels},
    private_file::{self, FileError},
    s3,
    secrets_manager::{LocalSecret, SecretFileError, SecretsManager},
    stack::{self, Function, Stack},
    stalled_connections::request_timeout,
    state_dir::{self, StateDirError},
    template::{ACCOUNT, REGION, TemplateError, realtime_url, websocket_url},
    websocket_api::{WebSocketApi, WebSocketSettings},
};

pub(crate) use deployment::{HANDLER_FUNCTION, local_defaults};

use deployment::load_stack;
use listeners::{Listeners, listen, local_address};
use tls_certificate::{TlsCertificate, TlsError};

/// How often expired items are deleted from the tables.
const TTL_INTERVAL: Duration = Duration::from_secs(60);
/// Longer than Lambda's longest invocation takes.
const INVOCATION_TIMEOUT: Duration = Duration::from_secs(960);

/// The variable of functions with the HTTP URL of the Events API, whose domain alone (`Dns.Http`) does not
/// say that it is reached without TLS here.
const EVENTS_URL_VARIABLE: &str = "AWS_ENDPOINT_URL_APPSYNC_EVENTS";
/// The variable of functions with the URL of `@connections`, the stage included. The domain name in events
/// does not say that it is reached without TLS here.
const CONNECTIONS_URL_VARIABLE: &str = "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI";

/// The variable of functions with the issuer of the user pool's tokens, which is not Cognito here.
const USER_POOL_ISSUER_VARIABLE: &str = "USER_POOL_ISSUER";

const SCRIPTED_MODELS: &str = "scripted (--models and --bedrock call real ones)";

/// The settings of one start.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The directory of template.yaml.
    pub root: PathBuf,
    /// The directory of the table, the API keys, the encryption key, the issuers' signing keys and
    /// `endpoint.json`.
    pub state: PathBuf,
    /// Keep the table in memory and generate new keys.
    pub ephemeral: bool,
    /// 0 selects any free port.
    pub port: u16,
    /// Template parameters that differ from their defaults.
    pub parameters: BTreeMap<String, String>,
    /// The users of the stack's own user pool. Any user makes the stack create one.
    pub users: Vec<PoolUser>,
    /// Whether an OpenID Connect provider runs here and is trusted by the API.
    pub oidc: bool,
    pub models: Models,
    /// Started as an environment of the handler, in place of the standard one.
    pub handler: Option<CommandLine>,
    /// Functions beside those of the template. Agents may use them as tools.
    pub functions: Vec<LocalFunction>,
    /// The secrets of Secrets Manager. Agents may have them sent to MCP servers.
    pub secrets: Vec<LocalSecret>,
    /// The documents of the knowledge base, from which the default agent answers.
    pub knowledge: Option<KnowledgeOptions>,
    /// Whether the chat page is served, and built if that is necessary.
    pub chat_page: bool,
    /// Started as `<executable> handler` or `<executable> gateway`, it is one Lambda environment.
    pub executable: PathBuf,
    pub fault_plan: FaultPlan,
    /// Length of a second of Lambda's event queue and of the WebSocket API's limits on time, in seconds;
    /// tests shorten it, otherwise it is 1.0.
    pub time_scale: f64,
}

/// Where the models' answers come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Models {
    /// Scripted models in this process.
    Scripted,
    /// Amazon Bedrock, with the AWS credentials of the user who starts the server.
    Bedrock,
    /// An OpenAI-compatible server.
    Server(ModelServer),
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("port {port} is taken: end what listens there, or choose another with --port")]
    PortTaken { port: u16 },
    #[error("port {port} cannot be used: {error}")]
    Port { port: u16, error: io::Error },
    #[error("{0}")]
    Template(#[from] TemplateError),
    #[error("{0}")]
    Table(#[from] TableSetupError),
    #[error("{0}")]
    Api(#[from] graphql::ApiDefinitionError),
    #[error("{0}")]
    Lambda(#[from] DestinationError),
    #[error("{0}")]
    Bedrock(#[from] UpstreamError),
    #[error("{0}")]
    ModelServer(#[from] ModelServerError),
    #[error("{0}")]
    State(#[from] StateDirError),
    #[error("{0}")]
    EncryptionKey(#[from] KeyFileError),
    #[error("{0}")]
    Secret(#[from] SecretFileError),
    #[error("{0}")]
    Knowledge(#[from] KnowledgeError),
    #[error("{0}")]
    Tls(#[from] TlsError),
    #[error("{0}")]
    EndpointFile(#[from] FileError),
    #[error("there is already a function {name}: choose another name for --function")]
    FunctionExists { name: String },
    #[error("the template has no function {HANDLER_FUNCTION} that --handler could replace")]
    NoHandler,
    #[error(
        "the local server cannot run the code of {function} in {folder}: it runs that of handler/ and gateway/; give \
         the program of a handler of your own with --handler"
    )]
    UnknownCode { function: String, folder: String },
    #[error("there are two secrets {name}: choose another name for --secret")]
    SecretExists { name: String },
    #[error("the parameter {parameter} is {given}, so {consequence}")]
    Contradiction { parameter: &'static str, given: String, consequence: &'static str },
}

/// How to reach a running server; also the content of `endpoint.json`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    pub url: String,
    pub realtime_url: String,
    /// The URL of the chat page, if it is served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_page_url: Option<String>,
    /// None when the API accepts no key.
    pub api_key: Option<String>,
    /// The HTTP URL of the Events API, if the stack has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events_url: Option<String>,
    /// None when there is no Events API, or when it accepts no key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events_api_key: Option<String>,
    /// The URL of the WebSocket API with its stage, if the stack has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub websocket_url: Option<String>,
    pub region: String,
    /// The URL of the user pool, if one runs here.
    pub user_pool: Option<String>,
    /// The URL of the OpenID Connect provider, if one runs here.
    pub oidc: Option<String>,
    /// Whether the API accepts the administrator's signature.
    pub iam_access: bool,
    /// The certificate of the port, for clients that speak only `https:` and `wss:`.
    pub tls_certificate: PathBuf,
    pub administrator: AccessKey,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessKey {
    pub access_key_id: String,
    pub secret_access_key: String,
}

/// A running server; it ends with `stop`, or with the process.
pub struct Server {
    pub endpoint: Endpoint,
    /// Which models answer, for the start message.
    pub models: String,
    pub database: DynamoDb,
    pub lambda: Lambda,
    /// The knowledge base of the options.
    pub knowledge: Option<KnowledgeBase>,
    /// The principals that the API knows; more may be admitted while it runs.
    pub authenticator: Authenticator,
    pub faults: FaultInjector,
    /// The calls of functions' processes, if `FaultPlan::record_calls` is set.
    pub call_recorder: CallRecorder,
    /// The token issuers that run here.
    pub issuers: LocalIssuers,
    /// The chat page, if it is served.
    pub chat_page: Option<ChatPage>,
    websocket_api: Option<WebSocketApi>,
    endpoint_file: PathBuf,
    _state_lock: File,
    listeners: Listeners,
}

impl Server {
    /// Starts every part of the stack. The port accepts requests when this returns.
    pub async fn start(options: ServerOptions) -> Result<Self, StartError> {
        let listener = listen(options.port).await?;
        let state_lock = state_dir::lock(&options.state).await?;
        let base_url = format!("http://localhost:{}", local_address(&listener)?.port());
        let stack = load_stack(&options, &base_url)?;
        let issuers = load_issuers(&options, &stack, &base_url)?;
        let (tls_acceptor, tls_certificate) = TlsCertificate::load(&options.state, options.ephemeral)?;
        let endpoint = Endpoint::new(&base_url, &options, &stack, &issuers, tls_certificate);
        let authenticator = create_authenticator(&stack, &endpoint);
        let faults = FaultInjector::new(&options.fault_plan);
        let processes = Processes::default();
        let call_recorder = CallRecorder::new(&options.fault_plan, faults.clone(), processes.clone());
        let function_timeouts = stack.functions.values().map(|function| function.timeout_seconds);
        let mut listeners = Listeners::new(request_timeout(function_timeouts));

        let recorded = |router| call_recorder.wrap_router(router);
        let database = open_database(&options, &stack, &faults)?;
        let table_url = listeners.serve_on_free_port(recorded(database.router(authenticator.clone()))).await?;
        delete_expired_items(database.clone(), &mut listeners);

        let kms = Kms::open(&stack.encryption_keys, (!options.ephemeral).then_some(options.state.as_path()))?;
        let kms_url = listeners.serve_on_free_port(recorded(kms.router(authenticator.clone()))).await?;
        let secrets_url = listeners.serve_on_free_port(recorded(secrets_router(&options, &authenticator)?)).await?;
        let knowledge = start_knowledge(&options, &stack, &faults, &mut listeners)?;
        let (bedrock_router, models) = bedrock_router(&options, &stack.api, knowledge.clone(), &authenticator).await?;
        let lambda_listener = listen(0).await?;
        let addresses = ServiceAddresses {
            own: base_url.clone(),
            dynamodb: table_url,
            kms: kms_url,
            events: endpoint.events_url.clone(),
            connections: stack.websocket_api.as_ref().map(|api| format!("{base_url}/{}", api.stage)),
            lambda: format!("http://{}", local_address(&lambda_listener)?),
            secrets_manager: secrets_url,
            user_pool: endpoint.user_pool.clone(),
        };
        let launcher = launcher(&options, process_environment(&authenticator, addresses), &faults, processes);
        let lambda = Lambda::start(&stack.functions, launcher).await?;
        let router = recorded(lambda.router(authenticator.clone()));
        listeners.serve_with_timeout(lambda_listener, router, INVOCATION_TIMEOUT);
        let lambda = if options.ephemeral { lambda } else { lambda.with_event_folder(options.state.join("events")) };

        let websocket_api =
            stack.websocket_api.map(|api| create_websocket_api(api, &lambda, &authenticator, &options, &faults));
        let chat_page = options.chat_page.then(|| create_chat_page(&options, &stack.api, &endpoint));
        let sources = DataSources::new(database.clone(), lambda.clone()).with_kms(kms);
        let apis = api_router(stack.api, stack.events_api, &sources, &authenticator, &faults)?;
        let apis = apis.merge(websocket_api.as_ref().map(WebSocketApi::router).unwrap_or_default());
        let apis = with_publish_faults(apis, &options.fault_plan, &faults);
        let page = chat_page.as_ref().map(ChatPage::router);
        let router = apis.merge(bedrock_router).merge(identity::router(&issuers)).merge(page.unwrap_or_default());
        listeners.serve_with_tls(listener, recorded(router), tls_acceptor);
        lambda.resume_events();
        build_page(chat_page.clone(), &mut listeners);
        Ok(Self {
            endpoint_file: write_endpoint_file(&options, &endpoint)?,
            endpoint,
            models,
            database,
            lambda,
            knowledge,
            authenticator,
            faults,
            call_recorder,
            issuers,
            chat_page,
            websocket_api,
            _state_lock: state_lock,
            listeners,
        })
    }

    /// Closes the connections of the WebSocket API, ends every Lambda environment, then every other
    /// connection. The next start with the same state resumes the events that have not ended.
    pub async fn stop(self) {
        drop(std::fs::remove_file(&self.endpoint_file));
        if let Some(api) = &self.websocket_api {
            api.stop().await;
        }
        self.lambda.stop().await;
        if let Some(knowledge) = &self.knowledge {
            knowledge.stop().await;
        }
        self.listeners.close().await;
    }
}

impl ServerOptions {
    /// Where the table is kept, for the start message.
    pub fn table_location(&self) -> String {
        match self.ephemeral {
            true => "memory".into(),
            false => self.state.display().to_string(),
        }
    }
}

#[cfg(test)]
impl ServerOptions {
    /// The repository's template with scripted models; nothing is kept.
    pub fn for_tests() -> Self {
        Self {
            root: env!("CARGO_MANIFEST_DIR").into(),
            state: PathBuf::new(),
            ephemeral: true,
            port: 0,
            parameters: BTreeMap::new(),
            users: Vec::new(),
            oidc: false,
            models: Models::Scripted,
            handler: None,
            functions: Vec::new(),
            secrets: Vec::new(),
            knowledge: None,
            chat_page: false,
            executable: PathBuf::new(),
            fault_plan: FaultPlan::default(),
            time_scale: 1.0,
        }
    }
}

impl Endpoint {
    fn new(
        base_url: &str,
        options: &ServerOptions,
        stack: &Stack,
        issuers: &LocalIssuers,
        tls_certificate: PathBuf,
    ) -> Self {
        let stage = stack.websocket_api.as_ref().map(|api| &api.stage);
        Self {
            url: format!("{base_url}/graphql"),
            realtime_url: realtime_url(base_url),
            chat_page_url: options.chat_page.then(|| format!("{base_url}/")),
            api_key: stack.api.keys.first().cloned(),
            events_url: stack.events_api.is_some().then(|| format!("{base_url}/event")),
            events_api_key: stack.events_api.as_ref().and_then(|api| api.keys.first().cloned()),
            websocket_url: stage.map(|stage| format!("{}/{stage}", websocket_url(base_url))),
            region: REGION.into(),
            user_pool: issuers.pool.as_ref().map(|issuer| issuer.url().to_owned()),
            oidc: issuers.oidc.as_ref().map(|issuer| issuer.url().to_owned()),
            iam_access: stack.api.environment.get("IAM_ACCESS").is_none_or(|access| access == "true"),
            tls_certificate,
            administrator: AccessKey::generate(),
        }
    }
}

impl AccessKey {
    fn generate() -> Self {
        let (id, secret) = (Uuid::new_v4().simple().to_string(), Uuid::new_v4().simple().to_string());
        Self { access_key_id: format!("AKIA{}", id[..16].to_uppercase()), secret_access_key: secret }
    }
}

fn load_issuers(options: &ServerOptions, stack: &Stack, base_url: &str) -> Result<LocalIssuers, StateDirError> {
    let state = (!options.ephemeral).then_some(options.state.as_path());
    let events_issuers = stack.events_api.iter().flat_map(|api| &api.issuers);
    let trusted: Vec<_> = stack.api.issuers.iter().chain(events_issuers).cloned().collect();
    LocalIssuers::load(&trusted, base_url, options.users.clone(), state)
}

fn create_authenticator(stack: &Stack, endpoint: &Endpoint) -> Authenticator {
    let authenticator = Authenticator::new(stack.api.modes.clone(), stack.api.keys.clone());
    let authenticator = authenticator.with_trusted_issuers(stack.api.issuers.clone());
    let AccessKey { access_key_id, secret_access_key } = endpoint.administrator.clone();
    authenticator.add_principal(Principal::administrator(ACCOUNT, "administrator", access_key_id, secret_access_key));
    authenticator
}

fn open_database(options: &ServerOptions, stack: &Stack, faults: &FaultInjector) -> Result<DynamoDb, StartError> {
    let file = options.state.join("table.db");
    let database = if options.ephemeral { DynamoDb::open(None)? } else { DynamoDb::open(Some(&file))? };
    database.create_tables(&stack.tables)?;
    Ok(database.with_faults(faults, &stack.tables)?)
}

fn secrets_router(options: &ServerOptions, authenticator: &Authenticator) -> Result<Router, SecretFileError> {
    Ok(SecretsManager::open(options.secrets.clone())?.router(authenticator.clone()))
}

fn delete_expired_items(database: DynamoDb, listeners: &mut Listeners) {
    listeners.spawn(async move { database.delete_expired_items_every(TTL_INTERVAL).await });
}

/// The GraphQL API, and the Events API, which has the same principals and modes of its own.
fn api_router(
    api: stack::Api,
    events_api: Option<stack::EventsApi>,
    sources: &DataSources,
    authenticator: &Authenticator,
    faults: &FaultInjector,
) -> Result<Router, graphql::ApiDefinitionError> {
    let settings = ApiSettings { faults: faults.clone(), ..ApiSettings::default() };
    let graphql = AppSync::with_settings(api, sources.clone(), authenticator.clone(), settings.clone())?.router();
    let Some(events) = events_api else { return Ok(graphql) };
    let authenticator = authenticator.for_other_api(events.modes.clone(), events.keys.clone(), events.issuers.clone());
    Ok(graphql.merge(EventsApi::new(events, sources.clone(), authenticator, settings)?.router()))
}

fn create_chat_page(options: &ServerOptions, api: &stack::Api, endpoint: &Endpoint) -> ChatPage {
    let config = PageConfig {
        graphql_url: endpoint.url.clone(),
        realtime_url: endpoint.realtime_url.clone(),
        region: endpoint.region.clone(),
        sign_in: SignInMode::of(api),
    };
    ChatPage::new(&options.root, config, std::env::var_os("PATH").unwrap_or_default())
}

/// Builds the page in the background, if that is necessary.
fn build_page(chat_page: Option<ChatPage>, listeners: &mut Listeners) {
    if let Some(page) = chat_page {
        listeners.spawn(async move { page.build().await });
    }
}

fn create_websocket_api(
    api: stack::WebSocketApi,
    lambda: &Lambda,
    authenticator: &Authenticator,
    options: &ServerOptions,
    faults: &FaultInjector,
) -> WebSocketApi {
    let settings =
        WebSocketSettings { time_scale: options.time_scale, faults: faults.clone(), ..WebSocketSettings::default() };
    WebSocketApi::new(api, lambda.clone(), authenticator.clone(), settings)
}

/// Starts the processes of functions.
fn launcher(
    options: &ServerOptions,
    environment: Arc<EnvironmentBuilder>,
    faults: &FaultInjector,
    processes: Processes,
) -> Launcher {
    Launcher {
        executable: options.executable.clone(),
        arguments: vec!["handler".into()],
        environment,
        time_scale: options.time_scale,
        faults: faults.clone(),
        processes,
    }
}

/// Opens the knowledge base and ingests its folder from now on. The index is kept in the state folder, unless
/// nothing is kept.
fn start_knowledge(
    options: &ServerOptions,
    stack: &Stack,
    faults: &FaultInjector,
    listeners: &mut Listeners,
) -> Result<Option<KnowledgeBase>, KnowledgeError> {
    let (Some(knowledge), Some(settings)) = (&options.knowledge, &stack.knowledge_base) else { return Ok(None) };
    let index_folder = (!options.ephemeral).then(|| options.state.join("knowledge"));
    let plan = &options.fault_plan;
    let knowledge = KnowledgeBase::open(knowledge, settings, index_folder.as_deref(), plan, faults)?;
    let ingested = knowledge.clone();
    listeners.spawn(async move { ingested.ingest_changes().await });
    Ok(Some(knowledge))
}

/// The models and what is answered from documents, and which models those are.
async fn bedrock_router(
    options: &ServerOptions,
    api: &stack::Api,
    knowledge: Option<KnowledgeBase>,
    authenticator: &Authenticator,
) -> Result<(Router, String), StartError> {
    let (models, description) = models(options, api).await?;
    let searches = knowledge_router(options, knowledge, models.clone(), authenticator).await?;
    let router = bedrock::with_iam_guard(models.router(), authenticator.clone()).merge(searches);
    Ok((router, description))
}

/// The models, and which ones they are.
async fn models(options: &ServerOptions, api: &stack::Api) -> Result<(ModelService, String), StartError> {
    match &options.models {
        Models::Scripted => Ok((ModelService::scripted(guardrail(options)), SCRIPTED_MODELS.into())),
        Models::Bedrock => {
            let account = AwsAccount::load().await?;
            let number = account.number().await?;
            let owner = number.map_or("an account that AWS does not name".into(), |number| format!("account {number}"));
            let model = api.environment.get("MODEL_ID").map_or("", String::as_str);
            let description = format!("{model} of Amazon Bedrock in {}, {owner}", account.region());
            Ok((ModelService::forwarded(account.upstream("bedrock-runtime")), description))
        }
        Models::Server(server) => {
            let models = OpenAiModels::connect(server.clone()).await?;
            let description = models.description();
            Ok((ModelService::openai(models), description))
        }
    }
}

/// The guardrail of the parameters.
fn guardrail(options: &ServerOptions) -> Option<Guardrail> {
    let parameter = |name: &str| options.parameters.get(name).map(String::as_str);
    let id = parameter("GuardrailId").filter(|id| *id != "none")?;
    Some(Guardrail::new(id, parameter("GuardrailVersion").unwrap_or_default()))
}

/// Searches of documents: here, or in Amazon Bedrock if its models are called. The bucket of the documents.
async fn knowledge_router(
    options: &ServerOptions,
    knowledge: Option<KnowledgeBase>,
    models: ModelService,
    authenticator: &Authenticator,
) -> Result<Router, StartError> {
    let objects = knowledge.as_ref().map(|knowledge| s3::router(knowledge.folder().clone(), authenticator.clone()));
    let searches = match (knowledge, &options.models) {
        (Some(knowledge), _) => Searches::Local { knowledge, models },
        (None, Models::Bedrock) => {
            Searches::Forwarded(Forwarder::new(Upstream::from_environment("bedrock-agent-runtime").await?))
        }
        (None, Models::Scripted | Models::Server(_)) => Searches::None,
    };
    Ok(knowledge_base::router(searches, authenticator.clone()).merge(objects.unwrap_or_default()))
}

/// The URLs at which functions call services.
struct ServiceAddresses {
    /// Of the services on the server's own port.
    own: String,
    /// The URL of `@connections` with the stage, if the stack has a WebSocket API.
    connections: Option<String>,
    dynamodb: String,
    /// The HTTP URL of the Events API, if the stack has one.
    events: Option<String>,
    kms: String,
    lambda: String,
    secrets_manager: String,
    /// The issuer of the user pool's tokens, if one runs here.
    user_pool: Option<String>,
}

/// The variables of a process beside its function's own. Each process gets its own credentials, with the
/// permissions of its function's role; the access key id of a call therefore identifies the process.
fn process_environment(authenticator: &Authenticator, addresses: ServiceAddresses) -> Arc<EnvironmentBuilder> {
    let authenticator = authenticator.clone();
    Arc::new(move |function: &Function| {
        let AccessKey { access_key_id, secret_access_key } = AccessKey::generate();
        let session_token = Uuid::new_v4().to_string();
        authenticator.add_principal(Principal::role_session(
            &function.role.arn,
            &function.name,
            [access_key_id.clone(), secret_access_key.clone(), session_token.clone()],
            &function.role.statements,
        ));
        [
            ("AWS_ACCESS_KEY_ID", access_key_id),
            ("AWS_SECRET_ACCESS_KEY", secret_access_key),
            ("AWS_SESSION_TOKEN", session_token),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ENDPOINT_URL_DYNAMODB", addresses.dynamodb.clone()),
            ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", addresses.own.clone()),
            ("AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME", addresses.own.clone()),
            ("AWS_ENDPOINT_URL_KMS", addresses.kms.clone()),
            ("AWS_ENDPOINT_URL_LAMBDA", addresses.lambda.clone()),
            ("AWS_ENDPOINT_URL_S3", addresses.own.clone()),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", addresses.secrets_manager.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .chain(addresses.events.clone().map(|url| (EVENTS_URL_VARIABLE.to_owned(), url)))
        .chain(addresses.connections.clone().map(|url| (CONNECTIONS_URL_VARIABLE.to_owned(), url)))
        .chain(addresses.user_pool.clone().map(|url| (USER_POOL_ISSUER_VARIABLE.to_owned(), url)))
        .collect()
    })
}

/// Writes `endpoint.json`, which `parlance chat` and `parlance token` read.
fn write_endpoint_file(options: &ServerOptions, endpoint: &Endpoint) -> Result<PathBuf, FileError> {
    let path = options.state.join("endpoint.json");
    let json = serde_json::to_string_pretty(endpoint).unwrap_or_default();
    private_file::write(&path, json.as_bytes())?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_know_the_urls_of_their_entry_points() {
        let variable = |events: Option<&str>, connections: Option<&str>, name: &str| {
            let addresses = ServiceAddresses {
                own: String::new(),
                connections: connections.map(str::to_owned),
                dynamodb: String::new(),
                events: events.map(str::to_owned),
                kms: String::new(),
                lambda: String::new(),
                secrets_manager: String::new(),
                user_pool: None,
            };
            let build = process_environment(&Authenticator::new(Vec::new(), Vec::new()), addresses);
            let function: LocalFunction = "worker=./worker".parse().unwrap();
            build(&function.to_function()).get(name).cloned()
        };
        let (events, connections) = (Some("http://localhost:4000/event"), Some("http://localhost:4000/prod"));
        assert_eq!(variable(events, None, EVENTS_URL_VARIABLE).as_deref(), events);
        assert_eq!(variable(None, connections, CONNECTIONS_URL_VARIABLE).as_deref(), connections);
        assert_eq!(variable(None, connections, EVENTS_URL_VARIABLE), None);
        assert_eq!(variable(events, None, CONNECTIONS_URL_VARIABLE), None);
    }
}
