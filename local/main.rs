//! `parlance` runs the backend, `parlance chat` talks to one, `parlance token` and `parlance schema` print what their
//! names say, `parlance handler` is one Lambda environment.
use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use local::{
    chat::{self, ChatOptions},
    fault_injection::{Fault, FaultPlan},
    identity::User,
    server::{Models, Server, ServerOptions},
    template::{self, SchemaOptions},
    token::{self, TokenOptions},
    welcome,
};
use tokio::{
    io::{AsyncReadExt, stdin},
    signal::unix::{SignalKind, signal},
};

/// The Parlance backend on this machine: the same template, schema, resolvers and handler, without an AWS account.
#[derive(Parser)]
#[command(name = "parlance", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    server: ServerArguments,
}

#[derive(Subcommand)]
enum Command {
    /// Talk to a running backend, here or deployed.
    Chat(ChatOptions),
    /// Print a user's access token, from the server that runs in this folder.
    Token(TokenOptions),
    /// Print schema.graphql with the directives of only those modes that the parameters switch on.
    Schema(SchemaOptions),
    /// One Lambda environment; started by the backend itself.
    #[command(hide = true)]
    Handler,
}

#[derive(clap::Args)]
struct ServerArguments {
    /// The port on localhost; 0 takes any free one.
    #[arg(long, default_value_t = 4000)]
    port: u16,
    /// Keep nothing: the table in memory, new keys.
    #[arg(long)]
    ephemeral: bool,
    /// Ask Amazon Bedrock, with your AWS credentials, instead of the scripted stand-in.
    #[arg(long)]
    bedrock: bool,
    /// Where the table, the API key, the issuers' signing keys and endpoint.json are kept.
    #[arg(long, default_value = ".parlance")]
    state: PathBuf,
    /// Where template.yaml is.
    #[arg(long, default_value = ".")]
    root: PathBuf,
    /// Let every publish of the handler take this much longer.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    publish_latency: u64,
    /// Inject a fault at this rate, from 0 to 1; may be repeated. See `--help` for the list.
    #[arg(long = "fault", value_name = "NAME=RATE", value_parser = FaultPlan::parse_rate, long_help = fault_help())]
    faults: Vec<(Fault, f64)>,
    /// Seed of the random generators that decide when faults are injected.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A template parameter that differs from its default.
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = template::parameter)]
    parameters: Vec<(String, String)>,
    /// A user of the stack's own user pool, with its groups; may be repeated. `parlance token NAME` signs it in.
    #[arg(long = "user", value_name = "NAME[:GROUP,…]")]
    users: Vec<User>,
    /// Run an OpenID Connect provider that the API trusts; `parlance token NAME --oidc` signs anybody in.
    #[arg(long)]
    oidc: bool,
}

fn main() -> ExitCode {
    match Arguments::parse() {
        Arguments { command: Some(Command::Handler), .. } => run(false, environment()),
        Arguments { command: Some(Command::Chat(options)), .. } => run(false, talk(options)),
        Arguments { command: Some(Command::Token(options)), .. } => {
            run(false, async move { print(token::fetch(&options).await) })
        }
        Arguments { command: Some(Command::Schema(options)), .. } => print(template::schema(&options)),
        Arguments { command: None, server } => run(true, serve(server)),
    }
}

fn run(is_parallel: bool, work: impl Future<Output = ExitCode>) -> ExitCode {
    let mut builder = match is_parallel {
        true => tokio::runtime::Builder::new_multi_thread(),
        false => tokio::runtime::Builder::new_current_thread(),
    };
    match builder.enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(work);
            runtime.shutdown_background(); // a read of standard input cannot be cancelled
            code
        }
        Err(error) => fail(&error),
    }
}

async fn serve(arguments: ServerArguments) -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()))
        .with_writer(std::io::stderr)
        .init();
    let options = match arguments.options() {
        Ok(options) => options,
        Err(error) => return fail(&error),
    };
    let (models, place, users) = (options.models, options.table_location(), options.users.clone());
    let server = match Server::start(options).await {
        Ok(server) => server,
        Err(fault) => return fail(&fault),
    };
    print!("{}", welcome::text(&server.endpoint, models, &place, &users));
    match asked_to_stop().await {
        Ok(()) => {
            server.stop().await;
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

async fn asked_to_stop() -> std::io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

/// Ends with its standard input, so that no environment outlives the backend that started it.
async fn environment() -> ExitCode {
    let orphaned = async {
        let mut nothing = [0; 1];
        while stdin().read(&mut nothing).await.is_ok_and(|read| read > 0) {}
    };
    tokio::select! {
        ended = Box::pin(handler::run()) => match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        },
        () = orphaned => std::process::exit(0), // the read of standard input cannot be cancelled
    }
}

async fn talk(options: ChatOptions) -> ExitCode {
    match chat::run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn print(text: Result<String, impl std::fmt::Display>) -> ExitCode {
    match text {
        Ok(text) => {
            println!("{}", text.trim_end());
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("parlance: {error}");
    ExitCode::FAILURE
}

fn fault_help() -> String {
    let rows: String = Fault::ALL
        .iter()
        .map(|fault| {
            format!(
                "
  {fault:19}  {}",
                fault.description()
            )
        })
        .collect();
    format!("Inject a fault at this rate, from 0 to 1; may be repeated:{rows}")
}

impl ServerArguments {
    fn options(self) -> std::io::Result<ServerOptions> {
        Ok(ServerOptions {
            root: self.root,
            state: self.state,
            ephemeral: self.ephemeral,
            port: self.port,
            parameters: BTreeMap::from_iter(self.parameters),
            users: self.users,
            oidc: self.oidc,
            models: if self.bedrock { Models::Bedrock } else { Models::Scripted },
            executable: std::env::current_exe()?,
            fault_plan: FaultPlan {
                seed: self.seed,
                publish_latency: Duration::from_millis(self.publish_latency),
                rates: BTreeMap::from_iter(self.faults),
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
        let parsed = Arguments::try_parse_from(["parlance"].iter().chain(arguments));
        let options = parsed.map_err(|error| error.to_string())?.server.options();
        options.map(|options| options.fault_plan).map_err(|error| error.to_string())
    }

    #[test]
    fn fault_options_fill_the_fault_plan() {
        let arguments = ["--fault", "stale-read=0.5", "--fault", "process-killed=1", "--seed", "7"];
        let FaultPlan { seed, rates, .. } = fault_plan(&arguments).unwrap();
        assert_eq!((seed, rates), (7, [(Fault::StaleRead, 0.5), (Fault::ProcessKilled, 1.0)].into()));
    }

    #[test]
    fn invalid_fault_option_is_one_clear_sentence() {
        for (value, sentence) in [
            ("bad-luck=0.5", "there is no fault 'bad-luck'; choose from table-conflict, "),
            ("stale-read=2", "the rate must be from 0 to 1, not '2'\n"),
            ("stale-read=often", "the rate must be from 0 to 1, not 'often'\n"),
            ("stale-read", "it must be NAME=RATE\n"),
        ] {
            let told = fault_plan(&["--fault", value]).unwrap_err();
            let expected = format!("error: invalid value '{value}' for '--fault <NAME=RATE>': {sentence}");
            assert!(told.starts_with(&expected), "{told}");
        }
    }
}
