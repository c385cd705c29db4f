//! The rules of a transcript that Bedrock accepts, and what it says of others.
use std::collections::BTreeSet;

use super::{
    refusal::Refusal,
    request::{Block, Inference, Transcript, TranscriptMessage},
};

const STOP_SEQUENCES: usize = 2500;

/// The first rule that is broken speaks; values out of range are reported together.
pub(super) fn check(transcript: &Transcript) -> Result<(), Refusal> {
    check_constraints(transcript)?;
    check_system(&transcript.system)?;
    check_roles(&transcript.messages)?;
    transcript.messages.iter().enumerate().try_for_each(|(at, message)| check_content(at, message))?;
    check_tools(transcript)
}

fn check_constraints(transcript: &Transcript) -> Result<(), Refusal> {
    let broken: Vec<String> = roles(&transcript.messages).chain(ranges(&transcript.inference_config)).collect();
    match broken.len() {
        0 => Ok(()),
        1 => Err(Refusal::invalid(format!("1 validation error detected: {}", broken.join("")))),
        n => Err(Refusal::invalid(format!("{n} validation errors detected: {}", broken.join("; ")))),
    }
}

fn roles(messages: &[TranscriptMessage]) -> impl Iterator<Item = String> {
    let known = ["user", "assistant"];
    messages.iter().enumerate().filter(move |(_, message)| !known.contains(&message.role.as_str())).map(
        |(at, message)| {
            let place = format!("messages.{}.member.role", at + 1);
            broken(&message.role, &place, "satisfy enum value set: [user, assistant]")
        },
    )
}

fn ranges(inference: &Inference) -> impl Iterator<Item = String> {
    let tokens = inference.max_tokens.filter(|tokens| *tokens < 1);
    let tokens =
        tokens.map(|tokens| broken(&tokens, "inferenceConfig.maxTokens", "have value greater than or equal to 1"));
    let sequences = inference.stop_sequences.as_deref().filter(|sequences| sequences.len() > STOP_SEQUENCES);
    let sequences = sequences.map(|sequences| {
        let must = format!("have length less than or equal to {STOP_SEQUENCES}");
        broken(&format!("[{}]", sequences.join(", ")), "inferenceConfig.stopSequences", &must)
    });
    [
        tokens,
        outside_unit("inferenceConfig.temperature", inference.temperature),
        outside_unit("inferenceConfig.topP", inference.top_p),
        sequences,
    ]
    .into_iter()
    .flatten()
}

fn outside_unit(name: &str, value: Option<f64>) -> Option<String> {
    let value = value?;
    let must = match value {
        low if low < 0.0 => "have value greater than or equal to 0",
        high if high > 1.0 => "have value less than or equal to 1",
        _ => return None,
    };
    Some(broken(&value, name, must))
}

fn broken(value: &impl std::fmt::Display, place: &str, must: &str) -> String {
    format!("Value '{value}' at '{place}' failed to satisfy constraint: Member must {must}")
}

fn check_system(system: &[Block]) -> Result<(), Refusal> {
    match system.iter().position(is_blank) {
        None => Ok(()),
        Some(at) => Err(Refusal::invalid(format!(
            "The text field in the SystemContentBlock object at system.{at} is blank. Add text to the text field, and \
             try again."
        ))),
    }
}

fn check_roles(messages: &[TranscriptMessage]) -> Result<(), Refusal> {
    let first_is_user = messages.first().is_some_and(|message| message.role == "user");
    let alternate = messages.windows(2).all(|pair| matches!(pair, [one, other] if one.role != other.role));
    let last_is_user = messages.last().is_some_and(|message| message.role == "user");
    match (first_is_user, alternate, last_is_user) {
        (true, true, true) => Ok(()),
        (false, _, _) => Err(Refusal::invalid(
            "A conversation must start with a user message. Try again with a conversation that starts with a user \
             message.",
        )),
        (true, false, _) => Err(Refusal::invalid(
            "A conversation must alternate between user and assistant roles. Make sure the conversation alternates \
             between user and assistant roles and try again.",
        )),
        (true, true, false) => Err(Refusal::invalid(
            "The model returned the following errors: This model does not support assistant message prefill. The \
             conversation must end with a user message.",
        )),
    }
}

fn check_content(at: usize, message: &TranscriptMessage) -> Result<(), Refusal> {
    if message.content.is_empty() {
        return Err(Refusal::invalid(format!(
            "The content field in the Message object at messages.{at} is empty. Add a ContentBlock object to the \
             content field and try again."
        )));
    }
    match message.content.iter().position(is_blank) {
        None => Ok(()),
        Some(block) => Err(Refusal::invalid(format!(
            "The text field in the ContentBlock object at messages.{at}.content.{block} is blank. Add text to the \
             text field, and try again."
        ))),
    }
}

fn is_blank(block: &Block) -> bool {
    block.text.as_deref().is_some_and(|text| text.trim().is_empty())
}

fn check_tools(transcript: &Transcript) -> Result<(), Refusal> {
    let mut blocks = transcript.messages.iter().flat_map(|message| &message.content);
    let uses_tools = blocks.any(|block| block.tool_use.is_some() || block.tool_result.is_some());
    if uses_tools && transcript.tool_config.is_none() {
        return Err(Refusal::invalid(
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
        ));
    }
    let pairs = transcript.messages.windows(2).enumerate();
    pairs.filter_map(|(at, pair)| Some((at + 1, pair.first()?, pair.get(1)?))).try_for_each(check_results)
}

fn check_results((at, asked, answered): (usize, &TranscriptMessage, &TranscriptMessage)) -> Result<(), Refusal> {
    let ids = |of: Vec<&str>| of.into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
    let uses = asked.content.iter().filter_map(|block| Some(block.tool_use.as_ref()?.tool_use_id.as_str()));
    let results = answered.content.iter().filter_map(|block| Some(block.tool_result.as_ref()?.tool_use_id.as_str()));
    let (uses, results) = (ids(uses.collect()), ids(results.collect()));
    let missing: Vec<&str> = uses.difference(&results).map(String::as_str).collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        let text = format!("Expected toolResult blocks at messages.{at}.content for the following Ids: {missing}");
        return Err(Refusal::invalid(text));
    }
    if results.len() > uses.len() {
        return Err(Refusal::invalid(format!(
            "The number of toolResult blocks at messages.{at}.content exceeds the number of toolUse blocks of previous \
             turn."
        )));
    }
    Ok(())
}
