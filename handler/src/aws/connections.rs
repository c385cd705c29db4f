//! Sends copies of updates to connections of a WebSocket API of API Gateway.
use std::time::Duration;

use api::signing::PostRequest;
use tokio::time::timeout;
use turn::mirror::{Connection, MirrorFailure, MirrorMessage};

use super::{
    Table,
    events::{failure_of_status, send_failure},
    signed_http::SignedHttp,
};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// How long it is tried to delete the item of a closed connection.
const FORGET_TIMEOUT: Duration = Duration::from_secs(2);
/// The connection is closed, or not yet open.
const GONE: u16 = 410;

/// The connections of one stage of a WebSocket API.
pub struct Connections {
    http: SignedHttp,
    /// Of the stage, such as `https://abc.execute-api.eu-west-1.amazonaws.com/prod`.
    url: String,
}

impl Connections {
    pub fn new(http: SignedHttp, url: &str) -> Self {
        Self { http, url: url.trim_end_matches('/').to_owned() }
    }

    /// Sends each message once, in order, until one fails. A connection that is closed is deleted from the
    /// table.
    pub async fn send(&self, to: &Connection, messages: &[MirrorMessage], table: &Table) -> Result<(), MirrorFailure> {
        let url = self.connection_url(&to.connection_id);
        for message in messages {
            let result = self.post(&url, message).await;
            if result == Err(MirrorFailure::Gone) {
                forget(to, table).await;
            }
            result?;
        }
        Ok(())
    }

    async fn post(&self, url: &str, message: &MirrorMessage) -> Result<(), MirrorFailure> {
        let body = message.text.as_bytes();
        let post = PostRequest { service: "execute-api", url, region: self.http.region(), headers: &[], body };
        let response = self.http.send(post, |request| request.timeout(REQUEST_TIMEOUT)).await.map_err(send_failure)?;
        match response.status() {
            status if status.is_success() => Ok(()),
            status if status.as_u16() == GONE => Err(MirrorFailure::Gone),
            status => {
                tracing::info!(%status, sequence = message.sequence, "message not sent");
                Err(failure_of_status(status.as_u16()))
            }
        }
    }

    /// A connection's id has the characters of base64.
    fn connection_url(&self, connection_id: &str) -> String {
        let id = connection_id.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        format!("{}/@connections/{id}", self.url)
    }
}

/// Tries for a short time, because the item expires on its own.
async fn forget(connection: &Connection, table: &Table) {
    let Connection { connection_id, user_id } = connection;
    match timeout(FORGET_TIMEOUT, table.delete_connection(user_id, connection_id)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::info!(%error, "closed connection not deleted"),
        Err(_) => tracing::info!("closed connection not deleted in time"),
    }
}
