use super::*;

#[tokio::test]
async fn tokens_are_added_up_by_user_and_day() {
    let table = table().await;
    let midnight = 1_795_046_400_000;
    for (user, tokens, now) in
        [("ann", 5, midnight - 1), ("ann", 7, midnight - 1), ("ann", 1, midnight), ("bob", 3, NOW)]
    {
        table.count_tokens(user, tokens, at(now), 7).await.unwrap();
    }
    let kept = |since: u64| number((since + 172_800_000) / 1000);
    let day =
        |user, day, tokens, since| with(with(day_key(user, day), "tokens", number(tokens)), "expiresAt", kept(since));
    let expected = [
        day("ann", "2026-11-18", 12, midnight - 1),
        day("ann", "2026-11-19", 1, midnight),
        day("bob", "2026-11-18", 3, NOW),
    ];
    assert_eq!(sorted(table.all().await), expected);
}

#[tokio::test]
async fn tokens_are_added_again_only_where_the_answer_says_that_they_were_not() {
    for (answer, expected) in [
        (replaced_responses::CONFLICT, json!(14)),
        (replaced_responses::THROTTLED, json!(14)),
        (replaced_responses::FAILED, json!(7)),
    ] {
        let table = table().await;
        // The first try is carried out, whatever its answer says.
        let counted = table.answering("UpdateItem", answer).count_tokens("ann", 7, at(NOW), 7).await;
        assert_eq!(table.stored("DAY#2026-11-18").await["tokens"], expected, "{answer}: {counted:?}");
    }
}
