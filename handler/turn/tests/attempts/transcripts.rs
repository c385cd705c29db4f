//! Transcripts built from conversations.
//!
//! Conversations are written as words: `u1:text` is the user's event of turn 1, `a1:text` an agent's event
//! and `a1-:text` a superseded one. `|` separates the texts of one event, and `_` stands for a blank text. In
//! transcripts, `continue` stands for the continue prompt.
use api::types::{ContentBlock, ConversationEvent, Sender, SenderKind};
use proptest::{collection::vec, prelude::*};
use turn::{
    model::TranscriptMessage,
    transcript::{OlderEvents, TranscriptInput, build_transcript, older_events_to_load},
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
            let expected = if index % 2 == 0 { SenderKind::User } else { SenderKind::Agent };
            prop_assert_eq!(message.role, expected);
            prop_assert!(!message.texts.is_empty());
        }
        let texts: Vec<_> = messages.iter().flat_map(|message| &message.texts).collect();
        prop_assert!(texts.iter().all(|text| !text.trim().is_empty()));
        prop_assert!(texts.iter().any(|text| *text == "Why?"), "the question is always in the transcript");

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
    messages.iter().rev().nth(1).map(|answer| answer.texts.concat())
}

fn nonblank_text(words: &[String]) -> String {
    let events = events(&words.join(" "));
    let texts = events.iter().flat_map(ConversationEvent::texts);
    texts.filter(|text| !text.trim().is_empty()).collect()
}

fn any_event() -> impl Strategy<Value = String> {
    prop_oneof!["u[1-4]:[a-z_|\"é]{0,12}", "a[1-4]-?:[a-z_|\"é]{0,12}"]
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
    assert_eq!(build_transcript(&input)[0].texts[0], text);
}

#[test]
fn question_is_kept_even_if_it_looks_blank() {
    for history in ["", "u1:Hi", "u1:Hi a1:Hello"] {
        let mut input = input(history, 1000);
        input.question.content = vec![ContentBlock::text("\u{85}")];
        let last = build_transcript(&input).pop().unwrap();
        assert_eq!((last.role, last.texts.last().unwrap().as_str()), (SenderKind::User, "\u{85}"), "{history}");
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

fn continue_prompt() -> String {
    build_transcript(&continued_input("", "a1:Half", 1000)).pop().unwrap().texts.concat()
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
}

fn input(history: &str, context_bytes: usize) -> TranscriptInput {
    TranscriptInput {
        history: events(history),
        history_cut: false,
        question: question(),
        kept_answer: Vec::new(),
        context_bytes,
    }
}

fn continued_input(history: &str, kept_answer: &str, context_bytes: usize) -> TranscriptInput {
    TranscriptInput { kept_answer: events(kept_answer), ..input(history, context_bytes) }
}

fn events(words: &str) -> Vec<ConversationEvent> {
    let words = words.split(' ').filter(|word| !word.is_empty());
    words.zip(1..).map(|(word, position)| event(word, position)).collect()
}

fn event(word: &str, position: u32) -> ConversationEvent {
    let (head, texts) = word.split_once(':').unwrap();
    let (role, turn) = head.split_at(1);
    let kind = if role == "u" { SenderKind::User } else { SenderKind::Agent };
    ConversationEvent {
        id: word.into(),
        conversation_id: "c1".into(),
        position,
        turn_id: Some(format!("turn-{}", turn.trim_end_matches('-'))),
        attempt: (kind == SenderKind::Agent).then_some(1),
        sender: Sender { kind, id: None, name: None },
        content: texts.split('|').map(|text| ContentBlock::text(text.replace('_', " \n"))).collect(),
        text: None,
        stop_reason: None,
        usage: None,
        failure: None,
        superseded: Some(head.ends_with('-')),
        answer_position: None,
        created_at: "2026-11-21T09:00:00.000Z".into(),
    }
}

fn transcript_words(input: &TranscriptInput) -> String {
    let messages = build_transcript(input).into_iter().map(|message| {
        let role = if message.role == SenderKind::User { "u" } else { "a" };
        let texts: Vec<_> = message
            .texts
            .iter()
            .map(|text| if text.starts_with(CONTINUE_PROMPT_START) { "continue" } else { text })
            .collect();
        format!("{role}:{}", texts.join("|"))
    });
    messages.collect::<Vec<_>>().join(" ")
}
