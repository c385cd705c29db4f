//! Sends messages for clients to connections of the WebSocket API.
use std::time::Duration;

use tokio::time::timeout;
use turn::replies::{Connection, ReplyFailure, ReplyMessage};

use super::{Table, events::reply_failure};

pub use api::delivery::Connections;

/// How long it is tried to delete the item of a closed connection.
const FORGET_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends each message once, in order, until one fails. A connection that is closed is deleted from the table.
pub async fn send(
    connections: &Connections,
    to: &Connection,
    messages: &[ReplyMessage],
    table: &Table,
) -> Result<(), ReplyFailure> {
    for message in messages {
        let Err(error) = connections.send(&to.connection_id, &message.text).await else { continue };
        tracing::info!(%error, sequence = message.sequence, "message not sent");
        let failure = reply_failure(&error);
        if failure == ReplyFailure::Gone {
            forget(to, table).await;
        }
        return Err(failure);
    }
    Ok(())
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
