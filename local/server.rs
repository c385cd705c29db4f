//! The local server: every part of the backend, assembled from template.yaml and served on one port.
use std::{
    collections::BTreeMap,
    fs::File,
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use axum::{Router, serve::ListenerExt};
use serde::Serialize;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use uuid::Uuid;

use crate::{
    appsync::AppSync,
    bedrock::{self, Upstream, UpstreamError},
    dynamodb::{DynamoDb, TableSetupError},
    fault_injection::{CallRecorder, FaultInjector, FaultPlan, with_publish_faults},
    graphql::{self, ApiSettings, DataSources},
    identity::{self, Authenticator, LOCAL_CLIENT_ID, LocalIssuers, PoolUser, Principal},
    json_service::JsonService,
    kms::{KeyFileError, Kms},
    lambda::{DestinationError, EnvironmentBuilder, Lambda, Launcher, LocalFunction, Processes},
    private_file::{self, FileError},
    secrets_manager::{LocalSecret, SecretFileError, SecretsManager},
    stack::{Function, FunctionCommand, Stack},
    stalled_connections::{TimeoutListener, request_timeout},
    state_dir::{self, StateDirError},
    template::{self, ACCOUNT, Deployment, REGION, TemplateError, realtime_url},
};

/// How often expired items are deleted from the tables.
const TTL_INTERVAL: Duration = Duration::from_secs(60);
/// Longer than Lambda's longest invocation takes.
const INVOCATION_TIMEOUT: Duration = Duration::from_secs(960);
/// The parameter that names the functions that agents may use as tools.
const TOOL_FUNCTIONS_PARAMETER: &str = "ToolFunctionArns";
/// The parameter that names the secrets that agents may have sent to MCP servers.
const TOOL_SECRETS_PARAMETER: &str = "ToolSecretArns";
/// The name of the function that answers turns.
const HANDLER_FUNCTION: &str = "parlance-Handler";

/// The settings of one start.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The directory of template.yaml.
    pub root: PathBuf,
    /// The directory of the table, the API key, the encryption key, the issuers' signing keys and
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
    pub handler: Option<FunctionCommand>,
    /// Functions beside those of the template. Agents may use them as tools.
    pub functions: Vec<LocalFunction>,
    /// The secrets of Secrets Manager. Agents may have them sent to MCP servers.
    pub secrets: Vec<LocalSecret>,
    /// Started as `<executable> handler`, it is one Lambda environment.
    pub executable: PathBuf,
    pub fault_plan: FaultPlan,
    /// Length of a second of Lambda's event queue, in seconds; tests shorten it, otherwise it is 1.0.
    pub time_scale: f64,
}

/// Where the models' answers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Models {
    /// Scripted models in this process.
    Scripted,
    /// Amazon Bedrock, with the AWS credentials of the user who starts the server.
    Bedrock,
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
    State(#[from] StateDirError),
    #[error("{0}")]
    EncryptionKey(#[from] KeyFileError),
    #[error("{0}")]
    Secret(#[from] SecretFileError),
    #[error("{0}")]
    EndpointFile(#[from] FileError),
    #[error("there is already a function {name}: choose another name for --function")]
    FunctionExists { name: String },
    #[error("the parameter {parameter} is {given}, so {consequence}")]
    Contradiction { parameter: &'static str, given: String, consequence: &'static str },
}

/// How to reach a running server; also the content of `endpoint.json`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    pub url: String,
    pub realtime_url: String,
    /// None when the API accepts no key.
    pub api_key: Option<String>,
    pub region: String,
    /// The URL of the user pool, if one runs here.
    pub user_pool: Option<String>,
    /// The URL of the OpenID Connect provider, if one runs here.
    pub oidc: Option<String>,
    /// Whether the API accepts the administrator's signature.
    pub iam_access: bool,
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
    pub database: DynamoDb,
    pub lambda: Lambda,
    /// The principals that the API knows; more may be admitted while it runs.
    pub authenticator: Authenticator,
    pub faults: FaultInjector,
    /// The calls of functions' processes, if `FaultPlan::record_calls` is set.
    pub call_recorder: CallRecorder,
    /// The token issuers that run here.
    pub issuers: LocalIssuers,
    endpoint_file: PathBuf,
    _state_lock: File,
    shutdown: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Server {
    /// Starts every part of the stack. The port accepts requests when this returns.
    pub async fn start(options: ServerOptions) -> Result<Self, StartError> {
        let listener = listen(options.port).await?;
        let state_lock = state_dir::lock(&options.state)?;
        let base_url = format!("http://localhost:{}", local_address(&listener)?.port());
        let mut stack = template::load(&options.root, &deployment(&options, &base_url)?)?;
        apply_commands(&mut stack, &options)?;
        let issuers = load_issuers(&options, &stack, &base_url)?;
        let endpoint = Endpoint::new(&base_url, &stack, &issuers);
        let authenticator = create_authenticator(&stack, &endpoint);

        let faults = FaultInjector::new(&options.fault_plan);
        let processes = Processes::default();
        let call_recorder = CallRecorder::new(&options.fault_plan, faults.clone(), processes.clone());
        let (shutdown, shutdown_signal) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let timeout = request_timeout(stack.functions.values().map(|function| function.timeout_seconds));

        let database = open_database(&options, &stack, &faults)?;
        let table_router = call_recorder.wrap_router(database.router(authenticator.clone()));
        let table_url = serve_tables(&database, table_router, timeout, &mut tasks, shutdown_signal.clone()).await?;

        let kms = Kms::open(&stack.encryption_keys, (!options.ephemeral).then_some(options.state.as_path()))?;
        let kms_router = call_recorder.wrap_router(kms.router(authenticator.clone()));
        let kms_url = serve_on_free_port(kms_router, timeout, &mut tasks, shutdown_signal.clone()).await?;

        let secrets = SecretsManager::open(options.secrets.clone())?;
        let secrets_router = call_recorder.wrap_router(secrets.router(authenticator.clone()));
        let secrets_url = serve_on_free_port(secrets_router, timeout, &mut tasks, shutdown_signal.clone()).await?;

        let model_router = model_router(&options, &authenticator).await?;
        let lambda_listener = listen(0).await?;
        let addresses = ServiceAddresses {
            bedrock: base_url.clone(),
            dynamodb: table_url,
            kms: kms_url,
            lambda: format!("http://{}", local_address(&lambda_listener)?),
            secrets_manager: secrets_url,
        };
        let launcher = Launcher {
            executable: options.executable.clone(),
            arguments: vec!["handler".into()],
            environment: process_environment(&authenticator, addresses),
            time_scale: options.time_scale,
            faults: faults.clone(),
            processes,
        };
        let lambda = Lambda::start(&stack.functions, launcher).await?;
        let lambda_router = call_recorder.wrap_router(lambda.router(authenticator.clone()));
        serve(lambda_listener, lambda_router, INVOCATION_TIMEOUT, &mut tasks, shutdown_signal.clone());
        let lambda = if options.ephemeral { lambda } else { lambda.with_event_folder(options.state.join("events")) };

        let sources = DataSources::new(database.clone(), lambda.clone()).with_kms(kms);
        let settings = ApiSettings { faults: faults.clone(), ..ApiSettings::default() };
        let api = AppSync::with_settings(stack.api, sources, authenticator.clone(), settings)?;
        let router = with_publish_faults(api.router(), &options.fault_plan, &faults)
            .merge(model_router)
            .merge(identity::router(&issuers));
        serve(listener, call_recorder.wrap_router(router), timeout, &mut tasks, shutdown_signal);
        lambda.resume_events();

        let endpoint_file = write_endpoint_file(&options, &endpoint)?;
        Ok(Self {
            endpoint,
            database,
            lambda,
            authenticator,
            faults,
            call_recorder,
            issuers,
            endpoint_file,
            _state_lock: state_lock,
            shutdown,
            tasks,
        })
    }

    /// Ends every Lambda environment, then every connection. The next start with the same state resumes the
    /// events that have not ended.
    pub async fn stop(mut self) {
        drop(std::fs::remove_file(&self.endpoint_file));
        self.lambda.stop().await;
        self.shutdown.send_replace(true);
        self.tasks.shutdown().await;
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

impl Endpoint {
    fn new(base_url: &str, stack: &Stack, issuers: &LocalIssuers) -> Self {
        Self {
            url: format!("{base_url}/graphql"),
            realtime_url: realtime_url(base_url),
            api_key: stack.api.keys.first().cloned(),
            region: REGION.into(),
            user_pool: issuers.pool.as_ref().map(|issuer| issuer.url().to_owned()),
            oidc: issuers.oidc.as_ref().map(|issuer| issuer.url().to_owned()),
            iam_access: stack.api.environment.get("IAM_ACCESS").is_none_or(|access| access == "true"),
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

async fn listen(port: u16) -> Result<TcpListener, StartError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => StartError::PortTaken { port },
        _ => StartError::Port { port, error },
    })
}

fn local_address(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|error| StartError::Port { port: 0, error })
}

fn deployment(options: &ServerOptions, base_url: &str) -> Result<Deployment, StartError> {
    Ok(Deployment {
        local_defaults: local_defaults(options.models),
        api_key: api_key(options)?,
        ..Deployment::at(base_url, parameters(options, base_url)?)
    })
}

/// The key of the previous start, unless nothing is kept.
fn api_key(options: &ServerOptions) -> Result<String, StateDirError> {
    let new_key = format!("da2-{}", &Uuid::new_v4().simple().to_string()[..26]);
    match options.ephemeral {
        true => Ok(new_key),
        false => state_dir::load_or_create_text(&options.state.join("api-key"), &new_key),
    }
}

/// The given parameters, and those that follow from other options: users need the stack's own user pool, the
/// local OpenID Connect provider must be trusted, and agents may use the functions and the secrets for tools.
fn parameters(options: &ServerOptions, base_url: &str) -> Result<BTreeMap<String, String>, StartError> {
    let mut parameters = options.parameters.clone();
    let mut require = |parameter: &'static str, value: String, consequence| match parameters.get(parameter) {
        Some(given) if *given != value => {
            Err(StartError::Contradiction { parameter, given: given.clone(), consequence })
        }
        _ => {
            parameters.insert(parameter.into(), value);
            Ok(())
        }
    };
    if !options.users.is_empty() {
        require("UserPool", "create".into(), "there is no pool here for the users of --user")?;
    }
    if options.oidc {
        require("OidcIssuer", LocalIssuers::oidc_url(base_url), "the provider of --oidc would not be trusted")?;
        parameters.entry("OidcClientPattern".into()).or_insert_with(|| LOCAL_CLIENT_ID.into());
    }
    add_arns(&mut parameters, TOOL_FUNCTIONS_PARAMETER, options.functions.iter().map(LocalFunction::arn));
    add_arns(&mut parameters, TOOL_SECRETS_PARAMETER, options.secrets.iter().map(LocalSecret::arn));
    Ok(parameters)
}

/// Adds ARNs to a parameter that is a list of ARNs or `none`.
fn add_arns(parameters: &mut BTreeMap<String, String>, name: &str, arns: impl Iterator<Item = String>) {
    let given = parameters.get(name).filter(|given| *given != "none").cloned();
    let arns: Vec<String> = given.into_iter().chain(arns).collect();
    if !arns.is_empty() {
        parameters.insert(name.into(), arns.join(","));
    }
}

/// Defaults of the local server: agents may use the scripted models.
fn local_defaults(models: Models) -> BTreeMap<String, String> {
    let scripted_models = ("MoreModelArns".to_owned(), "arn:aws:bedrock:*::foundation-model/parlance.*".to_owned());
    match models {
        Models::Scripted => [scripted_models].into(),
        Models::Bedrock => BTreeMap::new(),
    }
}

/// Sets the handler's command, and adds the functions that are commands.
fn apply_commands(stack: &mut Stack, options: &ServerOptions) -> Result<(), StartError> {
    if let Some(handler) = stack.functions.get_mut(HANDLER_FUNCTION) {
        handler.command = options.handler.clone();
    }
    for function in &options.functions {
        let name = function.name.clone();
        if stack.functions.insert(name.clone(), function.to_function()).is_some() {
            return Err(StartError::FunctionExists { name });
        }
    }
    Ok(())
}

fn load_issuers(options: &ServerOptions, stack: &Stack, base_url: &str) -> Result<LocalIssuers, StateDirError> {
    let state = (!options.ephemeral).then_some(options.state.as_path());
    LocalIssuers::load(&stack.api.issuers, base_url, options.users.clone(), state)
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

/// Serves the tables to functions by DynamoDB's own protocol, on a port of their own.
async fn serve_tables(
    database: &DynamoDb,
    router: Router,
    timeout: Duration,
    tasks: &mut JoinSet<()>,
    shutdown_signal: watch::Receiver<bool>,
) -> Result<String, StartError> {
    let url = serve_on_free_port(router, timeout, tasks, shutdown_signal).await?;
    let database = database.clone();
    tasks.spawn(async move { database.delete_expired_items_every(TTL_INTERVAL).await });
    Ok(url)
}

async fn model_router(options: &ServerOptions, authenticator: &Authenticator) -> Result<Router, StartError> {
    let router = match options.models {
        Models::Scripted => bedrock::router(),
        Models::Bedrock => bedrock::forwarding_router(Upstream::from_environment().await?),
    };
    Ok(bedrock::with_iam_guard(router, authenticator.clone()))
}

/// The URLs at which functions call services.
struct ServiceAddresses {
    bedrock: String,
    dynamodb: String,
    kms: String,
    lambda: String,
    secrets_manager: String,
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
            ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", addresses.bedrock.clone()),
            ("AWS_ENDPOINT_URL_KMS", addresses.kms.clone()),
            ("AWS_ENDPOINT_URL_LAMBDA", addresses.lambda.clone()),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", addresses.secrets_manager.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    })
}

/// Serves a service of AWS to functions and returns its URL.
async fn serve_on_free_port(
    router: Router,
    timeout: Duration,
    tasks: &mut JoinSet<()>,
    shutdown_signal: watch::Receiver<bool>,
) -> Result<String, StartError> {
    let listener = listen(0).await?;
    let url = format!("http://{}", local_address(&listener)?);
    serve(listener, router, timeout, tasks, shutdown_signal);
    Ok(url)
}

/// Without Nagle's algorithm, which would delay deltas, and with a timeout for stalled requests.
fn serve(
    listener: TcpListener,
    router: Router,
    timeout: Duration,
    tasks: &mut JoinSet<()>,
    mut shutdown_signal: watch::Receiver<bool>,
) {
    let listener = TimeoutListener { listener, timeout }.tap_io(|stream| drop(stream.io.set_nodelay(true)));
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tasks.spawn(async move {
        let shutdown = async move { drop(shutdown_signal.wait_for(|is_shutdown| *is_shutdown).await) };
        if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(shutdown).await {
            tracing::error!(%error, "the HTTP service ended");
        }
    });
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
    use crate::identity::{AccessRequest, AssumedRole};

    const FORECAST_ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:forecast";

    fn options(parameters: &[(&str, &str)], functions: &[&str]) -> ServerOptions {
        ServerOptions {
            root: env!("CARGO_MANIFEST_DIR").into(),
            state: PathBuf::new(),
            ephemeral: true,
            port: 0,
            parameters: parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            users: Vec::new(),
            oidc: false,
            models: Models::Scripted,
            handler: None,
            functions: functions.iter().map(|function| function.parse().unwrap()).collect(),
            secrets: Vec::new(),
            executable: PathBuf::new(),
            fault_plan: FaultPlan::default(),
            time_scale: 1.0,
        }
    }

    fn load_stack(options: &ServerOptions) -> Result<Stack, StartError> {
        let mut stack = template::load(&options.root, &deployment(options, "http://localhost:4000")?)?;
        apply_commands(&mut stack, options)?;
        Ok(stack)
    }

    #[test]
    fn agents_may_use_functions_as_tools() {
        let elsewhere = "arn:aws:lambda:eu-west-1:123456789012:function:tool-*";
        let both = format!("{elsewhere},{FORECAST_ARN}");
        let cases: [(&[(&str, &str)], &str); 3] = [
            (&[], FORECAST_ARN),
            (&[("ToolFunctionArns", "none")], FORECAST_ARN),
            (&[("ToolFunctionArns", elsewhere)], &both),
        ];
        for (parameters, expected) in cases {
            let stack = load_stack(&options(parameters, &["forecast=./forecast"])).unwrap();
            let handler = &stack.functions["parlance-Handler"];
            assert_eq!(handler.environment["TOOL_FUNCTION_ARNS"], expected);
            let role = AssumedRole::new(&handler.role, "run");
            let access = AccessRequest { action: "lambda:InvokeFunction", resource: FORECAST_ARN, leading_keys: &[] };
            assert_eq!(role.authorize(&access), Ok(()));
            assert_eq!(stack.functions["forecast"].arn, FORECAST_ARN);
        }
    }

    #[test]
    fn agents_may_use_secrets() {
        let elsewhere = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:mcp-AbC123";
        let secret: LocalSecret = "mcp=token.txt".parse().unwrap();
        for (parameters, expected) in
            [(&[][..], secret.arn()), (&[("ToolSecretArns", elsewhere)], format!("{elsewhere},{}", secret.arn()))]
        {
            let options = ServerOptions { secrets: vec![secret.clone()], ..options(parameters, &[]) };
            let stack = load_stack(&options).unwrap();
            let handler = &stack.functions["parlance-Handler"];
            assert_eq!(handler.environment["TOOL_SECRET_ARNS"], expected);
            let role = AssumedRole::new(&handler.role, "run");
            let (action, resource) = ("secretsmanager:GetSecretValue", secret.arn());
            assert_eq!(role.authorize(&AccessRequest { action, resource: &resource, leading_keys: &[] }), Ok(()));
        }
    }

    #[test]
    fn handler_may_be_another_command_with_the_variables_of_the_template() {
        let own = options(&[("ModelUrl", "http://localhost:11434/v1")], &[]);
        let own = ServerOptions { handler: Some("env A=b ./custom-handler".parse().unwrap()), ..own };
        let stack = load_stack(&own).unwrap();
        let handler = &stack.functions["parlance-Handler"];
        assert_eq!(handler.command.as_ref().unwrap().arguments, ["A=b", "./custom-handler"]);
        assert_eq!(handler.environment["MODEL_URL"], "http://localhost:11434/v1");
        assert_eq!(stack.functions["parlance-Closer"].command, None);
        let standard = load_stack(&options(&[], &[])).unwrap();
        let handler = &standard.functions["parlance-Handler"];
        assert!(handler.command.is_none() && !handler.environment.contains_key("MODEL_URL"));
    }

    #[test]
    fn function_needs_a_name_of_its_own() {
        for functions in [["forecast=a", "forecast=b"], ["parlance-Handler=a", "forecast=b"]] {
            let error = load_stack(&options(&[], &functions)).unwrap_err().to_string();
            assert!(error.starts_with("there is already a function "), "{error}");
        }
    }
}
