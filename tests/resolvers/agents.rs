//! Agents with tools: what putAgent accepts, stores and returns, and what the handler gets.
use local::{
    identity::Caller,
    lambda::{FunctionError, InvokeError},
    resolver::{Engine, Handler, Outcome},
    stack::Code,
};
use serde_json::{Value, json};
use turn::{
    request::Invocation,
    tool::{LambdaTool, ToolTarget},
};

use super::fixture::{Fixture, iam_user, read_repository_file};

const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:orders";

/// The input of an agent with a tool that reads and one that changes something.
fn clerk() -> Value {
    let schema = json!({ "type": "object", "properties": { "id": { "type": "integer" } }, "required": ["id"] });
    let lambda = json!({ "functionArn": FUNCTION });
    json!({
        "id": "clerk",
        "modelId": "parlance.echo",
        "tools": [
            { "name": "get_order", "title": "Order", "description": "Reads an order.", "effect": "READ",
              "inputSchema": schema.to_string(), "lambda": lambda },
            { "name": "cancel_order", "description": "Cancels an order.", "inputSchema": schema.to_string(),
              "lambda": lambda },
        ],
        "maxSteps": 5,
        "toolTimeoutSeconds": 20,
    })
}

/// A handler of AppSync may make 1,000 iterations.
#[tokio::test]
async fn more_named_tools_than_an_agent_may_have_are_refused_early() {
    let fixture = Fixture::with_parameters([]);
    let names: Vec<_> = (0..32).map(|number| format!("tool{number}")).collect();
    let server = |number| json!({ "name": format!("server{number}"), "mcp": { "url": "https://mcp.example.com", "tools": names } });
    let tools: Vec<_> = (0..32).map(server).collect();
    let error = put_agent(&fixture, &json!({ "id": "a", "modelId": "m", "tools": tools })).await.unwrap_err();
    assert_eq!(error["message"], "tools must be at most 32 with those that mcp.tools names.");
    assert_eq!(error["errorType"], "InvalidInput");
}

const AGENT: &str = "{ id version maxSteps toolTimeoutSeconds \
    tools { name title description inputSchema effect lambda { functionArn } } }";

async fn put_agent(fixture: &Fixture, input: &Value) -> Result<Value, Value> {
    let document = format!("mutation ($input: PutAgentInput!) {{ result: putAgent(input: $input) {AGENT} }}");
    fixture.execute(&iam_user("ann"), &document, json!({ "input": input })).await
}

async fn get_agent(fixture: &Fixture, caller: &Caller, id: &str) -> Value {
    let document = format!("query ($id: ID!) {{ result: getAgent(id: $id) {AGENT} }}");
    fixture.execute(caller, &document, json!({ "id": id })).await.expect("an agent")
}

#[tokio::test]
async fn put_agent_stores_and_returns_tools() {
    let fixture = Fixture::with_parameters([]);
    let agent = put_agent(&fixture, &clerk()).await.expect("an agent");
    let names_and_effects: Vec<_> = (0..2).map(|index| tool_name_and_effect(&agent, index)).collect();
    assert_eq!(names_and_effects, [("get_order", "READ"), ("cancel_order", "WRITE")]);
    assert_eq!((&agent["tools"][0]["title"], &agent["tools"][1]["title"]), (&json!("Order"), &Value::Null));
    assert_eq!((&agent["maxSteps"], &agent["toolTimeoutSeconds"]), (&json!(5), &json!(20)));
    assert_eq!(agent["tools"][0]["lambda"]["functionArn"], FUNCTION);
    let schema = |agent: &Value| -> Value {
        serde_json::from_str(agent["tools"][0]["inputSchema"].as_str().expect("text")).expect("JSON")
    };
    assert_eq!(schema(&agent), schema(&clerk()));
    assert_eq!(get_agent(&fixture, &iam_user("bob"), "clerk").await, agent);
    let document = format!("{{ result: listAgents {{ items {AGENT} }} }}");
    let list = fixture.execute(&iam_user("bob"), &document, json!({})).await.expect("a list");
    assert_eq!(list["items"][1], agent);
}

fn tool_name_and_effect(agent: &Value, index: usize) -> (&str, &str) {
    let tool = &agent["tools"][index];
    (tool["name"].as_str().expect("a name"), tool["effect"].as_str().expect("an effect"))
}

#[tokio::test]
async fn handler_checks_the_tools_as_they_are_given() {
    let fixture = Fixture::with_parameters([]);
    put_agent(&fixture, &clerk()).await.expect("an agent");
    let [payload] = fixture.payloads().try_into().expect("one invocation");
    assert_eq!(payload, json!({ "type": "checkTools", "tools": clerk()["tools"] }));
    let invocation = serde_json::from_value(payload).expect("a payload of the handler");
    assert!(matches!(invocation, Invocation::CheckTools(_)));
}

#[tokio::test]
async fn refused_tool_raises_invalid_input_and_stores_nothing() {
    let fixture = Fixture::with_parameters([]);
    let refusal = json!({ "path": "tools[1].lambda.functionArn", "message": "This function is not allowed." });
    fixture.set_invocation_result(Ok(json!({ "refusals": [refusal], "tools": [] })));
    let error = put_agent(&fixture, &clerk()).await.expect_err("a refusal");
    assert_eq!(error["message"], "tools[1].lambda.functionArn: This function is not allowed.");
    assert_eq!(error["errorType"], "InvalidInput");
    assert_eq!(error["errorInfo"], json!({ "field": "tools[1].lambda.functionArn" }));
    assert!(fixture.scan().await.is_empty());
}

#[tokio::test]
async fn tools_that_cannot_be_checked_raise_try_again_and_store_nothing() {
    let fixture = Fixture::with_parameters([]);
    let kind = "Runtime.ExitError".to_owned();
    let crash = FunctionError { kind, message: "RequestId: 1 Error: exit status 1".into(), payload: json!({}) };
    for error in [InvokeError::Throttled, InvokeError::Unhandled(crash)] {
        fixture.set_invocation_result(Err(error));
        let error = put_agent(&fixture, &clerk()).await.expect_err("no check");
        assert_eq!(error["message"], "The tools could not be checked. Try again.");
        assert_eq!(error["errorType"], "TryAgain");
    }
    assert!(fixture.scan().await.is_empty());
}

#[tokio::test]
async fn invalid_tool_is_refused_without_the_handler() {
    let fixture = Fixture::with_parameters([]);
    let mut input = clerk();
    input["tools"][1]["name"] = json!("get_order");
    let error = put_agent(&fixture, &input).await.expect_err("two tools of one name");
    assert_eq!(error["message"], "tools[1].name must be unique among the agent's tools.");
    assert_eq!(error["errorInfo"], json!({ "field": "tools[1].name" }));
    assert!(fixture.payloads().is_empty());
}

#[tokio::test]
async fn agent_without_tools_is_put_without_the_handler_and_has_defaults() {
    let fixture = Fixture::with_parameters([]);
    let agent = put_agent(&fixture, &json!({ "id": "clerk", "modelId": "m" })).await.expect("an agent");
    let expected = json!({ "id": "clerk", "version": 1, "tools": [], "maxSteps": 10, "toolTimeoutSeconds": 30 });
    assert_eq!(agent, expected);
    assert!(fixture.payloads().is_empty());
}

#[tokio::test]
async fn default_agent_has_no_tools() {
    let fixture = Fixture::with_parameters([]);
    let agent = get_agent(&fixture, &iam_user("ann"), "default").await;
    let expected = json!({ "id": "default", "version": 0, "tools": [], "maxSteps": 10, "toolTimeoutSeconds": 30 });
    assert_eq!(agent, expected);
}

#[tokio::test]
async fn next_version_without_tools_has_none() {
    let fixture = Fixture::with_parameters([]);
    put_agent(&fixture, &clerk()).await.expect("an agent");
    let agent = put_agent(&fixture, &json!({ "id": "clerk", "modelId": "m" })).await.expect("an agent");
    assert_eq!((&agent["version"], &agent["tools"], &agent["maxSteps"]), (&json!(2), &json!([]), &json!(10)));
    let first = fixture.scan().await.into_iter().find(|item| item["sk"] == "VERSION#000001").expect("a version");
    assert_eq!(first["tools"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn handler_gets_the_tools_of_the_agent_with_a_message() {
    let fixture = Fixture::with_parameters([]);
    put_agent(&fixture, &clerk()).await.expect("an agent");
    let ann = iam_user("ann");
    let document = "mutation { result: createConversation(input: {id: \"c1\", agentId: \"clerk\"}) { id } }";
    fixture.execute(&ann, document, json!({})).await.expect("a conversation");
    fixture.send_message(&ann, "c1", "m1").await.expect("a turn");
    let payload = fixture.payloads().pop().expect("an invocation");
    let Invocation::Turn(request) = serde_json::from_value(payload).expect("a payload of the handler") else {
        panic!("not a turn")
    };
    let names: Vec<_> = request.agent.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["get_order", "cancel_order"]);
    let function = LambdaTool { function_arn: FUNCTION.into() };
    assert_eq!(request.agent.tools[0].target, ToolTarget::Lambda(function));
    assert_eq!((request.agent.max_steps, request.agent.tool_timeout_seconds), (5, 20));
}

/// The input of an agent with a tool that is a GraphQL operation.
fn lister() -> Value {
    let graphql =
        json!({ "document": "{ listConversations { items { title } } }", "url": "https://a.example/graphql" });
    json!({ "id": "lister", "modelId": "m", "tools": [{ "name": "list", "description": "d", "graphql": graphql }] })
}

/// The tool with the members that the handler derives.
fn derived_tool() -> Value {
    let mut tool = lister()["tools"][0].clone();
    tool["inputSchema"] = json!("{\"type\":\"object\",\"properties\":{}}");
    tool["effect"] = json!("READ");
    tool
}

#[tokio::test]
async fn operation_is_stored_as_the_handler_has_completed_it() {
    let fixture = Fixture::with_parameters([]);
    fixture.set_invocation_result(Ok(json!({ "refusals": [], "tools": [derived_tool()] })));
    let document = "mutation ($input: PutAgentInput!) { result: putAgent(input: $input) \
        { tools { name inputSchema effect approval graphql { document url } } } }";
    let agent = fixture.execute(&iam_user("ann"), document, json!({ "input": lister() })).await.expect("an agent");
    let [payload] = fixture.payloads().try_into().expect("one invocation");
    assert_eq!(payload, json!({ "type": "checkTools", "tools": lister()["tools"] }), "without what it derives");
    let mut completed = derived_tool();
    completed["approval"] = json!("NEVER");
    let mut returned = completed.clone();
    returned.as_object_mut().expect("an object").remove("description");
    assert_eq!(agent, json!({ "tools": [returned] }));
    let stored = fixture.scan().await.into_iter().find(|item| item["pk"] == "AGENT#lister").expect("the agent");
    assert_eq!(stored["tools"], json!([completed]));
}

/// Tests of sealCredential have the callers whose credentials are sealed.
#[tokio::test]
async fn handler_is_told_why_there_is_no_credential_if_an_operation_needs_one() {
    for (caller_tools, reason) in [("true", "IAM"), ("false", "DISABLED")] {
        let fixture = Fixture::with_parameters([("CallerTools", caller_tools)]);
        fixture.set_invocation_result(Ok(json!({ "refusals": [], "tools": [derived_tool()] })));
        put_agent(&fixture, &lister()).await.expect("an agent");
        let ann = iam_user("ann");
        for (agent, credential) in [("lister", json!({ "kind": "NONE", "reason": reason })), ("default", Value::Null)] {
            let id = format!("of-{agent}");
            let document =
                "mutation ($input: CreateConversationInput) { result: createConversation(input: $input) { id } }";
            let input = json!({ "input": { "id": id, "agentId": agent } });
            fixture.execute(&ann, document, input).await.expect("a conversation");
            fixture.send_message(&ann, &id, "m1").await.expect("a turn");
            let payload = fixture.payloads().pop().expect("an invocation");
            assert_eq!(payload["callerCredential"], credential, "{agent} with CallerTools={caller_tools}");
        }
    }
}

#[test]
fn page_of_agents_has_at_most_640_tools() {
    let tools: Vec<Value> =
        (0..32).map(|index| json!({ "name": format!("t{index}"), "lambda": { "functionArn": FUNCTION } })).collect();
    let agents: Vec<Value> = (10..99).map(|id| json!({ "id": format!("a{id}"), "tools": tools })).collect();
    let page = |arguments: Value, is_administrator: bool| {
        let default = json!({ "id": "default", "tools": tools });
        let context = json!({
            "arguments": arguments,
            "env": { "GUARDRAIL_ID": "none" },
            "stash": { "isAdministrator": is_administrator, "agent": default },
            "result": { "items": agents, "nextToken": null },
        });
        run_list_agents(context)
    };
    for is_administrator in [true, false] {
        let first = page(json!({ "limit": 100 }), is_administrator);
        assert_eq!(ids(&first).len(), 20);
        assert_eq!((ids(&first)[0], ids(&first)[19]), ("default", "a28"));
        assert_eq!(first["nextToken"], "YTI4", "a28");
        let later = page(json!({ "limit": 100, "nextToken": "YTI4" }), is_administrator);
        assert_eq!((ids(&later).len(), ids(&later)[19]), (20, "a29"));
    }
}

fn ids(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().expect("a list");
    items.iter().map(|agent| agent["id"].as_str().expect("an id")).collect()
}

fn run_list_agents(context: Value) -> Value {
    let path = "resolvers/agents/listAgents.js".to_owned();
    let code = Code { text: read_repository_file(&path), path };
    match Engine::new().expect("the engine starts").run(&code, Handler::Response, context).outcome {
        Outcome::Returned(page) => page,
        other => panic!("{other:?}"),
    }
}
