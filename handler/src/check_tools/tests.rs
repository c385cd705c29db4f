mod mcp;

use serde_json::{Value, json};

use super::*;
use crate::tool::{Tool, ToolCall};

const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:look";
const OBJECT: &str = r#"{"type":"object"}"#;
const OWN_URL: &str = "https://own.example/graphql";
const OTHER_URL: &str = "https://other.example/graphql";

/// The tool of the handler.
struct Clock;

impl Tool for Clock {
    fn name(&self) -> &str {
        "clock"
    }

    async fn run(&self, _: ToolCall) -> Result<Value, String> {
        Ok(Value::Null)
    }
}

fn check(tools: &[Value]) -> ToolsCheck {
    let request = serde_json::from_value(json!({ "tools": tools })).unwrap();
    let urls = GraphqlUrls::from_list(OWN_URL, OTHER_URL).unwrap();
    let mut handler_tools = HandlerTools::default();
    handler_tools.push(Clock);
    let functions = AllowedFunctions::from_list(ARN);
    let allowed = AllowedTools { functions: &functions, graphql_urls: &urls, handler_tools: &handler_tools };
    check_tools(request, &Listings::new(), allowed)
}

/// The paths and messages.
fn refusals(tools: &[Value]) -> Vec<(String, String)> {
    let check = check(tools);
    assert!(check.refusals.is_empty() || check.tools.is_empty());
    check.refusals.into_iter().map(|refusal| (refusal.path, refusal.message)).collect()
}

fn lambda_tool(schema: &str, arn: &str) -> Value {
    json!({
        "name": "look", "title": null, "description": "Looks.", "inputSchema": schema, "effect": "READ",
        "lambda": { "functionArn": arn },
    })
}

fn graphql_tool(document: &str) -> Value {
    json!({ "name": "look", "description": "Looks.", "graphql": { "document": document } })
}

fn with(mut tool: Value, path: &str, value: impl Into<Value>) -> Value {
    *tool.pointer_mut(path).unwrap() = value.into();
    tool
}

fn with_schema(mut tool: Value, schema: &str) -> Value {
    tool["inputSchema"] = schema.into();
    tool
}

/// The schema that is derived for a document.
fn derived_schema(document: &str) -> Value {
    let check = check(&[graphql_tool(document)]);
    assert_eq!(check.refusals, [], "{document}");
    serde_json::from_str(check.tools[0].input_schema.as_ref().unwrap()).unwrap()
}

#[test]
fn client_tool_needs_only_a_schema_and_keeps_its_members() {
    let tool = json!({ "name": "pick", "description": "Picks.", "approval": "NEVER", "client": true });
    let refusal = ("tools[0].inputSchema".to_owned(), "The schema must be given.".to_owned());
    assert_eq!(refusals(std::slice::from_ref(&tool)), [refusal]);
    let tool = with_schema(tool, OBJECT);
    let mut expected = tool.clone();
    expected["effect"] = "WRITE".into();
    assert_eq!(serde_json::to_value(check(&[tool])).unwrap()["tools"], json!([expected]));
}

#[test]
fn tool_of_the_handler_is_refused_without_one_of_this_name() {
    let tool = |name: &str| json!({ "name": name, "description": "Tells.", "inputSchema": OBJECT, "handler": true });
    let refusal = ("tools[1].name".to_owned(), "The handler has no tool of this name.".to_owned());
    assert_eq!(refusals(&[tool("clock"), tool("calendar")]), [refusal]);
    let mut expected = tool("clock");
    expected["effect"] = "WRITE".into();
    assert_eq!(serde_json::to_value(check(&[tool("clock")])).unwrap()["tools"], json!([expected]));
}

#[test]
fn allowed_function_with_an_object_schema_is_accepted() {
    for schema in [
        OBJECT,
        r#"{"type":"object","properties":{"a":{"anyOf":[]},"b":true},"required":["a"],"additionalProperties":false}"#,
    ] {
        assert_eq!(refusals(&[lambda_tool(schema, ARN)]), []);
    }
}

#[test]
fn schema_that_models_refuse_is_refused_with_its_path() {
    for (schema, message) in [
        ("", "The schema must be the JSON text of an object."),
        ("[]", "The schema must be the JSON text of an object."),
        ("{", "The schema must be the JSON text of an object."),
        ("{}", "The schema must have \"type\": \"object\" at its top level."),
        (r#"{"type":["object"]}"#, "The schema must have \"type\": \"object\" at its top level."),
        (r#"{"type":"object","anyOf":[]}"#, "The schema must not have anyOf, oneOf or allOf at its top level."),
        (r#"{"type":"object","properties":[]}"#, "The schema's properties must be an object of schemas."),
        (r#"{"type":"object","properties":{"a":"string"}}"#, "The schema's properties must be an object of schemas."),
        (r#"{"type":"object","required":"a"}"#, "The schema's required must be a list of names."),
        (r#"{"type":"object","required":[1]}"#, "The schema's required must be a list of names."),
    ] {
        let expected = [("tools[0].inputSchema".to_owned(), message.to_owned())];
        assert_eq!(refusals(&[lambda_tool(schema, ARN)]), expected, "{schema}");
        assert_eq!(refusals(&[with_schema(graphql_tool("{ a }"), schema)]), expected, "{schema}");
    }
    let without_schema = json!({ "name": "look", "lambda": { "functionArn": ARN } });
    let expected = [("tools[0].inputSchema".to_owned(), "The schema must be given.".to_owned())];
    assert_eq!(refusals(&[without_schema]), expected);
}

#[test]
fn function_that_is_not_allowed_is_refused_with_its_path() {
    let other = "arn:aws:lambda:eu-west-1:123456789012:function:other";
    let path = |index: usize| format!("tools[{index}].lambda.functionArn");
    let not_allowed = "The deployment's parameter ToolFunctionArns does not allow this function.".to_owned();
    let no_arn = "This is not the ARN of a Lambda function, or of one of its versions or aliases.".to_owned();
    let refusals = refusals(&[lambda_tool(OBJECT, ARN), lambda_tool(OBJECT, other), lambda_tool(OBJECT, "look")]);
    assert_eq!(refusals, [(path(1), not_allowed), (path(2), no_arn)]);
}

#[test]
fn checked_tools_have_schema_and_effect_and_keep_their_other_members() {
    let mutation = with(graphql_tool("mutation { a }"), "/description", "Changes.");
    let tools = [lambda_tool(OBJECT, ARN), graphql_tool("query($n: Int) { a(n: $n) }"), mutation];
    let check = serde_json::to_value(check(&tools)).unwrap();
    let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } } });
    let expected = json!({
        "refusals": [],
        "tools": [
            {
                "name": "look", "title": null, "description": "Looks.", "inputSchema": OBJECT, "effect": "READ",
                "lambda": { "functionArn": ARN },
            },
            {
                "name": "look", "description": "Looks.", "inputSchema": schema.to_string(), "effect": "READ",
                "graphql": { "document": "query($n: Int) { a(n: $n) }" },
            },
            {
                "name": "look", "description": "Changes.", "inputSchema": r#"{"properties":{},"type":"object"}"#,
                "effect": "WRITE", "graphql": { "document": "mutation { a }" },
            },
        ],
    });
    assert_eq!(check, expected);
}

#[test]
fn checked_tool_is_a_tool_of_a_turn() {
    let url = OTHER_URL.to_owned();
    let mut tool = graphql_tool("mutation { a }");
    tool["graphql"]["url"] = url.clone().into();
    let check = serde_json::to_value(check(&[tool])).unwrap();
    let tool: turn::tool::Tool = serde_json::from_value(check["tools"][0].clone()).unwrap();
    let target = ToolTarget::Graphql(GraphqlTool { document: "mutation { a }".into(), url: Some(url) });
    assert_eq!((tool.effect, tool.target), (ToolEffect::Write, target));
}

#[test]
fn document_without_one_query_or_mutation_is_refused() {
    let long = format!("{{ a }} #{}", "a".repeat(16 * 1024));
    for (document, message) in [
        ("{ a", "The document is not a GraphQL document: the text at line 1, column 4 is not expected."),
        ("{ a } { b }", "The document must have one operation, not 2."),
        ("fragment A on B { c }", "The document must have one operation, not 0."),
        ("subscription { a }", "The operation must be a query or a mutation."),
        ("{ a(b: $c) }", "The operation does not define the variable $c."),
        ("query($a: Int, $b: Int, $a: ID) { a }", "The operation defines the variable $a twice."),
        (&long, "The document must have at most 16 KB."),
        (
            &"{a".repeat(65),
            "The document is not a GraphQL document: it is nested more than 64 levels deep at line 1, column 130.",
        ),
    ] {
        let expected = [("tools[0].graphql.document".to_owned(), message.to_owned())];
        assert_eq!(refusals(&[graphql_tool(document)]), expected, "{document}");
    }
    assert_eq!(refusals(&[graphql_tool("query { ...A } fragment A on Query { a }")]), []);
}

#[test]
fn fields_that_start_turns_are_refused_for_the_own_api_alone() {
    let message = "The document must not have the field sendMessage: it starts a turn, so an agent could start \
        turns without end.";
    let refusal = [("tools[0].graphql.document".to_owned(), message.to_owned())];
    let document = "mutation { cancelTurn: sendMessage { id } }";
    assert_eq!(refusals(&[graphql_tool(document)]), refusal);
    let mut tool = graphql_tool(document);
    tool["graphql"]["url"] = OWN_URL.into();
    assert_eq!(refusals(&[tool.clone()]), refusal);
    tool["graphql"]["url"] = OTHER_URL.into();
    assert_eq!(refusals(&[tool]), []);
}

#[test]
fn url_that_is_not_listed_is_refused() {
    for (url, is_allowed) in [(OWN_URL, true), (OTHER_URL, true), ("https://other.example/", false), ("", false)] {
        let mut tool = graphql_tool("{ a }");
        tool["graphql"]["url"] = url.into();
        let message = "The deployment's parameter ToolGraphqlUrls does not allow this URL.";
        let refusal = ("tools[1].graphql.url".to_owned(), message.to_owned());
        let expected = if is_allowed { vec![] } else { vec![refusal] };
        assert_eq!(refusals(&[graphql_tool("{ a }"), tool]), expected, "{url}");
    }
}

#[test]
fn schema_is_derived_from_scalars_enums_and_lists() {
    let document = "query(
        $id: ID!, $text: String, $n: Int! = 1, $f: Float, $is: Boolean!, $kinds: [[SenderKind!]!]!, $at: AWSTimestamp
    ) { a }";
    let kinds = json!({ "type": "string", "enum": ["USER", "AGENT", "TOOL"] });
    let expected = json!({
        "type": "object",
        "properties": {
            "id": { "type": "string" },
            "text": { "type": "string" },
            "n": { "type": "integer" },
            "f": { "type": "number" },
            "is": { "type": "boolean" },
            "kinds": { "type": "array", "items": { "type": "array", "items": kinds } },
            "at": { "type": "integer", "description": "Seconds since 1970." },
        },
        "required": ["id", "is", "kinds"],
    });
    assert_eq!(derived_schema(document), expected);
    for scalar in ["AWSDate", "AWSTime", "AWSDateTime", "AWSEmail", "AWSJSON", "AWSURL", "AWSPhone", "AWSIPAddress"] {
        let schema = derived_schema(&format!("query($v: {scalar}) {{ a }}"));
        assert_eq!(schema["properties"]["v"]["type"], "string", "{scalar}");
    }
}

#[test]
fn schema_that_cannot_be_derived_must_be_given() {
    let message = |name: &str| {
        let message = format!("The schema must be given: the type {name} of the variable $v cannot be derived.");
        [("tools[0].inputSchema".to_owned(), message)]
    };
    let document = "mutation($v: [UpdateConversationInput!]!) { a(b: $v) }";
    assert_eq!(refusals(&[graphql_tool(document)]), message("UpdateConversationInput"));
    let given = r#"{"type":"object","properties":{"v":{"type":"array"}}}"#;
    assert_eq!(refusals(&[with_schema(graphql_tool(document), given)]), []);

    // Another API may have another enum of the same name.
    let mut other = graphql_tool("query($v: SenderKind) { a }");
    other["graphql"]["url"] = OTHER_URL.into();
    assert_eq!(refusals(&[other]), message("SenderKind"));
}

#[test]
fn given_schema_has_only_variables_as_properties() {
    let schema = r#"{"type":"object","properties":{"v":true,"w":true}}"#;
    let tool = with_schema(graphql_tool("query($v: Int) { a(v: $v) }"), schema);
    let message = "The schema's property w is not a variable of the document.".to_owned();
    assert_eq!(refusals(&[tool]), [("tools[0].inputSchema".to_owned(), message)]);
    let tool = with_schema(graphql_tool("query($v: Int, $w: Int, $x: Int) { a }"), schema);
    let check = check(&[tool]);
    assert_eq!(check.tools[0].input_schema.as_deref(), Some(schema));
}
