//! The way of a call to whoever carries it out, through the weather.
use std::{future::pending, sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::sleep};

use crate::{
    weather::{Fault, Link, Passage},
    world::World,
};

/// Why a call has no answer of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    Throttled,
    /// A server's error.
    Failed,
    /// The connection broke.
    Broken,
}

impl World {
    /// Carries a call out, or not, once or twice. Once under way it happens whether or not its caller still waits.
    pub async fn call<F>(
        self: &Arc<Self>,
        link: Link,
        carry_out: impl Fn() -> F + Send + 'static,
    ) -> Result<F::Output, Trouble>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let Passage { fault, there, back } = self.chance(|weather, dice| weather.passage(dice, link, self.elapsed()));
        match fault {
            Some(Fault::Throttled) => return refused(there, Trouble::Throttled).await,
            Some(Fault::Failed | Fault::ApiDown) => return refused(there, Trouble::Failed).await,
            Some(Fault::LostBefore) => return refused(there, Trouble::Broken).await,
            Some(Fault::HungBefore) => return pending().await,
            _ => {}
        }
        let again = (fault == Some(Fault::Doubled)).then(|| self.dice(|dice| dice.milliseconds(1..30_000)));
        let answer = under_way(there, again, carry_out).await.unwrap_or(Err(Trouble::Broken));
        match fault {
            Some(Fault::FailedAfterEffect) => return Err(Trouble::Failed),
            Some(Fault::LostAfter) => return Err(Trouble::Broken),
            Some(Fault::HungAfter) => return pending().await,
            _ => {}
        }
        sleep(back).await;
        answer
    }
}

async fn refused<T>(after: Duration, trouble: Trouble) -> Result<T, Trouble> {
    sleep(after).await;
    Err(trouble)
}

fn under_way<F>(
    there: Duration,
    again: Option<Duration>,
    carry_out: impl Fn() -> F + Send + 'static,
) -> oneshot::Receiver<Result<F::Output, Trouble>>
where
    F: Future<Output: Send> + Send + 'static,
{
    let (answered, answer) = oneshot::channel();
    tokio::spawn(async move {
        sleep(there).await;
        drop(answered.send(Ok(carry_out().await)));
        if let Some(again) = again {
            sleep(again).await;
            carry_out().await;
        }
    });
    answer
}
