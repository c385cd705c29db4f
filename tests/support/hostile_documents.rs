//! GraphQL documents that are expensive to execute: deep, long, repetitive, or exponential when
//! expanded.

pub fn hostile_documents() -> Vec<String> {
    [deep_documents(), wide_documents(), recursive_fragments(), many_operations(), long_tokens()].concat()
}

/// `count` selections of the same field under different aliases.
fn aliases(count: usize, field: &str) -> String {
    (0..count).map(|number| format!("a{number}: {field} ")).collect()
}

fn deep_documents() -> Vec<String> {
    vec![
        format!("{{ {} }}", "a { ".repeat(10_000)),
        format!("{{ getAgent(id: {}1{}) {{ id }} }}", "[".repeat(400), "]".repeat(400)),
        format!("{{ getAgent(id: {} }}", "{a:".repeat(10_000)),
        format!("{{ __type(name: \"Turn\") {{ {} }} }}", "ofType { ".repeat(450) + &"} ".repeat(450)),
        format!("{{ getAgent(id: 1) {{ {} }} }}", "... { ".repeat(400) + "id" + &" }".repeat(400)),
    ]
}

fn wide_documents() -> Vec<String> {
    let repeated_field = aliases(1, "getAgent(id: 1) { id }").replace("a0", "same").repeat(1_200);
    vec![
        format!("{{ {} }}", "id ".repeat(10_000)),
        format!("{{ {} }}", aliases(1_000, "getAgent(id: \"default\") { id name modelId }")),
        format!("{{ {} }}", aliases(3_000, "__typename")),
        format!("{{ {} }}", aliases(100, "__schema { types { fields { name } } }")),
        format!("{{ __schema {{ types {{ {} }} }} }}", aliases(700, "fields { n: name }")),
        format!("{{ {} }}", aliases(2_000, "nope(x: 1)")),
        format!("{{ {} }}", aliases(1_000, "getAgent(id: 1, id: 2, nope: {}) { id { id } }")),
        format!("{{ same: getAgent(id: 1) {{ id }} {repeated_field} }}"),
        format!("{{ __typename {} }}", "@skip(if: false) ".repeat(2_000)),
        format!("{{ long_{}: getAgent(id: 1) {{ {} }} }}", "x".repeat(400_000), aliases(2_000, "id")),
    ]
}

fn recursive_fragments() -> Vec<String> {
    // Each fragment spreads the next one 40 times.
    let exponential: String = (0..20)
        .map(|level| {
            let selection = format!("ofType {{ ...F{} }}", level + 1);
            format!(" fragment F{level} on __Type {{ {} }}", aliases(40, &selection))
        })
        .collect();
    let chain = |length: usize| -> String {
        (0..length).map(|number| format!(" fragment C{number} on Agent {{ ...C{} }}", number + 1)).collect()
    };
    vec![
        format!("{{ __schema {{ types {{ ...F0 }} }} }}{exponential} fragment F20 on __Type {{ name }}"),
        format!("{{ getAgent(id: 1) {{ ...C0 }} }}{} fragment C90 on Agent {{ id }}", chain(90)),
        format!("{{ getAgent(id: 1) {{ ...C0 }} }}{} fragment C2000 on Agent {{ id }}", chain(2_000)),
        "{ getAgent(id: 1) { ...A } } fragment A on Agent { ...B } fragment B on Agent { ...A }".to_owned(),
    ]
}

fn many_operations() -> Vec<String> {
    let shared_fragment: String = (0..900).map(|number| format!("query Q{number} {{ ...S }} ")).collect();
    let variables: String = (0..2_500).map(|number| format!("$v{number}: Int = {number} ")).collect();
    vec![
        (0..1_000).map(|number| format!("query Q{number} {{ getAgent(id: {number}) {{ id }} }} ")).collect(),
        shared_fragment + "fragment S on Query { __typename }",
        format!("query({variables}) {{ __typename }}"),
    ]
}

fn long_tokens() -> Vec<String> {
    vec![
        "x ".repeat(15_001),
        format!("{{ {} }}", ",".repeat(900_000)),
        format!("{{ __typename }} #{}", "é".repeat(400_000)),
        format!("{{ getAgent(id: \"{}", "\\\"".repeat(200_000)),
        format!("{{ getAgent(id: {}", "\"\"\"".repeat(150_000)),
    ]
}
