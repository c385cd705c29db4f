//! What is read from the templates, what is refused, and the whole server with the stack.
use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use local::{
    server::{Models, Server, ServerOptions},
    stack::{RequestAuthorizer, WebSocketRoute},
    template::{Deployment, load},
    websocket_api::IdentitySource,
};
use tempfile::TempDir;

use crate::fixture::stack_folder;

fn load_stack(folder: &Path) -> Result<local::stack::Stack, String> {
    let deployment = Deployment::at("http://localhost:4000", BTreeMap::new());
    load(folder, &deployment).map_err(|error| error.to_string())
}

fn function(name: &str) -> String {
    format!("arn:aws:lambda:us-east-1:000000000000:function:parlance-WebSocketEntry-{name}")
}

#[test]
fn websocket_api_is_read_from_the_nested_stack() {
    let stack = load_stack(&stack_folder()).unwrap();
    let api = stack.websocket_api.unwrap();
    assert_eq!((api.name.as_str(), api.id.as_str()), ("parlance-WebSocketEntry", "local-websocket"));
    assert_eq!((api.stage.as_str(), api.domain_name.as_str()), ("prod", "localhost:4000"));
    assert_eq!((api.route_selection, api.stage_variables["kind"].as_str()), (vec!["action".to_owned()], "test"));
    let route = |name: &str, seconds, sends_response| WebSocketRoute {
        function: function(name),
        timeout: Duration::from_secs(seconds),
        sends_response,
    };
    let expected = [
        ("$connect", route("Connect", 29, false)),
        ("$default", route("Default", 29, false)),
        ("$disconnect", route("Disconnect", 29, false)),
        ("ping", route("Ping", 5, true)),
    ];
    assert_eq!(api.routes, BTreeMap::from(expected.map(|(key, route)| (key.to_owned(), route))));
    let identity_sources = vec![IdentitySource::QueryParameter("token".into())];
    assert_eq!(api.authorizer, Some(RequestAuthorizer { function: function("Authorize"), identity_sources }));
    let environment = &stack.functions["parlance-Sender"].environment;
    assert_eq!(environment["WEBSOCKET_URL"], "ws://localhost:4000/ws/prod");
    let resource = &stack.roles["parlance-SenderRole"].statements[0]["Resource"];
    assert_eq!(resource, "arn:aws:execute-api:us-east-1:000000000000:local-websocket/prod/POST/@connections/*");
}

/// The error of the stack with a text of the nested template replaced.
fn error_with(text: &str, replacement: &str) -> String {
    let folder = TempDir::new().unwrap();
    fs::create_dir_all(folder.path().join("entry")).unwrap();
    for path in ["template.yaml", "schema.graphql"] {
        fs::copy(stack_folder().join(path), folder.path().join(path)).unwrap();
    }
    let nested = fs::read_to_string(stack_folder().join("entry/websocket.yaml")).unwrap();
    assert!(nested.contains(text), "{text}");
    fs::write(folder.path().join("entry/websocket.yaml"), nested.replacen(text, replacement, 1)).unwrap();
    load_stack(folder.path()).unwrap_err()
}

#[test]
fn what_the_local_server_cannot_do_is_refused_by_name() {
    for (text, replacement, expected) in [
        ("ProtocolType: WEBSOCKET", "ProtocolType: HTTP", "entry/websocket.yaml: Api: unknown variant `HTTP`"),
        (
            "$request.body.action",
            "$request.header.action",
            "Api: RouteSelectionExpression must be $request.body.NAME on the local server, not $request.header.action",
        ),
        ("IntegrationType: AWS_PROXY", "IntegrationType: MOCK", "ConnectIntegration: unknown variant `MOCK`"),
        ("AuthorizationType: CUSTOM", "AuthorizationType: AWS_IAM", "ConnectRoute: unknown variant `AWS_IAM`"),
        ("AuthorizerType: REQUEST", "AuthorizerType: JWT", "Authorizer: unknown variant `JWT`"),
        (
            "      RouteKey: $default\n",
            "      RouteKey: $default\n      AuthorizationType: CUSTOM\n      AuthorizerId: !Ref Authorizer\n",
            "DefaultRoute: Currently, authorization is restricted to the $connect route only",
        ),
        ("      AuthorizerId: !Ref Authorizer\n", "", "ConnectRoute: AuthorizerId must be the id of an"),
        ("[route.request.querystring.token]", "[method.request.header.a]", "Authorizer: IdentitySource must be route."),
        ("RouteKey: ping", "RouteKey: $ping", "PingRoute: \"$ping\" is not a RouteKey of a WebSocket API"),
        ("RouteKey: ping", "RouteKey: $default", "PingRoute: there are two routes with the RouteKey $default"),
        ("RouteKey: ping", "RouteKey: ping\n      ApiKeyRequired: true", "does not support ApiKeyRequired"),
        (
            "RouteResponseSelectionExpression: $default",
            "RouteResponseSelectionExpression: $x",
            "PingRoute: RouteResponseSelectionExpression must be $default, not $x",
        ),
        ("RouteResponseKey: $default", "RouteResponseKey: $x", "PingResponse: RouteResponseKey must be $default"),
        ("!Sub integrations/${PingIntegration}", "integrations/x", "PingRoute: Target must be integrations/ID with"),
        ("TimeoutInMillis: 5000", "TimeoutInMillis: 30000", "TimeoutInMillis must be from 50 to 29000, not 30000"),
        (
            "functions/${Ping.Arn}/invocations",
            "functions/x/invocations",
            "PingIntegration: x is no function of this stack",
        ),
        ("lambda:path/2015-03-31/functions/${Ping.Arn}", "sqs:path/${Ping.Arn}", "is not the URI of a function"),
        ("${Api}/*/$connect", "${Api}/*/$default", "ConnectIntegration: no AWS::Lambda::Permission lets arn:aws:"),
        ("${Api}/authorizers/${Authorizer}", "${Api}/authorizers/x", "Authorizer: no AWS::Lambda::Permission lets"),
        (
            "DefaultRoute, PingRoute]",
            "DefaultRoute]",
            "Stage: entry/websocket.yaml: Deployment: it needs DependsOn PingRoute",
        ),
        ("DeploymentId: !Ref Deployment", "AutoDeploy: false", "Stage: it needs AutoDeploy or a DeploymentId"),
        (
            "DeploymentId: !Ref Deployment",
            "DeploymentId: !Ref Deployment\n      AutoDeploy: true",
            "either AutoDeploy or a DeploymentId, not both",
        ),
        ("StageName: prod", "StageName: a.b", "Stage: StageName has 1 to 128 letters"),
        (
            "  Deployment:\n",
            "  Second:\n    Type: AWS::ApiGatewayV2::Stage\n    Properties: { ApiId: !Ref Api, StageName: b, \
             AutoDeploy: true }\n\n  Deployment:\n",
            "the local server runs exactly one AWS::ApiGatewayV2::Stage, not 2",
        ),
        (
            "  Deployment:\n",
            "  Domain:\n    Type: AWS::ApiGatewayV2::DomainName\n    Properties: {}\n\n  Deployment:\n",
            "Domain: the local server does not support AWS::ApiGatewayV2::DomainName in a nested stack",
        ),
    ] {
        let error = error_with(text, replacement);
        assert!(error.starts_with("template.yaml: ") && error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn server_serves_the_websocket_api_of_its_stack() {
    let state = TempDir::new().unwrap();
    let options = ServerOptions {
        root: stack_folder(),
        state: state.path().to_owned(),
        ephemeral: true,
        port: 0,
        parameters: BTreeMap::new(),
        users: Vec::new(),
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
    let url = endpoint["websocketUrl"].as_str().unwrap();
    assert_eq!(Some(url), server.endpoint.websocket_url.as_deref());
    let (origin, path) = url.split_once("/ws/").unwrap();
    assert_eq!(path, "prod");
    // The functions of this server end at once, so that the authorizer fails.
    let refused = tokio_tungstenite::connect_async(format!("{url}?token=t")).await.unwrap_err();
    match refused {
        tokio_tungstenite::tungstenite::Error::Http(response) => assert_eq!(response.status(), 500),
        other => panic!("{other}"),
    }
    let http = origin.replacen("ws", "http", 1);
    let unsigned = reqwest::Client::new().post(format!("{http}/prod/@connections/x")).send().await.unwrap();
    assert_eq!(unsigned.status(), 403);
    server.stop().await;
}
