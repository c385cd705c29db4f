use serde_json::json;

use super::*;

fn payload() -> Value {
    json!({ "id": "c1", "count": 5, "ratio": 1.0, "done": false, "note": null, "text": "hello world",
        "tags": ["red", "green"], "sender": { "kind": "USER", "team": { "name": "blue" } } })
}

fn matches_filters(filters: Value) -> bool {
    Filter::parse(&json!({ "filterGroup": [{ "filters": filters }] })).unwrap().matches(&payload())
}

#[test]
fn operators_compare_payload_and_value() {
    let cases = [
        ("id", "eq", json!("c1"), true),
        ("id", "eq", json!("c2"), false),
        ("id", "eq", json!("C1"), false),
        ("note", "eq", json!(null), true),
        ("absent", "eq", json!(null), true),
        ("ratio", "eq", json!(1), true),
        ("id", "ne", json!("c2"), true),
        ("id", "ne", json!("c1"), false),
        ("count", "le", json!(5), true),
        ("count", "lt", json!(5), false),
        ("count", "ge", json!(5), true),
        ("count", "gt", json!(4.5), true),
        ("count", "gt", json!("4"), false),
        ("done", "eq", json!(false), true),
        ("text", "contains", json!("lo w"), true),
        ("tags", "contains", json!("red"), true),
        ("tags", "contains", json!("re"), false),
        ("tags", "notContains", json!("blue"), true),
        ("text", "notContains", json!("hello"), false),
        ("text", "beginsWith", json!("hello"), true),
        ("text", "beginsWith", json!("world"), false),
        ("id", "in", json!(["c0", "c1"]), true),
        ("id", "in", json!([]), false),
        ("id", "notIn", json!(["c0", "c2"]), true),
        ("count", "between", json!([5, 9]), true),
        ("count", "between", json!([6, 9]), false),
        ("tags", "containsAny", json!(["blue", "green"]), true),
        ("tags", "containsAny", json!(["blue"]), false),
        ("sender.kind", "eq", json!("USER"), true),
        ("sender.team.name", "eq", json!("blue"), true),
        ("sender.team.name.first", "eq", json!("b"), false),
        ("count", "gte", json!(1), false),
    ];
    for (field, operator, value, expected) in cases {
        let filter = json!([{ "fieldName": field, "operator": operator, "value": value }]);
        assert_eq!(matches_filters(filter), expected, "{field} {operator} {value}");
    }
}

#[test]
fn all_filters_of_at_least_one_group_must_hold() {
    let matching = json!({ "fieldName": "id", "operator": "eq", "value": "c1" });
    let failing = json!({ "fieldName": "count", "operator": "eq", "value": 6 });
    assert!(!matches_filters(json!([matching, failing])));
    let either = json!({ "filterGroup": [{ "filters": [failing] }, { "filters": [matching] }] });
    assert!(Filter::parse(&either).unwrap().matches(&payload()));
    assert!(!Filter::parse(&json!({ "filterGroup": [] })).unwrap().matches(&payload()));
}

#[test]
fn exceeded_limits_are_named_in_the_error() {
    let filter =
        |field: &str, operator: &str, value: Value| json!({ "fieldName": field, "operator": operator, "value": value });
    let one_group = |filters: Value| json!({ "filterGroup": [{ "filters": filters }] });
    let many = |count: usize| (0..count).map(|number| json!(number)).collect::<Value>();
    let groups: Value = (0..11).map(|_| json!({ "filters": [filter("id", "eq", json!(1))] })).collect();
    let fields: Value = (0..6).map(|number| filter(&format!("f{number}"), "eq", json!(1))).collect();
    let cases = [
        (json!({}), "filterGroup"),
        (json!({ "filterGroup": [{}] }), "filters"),
        (json!({ "filterGroup": groups }), "at most 10 alternatives"),
        (one_group(json!([filter("a", "in", many(4)), filter("b", "in", many(3))])), "this has 12"),
        (one_group(fields), "at most 5 fields"),
        (one_group(json!([filter("a", "in", many(6))])), "may list 5 values for in"),
        (one_group(json!([filter("a", "notIn", many(6))])), "may list 5 values for notIn"),
        (one_group(json!([filter("a", "containsAny", many(21))])), "may list 20 values"),
        (one_group(json!([filter("a", "between", many(1))])), "two values"),
        (one_group(json!([filter("a", "in", json!(1))])), "a list of values"),
        (one_group(json!([filter("a.b.c.d.e.f", "eq", json!(1))])), "deeper than 5 levels"),
        (one_group(json!([filter("a", "eq", json!("x".repeat(257)))])), "256 characters"),
    ];
    for (filter, part) in cases {
        let error = Filter::parse(&filter).unwrap_err();
        assert!(error.contains(part), "{error:?} should contain {part:?}");
    }
}

#[test]
fn arguments_must_equal_the_fields_of_the_same_name() {
    let cases = [
        (json!({}), true),
        (json!({ "id": "c1" }), true),
        (json!({ "id": "c2" }), false),
        (json!({ "id": "c1", "count": 6 }), false),
        (json!({ "note": null }), true),
        (json!({ "id": null }), false),
        (json!({ "ratio": 1 }), true),
    ];
    for (arguments, expected) in cases {
        let filter = Filter::from_arguments(arguments.as_object().cloned().unwrap());
        assert_eq!(filter.matches(&payload()), expected, "{arguments}");
    }
}
