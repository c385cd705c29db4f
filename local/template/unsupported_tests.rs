//! Templates that the local server does not support, and their error messages.
use super::{tests::deployment, *};
use crate::stack::{Schedule, Stack};

/// A supported stack with one resource of each type; each test changes one value of it.
fn resources() -> Value {
    json!({
        "Api": { "Type": "AWS::AppSync::GraphQLApi", "Properties": {
            "Name": "parlance", "AuthenticationType": "API_KEY", "EnvironmentVariables": { "TABLE_NAME": "t" } } },
        "Key": { "Type": "AWS::AppSync::ApiKey", "Properties": { "ApiId": "local" } },
        "Pool": { "Type": "AWS::Cognito::UserPool", "Properties": { "UserPoolName": "parlance" } },
        "Client": { "Type": "AWS::Cognito::UserPoolClient", "Properties": { "UserPoolId": { "Ref": "Pool" } } },
        "Group": { "Type": "AWS::Cognito::UserPoolGroup", "Properties": {
            "UserPoolId": { "Ref": "Pool" }, "GroupName": "administrators" } },
        "Schema": { "Type": "AWS::AppSync::GraphQLSchema", "Properties": {
            "ApiId": "local", "DefinitionS3Location": "schema.graphql" } },
        "Table": { "Type": "AWS::DynamoDB::Table", "Properties": {
            "BillingMode": "PAY_PER_REQUEST", "AttributeDefinitions": [], "KeySchema": [],
            "TimeToLiveSpecification": { "AttributeName": "expiresAt", "Enabled": true } } },
        "TableSource": { "Type": "AWS::AppSync::DataSource", "Properties": {
            "ApiId": "local", "Name": "Table", "Type": "AMAZON_DYNAMODB", "ServiceRoleArn": { "Fn::GetAtt": ["Role", "Arn"] },
            "DynamoDBConfig": { "TableName": { "Ref": "Table" }, "AwsRegion": { "Ref": "AWS::Region" } } } },
        "HandlerSource": { "Type": "AWS::AppSync::DataSource", "Properties": {
            "ApiId": "local", "Name": "Handler", "Type": "AWS_LAMBDA", "ServiceRoleArn": { "Fn::GetAtt": ["Role", "Arn"] },
            "LambdaConfig": { "LambdaFunctionArn": { "Fn::GetAtt": ["Handler", "Arn"] } } } },
        "ListEvents": { "Type": "AWS::AppSync::FunctionConfiguration", "Properties": {
            "ApiId": "local", "Name": "listEvents", "DataSourceName": "Table",
            "Runtime": { "Name": "APPSYNC_JS", "RuntimeVersion": "1.0.0" },
            "CodeS3Location": "tests/resolvers/accepted/everything.js" } },
        "Events": { "Type": "AWS::AppSync::Resolver", "Properties": {
            "ApiId": "local", "TypeName": "Conversation", "FieldName": "events", "Kind": "PIPELINE",
            "PipelineConfig": { "Functions": ["listEvents"] },
            "Runtime": { "Name": "APPSYNC_JS", "RuntimeVersion": "1.0.0" },
            "CodeS3Location": "tests/resolvers/accepted/everything.js" } },
        "Role": { "Type": "AWS::IAM::Role", "Properties": { "AssumeRolePolicyDocument": {}, "Policies": [] } },
        "Publishing": { "Type": "AWS::IAM::RolePolicy", "Properties": {
            "RoleName": { "Ref": "Role" }, "PolicyName": "publish", "PolicyDocument": {
                "Version": "2012-10-17", "Statement": [publish_statement()] } } },
        "Handler": { "Type": "AWS::Serverless::Function", "Properties": {
            "CodeUri": "handler/", "Handler": "bootstrap", "Runtime": "provided.al2023", "MemorySize": 256,
            "Timeout": 60, "Role": { "Fn::GetAtt": ["Role", "Arn"] },
            "EventInvokeConfig": { "MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60 } } },
        "Rule": { "Type": "AWS::Events::Rule", "Properties": {
            "ScheduleExpression": "rate(2 hours)", "Targets": [{
                "Id": "handler", "Arn": { "Fn::GetAtt": ["Handler", "Arn"] }, "Input": "{\"type\":\"any\"}" }] } },
        "Permission": { "Type": "AWS::Lambda::Permission", "Properties": {
            "Action": "lambda:InvokeFunction", "FunctionName": { "Ref": "Handler" },
            "Principal": "events.amazonaws.com", "SourceArn": { "Fn::GetAtt": ["Rule", "Arn"] } } },
        "Queue": { "Type": "AWS::SQS::Queue", "Properties": {
            "MessageRetentionPeriod": 60, "SqsManagedSseEnabled": true, "Tags": [] } },
        "SecretKey": { "Type": "AWS::KMS::Key", "Properties": {
            "EnableKeyRotation": true, "KeyPolicy": { "Version": "2012-10-17", "Statement": [key_policy_statement()] } } },
        "KeySource": { "Type": "AWS::AppSync::DataSource", "Properties": {
            "ApiId": "local", "Name": "Kms", "Type": "HTTP", "ServiceRoleArn": { "Fn::GetAtt": ["Role", "Arn"] },
            "HttpConfig": { "Endpoint": "https://kms.us-east-1.amazonaws.com", "AuthorizationConfig": {
                "AuthorizationType": "AWS_IAM",
                "AwsIamConfig": { "SigningRegion": "us-east-1", "SigningServiceName": "kms" } } } } },
        "Alarm": { "Type": "AWS::CloudWatch::Alarm", "Properties": {
            "Namespace": "AWS/SQS", "MetricName": "NumberOfMessagesSent",
            "Dimensions": [{ "Name": "QueueName", "Value": { "Fn::GetAtt": ["Queue", "QueueName"] } }],
            "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": 0, "TreatMissingData": "notBreaching", "AlarmActions": ["arn:aws:sns:us-east-1:1:a"] } },
    })
}

fn key_policy_statement() -> Value {
    let root = "arn:aws:iam::000000000000:root";
    json!({ "Effect": "Allow", "Principal": { "AWS": root }, "Action": "kms:*", "Resource": "*" })
}

fn publish_statement() -> Value {
    json!({ "Sid": "Publish", "Effect": "Allow", "Action": "appsync:GraphQL", "Resource": "arn:aws:appsync:*" })
}

fn load(template: &Value) -> Result<Stack, String> {
    build_stack(Path::new(env!("CARGO_MANIFEST_DIR")), template, &deployment()).map_err(|error| error.to_string())
}

/// The error of the stack with one value replaced or added.
fn load_error(pointer: &str, value: &Value) -> String {
    let mut resources = resources();
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    resources.pointer_mut(parent).unwrap()[member] = value.clone();
    load(&json!({ "Resources": resources })).expect_err(pointer)
}

#[test]
fn one_resource_of_each_type_is_accepted() {
    let stack = load(&json!({ "Resources": resources() })).unwrap();
    let handler = &stack.functions["parlance-Handler"];
    assert_eq!(handler.event_invoke.max_retries, 0);
    assert_eq!(handler.role.statements, [publish_statement()], "a policy resource adds to its role");
    let (function, rate) = (handler.arn.clone(), "rate(2 hours)".to_owned());
    assert_eq!(stack.schedules, [Schedule { function, rate, input: json!({ "type": "any" }) }]);
    assert_eq!(stack.tables["parlance-Table"].ttl_attribute.as_deref(), Some("expiresAt"));
    assert_eq!(stack.encryption_keys, ["arn:aws:kms:us-east-1:000000000000:key/parlance-SecretKey"]);
}

#[test]
fn unsupported_property_is_refused_by_name() {
    let cases = [
        ("/Topic", json!({ "Type": "AWS::SNS::Topic" }), "Topic: the local server does not support AWS::SNS::Topic"),
        ("/Queue/Properties/FifoQueue", json!(true), "Queue: unknown field `FifoQueue`"),
        ("/Queue/Properties/RedrivePolicy", json!({}), "Queue: unknown field `RedrivePolicy`"),
        ("/SecretKey/Properties/MultiRegion", json!(true), "SecretKey: unknown field `MultiRegion`"),
        ("/SecretKey/Properties/KeyPolicy/Id", json!("a"), "SecretKey: unknown field `Id`"),
        (
            "/SecretKey/Properties/KeyPolicy/Statement",
            json!([key_policy_statement(), key_policy_statement()]),
            "SecretKey: the KeyPolicy must allow the account everything and nobody else anything",
        ),
        (
            "/SecretKey/Properties/KeyPolicy/Statement/0/Principal",
            json!("*"),
            "SecretKey: the KeyPolicy must allow the account everything and nobody else anything",
        ),
        ("/Alarm/Properties/Metrics", json!([]), "Alarm: unknown field `Metrics`"),
        ("/Api/Properties/Caching", json!(true), "Api: unknown field `Caching`"),
        ("/Api/Properties/AuthenticationType", json!("OPENID_CONNECT"), "Api: unknown variant `OPENID_CONNECT`"),
        ("/Api/Properties/IntrospectionConfig", json!("OFF"), "Api: unknown variant `OFF`"),
        ("/Key/Properties/ApiKeyId", json!("mine"), "Key: unknown field `ApiKeyId`"),
        ("/Api/Properties/QueryDepthLimit", json!(76), "QueryDepthLimit must be from 0 to 75, not 76"),
        ("/Api/Properties/ResolverCountLimit", json!(10_001), "ResolverCountLimit must be from 0 to 10000, not 10001"),
        ("/Pool/Properties/LambdaConfig", json!({}), "Pool: unknown field `LambdaConfig`"),
        ("/Client/Properties/GenerateSecret", json!(true), "Client: unknown field `GenerateSecret`"),
        ("/Group/Properties/RoleArn", json!("arn"), "Group: unknown field `RoleArn`"),
        ("/Table/Properties/StreamSpecification", json!({}), "Table: unknown field `StreamSpecification`"),
        ("/Table/Properties/TimeToLiveSpecification/After", json!(1), "Table: unknown field `After`"),
        ("/Role/Properties/ManagedPolicyArns", json!([]), "Role: unknown field `ManagedPolicyArns`"),
        ("/Publishing/Properties/UserName", json!("me"), "Publishing: unknown field `UserName`"),
        (
            "/Publishing/Properties/PolicyDocument/Statement/0/NotAction",
            json!("sns:*"),
            "Publishing: the local server cannot evaluate a policy statement: unknown field `NotAction`",
        ),
        ("/Publishing/Properties/RoleName", json!("nobody"), "Publishing: nobody is no role of this stack"),
        ("/Handler/Properties/Role", json!("arn:nobody"), "parlance-Handler: arn:nobody is no role of this stack"),
        ("/Events/Properties/CachingConfig", json!({}), "Events: unknown field `CachingConfig`"),
        ("/Events/Properties/Kind", json!("UNIT"), "Events: the resolver of Conversation.events has either Kind"),
    ];
    for (pointer, value, message) in cases {
        let error = load_error(pointer, &value);
        assert!(error.starts_with(message), "{pointer}: {error}");
    }
}

#[test]
fn unsupported_auth_provider_is_refused_by_name() {
    let pool = |config: Value| json!([{ "AuthenticationType": "AMAZON_COGNITO_USER_POOLS", "UserPoolConfig": config }]);
    let provider = |config: Value| json!([{ "AuthenticationType": "OPENID_CONNECT", "OpenIDConnectConfig": config }]);
    let cases = [
        (json!([{ "AuthenticationType": "AWS_LAMBDA" }]), "unknown variant `AWS_LAMBDA`"),
        (json!([{ "AuthenticationType": "AWS_IAM", "UserPoolConfig": {} }]), "unknown field `UserPoolConfig`"),
        (json!([{ "AuthenticationType": "AMAZON_COGNITO_USER_POOLS" }]), "missing field `UserPoolConfig`"),
        (pool(json!({ "UserPoolId": "us-east-1_a" })), "missing field `AwsRegion`"),
        (
            pool(json!({ "UserPoolId": "a", "AwsRegion": "r", "DefaultAction": "DENY" })),
            "unknown field `DefaultAction`",
        ),
        (
            pool(json!({ "UserPoolId": "a", "AwsRegion": "r", "AppIdClientRegex": "[" })),
            "[ is not a regular expression of client ids",
        ),
        (provider(json!({ "ClientId": "a" })), "missing field `Issuer`"),
        (provider(json!({ "Issuer": "https://a", "Leeway": 1 })), "unknown field `Leeway`"),
    ];
    for (providers, message) in cases {
        let error = load_error("/Api/Properties/AdditionalAuthenticationProviders", &providers);
        assert!(error.starts_with(&format!("Api: {message}")), "{providers}: {error}");
    }
}

#[test]
fn appsync_js_is_the_only_runtime() {
    for resource in ["Events", "ListEvents"] {
        let runtime = |member: &str, value| load_error(&format!("/{resource}/Properties/Runtime/{member}"), &value);
        let known = format!("{resource}: unknown variant `APPSYNC_PY`, expected `APPSYNC_JS`");
        assert_eq!(runtime("Name", json!("APPSYNC_PY")), known);
        let known = format!("{resource}: unknown variant `2.0.0`, expected `1.0.0`");
        assert_eq!(runtime("RuntimeVersion", json!("2.0.0")), known);
    }
}

#[test]
fn data_source_must_refer_to_a_resource_of_the_stack() {
    let elsewhere = "arn:aws:lambda:us-east-1:000000000000:function:elsewhere";
    let cases = [
        ("TableSource", "DynamoDBConfig/TableName", json!("elsewhere"), "elsewhere is no table of this stack"),
        (
            "TableSource",
            "DynamoDBConfig/AwsRegion",
            json!("eu-west-1"),
            "AwsRegion must be that of the stack, us-east-1, not eu-west-1",
        ),
        ("TableSource", "DynamoDBConfig/Versioned", json!(true), "unknown field `Versioned`"),
        ("TableSource", "DynamoDBConfig/DeltaSyncConfig", json!({}), "unknown field `DeltaSyncConfig`"),
        ("TableSource", "DynamoDBConfig/UseCallerCredentials", json!(true), "unknown field `UseCallerCredentials`"),
        ("TableSource", "LambdaConfig", json!({}), "unknown field `LambdaConfig`"),
        ("TableSource", "Type", json!("AMAZON_BEDROCK_RUNTIME"), "unknown variant `AMAZON_BEDROCK_RUNTIME`"),
        (
            "KeySource",
            "HttpConfig/Endpoint",
            json!("https://api.example"),
            "https://api.example cannot be reached from the local server; https://kms.us-east-1.amazonaws.com is the only",
        ),
        ("KeySource", "HttpConfig/Timeout", json!(1), "unknown field `Timeout`"),
        ("KeySource", "HttpConfig/AuthorizationConfig", json!({}), "missing field `AuthorizationType`"),
        (
            "KeySource",
            "HttpConfig/AuthorizationConfig/AwsIamConfig/SigningServiceName",
            json!("sts"),
            "requests to https://kms.us-east-1.amazonaws.com must be signed for kms in us-east-1, not sts in us-east-1",
        ),
        ("KeySource", "ServiceRoleArn", json!("arn:nobody"), "arn:nobody is no role of this stack"),
        (
            "HandlerSource",
            "LambdaConfig/LambdaFunctionArn",
            json!(elsewhere),
            "arn:aws:lambda:us-east-1:000000000000:function:elsewhere is no function of this stack",
        ),
        ("HandlerSource", "ServiceRoleArn", json!("arn:nobody"), "arn:nobody is no role of this stack"),
        ("HandlerSource", "LambdaConfig/Qualifier", json!("live"), "unknown field `Qualifier`"),
    ];
    for (resource, property, value, message) in cases {
        let error = load_error(&format!("/{resource}/Properties/{property}"), &value);
        assert!(error.starts_with(&format!("{resource}: {message}")), "{property}: {error}");
    }
}

#[test]
fn event_invoke_config_is_within_lambda_limits() {
    let on_success = json!({ "OnSuccess": { "Type": "Lambda", "Destination": "arn" } });
    let on_queue = json!({ "OnFailure": { "Type": "SQS", "Destination": "arn:elsewhere" } });
    let on_topic = json!({ "OnFailure": { "Type": "SNS", "Destination": "arn" } });
    let age = "MaximumEventAgeInSeconds must be from 60 to 21600, not";
    let cases = [
        ("MaximumRetryAttempts", json!(3), "MaximumRetryAttempts must be from 0 to 2, not 3".to_owned()),
        ("MaximumEventAgeInSeconds", json!(59), format!("{age} 59")),
        ("MaximumEventAgeInSeconds", json!(21_601), format!("{age} 21601")),
        ("DestinationConfig", on_success, "unknown field `OnSuccess`, expected `OnFailure`".to_owned()),
        ("DestinationConfig", on_topic, "unknown variant `SNS`, expected `Lambda` or `SQS`".to_owned()),
    ];
    for (property, value, message) in cases {
        let error = load_error(&format!("/Handler/Properties/EventInvokeConfig/{property}"), &value);
        assert_eq!(error, format!("Handler: {message}"));
    }
    let error = load_error("/Handler/Properties/EventInvokeConfig/DestinationConfig", &on_queue);
    assert_eq!(error, "parlance-Handler: arn:elsewhere is no queue of this stack");
}

#[test]
fn queue_and_alarm_are_within_the_limits_of_their_services() {
    let period = "Alarm: Period must be 10, 20, 30 or a multiple of 60, not";
    let action = "arn:aws:sns:us-east-1:1:a";
    let cases = [
        (
            "Queue",
            "MessageRetentionPeriod",
            json!(59),
            "Queue: MessageRetentionPeriod must be from 60 to 1209600, not 59",
        ),
        (
            "Queue",
            "MessageRetentionPeriod",
            json!(1_209_601),
            "Queue: MessageRetentionPeriod must be from 60 to 1209600",
        ),
        ("Queue", "SqsManagedSseEnabled", json!("SSE"), "Queue: invalid type: string \"SSE\", expected a boolean"),
        ("Alarm", "Period", json!(0), period),
        ("Alarm", "Period", json!(90), period),
        ("Alarm", "EvaluationPeriods", json!(0), "Alarm: EvaluationPeriods must be from 1 to"),
        ("Alarm", "Statistic", json!("Median"), "Alarm: unknown variant `Median`"),
        ("Alarm", "ComparisonOperator", json!(">"), "Alarm: unknown variant `>`"),
        ("Alarm", "TreatMissingData", json!("ok"), "Alarm: unknown variant `ok`"),
        ("Alarm", "Dimensions", json!([{ "Name": "QueueName" }]), "Alarm: missing field `Value`"),
        ("Alarm", "AlarmActions", json!(["none"]), "Alarm: AlarmActions must be ARNs, and none is not"),
        ("Alarm", "OKActions", json!(vec![action; 6]), "Alarm: OKActions has 6 actions, more than 5"),
    ];
    for (resource, property, value, message) in cases {
        let error = load_error(&format!("/{resource}/Properties/{property}"), &value);
        assert!(error.starts_with(message), "{property}: {error}");
    }
}

#[test]
fn schedule_needs_a_rate_a_function_and_a_permission() {
    let handler = "arn:aws:lambda:us-east-1:000000000000:function:parlance-Handler";
    let forbidden = format!("Rule: no AWS::Lambda::Permission lets the rule invoke {handler}");
    let rate = |text: &str| format!("Rule: {text} is not a rate such as rate(1 day) or rate(2 hours)");
    let cases = [
        ("/Rule/Properties/ScheduleExpression", json!("rate(1 days)"), rate("rate(1 days)")),
        ("/Rule/Properties/ScheduleExpression", json!("rate(2 day)"), rate("rate(2 day)")),
        ("/Rule/Properties/ScheduleExpression", json!("cron(0 0 * * ? *)"), rate("cron(0 0 * * ? *)")),
        ("/Rule/Properties/EventPattern", json!({}), "Rule: unknown field `EventPattern`".into()),
        ("/Rule/Properties/Targets/0/RoleArn", json!("arn"), "Rule: unknown field `RoleArn`".into()),
        ("/Rule/Properties/Targets/0/Arn", json!("arn:a"), "Rule: arn:a is no function of this stack".into()),
        ("/Rule/Properties/Targets/0/Input", json!("{"), "Rule: Input must be JSON: EOF".into()),
        ("/Permission/Properties/Action", json!("lambda:GetFunction"), forbidden.clone()),
        ("/Permission/Properties/FunctionName", json!("another"), forbidden.clone()),
        ("/Permission/Properties/Principal", json!("s3.amazonaws.com"), forbidden.clone()),
        ("/Permission/Properties/SourceArn", json!("arn:another"), forbidden),
        ("/Permission/Properties/SourceAccount", json!("1"), "Permission: unknown field `SourceAccount`".into()),
    ];
    for (pointer, value, message) in cases {
        let error = load_error(pointer, &value);
        assert!(error.starts_with(&message), "{pointer}: {error}");
    }
}

#[test]
fn environment_variables_are_within_appsync_limits() {
    let many: Map<String, Value> = (0..51).map(|number| (format!("V{number:02}"), json!(""))).collect();
    let name = |name: &str| {
        let allowed = "at least two letters, digits and underscores, a letter first";
        format!("Api: EnvironmentVariables has the name {name}, which must be {allowed}")
    };
    let cases = [
        (
            json!({ "LONG": "é".repeat(513) }),
            "Api: the environment variable LONG has 513 characters, more than 512".into(),
        ),
        (Value::Object(many), "Api: EnvironmentVariables has 51 pairs, more than 50".into()),
        (json!({ "A": "" }), name("A")),
        (json!({ "": "" }), name("")),
        (json!({ "1A": "" }), name("1A")),
        (json!({ "_A": "" }), name("_A")),
        (json!({ "A-B": "" }), name("A-B")),
        (json!({ "AÄ": "" }), name("AÄ")),
    ];
    for (variables, message) in cases {
        assert_eq!(load_error("/Api/Properties/EnvironmentVariables", &variables), message);
    }
    let mut accepted = resources();
    let most: Map<String, Value> = (0..50).map(|number| (format!("V{number}"), json!("é".repeat(512)))).collect();
    accepted["Api"]["Properties"]["EnvironmentVariables"] = Value::Object(most);
    assert_eq!(load(&json!({ "Resources": accepted })).unwrap().api.environment.len(), 50);
}

#[test]
fn circular_reference_is_refused() {
    let reference_to_itself = json!({ "Condition": "A" });
    let chosen = json!({ "Fn::If": ["A", "yes", "no"] });
    let conditions = [
        json!({ "A": { "Fn::Not": [reference_to_itself] } }),
        json!({ "A": { "Fn::And": [reference_to_itself, reference_to_itself] } }),
        json!({ "A": { "Condition": "B" }, "B": reference_to_itself }),
        json!({ "A": { "Fn::Equals": [chosen, chosen] } }),
    ];
    let message = "Table: a condition or value refers to itself, or is nested more than 64 levels deep";
    for conditions in conditions {
        let mut resources = resources();
        resources["Table"]["Condition"] = json!("A");
        let result = load(&json!({ "Conditions": conditions, "Resources": resources }));
        assert_eq!(result.err().as_deref(), Some(message), "{conditions}");
    }
    let named_by_itself = json!({ "Fn::GetAtt": ["TableSource", "Name"] });
    let error = load_error("/TableSource/Properties/Name", &named_by_itself);
    assert!(error.starts_with("TableSource: a condition or value refers to itself"), "{error}");
}
