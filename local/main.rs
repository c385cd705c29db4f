//! The `parlance` command: the local server, and the subcommands `chat`, `token`, `schema`, `models`,
//! `retrieve`, `handler` and `gateway`.
use std::{
    collections::BTreeMap,
    error::Error,
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand};
use local::{
    chat::{self, ChatOptions},
    chat_page::print_progress,
    command_line::CommandLine,
    fault_injection::{Fault, FaultPlan},
    identity::PoolUser,
    knowledge_base::{EmbeddingsOptions, KnowledgeOptions, print_reports},
    lambda::LocalFunction,
    list_models::{self, ListModelsOptions},
    openai_models::ModelServerOptions,
    retrieve::{self, RetrieveOptions},
    secrets_manager::LocalSecret,
    server::{Models, Server, ServerOptions},
    template::{self, SchemaOptions},
    token::{self, TokenOptions},
    welcome,
};
use tokio::{
    io::{AsyncReadExt, stdin},
    runtime::Builder,
    signal::unix::{Signal, SignalKind, signal},
    time::{sleep, timeout},
};
use tracing_subscriber::EnvFilter;

/// Runs the Parlance backend locally: the same template, schema, resolvers and handler as on AWS, without an
/// AWS account.
#[derive(Parser)]
#[command(name = "parlance", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    server: ServerArguments,
}

#[derive(Subcommand)]
enum Command {
    /// Chat with the local server or with a deployed API.
    Chat(ChatOptions),
    /// Print a user's access token, issued by the server that runs in this folder.
    Token(TokenOptions),
    /// Print schema.graphql with the directives of the authorization modes that the parameters switch on.
    Schema(SchemaOptions),
    /// List models that can answer: with --bedrock or --models those that are offered.
    Models(ListModelsOptions),
    /// Search a folder of documents, or measure how well questions find their sources.
    Retrieve(RetrieveOptions),
    /// Run one Lambda execution environment; the local server starts it.
    #[command(hide = true)]
    Handler,
    /// Run one Lambda execution environment of the gateway; the local server starts it.
    #[command(hide = true)]
    Gateway,
}

#[derive(clap::Args)]
struct ServerArguments {
    /// Port on localhost; 0 chooses a free port.
    #[arg(long, default_value_t = 4000)]
    port: u16,
    /// Keep the table in memory and generate new keys at each start.
    #[arg(long)]
    ephemeral: bool,
    /// Call Amazon Bedrock, with your AWS credentials, instead of the scripted models.
    #[arg(long)]
    bedrock: bool,
    #[command(flatten)]
    model_server: ModelServerOptions,
    /// Folder for the table, the API key, the issuers' signing keys and endpoint.json.
    #[arg(long, default_value = ".parlance")]
    state: PathBuf,
    /// Folder that holds template.yaml.
    #[arg(long, default_value = ".")]
    root: PathBuf,
    /// Delay every publish of the handler by this time.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    publish_latency: u64,
    /// Inject a fault of AWS at this rate, from 0 to 1; may be repeated; `--fault help` lists the faults.
    #[arg(long = "fault", value_name = "NAME=RATE", value_parser = parse_fault)]
    faults: Vec<FaultArgument>,
    /// Seed of the random numbers that choose when faults are injected.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Set a template parameter; may be repeated.
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = template::parse_parameter)]
    parameters: Vec<(String, String)>,
    /// Add a user with groups to the stack's own user pool; may be repeated; `parlance token NAME` prints its
    /// token.
    #[arg(long = "user", value_name = "NAME[:GROUP,…]")]
    users: Vec<PoolUser>,
    /// Run an OpenID Connect provider that the API trusts; `parlance token NAME --oidc` prints a token for
    /// any name.
    #[arg(long)]
    oidc: bool,
    /// Run a command that speaks Lambda's Runtime API in place of the handler, such as a handler of your own.
    #[arg(long, value_name = "COMMAND")]
    handler: Option<CommandLine>,
    /// Run a command that speaks Lambda's Runtime API as a function that agents may use as a tool; may be
    /// repeated.
    #[arg(long = "function", value_name = "NAME=COMMAND")]
    functions: Vec<LocalFunction>,
    /// Give Secrets Manager a secret whose value is in a file, and let agents have it sent to MCP servers;
    /// may be repeated.
    #[arg(long = "secret", value_name = "NAME=FILE")]
    secrets: Vec<LocalSecret>,
    /// Answer from the documents below a folder: txt, md, html, pdf, docx and csv.
    #[arg(long, value_name = "DIR")]
    knowledge: Option<PathBuf>,
    #[command(flatten)]
    embeddings: EmbeddingsOptions,
    /// Leave out the chat page, and do not build it.
    #[arg(long)]
    no_page: bool,
}

/// How long an invocation may take at the end of the server before the server says that it waits.
const SILENT_WAIT: Duration = Duration::from_millis(500);
/// How long the server waits at its end for answers that are running.
const FINISH_TIMEOUT: Duration = Duration::from_secs(10);

type AnyError = Box<dyn Error + Send + Sync>;

#[derive(Clone, Debug, PartialEq)]
enum FaultArgument {
    /// `--fault help`
    Help,
    /// `--fault NAME=RATE`
    Rate(Fault, f64),
}

fn main() -> ExitCode {
    match execute(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("parlance: {error}");
            ExitCode::FAILURE
        }
    }
}

fn execute(Arguments { command, server }: Arguments) -> Result<(), AnyError> {
    match command {
        None if server.faults.contains(&FaultArgument::Help) => print!("{}", fault_list()),
        None => block_on(Builder::new_multi_thread(), serve(server.options()?))??,
        Some(Command::Chat(options)) => block_on(Builder::new_current_thread(), chat::run(options))??,
        Some(Command::Token(options)) => {
            println!("{}", block_on(Builder::new_current_thread(), token::fetch(&options))??);
        }
        Some(Command::Models(options)) => block_on(Builder::new_current_thread(), list_models::run(options))??,
        Some(Command::Retrieve(options)) => block_on(Builder::new_current_thread(), retrieve::run(options))??,
        Some(Command::Schema(options)) => println!("{}", template::filtered_schema(&options)?.trim_end()),
        Some(Command::Handler) => {
            block_on(Builder::new_current_thread(), run_lambda_environment(handler::run()))??;
        }
        Some(Command::Gateway) => {
            block_on(Builder::new_current_thread(), run_lambda_environment(gateway::run()))??;
        }
    }
    Ok(())
}

fn block_on<T>(mut runtime: Builder, work: impl Future<Output = T>) -> io::Result<T> {
    let runtime = runtime.enable_all().build()?;
    let output = runtime.block_on(work);
    // Does not wait for a read of standard input, which cannot be cancelled.
    runtime.shutdown_background();
    Ok(output)
}

async fn serve(options: ServerOptions) -> Result<(), AnyError> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()))
        .with_writer(io::stderr)
        .init();
    let server = Server::start(options.clone()).await?;
    // The signals are handled before the text is printed, because its reader may stop the server at once.
    let mut stop_signals = StopSignals::handle()?;
    print!("{}", welcome::text(&server.endpoint, &server.models, &options));
    if let Some(knowledge) = server.knowledge.clone() {
        tokio::spawn(print_reports(knowledge, io::stdout(), io::stdout().is_terminal()));
    }
    if let Some(page) = &server.chat_page {
        tokio::spawn(print_progress(page.progress(), io::stdout(), io::stdout().is_terminal()));
    }
    stop_signals.next().await;
    finish_answers(&server, &mut stop_signals).await;
    server.stop().await;
    Ok(())
}

/// Lets the answers that are running end, for a short time or until the second signal.
async fn finish_answers(server: &Server, stop_signals: &mut StopSignals) {
    let finished = server.lambda.wait_for_events();
    tokio::pin!(finished);
    if timeout(SILENT_WAIT, &mut finished).await.is_ok() {
        return;
    }
    // Whoever started the server may have closed its output.
    let text = "\nAnswers are running. Press Ctrl-C again to stop at once; the next start resumes them.";
    drop(writeln!(io::stdout(), "{text}"));
    tokio::select! {
        () = finished => {}
        () = sleep(FINISH_TIMEOUT) => {}
        () = stop_signals.next() => {}
    }
}

/// SIGINT and SIGTERM, handled from now on.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    fn handle() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Runs until standard input is closed, so that no environment outlives the server that started it.
async fn run_lambda_environment(function: impl Future<Output = Result<(), AnyError>>) -> Result<(), AnyError> {
    let input_closed = async {
        let mut buffer = [0; 1];
        while stdin().read(&mut buffer).await.is_ok_and(|length| length > 0) {}
    };
    tokio::select! {
        result = Box::pin(function) => result,
        () = input_closed => Ok(()),
    }
}

fn parse_fault(text: &str) -> Result<FaultArgument, String> {
    match text {
        "help" => Ok(FaultArgument::Help),
        _ => FaultPlan::parse_rate(text).map(|(fault, rate)| FaultArgument::Rate(fault, rate)),
    }
}

/// All faults, one per line.
fn fault_list() -> String {
    Fault::ALL.iter().map(|fault| format!("{fault:23}  {}\n", fault.description())).collect()
}

impl ServerArguments {
    fn options(self) -> io::Result<ServerOptions> {
        let mut rates = BTreeMap::new();
        for fault in self.faults {
            if let FaultArgument::Rate(fault, rate) = fault {
                rates.insert(fault, rate);
            }
        }
        let models = match self.model_server.server() {
            Some(server) => Models::Server(server),
            None if self.bedrock => Models::Bedrock,
            None => Models::Scripted,
        };
        Ok(ServerOptions {
            root: self.root,
            state: self.state,
            ephemeral: self.ephemeral,
            port: self.port,
            parameters: BTreeMap::from_iter(self.parameters),
            users: self.users,
            oidc: self.oidc,
            models,
            handler: self.handler,
            functions: self.functions,
            secrets: self.secrets,
            knowledge: self.knowledge.map(|folder| KnowledgeOptions { folder, embeddings: self.embeddings }),
            chat_page: !self.no_page,
            executable: std::env::current_exe()?,
            fault_plan: FaultPlan {
                seed: self.seed,
                publish_latency: Duration::from_millis(self.publish_latency),
                rates,
                ..FaultPlan::default()
            },
            time_scale: 1.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault_plan(arguments: &[&str]) -> Result<FaultPlan, String> {
        let arguments = ["parlance"].iter().chain(arguments);
        let parsed = Arguments::try_parse_from(arguments).map_err(|error| error.to_string())?;
        let options = parsed.server.options().map_err(|error| error.to_string())?;
        Ok(options.fault_plan)
    }

    #[test]
    fn fault_options_become_a_fault_plan() {
        let arguments = ["--fault", "stale-read=0.5", "--fault", "process-killed=1", "--seed", "7"];
        let FaultPlan { seed, rates, .. } = fault_plan(&arguments).unwrap();
        assert_eq!((seed, rates), (7, [(Fault::StaleRead, 0.5), (Fault::ProcessKilled, 1.0)].into()));
    }

    #[test]
    fn function_options_become_functions() {
        let parsed = Arguments::try_parse_from(["parlance", "--function", "forecast=node forecast.mjs"]).unwrap();
        let functions = parsed.server.options().unwrap().functions;
        assert_eq!(functions, ["forecast=node forecast.mjs".parse().unwrap()]);
        let Err(error) = Arguments::try_parse_from(["parlance", "--function", "forecast"]) else {
            panic!("a function without a command is accepted")
        };
        let expected = "error: invalid value 'forecast' for '--function <NAME=COMMAND>': it must be NAME=COMMAND\n";
        assert!(error.to_string().starts_with(expected), "{error}");
    }

    #[test]
    fn invalid_fault_or_rate_fails_with_one_sentence() {
        for (value, sentence) in [
            ("bad-luck=0.5", "there is no fault 'bad-luck'; choose from table-conflict, "),
            ("stale-read=2", "the rate must be from 0 to 1, not '2'\n"),
            ("stale-read=often", "the rate must be from 0 to 1, not 'often'\n"),
            ("stale-read", "it must be NAME=RATE\n"),
        ] {
            let error = fault_plan(&["--fault", value]).unwrap_err();
            let expected = format!("error: invalid value '{value}' for '--fault <NAME=RATE>': {sentence}");
            assert!(error.starts_with(&expected), "{error}");
        }
    }
}
