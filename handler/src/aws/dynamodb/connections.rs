//! Connections of the WebSocket API. The gateway puts and reads their items.
use api::backoff::jitter_seed;

use super::{
    Table, TableError,
    error::{call_error, with_retries},
    keys::connection_key,
};

impl Table {
    /// Deletes a user's connection. One that is deleted already is no error.
    pub async fn delete_connection(&self, user_id: &str, connection_id: &str) -> Result<(), TableError> {
        let key = connection_key(user_id, connection_id);
        let call = self.client.delete_item().table_name(&self.name).set_key(Some(key));
        let send = || async { call.clone().send().await.map_err(call_error("DeleteItem")) };
        with_retries(jitter_seed(&[connection_id]), send).await?;
        Ok(())
    }
}
