//! Where a request may have cache points, for how long, and how many tokens they need, with Bedrock's
//! messages. The messages were recorded, but for those that are said to be assumed.
use super::{
    bedrock_error::BedrockError,
    model_family::{Claude, ModelFamily, model_family, name},
    request::{CachePoint, Message, Transcript},
};

const MAX_POINTS: usize = 4;
/// Of models whose minimum is not known.
const MINIMUM_TOKENS: usize = 1_024;

pub(super) fn check(model_id: &str, transcript: &Transcript) -> Result<(), BedrockError> {
    let points = transcript.cache_points().count();
    if points == 0 {
        return Ok(());
    }
    match model_family(model_id) {
        ModelFamily::Claude(claude) if !takes_points(model_id, claude) => return Err(BedrockError::no_prompt_caching()),
        ModelFamily::Other(_) => return Err(BedrockError::no_prompt_caching()),
        ModelFamily::Nova { .. } => check_nova(transcript)?,
        ModelFamily::Claude(_) | ModelFamily::Scripted => {}
    }
    if points > MAX_POINTS {
        let error = format!("A maximum of {MAX_POINTS} blocks with cache_control may be provided. Found {points}.");
        return Err(BedrockError::refused_by_model(&error));
    }
    check_times(model_id, transcript)
}

/// All but Claude 3 and the first Claude 3.5 Sonnet.
fn takes_points(model_id: &str, Claude { line, version }: Claude) -> bool {
    let is_later_version = line == "haiku" || model_id.contains("20241022");
    version >= (3, 7) || (version == (3, 5) && is_later_version)
}

/// Nova takes no cache point in tools or beside tool blocks, and no time. The last message is assumed.
fn check_nova(transcript: &Transcript) -> Result<(), BedrockError> {
    if let Some(index) = transcript.tools().position(|tool| tool.cache_point.is_some()) {
        return Err(extraneous_key(&format!("#/toolConfig/tools/{index}"), "cachePoint"));
    }
    for (index, message) in transcript.messages.iter().enumerate() {
        let has_tools = message.tool_uses().next().is_some() || message.tool_results().next().is_some();
        if let Some(block) = point_index(message).filter(|_| has_tools) {
            return Err(extraneous_key(&format!("#/messages/{index}/content/{block}"), "cachePoint"));
        }
    }
    match transcript.cache_points().any(|point| point.ttl.is_some()) {
        true => Err(extraneous_key("#", "ttl")),
        false => Ok(()),
    }
}

pub(super) fn extraneous_key(path: &str, key: &str) -> BedrockError {
    BedrockError::refused_by_model(&format!(
        "Malformed input request: {path}: extraneous key [{key}] is not permitted, please reformat your input and try \
         again."
    ))
}

fn point_index(message: &Message) -> Option<usize> {
    message.content.iter().position(|block| block.cache_point.is_some())
}

/// A longer time must come before a shorter one. The messages about the value and about models without the
/// longer time are assumed.
fn check_times(model_id: &str, transcript: &Transcript) -> Result<(), BedrockError> {
    let times = transcript.cache_points().filter_map(|point| point.ttl.as_deref());
    for ttl in times {
        if !["5m", "1h"].contains(&ttl) {
            let error = format!("cache_control.ttl: Input should be '5m' or '1h', not '{ttl}'");
            return Err(BedrockError::refused_by_model(&error));
        }
        if ttl == "1h" && !takes_hours(model_id) {
            let error = "cache_control.ttl: a ttl of '1h' is not supported for this model";
            return Err(BedrockError::refused_by_model(error));
        }
    }
    let mut has_short = false;
    for (path, point) in points_with_paths(transcript) {
        if point.is_long() && has_short {
            return Err(BedrockError::refused_by_model(&format!(
                "{path}.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control \
                 block."
            )));
        }
        has_short |= !point.is_long();
    }
    Ok(())
}

/// The cache points with the path of the block before them, which is Anthropic's `cache_control` block.
fn points_with_paths(transcript: &Transcript) -> Vec<(String, &CachePoint)> {
    let mut points = of_list("tools", transcript.tools().map(|tool| tool.cache_point.as_ref()));
    points.extend(of_list("system", transcript.system.iter().map(|block| block.cache_point.as_ref())));
    for (index, message) in transcript.messages.iter().enumerate() {
        let blocks = message.content.iter().map(|block| block.cache_point.as_ref());
        points.extend(of_list(&format!("messages.{index}.content"), blocks));
    }
    points
}

fn of_list<'a>(parent: &str, points: impl Iterator<Item = Option<&'a CachePoint>>) -> Vec<(String, &'a CachePoint)> {
    let path = |index: usize| format!("{parent}.{}", index.saturating_sub(1));
    points.enumerate().filter_map(|(index, point)| Some((path(index), point?))).collect()
}

/// The models that keep a prefix for an hour.
fn takes_hours(model_id: &str) -> bool {
    match model_family(model_id) {
        ModelFamily::Claude(Claude { line, version }) => version >= (4, 5) && line != "mythos",
        ModelFamily::Nova { .. } | ModelFamily::Other(_) => false,
        ModelFamily::Scripted => true,
    }
}

/// A shorter prefix is not cached. The user guide and the models' pages differ for Sonnet 4.5 and 4.6 and for
/// Opus 4.7; this is the user guide.
pub(super) fn minimum_tokens(model_id: &str) -> usize {
    let is_nova_pro = name(model_id).contains("nova-pro");
    match model_family(model_id) {
        ModelFamily::Claude(Claude { line: "haiku", version }) if version >= (4, 5) => 4_096,
        ModelFamily::Claude(Claude { line: "haiku", .. }) => 2_048,
        ModelFamily::Claude(Claude { line: "opus", version: (4, 5..=7) }) => 4_096,
        ModelFamily::Claude(Claude { line: "sonnet", version }) if version >= (5, 5) => 512,
        ModelFamily::Claude(Claude { line: "opus" | "fable" | "mythos", version }) if version >= (5, 0) => 512,
        ModelFamily::Nova { generation: 1 } if !is_nova_pro => 1_536,
        _ => MINIMUM_TOKENS,
    }
}

/// How many blocks before a cache point the end of a cached prefix may be.
pub(super) fn lookback(model_id: &str) -> usize {
    match model_family(model_id) {
        ModelFamily::Claude(_) | ModelFamily::Scripted => 20,
        ModelFamily::Nova { .. } | ModelFamily::Other(_) => 0,
    }
}
