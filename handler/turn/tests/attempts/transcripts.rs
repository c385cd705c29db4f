//! Histories in, transcripts out. An event is written `u1:text` (user, turn 1), `a1:text` (agent) or `a1-:text`
//! (superseded); several texts of one event are joined by `|`. `go-on` stands for the order to continue.
use api::types::{ContentBlock, ConversationEvent, Sender, SenderKind};
use proptest::{collection::vec, prelude::*};
use turn::{
    transcript::{OlderEvents, TranscriptInput, older_events_wanted, transcript},
    types::TranscriptMessage,
};

use crate::{cases::json_len, simulation::question};

/// How the order to continue begins.
const CONTINUE_PROMPT: &str = "Your answer above broke off.";

#[test]
fn a_transcript_is_always_one_that_the_model_accepts() {
    for (history, expected) in [
        ("", "u:Why?"),
        ("u1:Hi a1:Hello", "u:Hi a:Hello u:Why?"),
        // Turns without an answer, and answers in several events, are merged: sides must alternate.
        ("u1:Hi", "u:Hi|Why?"),
        ("u1:Hi u2:Ho a2:Hello", "u:Hi|Ho a:Hello u:Why?"),
        ("u1:Hi a1:One a1:Two", "u:Hi a:One|Two u:Why?"),
        // Blank texts are refused.
        ("u1:Hi a1:", "u:Hi|Why?"),
        ("u1:Hi a1:_", "u:Hi|Why?"),
        ("u1:Hi a1:_|One|_", "u:Hi a:One u:Why?"),
        ("u1:_ a1:One u2:Ho a2:Two", "u:Ho a:Two u:Why?"),
        // It starts with the user: what is left of a turn that was cut is left out.
        ("a1:One u2:Hi a2:Two", "u:Hi a:Two u:Why?"),
        ("a1:One", "u:Why?"),
        // Answers that were given up.
        ("u1:Hi a1-:Wrong a1:Right", "u:Hi a:Right u:Why?"),
        ("u1:Hi a1-:Wrong a1-:more a1:Right", "u:Hi a:Right u:Why?"),
        ("u1:Hi a1:Begun a1-:Lost a1:Done", "u:Hi a:Begun|Done u:Why?"),
        ("u1:Hi a1-:Wrong a1:", "u:Hi|Why?"),
    ] {
        assert_eq!(shown(&material(history, 1000)), expected, "{history}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_gives_a_transcript_that_the_model_accepts(
        history in vec(said_by_anybody(), 0..20),
        kept_answer in vec(said_by_the_agent(), 0..4),
        context_bytes in 0_usize..400,
    ) {
        let material = continuing(&history.join(" "), &kept_answer.join(" "), context_bytes);
        let messages = transcript(&material);
        let users = messages.iter().map(|message| message.side == SenderKind::User);
        prop_assert!(users.eq((0..messages.len()).map(|at| at % 2 == 0)) && messages.len() % 2 == 1);
        let texts: Vec<_> = messages.iter().flat_map(|message| &message.texts).collect();
        prop_assert!(messages.iter().all(|message| !message.texts.is_empty()));
        prop_assert!(texts.iter().all(|text| !text.trim().is_empty()));
        prop_assert!(texts.iter().any(|text| *text == "Why?"), "the question is always asked");
        let (goes_on, stands) = (shown(&material).ends_with("u:go-on"), !texts_of(&kept_answer).trim().is_empty());
        prop_assert_eq!(goes_on, stands, "what stands is continued, and nothing else");
        let always = "Why?".len() + if stands { json_len(&texts_of(&kept_answer)) + order().len() } else { 0 };
        let size: usize = texts.iter().map(|text| json_len(text)).sum();
        prop_assert!(size <= context_bytes.max(always), "{size} bytes");
        prop_assert!(!goes_on || continued(&messages).is_some_and(|said| texts_of(&kept_answer).ends_with(&said)));
    }
}

/// The answer that the model is asked to go on with.
fn continued(messages: &[TranscriptMessage]) -> Option<String> {
    messages.iter().rev().nth(1).map(|answer| answer.texts.concat())
}

/// What is not blank of it.
fn texts_of(kept_answer: &[String]) -> String {
    let written = events(&kept_answer.join(" "));
    let texts = written.iter().flat_map(ConversationEvent::texts);
    texts.filter(|text| !text.trim().is_empty()).collect()
}

fn said_by_anybody() -> impl Strategy<Value = String> {
    prop_oneof!["u[1-4]:[a-z_|\"é]{0,12}", "a[1-4]-?:[a-z_|\"é]{0,12}"]
}

fn said_by_the_agent() -> impl Strategy<Value = String> {
    "a5:[a-z_|\"é]{0,40}"
}

#[test]
fn whole_turns_are_dropped_oldest_first_until_the_rest_fits() {
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
        assert_eq!(shown(&material(history, context_bytes)), expected, "{context_bytes} bytes");
    }
}

#[test]
fn a_turn_that_does_not_fit_ends_the_transcript_even_where_an_older_one_would_fit() {
    assert_eq!(shown(&material("u1:1 a1:1 u2:123456789 a2:1 u3:2 a3:2", 10)), "u:2 a:2 u:Why?");
}

#[test]
fn texts_count_as_they_travel() {
    let quotes = "u1:\"\"\" a1:é";
    assert_eq!(shown(&material(quotes, 4 + 6 + 2)), "u:\"\"\" a:é u:Why?");
    assert_eq!(shown(&material(quotes, 4 + 6 + 1)), "u:Why?");
}

#[test]
fn text_reaches_the_model_byte_for_byte() {
    let mut material = material("u1:x", 1000);
    let text = " \r\nשלום 👩‍👩‍👧‍👦\u{0}e\u{301}\t";
    material.history[0].content = vec![ContentBlock::text(text)];
    assert_eq!(transcript(&material)[0].texts[0], text);
}

#[test]
fn a_question_is_asked_even_where_it_looks_blank() {
    for history in ["", "u1:Hi", "u1:Hi a1:Hello"] {
        let mut material = material(history, 1000);
        material.question.content = vec![ContentBlock::text("\u{85}")];
        let asked = transcript(&material).pop().unwrap();
        assert_eq!((asked.side, asked.texts.last().unwrap().as_str()), (SenderKind::User, "\u{85}"), "{history}");
    }
}

#[test]
fn what_stands_is_said_already_and_the_model_is_asked_to_go_on() {
    for (history, kept_answer, expected) in [
        ("", "a1:Half", "u:Why? a:Half u:go-on"),
        ("u1:Hi a1:Ho", "a2:One a2:Two", "u:Hi a:Ho u:Why? a:One|Two u:go-on"),
        ("u1:Hi", "a2:One|_|Two", "u:Hi|Why? a:One|Two u:go-on"),
        // Where nothing was said the question is asked again.
        ("u1:Hi a1:Ho", "", "u:Hi a:Ho u:Why?"),
        ("u1:Hi a1:Ho", "a2:_ a2:", "u:Hi a:Ho u:Why?"),
    ] {
        assert_eq!(shown(&continuing(history, kept_answer, 1000)), expected, "{history} {kept_answer}");
    }
}

#[test]
fn of_an_answer_that_does_not_fit_its_end_is_continued() {
    let spent = "Why?".len() + order().len();
    for (room, expected, history) in
        [(3004, 3000, true), (3003, 3000, false), (2999, 2999, false), (2048, 2048, false), (2047, 2048, false)]
    {
        let kept_answer = format!("a2:{} a2:{}", "é".repeat(1000), "f".repeat(1000));
        let messages = transcript(&continuing("u1:12 a1:34", &kept_answer, spent + room));
        let said = continued(&messages).unwrap();
        assert!((expected - 1..=expected).contains(&said.len()), "{room} bytes: {}", said.len());
        assert!(said.ends_with(&"f".repeat(1000)) && said.starts_with('é'));
        assert_eq!(messages.len(), if history { 5 } else { 3 }, "{room} bytes");
    }
}

#[test]
fn an_end_of_what_stands_is_continued_even_where_nothing_fits() {
    for context_bytes in [0, 4] {
        assert_eq!(shown(&continuing("u1:12 a1:34", "a2:Half", context_bytes)), "u:Why? a:Half u:go-on");
        let kept_answer = format!("a2:{}", "f".repeat(5000));
        let said = continued(&transcript(&continuing("", &kept_answer, context_bytes))).unwrap();
        assert_eq!(said.len(), 2048);
    }
}

#[test]
fn an_answer_that_ended_in_nothing_but_space_is_continued_from_its_last_word() {
    let mut material = continuing("", "a2:Half", 0);
    material.kept_answer[0].content = vec![ContentBlock::text(format!("Half{}", "\n".repeat(5000)))];
    assert_eq!(shown(&material), "u:Why? a:Half u:go-on");
}

fn order() -> String {
    transcript(&continuing("", "a1:Half", 1000)).pop().unwrap().texts.concat()
}

#[test]
fn older_events_are_wanted_only_where_there_are_some_and_they_would_fit() {
    let older = |history: &str, first: u32, cut, context_bytes| {
        let mut material = material(history, context_bytes);
        material.history_cut = cut;
        for (event, position) in material.history.iter_mut().chain([&mut material.question]).zip(first..) {
            event.position = position;
        }
        older_events_wanted(&material)
    };
    let wanted = |before, at_most| Some(OlderEvents { before, at_most });
    assert_eq!(older("", 1, false, 1000), None);
    assert_eq!(older("", 9, true, 1000), wanted(9, 250));
    assert_eq!(older("u1:Hi a1:Ho", 7, false, 1000), None);
    assert_eq!(older("u1:Hi a1:Ho", 7, true, 8), None);
    assert_eq!(older("u1:Hi a1:Ho", 7, true, 9), wanted(7, 4));
    assert_eq!(older("u1:Hi a1:Ho", 7, true, 108), wanted(7, 51));
    assert_eq!(older("u1:Hi a1:Ho", 7, true, 4_000_000), wanted(7, 1000));
    assert_eq!(older("u1:Hi a1:Ho", 1, true, 1000), None);
}

fn material(history: &str, context_bytes: usize) -> TranscriptInput {
    TranscriptInput {
        history: events(history),
        history_cut: false,
        question: question(),
        kept_answer: Vec::new(),
        context_bytes,
    }
}

fn continuing(history: &str, kept_answer: &str, context_bytes: usize) -> TranscriptInput {
    TranscriptInput { kept_answer: events(kept_answer), ..material(history, context_bytes) }
}

fn events(written: &str) -> Vec<ConversationEvent> {
    written.split(' ').filter(|event| !event.is_empty()).zip(1..).map(event).collect()
}

fn event((written, position): (&str, u32)) -> ConversationEvent {
    let (head, texts) = written.split_once(':').unwrap();
    let (kind, turn) = head.split_at(1);
    let kind = if kind == "u" { SenderKind::User } else { SenderKind::Agent };
    ConversationEvent {
        id: written.into(),
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
        created_at: "2026-11-21T09:00:00.000Z".into(),
    }
}

fn shown(material: &TranscriptInput) -> String {
    let messages = transcript(material).into_iter().map(|message| {
        let side = if message.side == SenderKind::User { "u" } else { "a" };
        let texts = message.texts.iter().map(|text| if text.starts_with(CONTINUE_PROMPT) { "go-on" } else { text });
        format!("{side}:{}", texts.collect::<Vec<_>>().join("|"))
    });
    messages.collect::<Vec<_>>().join(" ")
}
