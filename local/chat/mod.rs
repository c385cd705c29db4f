//! A conversation in the terminal, with the laptop edition or any deployed API.
mod memory;
mod paper;
mod place;
mod talk;

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
};

use clap::Args;
use client::{AppSync, Follower};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, BufReader},
    signal::unix::{SignalKind, signal},
};

use self::{memory::Memory, paper::Paper, place::Place, talk::Talk};
use crate::private_file::FileError;

/// Options of `parlance chat`.
#[derive(Args, Clone, Debug)]
pub struct ChatOptions {
    /// What to say, or /retry or /continue for the last answer; left out, lines are read until /quit or the end of the input
    pub text: Option<String>,
    /// GraphQL URL of the API; left out, the server running in this folder
    #[arg(long, requires = "credentials")]
    pub url: Option<String>,
    /// API key of the API
    #[arg(long, requires = "url", group = "credentials")]
    pub api_key: Option<String>,
    /// Token of a user, from `parlance token` or from who signs the API's users in
    #[arg(long, value_name = "JWT", group = "credentials")]
    pub token: Option<String>,
    /// Start another conversation instead of continuing the last one
    #[arg(long, conflicts_with = "conversation")]
    pub new: bool,
    /// Continue this conversation
    #[arg(long, value_name = "ID")]
    pub conversation: Option<String>,
    /// Where the running server keeps endpoint.json, and the chat its last conversations
    #[arg(long, default_value = ".parlance")]
    pub state: PathBuf,
}

/// Where the chat reads and writes.
pub struct Console<I, O> {
    pub input: I,
    pub output: O,
    /// Whether a person watches the output: only then may it be styled, prompted and cleaned of control characters.
    pub is_terminal: bool,
    /// Each is a Ctrl-C: the first cancels the answer that streams, any other leaves.
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
    File { path: PathBuf, reason: String },
    #[error("The API at {url} takes no key: say who you are with --token \"$(cargo run -q -- token NAME)\".")]
    NoKey { url: String },
    #[error("There is no conversation {id} at {url}.")]
    NoConversation { id: String, url: String },
    #[error("The message was not answered.")]
    Unanswered,
    #[error("You left; the answer goes on without you.")]
    Left,
    #[error("You left before anything was said.")]
    LeftUnheard,
    #[error("The console cannot be used: {0}.")]
    Console(#[from] std::io::Error),
    #[error("{0}.")]
    Kept(#[from] FileError),
    #[error(transparent)]
    Api(#[from] client::Error),
}

/// Talks on the standard input and output. An answer that failed is an error, after all has been printed.
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

/// Says the text, or each line of the input, and prints the answers as they stream.
pub async fn converse<I, O>(options: ChatOptions, console: Console<I, O>) -> Result<Outcome, ChatError>
where
    I: AsyncBufRead + Unpin,
    O: Write,
{
    let Console { input, output, is_terminal, mut interrupts } = console;
    let (api, conversation_id, follower) = tokio::select! {
        begun = begin(&options) => begun?,
        Some(()) = interrupts.next() => return Err(ChatError::LeftUnheard),
    };
    let mut talk = Talk::new(api, conversation_id, follower, Paper::new(output, is_terminal), interrupts);
    match options.text {
        Some(text) => talk.say(&text).await,
        None => talk_on(talk, input).await,
    }
}

/// Subscribes to the conversation, so that nothing said from now on is missed.
async fn begin(options: &ChatOptions) -> Result<(AppSync, String, Follower), ChatError> {
    let place = Place::find(options)?;
    let api = AppSync::new(&place.url, place.credentials.clone())?;
    let mut memory = Memory::read(&options.state)?;
    let caller = place.caller(&api).await?;
    let last = memory.last_conversation(&place.url, &caller.id);
    let conversation_id = place::choose_conversation(&api, options, &place, last).await?;
    memory.remember(&place.url, &caller.id, &conversation_id)?;
    let follower = api.follow(&conversation_id).await?;
    Ok((api, conversation_id, follower))
}

async fn talk_on<O: Write>(mut talk: Talk<O>, input: impl AsyncBufRead + Unpin) -> Result<Outcome, ChatError> {
    let mut lines = input.lines();
    let mut outcome = Outcome::Answered;
    loop {
        talk.invite()?;
        let line = tokio::select! {
            line = lines.next_line() => line?,
            left = talk.idle() => return left.map(|()| outcome),
        };
        match line.as_deref().map(str::trim) {
            None | Some("/quit") => return Ok(outcome),
            Some("") => {}
            Some(line) => outcome = talk.say(line).await?,
        }
    }
}
