//! Histories in, transcripts out. An event is written `u1:text` (user, turn 1), `a1:text` (agent), `a1.2:text` (its
//! attempt 2) or `a1-:text` (superseded); several texts of one event are joined by `|`.
use turn::{
    request::TurnRequest,
    transcript::{OlderEvents, older_events_wanted, transcript},
    words::{ContentBlock, ConversationEvent, Sender, SenderKind},
};

use crate::simulation::{agent, question};

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
        ("u1:Hi a1.1:Begun a1.2:Done", "u:Hi a:Done u:Why?"),
        ("u1:Hi a1.1:Begun a1.1:more a1.3:Done", "u:Hi a:Done u:Why?"),
        ("u1:Hi a1.1:Begun a1.2:", "u:Hi|Why?"),
        ("u1:Hi a1.2:One u2:Ho a2.1:Two", "u:Hi a:One u:Ho a:Two u:Why?"),
    ] {
        assert_eq!(shown(&request(history, 1000)), expected, "{history}");
    }
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
        assert_eq!(shown(&request(history, context_bytes)), expected, "{context_bytes} bytes");
    }
}

#[test]
fn a_turn_that_does_not_fit_ends_the_transcript_even_where_an_older_one_would_fit() {
    assert_eq!(shown(&request("u1:1 a1:1 u2:123456789 a2:1 u3:2 a3:2", 10)), "u:2 a:2 u:Why?");
}

#[test]
fn texts_count_as_they_travel() {
    let quotes = "u1:\"\"\" a1:é";
    assert_eq!(shown(&request(quotes, 4 + 6 + 2)), "u:\"\"\" a:é u:Why?");
    assert_eq!(shown(&request(quotes, 4 + 6 + 1)), "u:Why?");
}

#[test]
fn text_reaches_the_model_byte_for_byte() {
    let mut request = request("u1:x", 1000);
    let text = " \r\nשלום 👩‍👩‍👧‍👦\u{0}e\u{301}\t";
    request.history[0].content = vec![ContentBlock::text(text)];
    assert_eq!(transcript(&request)[0].texts[0], text);
}

#[test]
fn a_question_is_asked_even_where_it_looks_blank() {
    for history in ["", "u1:Hi", "u1:Hi a1:Hello"] {
        let mut request = request(history, 1000);
        request.question.content = vec![ContentBlock::text("\u{85}")];
        let asked = transcript(&request).pop().unwrap();
        assert_eq!((asked.side, asked.texts.last().unwrap().as_str()), (SenderKind::User, "\u{85}"), "{history}");
    }
}

#[test]
fn older_events_are_wanted_only_where_there_are_some_and_they_would_fit() {
    let older = |history: &str, first: u32, cut, context_bytes| {
        let mut request = request(history, context_bytes);
        request.history_cut = cut;
        for (event, position) in request.history.iter_mut().chain([&mut request.question]).zip(first..) {
            event.position = position;
        }
        older_events_wanted(&request)
    };
    let wanted = |before, at_most| Some(OlderEvents { before, at_most });
    assert_eq!(older("", 1, Some(false), 1000), None);
    assert_eq!(older("", 9, Some(true), 1000), wanted(9, 250));
    assert_eq!(older("u1:Hi a1:Ho", 7, None, 1000), None);
    assert_eq!(older("u1:Hi a1:Ho", 7, Some(true), 8), None);
    assert_eq!(older("u1:Hi a1:Ho", 7, Some(true), 9), wanted(7, 4));
    assert_eq!(older("u1:Hi a1:Ho", 7, Some(true), 108), wanted(7, 51));
    assert_eq!(older("u1:Hi a1:Ho", 7, Some(true), 4_000_000), wanted(7, 1000));
    assert_eq!(older("u1:Hi a1:Ho", 1, Some(true), 1000), None);
}

fn request(history: &str, context_bytes: usize) -> TurnRequest {
    let mut agent = agent();
    agent.context_bytes = context_bytes;
    TurnRequest {
        conversation_id: "c1".into(),
        turn_id: "t1".into(),
        run: 1,
        agent,
        question: question(),
        history: history.split(' ').filter(|event| !event.is_empty()).zip(1..).map(event).collect(),
        history_cut: Some(false),
    }
}

fn event((written, position): (&str, u32)) -> ConversationEvent {
    let (head, texts) = written.split_once(':').unwrap();
    let (kind, turn) = head.split_at(1);
    let (turn, attempt) = turn.trim_end_matches('-').split_once('.').unwrap_or((turn.trim_end_matches('-'), "1"));
    let kind = if kind == "u" { SenderKind::User } else { SenderKind::Agent };
    ConversationEvent {
        id: written.into(),
        position,
        turn_id: Some(format!("turn-{turn}")),
        attempt: (kind == SenderKind::Agent).then(|| attempt.parse().unwrap()),
        sender: Sender { kind, id: None, name: None },
        content: texts.split('|').map(|text| ContentBlock::text(text.replace('_', " \n"))).collect(),
        superseded: Some(head.ends_with('-')),
        created_at: None,
    }
}

fn shown(request: &TurnRequest) -> String {
    let messages = transcript(request).into_iter().map(|message| {
        let side = if message.side == SenderKind::User { "u" } else { "a" };
        format!("{side}:{}", message.texts.join("|"))
    });
    messages.collect::<Vec<_>>().join(" ")
}
