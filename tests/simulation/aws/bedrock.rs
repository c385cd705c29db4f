//! The model: says something else each time it is asked, and says it badly by seed.
use std::{future::pending, sync::Arc, time::Duration};

use api::types::{FailureCode, StopReason, Usage};
use futures::{Stream, StreamExt, stream};
use tokio::time::sleep;
use turn::types::{ModelRequest, StreamEvent};

use super::invocation;
use crate::{dice::Dice, world::World};

const PIECES: [&str; 12] =
    ["Hello", " ", "👩‍👩‍👧", "\r\n", "שלום", "e\u{301}", "\u{1}\u{0}", "\"\\", "…and more", "日本語", "x", "\t\u{2028}"];

/// One answer, as it comes.
struct Script {
    says: Vec<(Duration, Said)>,
    then: Then,
}

type Said = Result<StreamEvent, FailureCode>;

#[derive(Clone, Copy)]
enum Then {
    Ends,
    FallsSilent,
}

/// What was heard of it is written down as the handler hears it.
pub fn converse(world: Arc<World>, request: &ModelRequest) -> (usize, impl Stream<Item = Said> + Send + use<>) {
    let number = world.note(|record| record.asked(&world, request));
    let Script { says, then } = world.dice(|dice| script(dice, number));
    world.trace(|| format!("the model is asked: answer {number}, {} pieces", says.len()));
    let hearer = Arc::clone(&world);
    let opening = stream::once(async move { invocation::reach(&world, "the model").await }).filter_map(async |()| None);
    let speech = stream::iter(says).then(async |(after, said)| {
        sleep(after).await;
        said
    });
    let rest = stream::once(async move {
        match then {
            Then::Ends => None,
            Then::FallsSilent => pending().await,
        }
    });
    let said = opening.chain(speech).chain(rest.filter_map(async |none: Option<Said>| none));
    let said = said.inspect(move |said| {
        if let Ok(StreamEvent::Text { text, .. }) = said {
            hearer.note(|record| record.streams[number].heard.push_str(text));
        }
    });
    (number, said.boxed())
}

fn script(dice: &mut Dice, number: usize) -> Script {
    let mut says = Vec::new();
    let kind = dice.below(100);
    if kind < 6 {
        return refusal(dice);
    }
    let (least, most) = dice.one_of(&[(0, 1), (5, 30), (5, 30), (100, 400), (2_000, 9_000)]);
    let length = match dice.below(40) {
        0 if most <= 30 => dice.within(200..400),
        1..6 if most <= 400 => dice.within(20..60),
        _ => dice.within(1..10),
    };
    let mut say = |dice: &mut Dice, event| says.push((dice.milliseconds(least..most), Ok(event)));
    say(dice, StreamEvent::Other);
    if kind >= 10 {
        say(dice, StreamEvent::Text { block: 0, text: format!("«{number}»") });
        let mut block = 0;
        for _ in 0..length {
            block += u32::from(dice.percent(3));
            let text = text(dice);
            say(dice, StreamEvent::Text { block, text });
        }
    }
    let then = ending(dice, &mut says, kind);
    Script { says, then }
}

fn ending(dice: &mut Dice, says: &mut Vec<(Duration, Said)>, kind: u64) -> Then {
    let shortly = dice.milliseconds(0..50);
    let stop =
        dice.one_of(&[StopReason::EndTurn, StopReason::EndTurn, StopReason::MaxTokens, StopReason::StopSequence]);
    let usage = Usage { input_tokens: 3, output_tokens: 5, total_tokens: 8, ..Usage::default() };
    match kind {
        10..14 => says.push((shortly, Err(FailureCode::ModelUnavailable))),
        14..16 => says.push((shortly, Err(FailureCode::Throttled))),
        16..19 => {}
        19..22 => return Then::FallsSilent,
        22..25 => says.push((shortly, Ok(StreamEvent::MessageStop(stop)))),
        25..27 => {
            says.push((shortly, Ok(StreamEvent::MessageStop(stop))));
            return Then::FallsSilent;
        }
        _ => {
            says.push((shortly, Ok(StreamEvent::MessageStop(stop))));
            says.push((shortly, Ok(StreamEvent::Usage(usage))));
        }
    }
    Then::Ends
}

/// Not a word.
fn refusal(dice: &mut Dice) -> Script {
    let code = dice.one_of(&[
        FailureCode::Throttled,
        FailureCode::Throttled,
        FailureCode::Throttled,
        FailureCode::ModelUnavailable,
        FailureCode::ModelRefused,
    ]);
    match dice.percent(20) {
        true => Script { says: Vec::new(), then: Then::FallsSilent },
        false => Script { says: vec![(dice.milliseconds(1..500), Err(code))], then: Then::Ends },
    }
}

fn text(dice: &mut Dice) -> String {
    let mut text = String::new();
    for _ in 0..dice.within(1..5) {
        text.push_str(dice.one_of(&PIECES));
    }
    if dice.per_mille(5) { text.repeat(200) } else { text }
}
