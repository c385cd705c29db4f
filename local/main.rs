//! `parlance` runs the backend, `parlance chat` talks to one, `parlance token` and `parlance schema` print what their
//! names say, `parlance handler` is one Lambda environment.
use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand, ValueEnum};
use local::{
    chat::{self, ChatOptions},
    identity::User,
    laptop::{Laptop, Models, Options},
    template::{self, SchemaOptions},
    token::{self, TokenOptions},
    unkind::{Mishap, Unkindness},
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
    /// Let a mishap befall at this rate, from 0 to 1; may be repeated. See `--help` for the list.
    #[arg(long = "unkind", value_name = "NAME=RATE", value_parser = mishap, long_help = mishaps())]
    unkind: Vec<(Mishap, f64)>,
    /// What the mishaps are drawn from: the same number, the same lots.
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
    let (models, place, users) = (options.models, options.place(), options.users.clone());
    let laptop = match Laptop::start(options).await {
        Ok(laptop) => laptop,
        Err(fault) => return fail(&fault),
    };
    print!("{}", welcome::text(&laptop.endpoint, models, &place, &users));
    match asked_to_stop().await {
        Ok(()) => {
            laptop.stop().await;
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

fn mishap(text: &str) -> Result<(Mishap, f64), String> {
    let (name, rate) = text.split_once('=').ok_or("it must be NAME=RATE")?;
    let mishap = Mishap::named(name).ok_or_else(|| {
        let all = Mishap::value_variants().iter().map(Mishap::to_string).collect::<Vec<_>>().join(", ");
        format!("there is no mishap '{name}'; choose from {all}")
    })?;
    match rate.parse() {
        Ok(rate) if (0.0..=1.0).contains(&rate) => Ok((mishap, rate)),
        _ => Err(format!("the rate must be from 0 to 1, not '{rate}'")),
    }
}

fn mishaps() -> String {
    let row = |mishap: &Mishap| {
        let help = mishap.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string));
        format!("\n  {mishap:19}  {}", help.unwrap_or_default())
    };
    let rows: String = Mishap::value_variants().iter().map(row).collect();
    format!("Let a mishap befall at this rate, from 0 to 1; may be repeated:{rows}")
}

impl ServerArguments {
    fn options(self) -> std::io::Result<Options> {
        Ok(Options {
            root: self.root,
            state: self.state,
            ephemeral: self.ephemeral,
            port: self.port,
            parameters: BTreeMap::from_iter(self.parameters),
            users: self.users,
            oidc: self.oidc,
            models: if self.bedrock { Models::Real } else { Models::Scripted },
            executable: std::env::current_exe()?,
            unkindness: Unkindness {
                seed: self.seed,
                publish_latency: Duration::from_millis(self.publish_latency),
                rates: BTreeMap::from_iter(self.unkind),
                ..Unkindness::default()
            },
            time_scale: 1.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unkindness(arguments: &[&str]) -> Result<Unkindness, String> {
        let parsed = Arguments::try_parse_from(["parlance"].iter().chain(arguments));
        let options = parsed.map_err(|error| error.to_string())?.server.options();
        options.map(|options| options.unkindness).map_err(|error| error.to_string())
    }

    #[test]
    fn mishaps_befall_as_the_command_line_wants_it() {
        let arguments = ["--unkind", "stale-read=0.5", "--unkind", "process-killed=1", "--seed", "7"];
        let Unkindness { seed, rates, .. } = unkindness(&arguments).unwrap();
        assert_eq!((seed, rates), (7, [(Mishap::StaleRead, 0.5), (Mishap::ProcessKilled, 1.0)].into()));
    }

    #[test]
    fn a_mishap_or_a_rate_that_is_none_is_one_clear_sentence() {
        for (value, sentence) in [
            ("bad-luck=0.5", "there is no mishap 'bad-luck'; choose from table-conflict, "),
            ("stale-read=2", "the rate must be from 0 to 1, not '2'\n"),
            ("stale-read=often", "the rate must be from 0 to 1, not 'often'\n"),
            ("stale-read", "it must be NAME=RATE\n"),
        ] {
            let told = unkindness(&["--unkind", value]).unwrap_err();
            let expected = format!("error: invalid value '{value}' for '--unkind <NAME=RATE>': {sentence}");
            assert!(told.starts_with(&expected), "{told}");
        }
    }
}
