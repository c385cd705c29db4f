//! Transcripts built from conversations.
//!
//! Conversations are written as words: `u1:text` is the user's event of turn 1, `a1:text` an agent's event
//! and `a1-:text` a superseded one. `|` separates the blocks of one event, and `_` stands for a blank text.
//! `(text)` is signed reasoning. `?id` is a tool call; `t1:!id=output` is the event with its result. In
//! transcripts, `continue` stands for the continue prompt, `!id` for a result that is not known, and `!id-`
//! for one that was removed.
use api::types::{
    ContentBlock, ConversationEvent, Reasoning, Sender, SenderKind, StopReason, ToolResult, ToolStatus, ToolUse,
};
use proptest::{collection::vec, prelude::*};
use turn::{
    history::current_events,
    model::{Role, ToolOutput, TranscriptBlock, TranscriptMessage},
    transcript::{
        OlderEvents, TranscriptInput, build_transcript, calls_without_results, older_events_to_load,
        without_tool_blocks,
    },
};

use crate::{golden::json_len, simulation::question};

const CONTINUE_PROMPT_START: &str = "Your answer above broke off.";

#[test]
fn roles_alternate_from_user_to_user_without_blank_texts() {
    for (history, expected) in [
        ("", "u:Why?"),
        ("u1:Hi a1:Hello", "u:Hi a:Hello u:Why?"),
        // Turns without an answer and answers in several events are merged.
        ("u1:Hi", "u:Hi|Why?"),
        ("u1:Hi u2:Ho a2:Hello", "u:Hi|Ho a:Hello u:Why?"),
        ("u1:Hi a1:One a1:Two", "u:Hi a:One|Two u:Why?"),
        // Blank texts are left out.
        ("u1:Hi a1:", "u:Hi|Why?"),
        ("u1:Hi a1:_", "u:Hi|Why?"),
        ("u1:Hi a1:_|One|_", "u:Hi a:One u:Why?"),
        ("u1:_ a1:One u2:Ho a2:Two", "u:Ho a:Two u:Why?"),
        // A turn whose question is missing is left out.
        ("a1:One u2:Hi a2:Two", "u:Hi a:Two u:Why?"),
        ("a1:One", "u:Why?"),
        // Superseded answers are left out.
        ("u1:Hi a1-:Wrong a1:Right", "u:Hi a:Right u:Why?"),
        ("u1:Hi a1-:Wrong a1-:more a1:Right", "u:Hi a:Right u:Why?"),
        ("u1:Hi a1:Begun a1-:Lost a1:Done", "u:Hi a:Begun|Done u:Why?"),
        ("u1:Hi a1-:Wrong a1:", "u:Hi|Why?"),
        // A turn that another message has replaced is left out: its question alone is marked.
        ("u1-:Hi a1:Hello u2:Ho a2:Ha", "u:Ho a:Ha u:Why?"),
        ("u1:Hi a1:Hello u2-:H a2:One a2:Two u3-:Hi a3:Three u4:Ho a4:Ha", "u:Hi a:Hello u:Ho a:Ha u:Why?"),
        ("u1-:Hi a1:?x t1:!x=1 a1:So.", "u:Why?"),
        ("u1-:Hi", "u:Why?"),
    ] {
        assert_eq!(transcript_words(&input(history, 1000)), expected, "{history}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_conversation_gives_a_transcript_that_converse_accepts(
        history in vec(any_event(), 0..20),
        kept_answer in vec(kept_event(), 0..4),
        context_bytes in 0_usize..400,
    ) {
        let input = continued_input(&history.join(" "), &kept_answer.join(" "), context_bytes);
        let messages = build_transcript(&input);
        prop_assert!(messages.len() % 2 == 1, "the transcript ends with the user");
        for (index, message) in messages.iter().enumerate() {
            let expected = if index % 2 == 0 { Role::User } else { Role::Assistant };
            prop_assert_eq!(message.role, expected);
            prop_assert!(!message.content.is_empty());
        }
        let texts: Vec<_> = messages.iter().flat_map(texts).collect();
        prop_assert!(texts.iter().all(|text| !text.trim().is_empty()));
        prop_assert!(texts.contains(&"Why?"), "the question is always in the transcript");

        let kept_text = nonblank_text(&kept_answer);
        let ends_with_prompt = transcript_words(&input).ends_with("u:continue");
        prop_assert_eq!(ends_with_prompt, !kept_text.is_empty(), "a kept answer is continued, and nothing else");
        if ends_with_prompt {
            prop_assert!(continued_text(&messages).is_some_and(|text| kept_text.ends_with(&text)));
        }

        let prompt_bytes = if kept_text.is_empty() { 0 } else { continue_prompt().len() };
        let always_kept_bytes = "Why?".len() + json_len(&kept_text) + prompt_bytes;
        let size: usize = texts.iter().map(|text| json_len(text)).sum();
        prop_assert!(size <= context_bytes.max(always_kept_bytes), "{size} bytes");
    }
}

/// The agent's text that the model is asked to continue.
fn continued_text(messages: &[TranscriptMessage]) -> Option<String> {
    messages.iter().rev().nth(1).map(|answer| texts(answer).concat())
}

fn nonblank_text(words: &[String]) -> String {
    let events = events(&words.join(" "));
    let texts = events.iter().flat_map(ConversationEvent::texts);
    texts.filter(|text| !text.trim().is_empty()).collect()
}

fn any_event() -> impl Strategy<Value = String> {
    prop_oneof!["u[1-4]-?:[a-z_|\"é]{0,12}", "a[1-4]-?:[a-z_|\"é]{0,12}"]
}

fn kept_event() -> impl Strategy<Value = String> {
    "a5:[a-z_|\"é]{0,40}"
}

#[test]
fn oldest_turns_are_dropped_until_the_rest_fits() {
    let history = "u1:12345 a1:12345 u2:123 a2:1234 u3:12 a3:1234";
    for (context_bytes, expected) in [
        (27, "u:12345 a:12345 u:123 a:1234 u:12 a:1234 u:Why?"),
        (26, "u:123 a:1234 u:12 a:1234 u:Why?"),
        (17, "u:123 a:1234 u:12 a:1234 u:Why?"),
        (16, "u:12 a:1234 u:Why?"),
        (10, "u:12 a:1234 u:Why?"),
        (9, "u:Why?"),
        (0, "u:Why?"),
    ] {
        assert_eq!(transcript_words(&input(history, context_bytes)), expected, "{context_bytes} bytes");
    }
}

#[test]
fn no_turn_older_than_a_dropped_one_is_kept() {
    assert_eq!(transcript_words(&input("u1:1 a1:1 u2:123456789 a2:1 u3:2 a3:2", 10)), "u:2 a:2 u:Why?");
}

#[test]
fn sizes_are_those_of_json() {
    let quotes = "u1:\"\"\" a1:é";
    assert_eq!(transcript_words(&input(quotes, 4 + 6 + 2)), "u:\"\"\" a:é u:Why?");
    assert_eq!(transcript_words(&input(quotes, 4 + 6 + 1)), "u:Why?");
}

#[test]
fn text_reaches_the_model_byte_for_byte() {
    let mut input = input("u1:x", 1000);
    let text = " \r\nשלום 👩‍👩‍👧‍👦\u{0}e\u{301}\t";
    input.history[0].content = vec![ContentBlock::text(text)];
    assert_eq!(texts(&build_transcript(&input)[0])[0], text);
}

#[test]
fn question_is_kept_even_if_it_looks_blank() {
    for history in ["", "u1:Hi", "u1:Hi a1:Hello"] {
        let mut input = input(history, 1000);
        input.question.content = vec![ContentBlock::text("\u{85}")];
        let last = build_transcript(&input).pop().unwrap();
        assert_eq!((last.role, texts(&last).pop()), (Role::User, Some("\u{85}")), "{history}");
    }
}

#[test]
fn kept_answer_is_followed_by_the_continue_prompt() {
    for (history, kept_answer, expected) in [
        ("", "a1:Half", "u:Why? a:Half u:continue"),
        ("u1:Hi a1:Ho", "a2:One a2:Two", "u:Hi a:Ho u:Why? a:One|Two u:continue"),
        ("u1:Hi", "a2:One|_|Two", "u:Hi|Why? a:One|Two u:continue"),
        // Without any text to continue, the question is asked again.
        ("u1:Hi a1:Ho", "", "u:Hi a:Ho u:Why?"),
        ("u1:Hi a1:Ho", "a2:_ a2:", "u:Hi a:Ho u:Why?"),
    ] {
        let input = continued_input(history, kept_answer, 1000);
        assert_eq!(transcript_words(&input), expected, "{history} {kept_answer}");
    }
}

#[test]
fn long_kept_answer_is_cut_at_its_start() {
    let always_kept = "Why?".len() + continue_prompt().len();
    for (room, expected_len, keeps_history) in
        [(3004, 3000, true), (3003, 3000, false), (2999, 2999, false), (2048, 2048, false), (2047, 2048, false)]
    {
        let kept_answer = format!("a2:{} a2:{}", "é".repeat(1000), "f".repeat(1000));
        let messages = build_transcript(&continued_input("u1:12 a1:34", &kept_answer, always_kept + room));
        let text = continued_text(&messages).unwrap();
        assert!((expected_len - 1..=expected_len).contains(&text.len()), "{room} bytes: {}", text.len());
        assert!(text.ends_with(&"f".repeat(1000)) && text.starts_with('é'));
        assert_eq!(messages.len(), if keeps_history { 5 } else { 3 }, "{room} bytes");
    }
}

#[test]
fn end_of_kept_answer_is_kept_even_if_nothing_fits() {
    for context_bytes in [0, 4] {
        let short = continued_input("u1:12 a1:34", "a2:Half", context_bytes);
        assert_eq!(transcript_words(&short), "u:Why? a:Half u:continue");
        let long = continued_input("", &format!("a2:{}", "f".repeat(5000)), context_bytes);
        assert_eq!(continued_text(&build_transcript(&long)).unwrap().len(), 2048);
    }
}

#[test]
fn kept_answer_ending_in_white_space_is_continued_from_its_last_word() {
    let mut input = continued_input("", "a2:Half", 0);
    input.kept_answer[0].content = vec![ContentBlock::text(format!("Half{}", "\n".repeat(5000)))];
    assert_eq!(transcript_words(&input), "u:Why? a:Half u:continue");
}

#[test]
fn answer_position_of_the_question_supersedes_events_up_to_it() {
    let mut retried = input("u1:Why? a1:Wrong. a1:Wronger. a1:Right. u2:And? a2:So.", 1000);
    retried.history[0].answer_position = Some(3);
    assert_eq!(transcript_words(&retried), "u:Why? a:Right. u:And? a:So. u:Why?");
}

#[test]
fn answer_that_is_superseded_as_a_whole_leaves_its_question() {
    let mut retried = input("u1:Why? a1:Wrong.", 1000);
    retried.history[0].answer_position = Some(2);
    assert_eq!(transcript_words(&retried), "u:Why?|Why?");
}

#[test]
fn every_call_has_exactly_one_result_in_the_next_message() {
    for (history, expected) in [
        ("u1:Hi a1:Look.|?x t1:!x=1 a1:So.", "u:Hi a:Look.|?x u:!x=1 a:So. u:Why?"),
        ("u1:Hi a1:?x|?y t1:!y=2|!x=1 a1:So.", "u:Hi a:?x|?y u:!y=2|!x=1 a:So. u:Why?"),
        ("u1:Hi a1:?x t1:!x=1 a1:?y t1:!y=2 a1:So.", "u:Hi a:?x u:!x=1 a:?y u:!y=2 a:So. u:Why?"),
        // The turn was closed before its results were stored.
        ("u1:Hi a1:?x a1:", "u:Hi a:?x u:!x|Why?"),
        ("u1:Hi a1:?x a1:Ended.", "u:Hi a:?x u:!x a:Ended. u:Why?"),
        ("u1:Hi a1:?x|?y t1:!x=1 u2:Ho a2:Ha", "u:Hi a:?x|?y u:!x=1|!y|Ho a:Ha u:Why?"),
        // Results of no call and second results are left out.
        ("u1:Hi t1:!x=1 a1:So.", "u:Hi a:So. u:Why?"),
        ("u1:Hi a1:?x t1:!x=1|!x=2 t1:!x=3 a1:So.", "u:Hi a:?x u:!x=1 a:So. u:Why?"),
        // Replaced steps are left out.
        ("u1:Hi a1-:?x t1-:!x=1 a1:So.", "u:Hi a:So. u:Why?"),
    ] {
        assert_eq!(transcript_words(&input(history, 1000)), expected, "{history}");
    }
}

#[test]
fn kept_steps_are_continued_without_a_prompt() {
    for (kept_answer, expected, open_calls) in [
        ("a2:?x t2:!x=1", "u:Why? a:?x u:!x=1", vec![]),
        ("a2:?x", "u:Why? a:?x", vec!["x"]),
        // The run with the calls failed: the event that closed it is blank.
        ("a2:?x a2:", "u:Why? a:?x", vec!["x"]),
        ("a2:?x a2: a2:", "u:Why? a:?x", vec!["x"]),
        ("a2:?x|?y t2:!y=2 a2:", "u:Why? a:?x|?y u:!y=2", vec!["x"]),
        ("a2:?x|?y a2: t2:!y=2", "u:Why? a:?x|?y u:!y=2", vec!["x"]),
        ("a2:?x a2: t2:!x=1", "u:Why? a:?x u:!x=1", vec![]),
        ("a2:?x a2: t2:!x=1 a2:Half", "u:Why? a:?x u:!x=1 a:Half u:continue", vec![]),
        ("a2:?x a2:Half", "u:Why? a:?x u:!x a:Half u:continue", vec![]),
        ("a2:?x t2:!x=1 a2:Half", "u:Why? a:?x u:!x=1 a:Half u:continue", vec![]),
        // The results of calls that did not wait are stored before those of calls that did.
        ("a2:?x|?y|?z t2:!y=2", "u:Why? a:?x|?y|?z u:!y=2", vec!["x", "z"]),
        ("a2:?x|?y|?z t2:!y=2 t2:!x=1", "u:Why? a:?x|?y|?z u:!y=2|!x=1", vec!["z"]),
        ("a2:?x|?y t2:!y=2 t2:!x=1", "u:Why? a:?x|?y u:!y=2|!x=1", vec![]),
        ("a2:?x t2:!x=1 a2:?y|?z t2:!y=2", "u:Why? a:?x u:!x=1 a:?y|?z u:!y=2", vec!["z"]),
    ] {
        let input = continued_input("", kept_answer, 1000);
        assert_eq!(transcript_words(&input), expected, "{kept_answer}");
        let stored = calls_without_results(&input.kept_answer).map_or_else(Vec::new, |stored| stored.calls);
        let ids: Vec<_> = stored.iter().map(|call| call.id.as_str()).collect();
        assert_eq!(ids, open_calls, "{kept_answer}");
    }
}

#[test]
fn open_answer_has_its_reasoning_in_its_place() {
    for (kept_answer, expected) in [
        ("a2:(A)|Look.|(B)|?x t2:!x=1", "u:Why? a:(A)|Look.|(B)|?x u:!x=1"),
        ("a2:(A) a2:(B)|?x t2:!x=1 a2:(C)|?y t2:!y=2", "u:Why? a:(A)|(B)|?x u:!x=1 a:(C)|?y u:!y=2"),
        ("a2:?x t2:!x=1 a2:(B)|Half", "u:Why? a:?x u:!x=1 a:Half u:continue"),
    ] {
        let input = continued_input("u1:Hi a1:(0)|?w t1:!w=1 a1:(0)|So.", kept_answer, 1000);
        let earlier = "u:Hi a:?w u:!w=1 a:So.";
        assert_eq!(transcript_words(&input), format!("{earlier} {expected}"), "{kept_answer}");
    }
    let mut of_other_model = continued_input("", "a2:(A)|Look.|(B)|?x t2:!x=1", 1000);
    of_other_model.model_id = "other".into();
    assert_eq!(transcript_words(&of_other_model), "u:Why? a:Look.|?x u:!x=1");
    let mut broken_off = continued_input("", "a2:(A)|?x t2:!x=1", 1000);
    broken_off.kept_answer[0].stop_reason = Some(StopReason::MaxTokens);
    assert_eq!(transcript_words(&broken_off), "u:Why? a:?x u:!x=1");
}

#[test]
fn calls_of_a_cancelled_run_are_not_open() {
    let mut input = continued_input("", "a2:?x a2:", 1000);
    input.kept_answer[1].stop_reason = Some(StopReason::Cancelled);
    assert_eq!(transcript_words(&input), "u:Why? a:?x u:!x");
    assert_eq!(calls_without_results(&input.kept_answer), None);
}

#[test]
fn old_results_are_removed_before_whole_turns() {
    let long = "9".repeat(200);
    let history = format!("u1:Hi a1:?x t1:!x={long} a1:So. u2:Ho a2:?y t2:!y={long} a2:Ha");
    for (context_bytes, expected) in [
        (1000, format!("u:Hi a:?x u:!x={long} a:So. u:Ho a:?y u:!y={long} a:Ha u:Why?")),
        (400, format!("u:Hi a:?x u:!x- a:So. u:Ho a:?y u:!y={long} a:Ha u:Why?")),
        (250, "u:Hi a:?x u:!x- a:So. u:Ho a:?y u:!y- a:Ha u:Why?".to_owned()),
        (120, "u:Ho a:?y u:!y- a:Ha u:Why?".to_owned()),
        (50, "u:Why?".to_owned()),
    ] {
        assert_eq!(transcript_words(&input(&history, context_bytes)), expected, "{context_bytes} bytes");
    }
}

#[test]
fn tool_blocks_become_text_for_an_agent_without_tools() {
    let messages = build_transcript(&input("u1:Hi a1:?x t1:!x=1 a1:So.", 1000));
    let texts: Vec<_> = without_tool_blocks(messages).iter().map(|message| texts(message).concat()).collect();
    assert_eq!(texts, ["Hi", "[Tool call look: {}]", "[Tool result: 1]", "So.", "Why?"]);
}

fn continue_prompt() -> String {
    texts(build_transcript(&continued_input("", "a1:Half", 1000)).last().unwrap()).concat()
}

#[test]
fn older_events_are_loaded_only_if_they_exist_and_would_fit() {
    let page = |history: &str, first_position: u32, history_cut, context_bytes| {
        let mut input = input(history, context_bytes);
        input.history_cut = history_cut;
        let events = input.history.iter_mut().chain([&mut input.question]);
        for (event, position) in events.zip(first_position..) {
            event.position = position;
        }
        older_events_to_load(&input)
    };
    let expected = |before, at_most| Some(OlderEvents { before, at_most });
    assert_eq!(page("", 1, false, 1000), None);
    assert_eq!(page("", 9, true, 1000), expected(9, 250));
    assert_eq!(page("u1:Hi a1:Ho", 7, false, 1000), None);
    assert_eq!(page("u1:Hi a1:Ho", 7, true, 8), None);
    assert_eq!(page("u1:Hi a1:Ho", 7, true, 9), expected(7, 4));
    assert_eq!(page("u1:Hi a1:Ho", 7, true, 108), expected(7, 51));
    assert_eq!(page("u1:Hi a1:Ho", 7, true, 4_000_000), expected(7, 1000));
    assert_eq!(page("u1:Hi a1:Ho", 1, true, 1000), None);
    // Superseded events take no room, up to a bound. Whether an answer without its question is superseded is
    // not known yet.
    assert_eq!(page("u1-:12345 a1:12345", 7, true, 10), expected(7, 4));
    assert_eq!(page("u1:12 a1-:12345678", 7, true, 8), expected(7, 4));
    assert_eq!(page("u1-:12345 a1:123456", 7, true, 10), None);
    assert_eq!(page("a1:12345 a1:123456", 7, true, 10), None);
}

#[test]
fn current_events_are_those_that_nothing_has_replaced() {
    let words = |history: &str| {
        let history = events(history);
        current_events(&history).map(|event| event.id.clone()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(words("a1:One u2-:Two a2:Three u3:Four a3-:Five a3:Six"), "a1:One u3:Four a3:Six");
    assert_eq!(words("u1-:One a1:Two t1:Three"), "");
    assert_eq!(words(""), "");
}

fn input(history: &str, context_bytes: usize) -> TranscriptInput {
    TranscriptInput {
        history: events(history),
        history_cut: false,
        question: question(),
        context: Vec::new(),
        kept_answer: Vec::new(),
        model_id: "any".into(),
        context_bytes,
    }
}

fn continued_input(history: &str, kept_answer: &str, context_bytes: usize) -> TranscriptInput {
    TranscriptInput { kept_answer: events(kept_answer), ..input(history, context_bytes) }
}

fn texts(message: &TranscriptMessage) -> Vec<&str> {
    let texts = message.content.iter().filter_map(|block| match block {
        TranscriptBlock::Text(text) => Some(text.as_str()),
        TranscriptBlock::SearchResult(_)
        | TranscriptBlock::Reasoning(_)
        | TranscriptBlock::ToolUse(_)
        | TranscriptBlock::ToolResult { .. }
        | TranscriptBlock::FoundSearchResults { .. } => None,
    });
    texts.collect()
}

/// `?id` is a call, `!id=output` its result, `!id` a result that is not known, `!id-` one that was removed.
fn block_word(block: &TranscriptBlock) -> String {
    match block {
        TranscriptBlock::Text(text) if text.starts_with(CONTINUE_PROMPT_START) => "continue".into(),
        TranscriptBlock::Text(text) => text.clone(),
        TranscriptBlock::SearchResult(result) => format!("{}:{}", result.source, result.text),
        TranscriptBlock::Reasoning(reasoning) => format!("({})", reasoning.text),
        TranscriptBlock::FoundSearchResults { tool_use_id, results } => {
            let results: Vec<_> = results.iter().map(|result| format!("{}:{}", result.source, result.text)).collect();
            format!("!{tool_use_id}={}", results.join("+"))
        }
        TranscriptBlock::ToolUse(tool_use) => format!("?{}", tool_use.id),
        TranscriptBlock::ToolResult { tool_use_id, output, .. } => match output {
            ToolOutput::Text(text) if text.starts_with("The result of this call is not known") => {
                format!("!{tool_use_id}")
            }
            ToolOutput::Text(text) if text.starts_with("[This result was removed") => format!("!{tool_use_id}-"),
            ToolOutput::Json(output) | ToolOutput::Text(output) => format!("!{tool_use_id}={output}"),
        },
    }
}

fn content_block(word: &str) -> ContentBlock {
    if let Some(id) = word.strip_prefix('?') {
        let tool_use = ToolUse { id: id.into(), name: "look".into(), title: None, input: "{}".into() };
        return ContentBlock::tool_use(tool_use);
    }
    if let Some(text) = word.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
        let signature = Some("s".to_owned());
        return ContentBlock::reasoning(Reasoning { text: text.into(), signature, ..Reasoning::default() });
    }
    if let Some((id, output)) = word.strip_prefix('!').and_then(|result| result.split_once('=')) {
        return ContentBlock::tool_result(ToolResult {
            tool_use_id: id.into(),
            status: ToolStatus::Succeeded,
            json: Some(output.into()),
            text: None,
            truncated: None,
            started_at: None,
            ended_at: None,
        });
    }
    ContentBlock::text(word.replace('_', " \n"))
}

fn events(words: &str) -> Vec<ConversationEvent> {
    let words = words.split(' ').filter(|word| !word.is_empty());
    words.zip(1..).map(|(word, position)| event(word, position)).collect()
}

fn event(word: &str, position: u32) -> ConversationEvent {
    let (head, texts) = word.split_once(':').unwrap();
    let (role, turn) = head.split_at(1);
    let kind = match role {
        "u" => SenderKind::User,
        "t" => SenderKind::Tool,
        _ => SenderKind::Agent,
    };
    ConversationEvent {
        id: word.into(),
        conversation_id: "c1".into(),
        position,
        turn_id: Some(format!("turn-{}", turn.trim_end_matches('-'))),
        attempt: (kind != SenderKind::User).then_some(1),
        sender: Sender { kind, id: None, name: None },
        content: texts.split('|').map(content_block).collect(),
        text: None,
        stop_reason: None,
        usage: None,
        failure: None,
        superseded: Some(head.ends_with('-')),
        replaces_turn_id: None,
        answer_position: None,
        model_id: (kind == SenderKind::Agent).then(|| "any".into()),
        guardrail: None,
        created_at: "2026-11-21T09:00:00.000Z".into(),
    }
}

fn transcript_words(input: &TranscriptInput) -> String {
    let messages = build_transcript(input).into_iter().map(|message| {
        let role = if message.role == Role::User { "u" } else { "a" };
        let blocks: Vec<_> = message.content.iter().map(block_word).collect();
        format!("{role}:{}", blocks.join("|"))
    });
    messages.collect::<Vec<_>>().join(" ")
}
