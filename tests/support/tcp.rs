//! Raw bytes over TCP.
use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Far longer than a response takes.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);

/// Sends the bytes, closes the sending side, and reads until the server closes. None if the server does not
/// close in time.
pub async fn exchange(address: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let mut response = Vec::new();
    let exchange = async {
        let (mut reader, mut writer) = stream.split();
        // Errors are ignored: a server that refuses a request early stops reading and resets the connection.
        let send = async {
            writer.write_all(bytes).await.ok();
            writer.shutdown().await.ok();
        };
        let receive = async { reader.read_to_end(&mut response).await.ok() };
        tokio::join!(send, receive);
    };
    timeout(RESPONSE_TIMEOUT, exchange).await.ok()?;
    Some(response)
}
