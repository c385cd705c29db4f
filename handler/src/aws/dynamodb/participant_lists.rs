//! The places of shared conversations in their participants' lists.
use std::time::SystemTime;

use futures::{StreamExt, TryStreamExt, stream};

use super::{
    Table, TableError,
    attributes::{Item, string},
    error::{call_error, is_condition_failure},
    expressions::{ItemUpdate, exists},
    keys::{PARTICIPANT_PREFIX, conversation_partition},
};
use crate::clock::iso_8601;

/// The same as MAX_PARTICIPANTS in resolvers/shared.js.
const MAX_PARTICIPANTS: i32 = 50;
const CONCURRENT_WRITES: usize = 8;

impl Table {
    /// Moves the conversation to the top of the list of each of its participants: one write for each, at most
    /// 50. The order of lists is eventually consistent.
    pub async fn move_to_top_of_participants_lists(
        &self,
        conversation_id: &str,
        now: SystemTime,
    ) -> Result<(), TableError> {
        let participants = self
            .client
            .query()
            .table_name(&self.name)
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", string(conversation_partition(conversation_id)))
            .expression_attribute_values(":prefix", string(PARTICIPANT_PREFIX))
            .projection_expression("pk, sk")
            .limit(MAX_PARTICIPANTS)
            .send()
            .await
            .map_err(call_error("Query"))?;
        let list_sort = format!("{}#{conversation_id}", iso_8601(now));
        stream::iter(participants.items.unwrap_or_default())
            .map(|participant| self.set_list_sort(participant, &list_sort))
            .buffer_unordered(CONCURRENT_WRITES)
            .try_collect()
            .await
    }

    /// Does nothing if the user is no longer a participant.
    async fn set_list_sort(&self, participant_key: Item, list_sort: &str) -> Result<(), TableError> {
        let update = ItemUpdate::new(participant_key, exists()).set("listSort", string(list_sort));
        match self.update_item(update).send().await {
            Err(error) if !is_condition_failure(&error) => Err(call_error("UpdateItem")(error)),
            _ => Ok(()),
        }
    }
}
