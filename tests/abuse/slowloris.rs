//! Requests whose bytes arrive one by one.
use std::time::Duration;

use futures::future::join_all;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::sleep};

use crate::{
    serves_during,
    support::server_under_test::{Endpoint, ServerUnderTest},
};

const CLIENTS: usize = 200;
const MAX_GROWTH_MEGABYTES: u64 = 100;
const BYTE_INTERVAL: Duration = Duration::from_millis(200);

/// Sends the beginning of a request at once, then one byte at a time for four seconds.
async fn trickle(endpoint: Endpoint, beginning: String) {
    let mut stream = TcpStream::connect(endpoint.address()).await.unwrap();
    stream.write_all(beginning.as_bytes()).await.unwrap();
    for _ in 0..20 {
        sleep(BYTE_INTERVAL).await;
        stream.write_all(b"x").await.unwrap();
    }
}

async fn serves_during_slow_requests(beginning: &str) {
    let mut server = ServerUnderTest::start().await;
    let beginning = beginning.replace("KEY", &server.endpoint.api_key);
    let clients: Vec<_> = (0..CLIENTS).map(|_| trickle(server.endpoint.clone(), beginning.clone())).collect();
    serves_during(&mut server, MAX_GROWTH_MEGABYTES, async { drop(join_all(clients).await) }).await;
}

#[tokio::test]
async fn slow_heads_do_not_delay_others() {
    serves_during_slow_requests("POST /graphql HTTP/1.1\r\nx-api-key: KEY\r\nx-slow: ").await;
}

#[tokio::test]
async fn slow_bodies_do_not_delay_others() {
    serves_during_slow_requests("POST /graphql HTTP/1.1\r\nx-api-key: KEY\r\ncontent-length: 100000\r\n\r\n{").await;
}

#[tokio::test]
async fn slow_tls_handshakes_do_not_delay_others() {
    // The head of a record of 16,255 bytes.
    serves_during_slow_requests("\u{16}\u{3}\u{1}\u{3f}\u{7f}").await;
}
