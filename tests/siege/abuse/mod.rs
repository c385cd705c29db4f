//! Clients that take more than their share, or time, or never listen.
mod greed;
mod silence;
mod slowness;

use crate::{besieged::Besieged, bystander::Bystander};

/// A well-behaved user is served for as long as the abuse lasts, and the backend grows by no more than so many megabytes.
async fn serves_meanwhile(besieged: &mut Besieged, megabytes: u64, abuse: impl Future<Output = ()> + Send + 'static) {
    let bystander = Bystander::of(besieged, "parlance.deltas-5-10").await;
    let abuse = tokio::spawn(abuse);
    loop {
        bystander.converse().await;
        besieged.holds(megabytes).unwrap();
        if abuse.is_finished() {
            return abuse.await.unwrap();
        }
    }
}
