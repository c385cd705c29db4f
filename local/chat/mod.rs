//! `parlance chat`: a conversation in the terminal, with the local server or any deployed API.
mod input;
mod last_conversation;
mod renderer;
mod session;
mod target;
mod tool_command;

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
};

use clap::Args;
use client::{AppSync, requests::GetAgent};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, BufReader},
    signal::unix::{SignalKind, signal},
};

pub use self::{input::CommandError, tool_command::ToolCommand};
use self::{
    input::{HELP, Input, TurnRequest},
    last_conversation::LastConversations,
    renderer::{Details, Renderer},
    session::{Connection, Session},
    target::{Target, choose_conversation},
};
use crate::private_file::FileError;

/// Options of `parlance chat`.
#[derive(Args, Clone, Debug)]
pub struct ChatOptions {
    /// A message or a command, of which /help prints a list; without it, lines are read until /quit or the
    /// end of the input
    pub text: Option<String>,
    /// GraphQL URL of the API; without it, the server that runs in this folder
    #[arg(long, requires = "credentials")]
    pub url: Option<String>,
    /// API key of the API
    #[arg(long, requires = "url", group = "credentials")]
    pub api_key: Option<String>,
    /// Token of a user, from `parlance token` or from the issuer that signs in the API's users
    #[arg(long, value_name = "JWT", group = "credentials")]
    pub token: Option<String>,
    /// Start a new conversation instead of continuing the last one
    #[arg(long, conflicts_with = "conversation")]
    pub new: bool,
    /// Continue this conversation
    #[arg(long, value_name = "ID")]
    pub conversation: Option<String>,
    /// Run a tool of the agent that is for clients by a command, which reads the arguments and writes the
    /// result as JSON; may be repeated
    #[arg(long = "tool", value_name = "NAME=COMMAND")]
    pub tools: Vec<ToolCommand>,
    /// Print the passages that an answer cites below its sources
    #[arg(long)]
    pub sources: bool,
    /// Print what the model thinks before it answers, as far as it shows it
    #[arg(long)]
    pub reasoning: bool,
    /// The server's state folder, which holds endpoint.json; the chat stores its last conversations there
    #[arg(long, default_value = ".parlance")]
    pub state: PathBuf,
}

/// Where the chat reads and writes.
pub struct Console<I, O> {
    pub input: I,
    pub output: O,
    /// Whether the output is a terminal: only then it is styled, prompted and cleaned of control characters.
    pub is_terminal: bool,
    /// One item for each Ctrl-C. The first cancels the answer that streams, every other one leaves.
    pub interrupts: BoxStream<'static, ()>,
}

/// How the last answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered,
    Failed,
}

#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    #[error(
        "No server runs in this folder: start one with `cargo run`, or name an API with --url and --api-key or --token."
    )]
    NoServer,
    #[error(
        "Nothing answers at {url}: start the server with `cargo run`, or name an API with --url and --api-key or --token."
    )]
    Unreachable { url: String },
    #[error("{} cannot be used: {reason}.", path.display())]
    UnusableFile { path: PathBuf, reason: String },
    #[error("The API at {url} accepts no API key: sign in with --token \"$(cargo run -q -- token NAME)\".")]
    NoApiKey { url: String },
    #[error("There is no conversation {id} at {url}.")]
    NoConversation { id: String, url: String },
    #[error("--tool names the tool {name} twice.")]
    ToolNamedTwice { name: String },
    #[error("The agent {agent} has no tool {name} for --tool: {}.", describe_tools(tools))]
    NoClientTool { agent: String, name: String, tools: Vec<String> },
    #[error("The tool {name} of the agent {agent} is not for clients, so --tool cannot run it.")]
    NotForClients { agent: String, name: String },
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error("The message was not answered.")]
    Unanswered,
    #[error("The answer waits for your approval: `parlance chat` without a text asks for it.")]
    WaitsForApproval,
    #[error("The answer waits for a page of your application, which runs the tool that was called.")]
    WaitsForPage,
    #[error("The answer waits for another user, who may answer the tool call.")]
    WaitsForOthers,
    #[error("You left before the end of the answer, which continues in the background.")]
    LeftEarly,
    #[error("You left before a message was sent.")]
    LeftBeforeStart,
    #[error("The console cannot be used: {0}.")]
    Console(#[from] std::io::Error),
    #[error("{0}.")]
    File(#[from] FileError),
    #[error(transparent)]
    Api(#[from] client::Error),
}

/// Chats on the standard input and output. A failed answer is an error, after all of it has been printed.
pub async fn run(options: ChatOptions) -> Result<(), ChatError> {
    let output = std::io::stdout();
    let is_terminal = output.is_terminal();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let interrupts = stream::poll_fn(move |context| interrupt.poll_recv(context)).boxed();
    let console = Console { input: BufReader::new(tokio::io::stdin()), output, is_terminal, interrupts };
    match converse(options, console).await? {
        Outcome::Answered => Ok(()),
        Outcome::Failed => Err(ChatError::Unanswered),
    }
}

/// Sends the text of the options, or each line of the input, and prints the answers as they stream.
pub async fn converse<I, O>(options: ChatOptions, console: Console<I, O>) -> Result<Outcome, ChatError>
where
    I: AsyncBufRead + Unpin,
    O: Write,
{
    let Console { input, output, is_terminal, mut interrupts } = console;
    let details = Details { passages: options.sources, reasoning: options.reasoning };
    let mut renderer = Renderer::new(output, is_terminal, details);
    let request = match options.text.as_deref().map(Input::parse).transpose()? {
        Some(Input::Turn(request)) => Some(request),
        Some(Input::Help) => {
            renderer.append(HELP)?;
            return Ok(Outcome::Answered);
        }
        Some(Input::Quit) => return Ok(Outcome::Answered),
        None => None,
    };
    let connection = tokio::select! {
        started = start(&options) => started?,
        Some(()) = interrupts.next() => return Err(ChatError::LeftBeforeStart),
    };
    let lines = request.is_none().then(|| input.lines());
    let mut session = Session::new(connection, options.tools, renderer, lines, interrupts);
    match request {
        Some(request) => session.answer(request).await,
        None => answer_lines(session).await,
    }
}

/// Chooses the conversation and subscribes to it, so that no update from now on is missed.
async fn start(options: &ChatOptions) -> Result<Connection, ChatError> {
    check_names(&options.tools)?;
    let target = Target::from_options(options)?;
    let api = AppSync::new(&target.url, target.credentials.clone())?;
    let mut last_conversations = LastConversations::load(&options.state)?;
    let caller = target.caller(&api).await?;
    let last = last_conversations.get(&target.url, &caller.id);
    let conversation = choose_conversation(&api, options, &target, last).await?;
    if !options.tools.is_empty() {
        check_tools(&api, &conversation.agent_id, &options.tools).await?;
    }
    last_conversations.set(&target.url, &caller.id, &conversation.id)?;
    let follower = api.follow(&conversation.id).await?;
    Ok(Connection { api, conversation_id: conversation.id, caller_id: caller.id, follower })
}

fn check_names(commands: &[ToolCommand]) -> Result<(), ChatError> {
    for (index, command) in commands.iter().enumerate() {
        if commands[..index].iter().any(|other| other.name == command.name) {
            return Err(ChatError::ToolNamedTwice { name: command.name.clone() });
        }
    }
    Ok(())
}

/// Checks that each command is for a tool of the agent that clients run.
async fn check_tools(api: &AppSync, agent: &str, commands: &[ToolCommand]) -> Result<(), ChatError> {
    let tools = api.call(&GetAgent { id: agent.to_owned() }).await?.tools;
    for ToolCommand { name, .. } in commands {
        let (name, agent) = (name.clone(), agent.to_owned());
        let tool = tools.iter().find(|tool| tool.name == name);
        match tool.map(|tool| tool.client == Some(true)) {
            Some(true) => {}
            Some(false) => return Err(ChatError::NotForClients { agent, name }),
            None => {
                let for_clients = tools.iter().filter(|tool| tool.client == Some(true));
                let tools = for_clients.map(|tool| tool.name.clone()).collect();
                return Err(ChatError::NoClientTool { agent, name, tools });
            }
        }
    }
    Ok(())
}

/// The tools that `--tool` may name.
fn describe_tools(names: &[String]) -> String {
    match names {
        [] => "it has none that clients run".to_owned(),
        names => format!("clients run {}", names.join(", ")),
    }
}

async fn answer_lines<I, O>(mut session: Session<I, O>) -> Result<Outcome, ChatError>
where
    I: AsyncBufRead + Unpin,
    O: Write,
{
    let mut outcome = session.resume_wait().await?;
    loop {
        session.prompt()?;
        let Some(line) = session.next_line().await? else { return Ok(outcome) };
        if line.trim().is_empty() {
            continue;
        }
        match Input::parse(&line) {
            Ok(Input::Turn(TurnRequest::Send { text })) => {
                outcome = session.answer(TurnRequest::Send { text: text.trim() }).await?;
            }
            Ok(Input::Turn(request)) => outcome = session.answer(request).await?,
            Ok(Input::Help) => session.print(HELP)?,
            Ok(Input::Quit) => return Ok(outcome),
            Err(error) => session.note(&error.to_string())?,
        }
    }
}
