//! Runs a target with inputs: first its corpus, then generated ones.
use std::{
    env,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, time::timeout};

use crate::mutator::Mutator;

/// The time that one input may take on a busy machine.
const INPUT_TIMEOUT: Duration = Duration::from_secs(15);
/// The stack of a thread of the program.
const STACK_BYTES: usize = 2 << 20;
const DEFAULT_SEED: u64 = 4;

pub trait Target {
    /// Inputs that reach far into the target. Each is run before the generated inputs.
    fn corpus(&self) -> Vec<Vec<u8>>;

    fn generate(&mut self, mutator: &mut Mutator, corpus: &[Vec<u8>]) -> Vec<u8> {
        mutator.mutate_any(corpus)
    }

    /// Runs the target with an input. An error is a finding.
    async fn run(&mut self, input: &[u8]) -> Result<(), String>;

    /// Runs after the last input. An error is a finding.
    async fn finish(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// Gives a target its corpus and then `generated_inputs` inputs, or as many as fit into `FUZZ_SECONDS`.
pub async fn fuzz(name: &str, generated_inputs: usize, target: &mut impl Target) {
    if let Some(path) = variable("FUZZ_INPUT") {
        let input = std::fs::read(&path).expect("FUZZ_INPUT is a readable file");
        return report(name, 0, &input, target.run(&input).await);
    }
    let time_limit = number_variable("FUZZ_SECONDS").map(Duration::from_secs);
    let random_or_default_seed = || if time_limit.is_some() { fastrand::u64(..) } else { DEFAULT_SEED };
    let seed = number_variable("FUZZ_SEED").unwrap_or_else(random_or_default_seed);
    let mut mutator = Mutator::with_seed(seed);
    let corpus = target.corpus();
    let start = Instant::now();
    let mut inputs = 0;
    loop {
        let is_over = match time_limit {
            Some(time_limit) => start.elapsed() >= time_limit,
            None => inputs >= corpus.len() + generated_inputs,
        };
        if is_over {
            break;
        }
        let from_corpus = corpus.get(inputs).cloned();
        let input = from_corpus.unwrap_or_else(|| target.generate(&mut mutator, &corpus));
        // The file remains if the input ends this process.
        std::fs::write(input_path(name), &input).expect("the folder is writable");
        let result = timeout(INPUT_TIMEOUT, target.run(&input)).await;
        inputs += 1;
        report(name, seed, &input, result.unwrap_or_else(|_| Err(format!("took longer than {INPUT_TIMEOUT:?}"))));
    }
    report(name, seed, b"", target.finish().await);
    std::fs::remove_file(input_path(name)).ok();
    println!("{name}: seed {seed}, {inputs} inputs in {:.1?}", start.elapsed());
}

/// Panics if there is a finding.
fn report(name: &str, seed: u64, input: &[u8], result: Result<(), String>) {
    let Err(finding) = result else { return };
    let beginning: String = String::from_utf8_lossy(input).chars().take(400).collect();
    let path = input_path(name);
    panic!("{name}: {finding}\n  seed {seed}, {} bytes, kept in {}\n  {beginning:?}", input.len(), path.display());
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

fn number_variable(name: &str) -> Option<u64> {
    variable(name).map(|value| value.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {value:?}")))
}

fn input_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}.input", name.replace(' ', "-")))
}

/// Runs blocking work on a thread of its own, so that a hang can time out. A panic of the work is a finding.
pub async fn run_on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let (sender, receiver) = oneshot::channel();
    let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || sender.send(work()).is_ok());
    thread.map_err(|error| error.to_string())?;
    receiver.await.map_err(|_| "it panicked".to_owned())
}
