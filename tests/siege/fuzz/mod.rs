//! Everything that parses bytes of strangers: no panic, no hang, no more memory than the input is worth.
mod credentials;
mod cursors;
pub mod documents;
mod event_streams;
mod handshakes;
mod requests;
mod resolver_files;
mod runtime_api;
mod sessions;
mod tables;
mod templates;
mod tokens;

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, time::timeout};

use crate::dice::Dice;

/// How long one input may take on a busy machine.
const INPUT_TIME: Duration = Duration::from_secs(15);
/// What a thread of the program has.
const STACK_BYTES: usize = 2 << 20;
const FIXED_SEED: u64 = 4;

pub trait Target {
    /// What reaches far by itself; each is an input, too.
    fn corpus(&self) -> Vec<Vec<u8>>;

    fn compose(&mut self, dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
        dice.mutated(corpus)
    }

    /// What is wrong with how the input was taken.
    async fn take(&mut self, input: &[u8]) -> Result<(), String>;

    /// What is wrong when all is over.
    async fn after(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// Gives a target its corpus and then so many composed inputs, or as many as fit into `FUZZ_SECONDS`.
pub async fn besiege(name: &str, inputs: usize, target: &mut impl Target) {
    if let Some(only) = said("FUZZ_INPUT") {
        let input = std::fs::read(&only).expect("a readable input");
        return judge(name, 0, &input, target.take(&input).await);
    }
    let seconds: Option<u64> = said("FUZZ_SECONDS").map(|seconds| seconds.parse().expect("FUZZ_SECONDS is a number"));
    let fresh = || if seconds.is_some() { fastrand::u64(..) } else { FIXED_SEED };
    let seed = said("FUZZ_SEED").map_or_else(fresh, |seed| seed.parse().expect("FUZZ_SEED is a number"));
    let (mut dice, begun, corpus) = (Dice::of(seed), Instant::now(), target.corpus());
    let mut taken = 0;
    loop {
        let goes_on = match seconds {
            Some(seconds) => begun.elapsed() < Duration::from_secs(seconds),
            None => taken < corpus.len() + inputs,
        };
        if !goes_on {
            break;
        }
        let composed = corpus.get(taken).cloned();
        let input = composed.unwrap_or_else(|| target.compose(&mut dice, &corpus));
        // Should the process itself end, this is what it ended with.
        std::fs::write(place(name), &input).expect("a writable folder");
        let outcome = timeout(INPUT_TIME, target.take(&input)).await;
        taken += 1;
        judge(name, seed, &input, outcome.unwrap_or_else(|_| Err(format!("took longer than {INPUT_TIME:?}"))));
    }
    judge(name, seed, b"", target.after().await);
    std::fs::remove_file(place(name)).ok();
    println!("{name}: seed {seed}, {taken} inputs in {:.1?}", begun.elapsed());
}

fn judge(name: &str, seed: u64, input: &[u8], outcome: Result<(), String>) {
    let Err(fault) = outcome else { return };
    let shown: String = String::from_utf8_lossy(input).chars().take(400).collect();
    panic!("{name}: {fault}\n  seed {seed}, {} bytes, kept in {}\n  {shown:?}", input.len(), place(name).display());
}

fn said(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

fn place(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("siege-{}.input", name.replace(' ', "-")))
}

/// Runs what is not asynchronous on a thread that nobody has to wait for; a panic of it is a finding.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let (tell, told) = oneshot::channel();
    let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || tell.send(work()).is_ok());
    thread.map_err(|fault| fault.to_string())?;
    told.await.map_err(|_| "it panicked".to_owned())
}

pub fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Every file of a folder and its subfolders, sorted.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}
