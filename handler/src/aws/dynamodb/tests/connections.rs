use crate::aws::dynamodb::test_support::{embedded_table, interceptors::THROTTLED, key, number, sorted_by_key, with};

#[tokio::test]
async fn closed_connection_is_deleted_and_others_stay() {
    let connection = |user: &str, id: &str| with(key(&format!("CONNECTIONS#{user}"), id), "expiresAt", number(1));
    let table = embedded_table().await;
    let others = [connection("API_KEY", "abc="), connection("ann", "abd=")];
    table.put_items(others.iter().cloned().chain([connection("ann", "abc=")])).await;
    table.delete_connection("ann", "abc=").await.unwrap();
    assert_eq!(sorted_by_key(table.all_items().await), others);
    table.delete_connection("ann", "abc=").await.unwrap();
    let throttled = table.replacing_first_response("DeleteItem", THROTTLED);
    throttled.delete_connection("ann", "abd=").await.unwrap();
    assert_eq!(table.all_items().await, others[..1]);
}
