//! Every file in tests/golden: a script, a line of dashes, and what the attempt does. `UPDATE_EXPECT=1` rewrites the
//! second half.
use std::{collections::HashMap, env, fmt::Write as _, fs, path::Path, time::Duration};

use api::types::ContentBlock;
use turn::{
    attempt::{AttemptEnd, Effect},
    direct_write::DirectWrite,
    limits::Limits,
    mutation::{AgentEvent, EndReason, Mutation, Update},
    types::StreamEvent,
};

use crate::{
    script::{Said, Script},
    simulation::{Played, play},
};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden");
const DIVIDER: &str = "---\n";
/// Longer texts are shown by both their ends.
const SHOWN_CHARS: usize = 60;

#[test]
fn attempts_do_as_their_files_say() {
    let files = fs::read_dir(CASES).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "txt")).collect();
    files.sort();
    assert!(files.len() >= 25, "only {} files in {CASES}", files.len());
    let failed: Vec<_> = files.iter().filter_map(|path| check(path).err()).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn check(path: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path).unwrap();
    let (script, expected) = text.split_once(DIVIDER).unwrap_or((&text, ""));
    let parsed = Script::parse(script);
    let (limits, said) = (parsed.limits, all_said(&parsed));
    let played = play(parsed);
    keeps_promises(&played, &limits, &said).map_err(|broken| format!("{}: {broken}", path.display()))?;
    let actual = played.steps.iter().map(|(at, step)| shown(*at, step)).collect::<String>();
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(path, format!("{}\n\n{DIVIDER}{actual}", script.trim_end())).unwrap();
    } else if actual != expected {
        return Err(format!("{}\nexpected:\n{expected}\nactual:\n{actual}", path.display()));
    }
    Ok(())
}

fn all_said(script: &Script) -> String {
    let said = script.asks.iter().flatten().filter_map(|(_, said)| match said {
        Said::Event(StreamEvent::Text { text, .. }) => Some(text.as_str()),
        _ => None,
    });
    said.collect()
}

/// What holds for every attempt, whatever happens to it.
fn keeps_promises(played: &Played, limits: &Limits, said: &str) -> Result<(), String> {
    let mut sent: HashMap<u32, &Mutation> = HashMap::new();
    let (mut batches, mut stored) = (String::new(), String::new());
    for mutation in mutations(played) {
        let newest = sent.len() as u32;
        if let Some(before) = sent.get(&mutation.sequence) {
            promise(*before == mutation && mutation.sequence == newest, "a number's content never changes")?;
            continue;
        }
        promise(mutation.sequence == newest + 1, "numbers have no gaps")?;
        sent.insert(mutation.sequence, mutation);
        match &mutation.update {
            Update::Began { .. } | Update::Note(_) | Update::Stored(_) => {}
            Update::Batch(batch) => {
                promise(json_len(&batch.text) <= limits.batch_max_bytes, "a batch is bounded")?;
                batches.push_str(&batch.text);
            }
            Update::Event(event) => {
                let text = joined(&event.content);
                promise(2 * json_len(&text) <= limits.event_max_bytes, "an event is bounded")?;
                promise(text.starts_with(&batches), "batches are the beginning of their event")?;
                batches.clear();
                stored.push_str(&text);
            }
        }
    }
    let heard: String = played.heard.iter().map(|(_, text)| text.as_str()).collect();
    promise(said.starts_with(&heard), "the script was followed")?;
    promise(played.ended != AttemptEnd::Published || stored == heard, "what was heard is stored, byte for byte")
}

fn promise(kept: bool, promise: &str) -> Result<(), String> {
    if kept { Ok(()) } else { Err(format!("broken: {promise}")) }
}

/// All that was sent, published or written.
pub fn mutations(played: &Played) -> impl Iterator<Item = &Mutation> {
    played.steps.iter().filter_map(|(_, step)| match step {
        Effect::Publish(mutation) | Effect::Write(DirectWrite::StoreEvent(mutation)) => Some(mutation.as_ref()),
        Effect::CallModel(_)
        | Effect::CloseModelStream
        | Effect::Write(DirectWrite::RenewLease(_))
        | Effect::End(_) => None,
    })
}

pub fn joined(content: &[ContentBlock]) -> String {
    content.iter().filter_map(|block| block.text.as_deref()).collect()
}

pub fn json_len(text: &str) -> usize {
    serde_json::to_string(text).unwrap().len() - 2
}

fn shown(at: Duration, step: &Effect) -> String {
    let what = match step {
        Effect::CallModel(_) => "ask".into(),
        Effect::CloseModelStream => "close".into(),
        Effect::Publish(mutation) => format!("#{} {}", mutation.sequence, shown_update(&mutation.update)),
        Effect::Write(DirectWrite::RenewLease(_)) => "renew".into(),
        Effect::Write(DirectWrite::StoreEvent(event)) => {
            format!("write #{} {}", event.sequence, shown_update(&event.update))
        }
        Effect::End(ended) => format!("end: {ended:?}"),
    };
    format!("{:>6} {what}\n", at.as_millis())
}

fn shown_update(update: &Update) -> String {
    match update {
        Update::Began { question, continues } => {
            let continuing = if *continues { ", continuing" } else { "" };
            format!("began with {} at {}{continuing}", question.id, question.position)
        }
        Update::Note(note) => format!("note {note:?}"),
        Update::Batch(batch) => format!("batch of {}: {}", batch.block, shown_text(&batch.text)),
        Update::Event(event) => shown_event(event),
        Update::Stored(event) => format!("{:?} {} at {}, stored", event.status, event.id, event.position),
    }
}

fn shown_event(event: &AgentEvent) -> String {
    let texts: Vec<_> = event.content.iter().filter_map(|block| block.text.as_deref()).map(shown_text).collect();
    let mut shown = format!("{:?} {} at {} [{}]", event.status(), event.id, event.position, texts.join(", "));
    if let Some(end) = event.end {
        match end.why {
            EndReason::Stopped(reason) => write!(shown, " {reason:?}").unwrap(),
            EndReason::Failed(failure) => {
                write!(shown, " {:?}, retryable: {}", failure.code, failure.retryable).unwrap()
            }
        }
        if let Some(usage) = end.usage {
            write!(shown, " used {}+{}={}", usage.input_tokens, usage.output_tokens, usage.total_tokens).unwrap();
            let cache = usage.cache_read_tokens.zip(usage.cache_write_tokens);
            cache.map_or(Ok(()), |(read, write)| write!(shown, " cache {read}/{write}")).unwrap();
        }
    }
    shown
}

fn shown_text(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= SHOWN_CHARS {
        return format!("{text:?}");
    }
    let end = |chars: &[char]| chars.iter().collect::<String>();
    format!("{:?}…{:?} ({} bytes)", end(&chars[..20]), end(&chars[chars.len() - 20..]), text.len())
}
