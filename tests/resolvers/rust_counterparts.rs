//! Rules that both JavaScript and Rust implement.
use api::text::is_blank;
use local::resolver::{Engine, Handler, Outcome};
use local::stack::Code;
use serde_json::{Value, json};

use crate::fixture::read_repository_file;

#[test]
fn put_agent_refuses_the_settings_that_the_model_refuses() {
    let cases: Value = serde_json::from_str(&read_repository_file("tests/model-settings.json")).expect("JSON");
    let path = "resolvers/agents/validateAgent.js".to_owned();
    let code = Code { text: read_repository_file(&path), path };
    let engine = Engine::new().expect("the engine starts");
    for case in cases.as_array().expect("a table of cases") {
        let input = json!({ "id": "a1", "modelId": case["modelId"], "inference": case["inference"] });
        let context = json!({ "arguments": { "input": input }, "stash": { "isAdministrator": true } });
        let refused = match engine.run(&code, Handler::Request, context).outcome {
            Outcome::Raised(raised) => {
                assert_eq!(raised.error_type.as_deref(), Some("InvalidInput"), "{case}");
                raised.info["field"].clone()
            }
            _ => Value::Null,
        };
        assert_eq!(refused, case["refused"].get(0).cloned().unwrap_or_default(), "{case}");
    }
}

#[test]
fn is_blank_has_one_definition_over_unicode() {
    let shared = read_repository_file("resolvers/shared.js");
    let start = shared.find("const isBlank =").expect("isBlank is in shared.js");
    let is_blank_js = &shared[start..start + shared[start..].find(";\n").expect("its end") + 1];
    let text = format!(
        "import {{ util }} from '@aws-appsync/utils';\n{is_blank_js}\n\
         export const request = (ctx) => ctx.args.texts.filter((text) => isBlank(text));\n\
         export const response = () => null;\n"
    );
    let code = Code { path: "blank.js".into(), text };
    let engine = Engine::new().expect("the engine starts");
    // All blank characters are in the basic plane; one of the supplementary planes stands for all of these.
    let characters: Vec<String> = ('\0'..='\u{FFFF}').chain(['\u{1F600}']).map(String::from).collect();
    // A handler may make 1,000 iterations.
    for texts in characters.chunks(1000) {
        let expected: Vec<&String> = texts.iter().filter(|text| is_blank(text)).collect();
        let outcome = engine.run(&code, Handler::Request, json!({ "arguments": { "texts": texts } })).outcome;
        assert!(matches!(&outcome, Outcome::Returned(found) if *found == json!(expected)), "{outcome:?} {expected:?}");
    }
}
