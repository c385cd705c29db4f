//! The whole backend, put together: what template.yaml says, on one port.
use std::{
    collections::BTreeMap,
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
    bedrock::{self, Upstream},
    dynamodb::{DynamoDb, TableFault},
    graphql::{self, Settings, Sources},
    identity::{self, CLIENT, Directory, Issuers, Principal, User},
    kept,
    lambda::{self, EnvironmentOf, Lambda, Launcher, Processes},
    patience::{PATIENCE, Patient},
    stack::{Function, Stack},
    template::{self, ACCOUNT, Deployment, REGION, realtime_url},
    unkind::{self, Fates, Unkindness, Witness},
};

const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// What one start may choose.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where template.yaml is.
    pub root: PathBuf,
    /// Where the table, the API key, the issuers' signing keys and `endpoint.json` are kept.
    pub state: PathBuf,
    /// The table in memory, new keys.
    pub ephemeral: bool,
    /// 0: any free port.
    pub port: u16,
    /// Template parameters that differ from their defaults.
    pub parameters: BTreeMap<String, String>,
    /// Whom the stack's own user pool knows; with any, it has one.
    pub users: Vec<User>,
    /// Whether an OpenID Connect provider runs here, which the API trusts.
    pub oidc: bool,
    pub models: Models,
    /// Started as `<executable> handler`, it is one Lambda environment.
    pub executable: PathBuf,
    pub unkindness: Unkindness,
    /// How long a second of Lambda's event queue lasts, in seconds: 1.0 but in tests.
    pub time_scale: f64,
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Models {
    Scripted,
    /// Amazon Bedrock, with the caller's credentials.
    Real,
}

#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("port {port} is taken: end what listens there, or choose another with --port")]
    PortTaken { port: u16 },
    #[error("port {port} cannot be used: {error}")]
    Port { port: u16, error: io::Error },
    #[error("{0}")]
    Template(#[from] template::Fault),
    #[error("{0}")]
    Table(#[from] TableFault),
    #[error("{0}")]
    Api(#[from] graphql::Fault),
    #[error("{0}")]
    Lambda(#[from] lambda::Fault),
    #[error("{0}")]
    Bedrock(#[from] bedrock::Fault),
    #[error("{0}")]
    State(#[from] kept::Fault),
    #[error("the parameter {parameter} is {given}, so {reason}")]
    Contradiction { parameter: &'static str, given: String, reason: &'static str },
}

/// Where a running backend is reached; also the content of `endpoint.json`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    pub url: String,
    pub realtime_url: String,
    /// Nothing when the API takes none.
    pub api_key: Option<String>,
    pub region: String,
    /// The issuers that run here.
    pub user_pool: Option<String>,
    pub oidc: Option<String>,
    /// Whether the administrator's signature is taken.
    pub iam_access: bool,
    pub administrator: Keys,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Keys {
    pub access_key_id: String,
    pub secret_access_key: String,
}

/// A running backend; it ends with `stop`, or with the process.
pub struct Laptop {
    pub endpoint: Endpoint,
    pub database: DynamoDb,
    pub lambda: Lambda,
    /// Whom the API knows: whoever is admitted may sign from now on.
    pub directory: Directory,
    /// What has befallen so far.
    pub fates: Fates,
    /// What processes have asked so far, if that is written down.
    pub witness: Witness,
    /// Who gives out tokens here.
    pub issuers: Issuers,
    announced: PathBuf,
    stopping: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Laptop {
    pub async fn start(options: Options) -> Result<Self, Fault> {
        let listener = listen(options.port).await?;
        let server = format!("http://localhost:{}", address(&listener)?.port());
        let stack = template::load(&options.root, &deployment(&options, &server)?)?;
        let issuers = issuers(&options, &stack, &server)?;
        let endpoint = endpoint(&server, &stack, &issuers);
        let fates = Fates::of(&options.unkindness);
        let processes = Processes::default();
        let witness = Witness::of(&options.unkindness, fates.clone(), processes.clone());
        let database = database(&options, &stack, &fates)?;
        let (stopping, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let directory = Directory::new(stack.api.modes.clone(), stack.api.keys.clone());
        let directory = directory.trusting(stack.api.issuers.clone());
        directory.admit(administrator(&endpoint.administrator));
        let tables = witness.watch(database.router(directory.clone()));
        let table = serve_table(&database, tables, &mut tasks, stopped.clone()).await?;

        let models = models(&options, &directory).await?;
        let launcher = Launcher {
            executable: options.executable.clone(),
            arguments: vec!["handler".into()],
            environment: environment(&directory, &endpoint, table),
            time_scale: options.time_scale,
            fates: fates.clone(),
            processes,
        };
        let lambda = Lambda::start(&stack.functions, launcher).await?;
        let sources = Sources::new(database.clone(), lambda.clone());
        let settings = Settings { fates: fates.clone(), ..Settings::default() };
        let api = AppSync::with_settings(stack.api, sources, directory.clone(), settings)?;
        let router = unkind::treat(api.router(), &options.unkindness, &fates).merge(models);
        let router = router.merge(identity::router(&issuers));
        serve(listener, witness.watch(router), &mut tasks, stopped);
        let announced = announce(&options, &endpoint)?;
        Ok(Self { endpoint, database, lambda, directory, issuers, fates, witness, announced, stopping, tasks })
    }

    /// Ends every environment, then every connection.
    pub async fn stop(mut self) {
        drop(std::fs::remove_file(&self.announced)); // whoever looks for a server finds none
        self.lambda.stop().await;
        self.stopping.send_replace(true);
        self.tasks.shutdown().await;
    }
}

impl Options {
    /// Where the table is, for people.
    pub fn place(&self) -> String {
        match self.ephemeral {
            true => "memory".into(),
            false => self.state.display().to_string(),
        }
    }
}

impl Keys {
    fn draw() -> Self {
        let (id, secret) = (Uuid::new_v4().simple().to_string(), Uuid::new_v4().simple().to_string());
        Self { access_key_id: format!("AKIA{}", id[..16].to_uppercase()), secret_access_key: secret }
    }
}

async fn listen(port: u16) -> Result<TcpListener, Fault> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => Fault::PortTaken { port },
        _ => Fault::Port { port, error },
    })
}

/// The address clients use, and the key if the API takes one.
fn endpoint(server: &str, stack: &Stack, issuers: &Issuers) -> Endpoint {
    Endpoint {
        url: format!("{server}/graphql"),
        realtime_url: realtime_url(server),
        api_key: stack.api.keys.first().cloned(),
        region: REGION.into(),
        user_pool: issuers.pool.as_ref().map(|issuer| issuer.url().to_owned()),
        oidc: issuers.oidc.as_ref().map(|issuer| issuer.url().to_owned()),
        iam_access: stack.api.environment.get("IAM_ACCESS").is_none_or(|access| access == "true"),
        administrator: Keys::draw(),
    }
}

/// The same at every start, unless nothing is to be kept.
fn api_key(options: &Options) -> Result<String, kept::Fault> {
    let drawn = format!("da2-{}", &Uuid::new_v4().simple().to_string()[..26]);
    match options.ephemeral {
        true => Ok(drawn),
        false => kept::text(&options.state.join("api-key"), &drawn),
    }
}

fn deployment(options: &Options, server: &str) -> Result<Deployment, Fault> {
    let preferences = preferences(options.models);
    Ok(Deployment { preferences, api_key: api_key(options)?, ..Deployment::at(server, parameters(options, server)?) })
}

/// Users need a pool of the stack's own, and a provider has to be trusted.
fn parameters(options: &Options, server: &str) -> Result<BTreeMap<String, String>, Fault> {
    let mut parameters = options.parameters.clone();
    let mut need = |parameter: &'static str, value: String, reason| match parameters.get(parameter) {
        Some(given) if *given != value => Err(Fault::Contradiction { parameter, given: given.clone(), reason }),
        _ => {
            parameters.insert(parameter.into(), value);
            Ok(())
        }
    };
    if !options.users.is_empty() {
        need("UserPool", "create".into(), "there is no pool here for the users of --user")?;
    }
    if options.oidc {
        need("OidcIssuer", Issuers::oidc_url(server), "the provider of --oidc would not be trusted")?;
        parameters.entry("OidcClientPattern".into()).or_insert_with(|| CLIENT.into());
    }
    Ok(parameters)
}

fn issuers(options: &Options, stack: &Stack, server: &str) -> Result<Issuers, kept::Fault> {
    let state = (!options.ephemeral).then_some(options.state.as_path());
    Issuers::of(&stack.api.issuers, server, options.users.clone(), state)
}

/// A laptop has one user, who may list what the API key's owner has; its agents may name the models of the script.
fn preferences(models: Models) -> BTreeMap<String, String> {
    let listing = ("ApiKeyListing".to_owned(), "true".to_owned());
    let scripted = ("MoreModelArns".to_owned(), "arn:aws:bedrock:*::foundation-model/parlance.*".to_owned());
    match models {
        Models::Scripted => [listing, scripted].into(),
        Models::Real => [listing].into(),
    }
}

fn database(options: &Options, stack: &Stack, fates: &Fates) -> Result<DynamoDb, Fault> {
    let place = options.state.join("table.db");
    let database = if options.ephemeral { DynamoDb::open(None)? } else { DynamoDb::open(Some(&place))? };
    database.create(&stack.tables)?;
    Ok(database.unkindly(fates, &stack.tables)?)
}

/// The same tables for the handler, which speaks DynamoDB's own protocol.
async fn serve_table(
    database: &DynamoDb,
    router: Router,
    tasks: &mut JoinSet<()>,
    stopped: watch::Receiver<bool>,
) -> Result<SocketAddr, Fault> {
    let listener = listen(0).await?;
    let address = address(&listener)?;
    serve(listener, router, tasks, stopped);
    let swept = database.clone();
    tasks.spawn(async move { swept.sweep(SWEEP_EVERY).await });
    Ok(address)
}

fn administrator(keys: &Keys) -> Principal {
    Principal::administrator(ACCOUNT, "administrator", keys.access_key_id.clone(), keys.secret_access_key.clone())
}

/// What a process gets beside its function's own variables: credentials of its own, admitted with what its function's
/// role may do, so that a call's access key id names the process.
fn environment(directory: &Directory, endpoint: &Endpoint, table: SocketAddr) -> Arc<EnvironmentOf> {
    let (directory, models) = (directory.clone(), endpoint.url.trim_end_matches("/graphql").to_owned());
    Arc::new(move |function: &Function| {
        let keys = Keys::draw();
        let token = Uuid::new_v4().to_string();
        let credentials = [keys.access_key_id.clone(), keys.secret_access_key.clone(), token.clone()];
        directory.admit(Principal::role_session(
            &function.role.arn,
            &function.name,
            credentials,
            &function.role.statements,
        ));
        [
            ("AWS_ACCESS_KEY_ID", keys.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", keys.secret_access_key),
            ("AWS_SESSION_TOKEN", token),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ENDPOINT_URL_DYNAMODB", format!("http://{table}")),
            ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", models.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    })
}

async fn models(options: &Options, directory: &Directory) -> Result<Router, Fault> {
    let models = match options.models {
        Models::Scripted => bedrock::router(),
        Models::Real => bedrock::forward(Upstream::of_the_caller().await?),
    };
    Ok(bedrock::guarded(models, directory.clone()))
}

/// Without Nagle's algorithm: a delta leaves when it is due. Without those who dawdle.
fn serve(listener: TcpListener, router: Router, tasks: &mut JoinSet<()>, mut stopped: watch::Receiver<bool>) {
    let listener = Patient { listener, patience: PATIENCE }.tap_io(|stream| drop(stream.io.set_nodelay(true)));
    tasks.spawn(async move {
        let stop = async move { drop(stopped.wait_for(|stopped| *stopped).await) };
        if let Err(error) = axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>())
            .with_graceful_shutdown(stop)
            .await
        {
            tracing::error!(%error, "the port's service ended");
        }
    });
}

/// Tells `parlance chat` where the backend is.
fn announce(options: &Options, endpoint: &Endpoint) -> Result<PathBuf, kept::Fault> {
    let place = options.state.join("endpoint.json");
    let text = serde_json::to_string_pretty(endpoint).unwrap_or_default();
    kept::write(&place, text.as_bytes()).map(|()| place)
}

fn address(listener: &TcpListener) -> Result<SocketAddr, Fault> {
    listener.local_addr().map_err(|error| Fault::Port { port: 0, error })
}
