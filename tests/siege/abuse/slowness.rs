use std::time::Duration;

use futures::future::join_all;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::sleep};

use super::serves_meanwhile;
use crate::besieged::{Besieged, Endpoint};

const CLIENTS: usize = 200;
const MEGABYTES: u64 = 100;

/// Says the beginning at once, then a byte now and then for some seconds.
async fn trickle(endpoint: Endpoint, beginning: String) {
    let mut stream = TcpStream::connect(endpoint.address()).await.unwrap();
    stream.write_all(beginning.as_bytes()).await.unwrap();
    for _ in 0..20 {
        sleep(Duration::from_millis(200)).await;
        stream.write_all(b"x").await.unwrap();
    }
}

async fn many_trickle(head: &str) {
    let mut besieged = Besieged::start().await;
    let beginning = head.replace("KEY", &besieged.endpoint.api_key);
    let endpoint = besieged.endpoint.clone();
    let all = (0..CLIENTS).map(move |_| trickle(endpoint.clone(), beginning.clone()));
    serves_meanwhile(&mut besieged, MEGABYTES, async { drop(join_all(all).await) }).await;
}

#[tokio::test]
async fn heads_that_trickle_keep_nobody_waiting() {
    many_trickle("POST /graphql HTTP/1.1\r\nx-api-key: KEY\r\nx-slow: ").await;
}

#[tokio::test]
async fn bodies_that_trickle_keep_nobody_waiting() {
    many_trickle("POST /graphql HTTP/1.1\r\nx-api-key: KEY\r\ncontent-length: 100000\r\n\r\n{").await;
}
