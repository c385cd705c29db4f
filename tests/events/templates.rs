//! What is read from the templates, what is refused, and the whole server with the stack.
use std::{collections::BTreeMap, fs, path::Path};

use local::{
    identity::PoolUser,
    server::{Models, Server, ServerOptions},
    stack::{AuthMode, HandlerConfig},
    template::{Deployment, load},
};
use serde_json::json;
use tempfile::TempDir;

use crate::fixture::{body, stack_folder};

fn load_stack(folder: &Path) -> Result<local::stack::Stack, String> {
    let deployment = Deployment::at("http://localhost:4000", BTreeMap::new());
    load(folder, &deployment).map_err(|error| error.to_string())
}

#[test]
fn events_api_is_read_from_the_nested_stack() {
    let stack = load_stack(&stack_folder()).unwrap();
    let api = stack.events_api.unwrap();
    assert_eq!((api.name.as_str(), api.id.as_str()), ("parlance-EventsEntry", "local-events"));
    assert_eq!(api.keys, ["da2-no-events"]);
    assert_eq!(stack.api.keys, ["da2-none"], "the GraphQL API has a key of its own");
    assert_eq!(api.issuers[0].url, "http://localhost:4000/pool");
    let (default, chat) = (&api.namespaces["default"], &api.namespaces["chat"]);
    assert_eq!(default.publish_modes, [AuthMode::ApiKey, AuthMode::Iam, AuthMode::UserPool, AuthMode::OpenId]);
    assert_eq!(
        (&chat.publish_modes[..], &chat.subscribe_modes[..]),
        (&[AuthMode::UserPool][..], &[AuthMode::UserPool][..])
    );
    let code = chat.code.as_ref().unwrap();
    assert!(code.path == "chat.js" && code.text.contains("!== `/chat/request/${ctx.identity.sub}`"), "{}", code.text);
    let observed = &api.namespaces["observed"].code.as_ref().unwrap().text;
    assert!(observed.contains("'arn:aws:sts::000000000000:assumed-role/parlance-PublisherRole/'"), "{observed}");
    assert!(matches!(chat.on_publish, Some(HandlerConfig::Code(_))) && chat.on_subscribe.is_none());
    let worker = &stack.functions["parlance-EventsEntry-Worker"];
    assert_eq!(worker.event_invoke.max_retries, 0);
    assert_eq!(stack.functions["parlance-Publisher"].environment["EVENTS_DOMAIN"], "localhost:4000");
    let resource = &stack.roles["parlance-PublisherRole"].statements[0]["Resource"][1];
    assert_eq!(*resource, json!("arn:aws:appsync:us-east-1:000000000000:apis/local-events/channelNamespace/responses"));
}

/// The error of the stack with a text of the nested template replaced.
fn error_with(text: &str, replacement: &str) -> String {
    let folder = TempDir::new().unwrap();
    let copy = |path: &str| fs::copy(stack_folder().join(path), folder.path().join(path)).unwrap();
    fs::create_dir_all(folder.path().join("entry")).unwrap();
    for path in ["template.yaml", "schema.graphql"] {
        copy(path);
    }
    let nested = fs::read_to_string(stack_folder().join("entry/events.yaml")).unwrap();
    assert!(nested.contains(text), "{text}");
    fs::write(folder.path().join("entry/events.yaml"), nested.replacen(text, replacement, 1)).unwrap();
    load_stack(folder.path()).unwrap_err()
}

/// A channel namespace of a template, with code.
fn namespace(number: u32, code: &str) -> String {
    format!(
        "  Namespace{number}:\n    Type: AWS::AppSync::ChannelNamespace\n    Properties: {{ ApiId: !GetAtt Api.ApiId, \
         Name: n{number}, CodeHandlers: \"export function onPublish(ctx) {{ return ctx.events }} //{code}\" }}\n\n"
    )
}

#[test]
fn what_the_local_server_cannot_do_is_refused_by_name() {
    let provider = "        AuthProviders:\n";
    let lambda = format!("{provider}          - AuthType: AWS_LAMBDA\n");
    let namespaces: String = (0..50).map(|number| namespace(number, "")).collect();
    let too_many = format!("{namespaces}  WorkerSource:\n");
    for (text, replacement, expected) in [
        ("  WorkerSource:\n", too_many.as_str(), "Api: it has at most 50 channel namespaces, not 58"),
        (provider, lambda.as_str(), "entry/events.yaml: Api: unknown variant `AWS_LAMBDA`"),
        (
            "          - AuthType: API_KEY\n",
            "",
            "entry/events.yaml: Api: DefaultPublishAuthModes has a mode that is not among the AuthProviders",
        ),
        ("      Name: chat\n", "      Name: a_b\n", "and \"a_b\" has not"),
        ("      Name: chat\n", "      Name: default\n", "there are two channel namespaces default"),
        ("!GetAtt WorkerSource.Name", "Nobody", "entry/events.yaml: Chat: the Events API has no data source Nobody"),
        (
            "      Name: default\n",
            "      Name: default\n      CodeS3Location: handlers/default.js\n",
            "Default: CodeS3Location is handlers/default.js, and SAM uploads no code of a channel namespace: give the \
             code inline, as CodeHandlers",
        ),
        (
            "      Name: default\n",
            "      Name: default\n      CodeS3Location: s3://bucket/default.js\n",
            "Default: CodeS3Location is s3://bucket/default.js, and the local server reads no code from S3: give the \
             code inline, as CodeHandlers",
        ),
        (
            "  WorkerSource:\n",
            "  Queue:\n    Type: AWS::SNS::Topic\n\n  WorkerSource:\n",
            "Queue: the local server does not support AWS::SNS::Topic",
        ),
        (
            "Outputs:\n  ApiArn:\n    Value: !Ref Api\n",
            "  Own:\n    Type: AWS::CloudFormation::Stack\n    Properties: { TemplateURL: entry/events.yaml, Parameters: \
             { UserPoolId: x } }\n\nOutputs:\n  ApiArn:\n    Value: !GetAtt Own.Outputs.ApiArn\n",
            "Own.Outputs.ApiArn of a AWS::CloudFormation::Stack has no value on the local server",
        ),
        ("      Type: AWS_LAMBDA\n", "      Type: AMAZON_EVENTBRIDGE\n", "unknown variant `AMAZON_EVENTBRIDGE`"),
        (
            "  ApiKey:\n",
            "  SecondApi:\n    Type: AWS::AppSync::Api\n    Properties:\n      Name: second\n      EventConfig: \
             { AuthProviders: [], ConnectionAuthModes: [], DefaultPublishAuthModes: [], DefaultSubscribeAuthModes: [] }\n\
             \n  ApiKey:\n",
            "the local server takes one AWS::AppSync::Api at most",
        ),
    ] {
        let error = error_with(text, replacement);
        assert!(error.starts_with("template.yaml: ") && error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn server_serves_the_events_api_of_its_stack() {
    let state = TempDir::new().unwrap();
    let options = ServerOptions {
        root: stack_folder(),
        state: state.path().to_owned(),
        ephemeral: true,
        port: 0,
        parameters: BTreeMap::new(),
        users: vec![PoolUser::named("ada")],
        oidc: false,
        models: Models::Scripted,
        handler: None,
        functions: Vec::new(),
        secrets: Vec::new(),
        knowledge: None,
        chat_page: false,
        executable: "false".into(),
        fault_plan: Default::default(),
        time_scale: 1.0,
    };
    let server = Server::start(options).await.unwrap();
    let endpoint: serde_json::Value =
        serde_json::from_slice(&fs::read(state.path().join("endpoint.json")).unwrap()).unwrap();
    let url = endpoint["eventsUrl"].as_str().unwrap();
    assert_eq!(Some(url), server.endpoint.events_url.as_deref());
    let publish = |key: &str| {
        let request = reqwest::Client::new().post(url).header("x-api-key", key);
        request.body(body("default/x", &["1"])).send()
    };
    assert_eq!(publish(endpoint["eventsApiKey"].as_str().unwrap()).await.unwrap().status(), 200);
    assert_eq!(publish(endpoint["apiKey"].as_str().unwrap()).await.unwrap().status(), 401, "the key of GraphQL");
    let certificate = fs::read(endpoint["tlsCertificate"].as_str().unwrap()).unwrap();
    let certificate = reqwest::Certificate::from_pem(&certificate).unwrap();
    let encrypted = reqwest::Client::builder().tls_certs_only([certificate]).build().unwrap();
    let request = encrypted
        .post(url.replacen("http:", "https:", 1))
        .header("x-api-key", endpoint["eventsApiKey"].as_str().unwrap());
    assert_eq!(request.body(body("default/x", &["1"])).send().await.unwrap().status(), 200);
    let wrong_path = reqwest::get(format!("{url}/unknown")).await.unwrap();
    assert_eq!(wrong_path.status(), 404);
    server.stop().await;
}
