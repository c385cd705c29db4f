//! Reading what was said before the history that the invocation carried.
use turn::{transcript::OlderEvents, words::ConversationEvent};

use super::{Table, TableError, conversation_key, failed, items, text};

impl Table {
    /// In ascending order; fewer than wanted when a page of DynamoDB is full.
    pub async fn events_before(
        &self,
        conversation: &str,
        wanted: OlderEvents,
    ) -> Result<Vec<ConversationEvent>, TableError> {
        let page = self
            .client
            .query()
            .table_name(&self.name)
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":pk", text(conversation_key(conversation)))
            .expression_attribute_values(":first", text(event_key(1)))
            .expression_attribute_values(":last", text(event_key(wanted.before.saturating_sub(1))))
            .consistent_read(true)
            .scan_index_forward(false)
            .limit(wanted.at_most.cast_signed())
            .send()
            .await
            .map_err(failed("Query"))?;
        page.items().iter().rev().map(items::event).collect()
    }
}

fn event_key(position: u32) -> String {
    format!("EVENT#{position:08}")
}
