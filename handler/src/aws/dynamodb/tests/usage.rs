use serde_json::json;

use crate::aws::dynamodb::test_support::{
    NOW, embedded_table,
    interceptors::{INTERNAL_ERROR, THROTTLED, TRANSACTION_CONFLICT},
    number, sorted_by_key, time, usage_key, with,
};

#[tokio::test]
async fn tokens_are_added_by_user_and_day() {
    let table = embedded_table().await;
    let midnight = 1_795_046_400_000;
    for (user, tokens, now) in
        [("ann", 5, midnight - 1), ("ann", 7, midnight - 1), ("ann", 1, midnight), ("bob", 3, NOW)]
    {
        table.count_tokens(user, tokens, time(now), 7).await.unwrap();
    }
    let usage_item = |user, day, tokens, last_counted: u64| {
        let item = with(usage_key(user, day), "tokens", number(tokens));
        with(item, "expiresAt", number((last_counted + 172_800_000) / 1000))
    };
    let expected = [
        usage_item("ann", "2026-11-18", 12, midnight - 1),
        usage_item("ann", "2026-11-19", 1, midnight),
        usage_item("bob", "2026-11-18", 3, NOW),
    ];
    assert_eq!(sorted_by_key(table.all_items().await), expected);
}

#[tokio::test]
async fn count_is_repeated_only_if_the_error_proves_no_write() {
    for (error, expected) in [(TRANSACTION_CONFLICT, 14), (THROTTLED, 14), (INTERNAL_ERROR, 7)] {
        let table = embedded_table().await;
        // The first try is done, whatever its response says.
        let faulty_table = table.replacing_first_response("UpdateItem", error);
        let result = faulty_table.count_tokens("ann", 7, time(NOW), 7).await;
        assert_eq!(table.stored_json("DAY#2026-11-18").await["tokens"], json!(expected), "{error}: {result:?}");
    }
}
