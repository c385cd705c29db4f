//! The whole backend, put together: what template.yaml says, on one port.
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
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
    identity::{Directory, Principal},
    lambda::{self, EnvironmentOf, Lambda, Launcher, Processes},
    patience::{PATIENCE, Patient},
    stack::{Function, Stack},
    template::{self, ACCOUNT, Deployment, REGION},
    unkind::{self, Fates, Unkindness, Witness},
};

const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// What one start may choose.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where template.yaml is.
    pub root: PathBuf,
    /// Where the table, the API key and `endpoint.json` are kept.
    pub state: PathBuf,
    /// The table in memory, a new API key.
    pub ephemeral: bool,
    /// 0: any free port.
    pub port: u16,
    /// Template parameters that differ from their defaults.
    pub parameters: BTreeMap<String, String>,
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
    #[error("{place} cannot be used: {error}", place = place.display())]
    State { place: PathBuf, error: io::Error },
}

/// Where a running backend is reached; also the content of `endpoint.json`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    pub url: String,
    pub realtime_url: String,
    pub api_key: String,
    pub region: String,
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
    /// What has befallen so far.
    pub fates: Fates,
    /// What processes have asked so far, if that is written down.
    pub witness: Witness,
    announced: PathBuf,
    stopping: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Laptop {
    pub async fn start(options: Options) -> Result<Self, Fault> {
        let listener = listen(options.port).await?;
        let endpoint = endpoint(&options, &listener)?;
        let stack = template::load(&options.root, &deployment(&options, &endpoint))?;
        let fates = Fates::of(&options.unkindness);
        let processes = Processes::default();
        let witness = Witness::of(&options.unkindness, fates.clone(), processes.clone());
        let database = database(&options, &stack, &fates)?;
        let (stopping, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let table = serve_table(&database, &witness, &options.state, &mut tasks, stopped.clone()).await?;

        let directory = Directory::new(stack.api.modes.clone(), stack.api.keys.clone());
        directory.admit(administrator(&endpoint.administrator));
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
        let api = AppSync::with_settings(stack.api, sources, directory, settings)?;
        let router = unkind::treat(api.router(), &options.unkindness, &fates).merge(models);
        serve(listener, witness.watch(router), &mut tasks, stopped);
        let announced = announce(&options, &endpoint)?;
        Ok(Self { endpoint, database, lambda, fates, witness, announced, stopping, tasks })
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

/// The address clients use, and the key: the same at every start, unless nothing is to be kept.
fn endpoint(options: &Options, listener: &TcpListener) -> Result<Endpoint, Fault> {
    let here = format!("localhost:{}", address(listener, &options.state)?.port());
    Ok(Endpoint {
        url: format!("http://{here}/graphql"),
        realtime_url: format!("ws://{here}/graphql/realtime"),
        api_key: api_key(options)?,
        region: REGION.into(),
        administrator: Keys::draw(),
    })
}

fn api_key(options: &Options) -> Result<String, Fault> {
    let drawn = format!("da2-{}", &Uuid::new_v4().simple().to_string()[..26]);
    if options.ephemeral {
        return Ok(drawn);
    }
    create_folder(&options.state)?;
    let place = options.state.join("api-key");
    match std::fs::read_to_string(&place) {
        Ok(kept) => Ok(kept),
        Err(_) => write(&place, &drawn).map(|()| drawn),
    }
}

fn deployment(options: &Options, endpoint: &Endpoint) -> Deployment {
    Deployment {
        parameters: options.parameters.clone(),
        // A laptop has one user, who may list what the API key's owner has.
        preferences: BTreeMap::from([("ApiKeyListing".into(), "true".into())]),
        graphql_url: endpoint.url.clone(),
        realtime_url: endpoint.realtime_url.clone(),
        api_key: endpoint.api_key.clone(),
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
    witness: &Witness,
    state: &Path,
    tasks: &mut JoinSet<()>,
    stopped: watch::Receiver<bool>,
) -> Result<SocketAddr, Fault> {
    let listener = listen(0).await?;
    let address = address(&listener, state)?;
    serve(listener, witness.watch(database.router()), tasks, stopped);
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
        directory.admit(Principal::role_session(&function.role_arn, &function.name, credentials, &function.statements));
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
    Ok(match options.models {
        Models::Scripted => bedrock::router(),
        Models::Real => bedrock::forward(Upstream::of_the_caller().await?, directory.clone()),
    })
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
fn announce(options: &Options, endpoint: &Endpoint) -> Result<PathBuf, Fault> {
    create_folder(&options.state)?;
    let place = options.state.join("endpoint.json");
    let text = serde_json::to_string_pretty(endpoint).unwrap_or_default();
    write(&place, &text).map(|()| place)
}

fn address(listener: &TcpListener, state: &Path) -> Result<SocketAddr, Fault> {
    listener.local_addr().map_err(|error| Fault::State { place: state.to_owned(), error })
}

fn create_folder(place: &Path) -> Result<(), Fault> {
    std::fs::create_dir_all(place).map_err(|error| Fault::State { place: place.to_owned(), error })
}

/// For nobody else to read: it holds keys.
fn write(place: &Path, text: &str) -> Result<(), Fault> {
    let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(place);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Fault::State { place: place.to_owned(), error })
}
