//! The WebSocket API of API Gateway: `AWS::ApiGatewayV2::*`.
use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use serde::Deserialize;
use serde_json::Value;

use super::{Ignored, PermissionProperties, in_range, to_text};
use crate::{
    identity::IamPolicy,
    stack::{RequestAuthorizer, WebSocketApi, WebSocketRoute},
    template::{ACCOUNT, REGION, TemplateError, WEBSOCKET_API_ID},
    websocket_api::{IdentitySource, parse_selection_expression},
};

const TIMEOUT_MILLISECONDS: RangeInclusive<u64> = 50..=29_000;
const MAX_ROUTES: usize = 300;
const MAX_STAGE_NAME_LENGTH: usize = 128;
const SELECTION_KEY: &str = "$default";

/// `AWS::ApiGatewayV2::Api`
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct WebSocketApiProperties {
    name: String,
    #[serde(rename = "ProtocolType")]
    _protocol_type: ProtocolType,
    route_selection_expression: String,
    #[serde(rename = "Description")]
    _description: Option<Ignored>,
    #[serde(rename = "Tags")]
    _tags: Option<Ignored>,
}

/// The local server has no HTTP APIs of API Gateway.
#[derive(Deserialize)]
enum ProtocolType {
    #[serde(rename = "WEBSOCKET")]
    WebSocket,
}

/// `AWS::ApiGatewayV2::Stage`. The local server limits no rates and writes no access logs.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct StageProperties {
    #[serde(rename = "ApiId")]
    _api_id: Ignored,
    stage_name: String,
    #[serde(default)]
    auto_deploy: bool,
    deployment_id: Option<String>,
    #[serde(default)]
    stage_variables: BTreeMap<String, Value>,
    #[serde(rename = "DefaultRouteSettings")]
    _default_route_settings: Option<Ignored>,
    #[serde(rename = "RouteSettings")]
    _route_settings: Option<Ignored>,
    #[serde(rename = "AccessLogSettings")]
    _access_log_settings: Option<Ignored>,
    #[serde(rename = "Description")]
    _description: Option<Ignored>,
    #[serde(rename = "Tags")]
    _tags: Option<Ignored>,
}

/// `AWS::ApiGatewayV2::Route`
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RouteProperties {
    #[serde(rename = "ApiId")]
    _api_id: Ignored,
    route_key: String,
    #[serde(default)]
    authorization_type: AuthorizationType,
    authorizer_id: Option<String>,
    /// `integrations/ID`
    target: String,
    route_response_selection_expression: Option<String>,
    #[serde(default)]
    api_key_required: bool,
    #[serde(rename = "OperationName")]
    _operation_name: Option<Ignored>,
}

/// The local server does not authorize connections by IAM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum AuthorizationType {
    #[default]
    None,
    Custom,
}

/// `AWS::ApiGatewayV2::Integration`
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct IntegrationProperties {
    #[serde(rename = "ApiId")]
    _api_id: Ignored,
    #[serde(rename = "IntegrationType")]
    _integration_type: IntegrationType,
    integration_uri: String,
    #[serde(rename = "IntegrationMethod")]
    _integration_method: Option<PostMethod>,
    timeout_in_millis: Option<u64>,
    #[serde(rename = "Description")]
    _description: Option<Ignored>,
}

#[derive(Deserialize)]
enum IntegrationType {
    #[serde(rename = "AWS_PROXY")]
    AwsProxy,
}

/// Functions are invoked by POST.
#[derive(Deserialize)]
enum PostMethod {
    #[serde(rename = "POST")]
    Post,
}

/// `AWS::ApiGatewayV2::Deployment`
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DeploymentProperties {
    #[serde(rename = "ApiId")]
    _api_id: Ignored,
    #[serde(rename = "Description")]
    _description: Option<Ignored>,
}

/// `AWS::ApiGatewayV2::Authorizer`
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct AuthorizerProperties {
    #[serde(rename = "ApiId")]
    _api_id: Ignored,
    #[serde(rename = "Name")]
    _name: Ignored,
    #[serde(rename = "AuthorizerType")]
    _authorizer_type: AuthorizerType,
    authorizer_uri: String,
    #[serde(default)]
    identity_source: Vec<String>,
}

#[derive(Deserialize)]
enum AuthorizerType {
    #[serde(rename = "REQUEST")]
    Request,
}

/// `AWS::ApiGatewayV2::RouteResponse`
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RouteResponseProperties {
    #[serde(rename = "ApiId")]
    _api_id: Ignored,
    /// The id of the route.
    route_id: String,
    route_response_key: String,
}

/// A resource of a WebSocket API.
pub struct Labeled<T> {
    /// The name in messages.
    pub label: String,
    /// What `Ref` returns: the id of the resource.
    pub id: String,
    pub properties: T,
}

/// A deployment, with the logical names that it depends on.
pub struct WebSocketDeployment {
    pub depends_on: Vec<String>,
}

/// A route with its logical name.
pub struct LogicalRoute {
    pub logical_name: String,
    pub properties: RouteProperties,
}

/// Every resource of WebSocket APIs.
#[derive(Default)]
pub struct WebSocketResources {
    pub apis: Vec<Labeled<WebSocketApiProperties>>,
    pub stages: Vec<Labeled<StageProperties>>,
    pub routes: Vec<Labeled<LogicalRoute>>,
    pub integrations: Vec<Labeled<IntegrationProperties>>,
    pub deployments: Vec<Labeled<WebSocketDeployment>>,
    pub authorizers: Vec<Labeled<AuthorizerProperties>>,
    pub route_responses: Vec<Labeled<RouteResponseProperties>>,
}

/// The functions of the stack, and who may invoke them.
pub struct InvocableFunctions<'a> {
    /// Returns the name of a function, given by its ARN.
    pub name_of: &'a dyn Fn(&str) -> Option<String>,
    pub permissions: &'a [PermissionProperties],
}

impl InvocableFunctions<'_> {
    /// The ARN of the function in the URI of an integration or authorizer, if a permission lets this source
    /// invoke it. AWS accepts a missing permission, and the invocations fail.
    fn invocable(&self, uri: &str, source_arn: &str) -> Result<String, TemplateError> {
        let prefix = format!("arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/");
        let arn = uri.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix("/invocations"));
        let arn = arn.ok_or_else(|| {
            TemplateError::new(format!("{uri} is not the URI of a function, {prefix}ARN/invocations"))
        })?;
        let name = (self.name_of)(arn);
        let name = name.ok_or_else(|| TemplateError::new(format!("{arn} is no function of this stack")))?;
        if self.permissions.iter().any(|permission| permission.allows_api(source_arn, &name, arn)) {
            return Ok(arn.to_owned());
        }
        Err(TemplateError::new(format!("no AWS::Lambda::Permission lets {source_arn} invoke {arn}")))
    }
}

impl WebSocketResources {
    /// The API, if there is one, reached at this host.
    pub fn into_api(
        self,
        host: &str,
        functions: &InvocableFunctions<'_>,
    ) -> Result<Option<WebSocketApi>, TemplateError> {
        let stage_count = self.stages.len();
        let (api, stage) = match (self.apis.as_slice(), self.stages.as_slice()) {
            ([], []) => {
                let orphan = self.routes.first().map(|route| &route.label);
                let error = TemplateError::new("a route needs an AWS::ApiGatewayV2::Api".into());
                return orphan.map_or(Ok(None), |label| Err(error.at(label)));
            }
            ([api], [stage]) => (api, stage),
            ([_], _) => {
                let message = format!("the local server runs exactly one AWS::ApiGatewayV2::Stage, not {stage_count}");
                return Err(TemplateError::new(message));
            }
            _ => return Err(TemplateError::new("the local server takes one AWS::ApiGatewayV2::Api at most".into())),
        };
        let selection = &api.properties.route_selection_expression;
        let route_selection = parse_selection_expression(selection).ok_or_else(|| {
            let rule = "RouteSelectionExpression must be $request.body.NAME on the local server";
            TemplateError::new(format!("{rule}, not {selection}")).at(&api.label)
        })?;
        stage.properties.check(&self).map_err(|error| error.at(&stage.label))?;
        let stage_name = &stage.properties.stage_name;
        if self.routes.len() > MAX_ROUTES {
            let message = format!("it has at most {MAX_ROUTES} routes, not {}", self.routes.len());
            return Err(TemplateError::new(message).at(&api.label));
        }
        let mut routes = BTreeMap::new();
        let mut authorizer = None;
        for Labeled { label, id, properties: LogicalRoute { properties: route, .. } } in &self.routes {
            let bound = self.bind_route(id, route, stage_name, functions).map_err(|error| error.at(label))?;
            if routes.insert(route.route_key.clone(), bound).is_some() {
                let message = format!("there are two routes with the RouteKey {}", route.route_key);
                return Err(TemplateError::new(message).at(label));
            }
            if let Some(found) = self.authorizer_of(route, functions).map_err(|error| error.at(label))? {
                authorizer = Some(found);
            }
        }
        self.check_route_responses()?;
        let variables = stage.properties.stage_variables.iter();
        Ok(Some(WebSocketApi {
            id: WEBSOCKET_API_ID.to_owned(),
            name: api.properties.name.clone(),
            domain_name: host.to_owned(),
            stage: stage_name.clone(),
            stage_variables: variables.map(|(name, value)| (name.clone(), to_text(value))).collect(),
            route_selection,
            routes,
            authorizer,
        }))
    }

    fn bind_route(
        &self,
        route_id: &str,
        route: &RouteProperties,
        stage: &str,
        functions: &InvocableFunctions<'_>,
    ) -> Result<WebSocketRoute, TemplateError> {
        let key = &route.route_key;
        if key.is_empty() || (key.starts_with('$') && !["$connect", "$disconnect", "$default"].contains(&key.as_str()))
        {
            return Err(TemplateError::new(format!("{key:?} is not a RouteKey of a WebSocket API")));
        }
        if route.api_key_required {
            return Err(TemplateError::new("the local server does not support ApiKeyRequired".into()));
        }
        let integration = route.target.strip_prefix("integrations/");
        let integration = integration.and_then(|id| self.integrations.iter().find(|integration| integration.id == id));
        let integration = integration.ok_or_else(|| {
            let rule = "Target must be integrations/ID with the ID of an AWS::ApiGatewayV2::Integration";
            TemplateError::new(format!("{rule}, not {}", route.target))
        })?;
        let Labeled { label, properties: IntegrationProperties { integration_uri, timeout_in_millis, .. }, .. } =
            integration;
        let timeout = in_range("TimeoutInMillis", *timeout_in_millis, TIMEOUT_MILLISECONDS);
        let timeout = Duration::from_millis(timeout.map_err(|error| error.at(label))?);
        let source = format!("{}/{stage}/{key}", api_arn());
        let function = functions.invocable(integration_uri, &source).map_err(|error| error.at(label))?;
        let sends_response = match route.route_response_selection_expression.as_deref() {
            None => false,
            // Without a response resource API Gateway drops the function's answer.
            Some(SELECTION_KEY) => self.route_responses.iter().any(|response| response.properties.route_id == route_id),
            Some(other) => {
                let rule = "RouteResponseSelectionExpression must be $default";
                return Err(TemplateError::new(format!("{rule}, not {other}")));
            }
        };
        Ok(WebSocketRoute { function, timeout, sends_response })
    }

    /// The authorizer of a route, which only `$connect` may have. The messages are API Gateway's.
    fn authorizer_of(
        &self,
        route: &RouteProperties,
        functions: &InvocableFunctions<'_>,
    ) -> Result<Option<RequestAuthorizer>, TemplateError> {
        match (route.authorization_type, &route.authorizer_id) {
            (AuthorizationType::None, None) => return Ok(None),
            (AuthorizationType::None, Some(_)) => {
                return Err(TemplateError::new("AuthorizerId needs the AuthorizationType CUSTOM".into()));
            }
            (AuthorizationType::Custom, _) if route.route_key != "$connect" => {
                let message = "Currently, authorization is restricted to the $connect route only";
                return Err(TemplateError::new(message.into()));
            }
            (AuthorizationType::Custom, _) => {}
        }
        let id = route.authorizer_id.as_deref().unwrap_or_default();
        let found = self.authorizers.iter().find(|authorizer| authorizer.id == id).ok_or_else(|| {
            TemplateError::new("AuthorizerId must be the id of an AWS::ApiGatewayV2::Authorizer".into())
        })?;
        let AuthorizerProperties { authorizer_uri, identity_source, .. } = &found.properties;
        let source = format!("{}/authorizers/{id}", api_arn());
        let function = functions.invocable(authorizer_uri, &source).map_err(|error| error.at(&found.label))?;
        let sources = identity_source.iter().map(|source| {
            IdentitySource::parse(source).ok_or_else(|| {
                let rule = "IdentitySource must be route.request.header.NAME, route.request.querystring.NAME, \
                            context.NAME or stageVariables.NAME";
                TemplateError::new(format!("{rule}, not {source}")).at(&found.label)
            })
        });
        Ok(Some(RequestAuthorizer { function, identity_sources: sources.collect::<Result<_, _>>()? }))
    }

    fn check_route_responses(&self) -> Result<(), TemplateError> {
        for Labeled { label, properties: RouteResponseProperties { route_id, route_response_key, .. }, .. } in
            &self.route_responses
        {
            if route_response_key != SELECTION_KEY {
                let message = format!("RouteResponseKey must be $default, not {route_response_key}");
                return Err(TemplateError::new(message).at(label));
            }
            if !self.routes.iter().any(|route| route.id == *route_id) {
                let message = "RouteId must be the id of an AWS::ApiGatewayV2::Route".into();
                return Err(TemplateError::new(message).at(label));
            }
        }
        Ok(())
    }
}

impl StageProperties {
    /// Checks that every route is deployed to the stage.
    fn check(&self, resources: &WebSocketResources) -> Result<(), TemplateError> {
        let name = &self.stage_name;
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if !(1..=MAX_STAGE_NAME_LENGTH).contains(&name.len()) || !name.bytes().all(is_allowed) {
            let rule = format!("StageName has 1 to {MAX_STAGE_NAME_LENGTH} letters, digits, - and _");
            return Err(TemplateError::new(format!("{rule}, and {name:?} has not")));
        }
        let id = match (self.auto_deploy, &self.deployment_id) {
            (true, None) => return Ok(()),
            (true, Some(_)) => {
                return Err(TemplateError::new("it has either AutoDeploy or a DeploymentId, not both".into()));
            }
            (false, None) => {
                return Err(TemplateError::new("it needs AutoDeploy or a DeploymentId: nothing is deployed".into()));
            }
            (false, Some(id)) => id,
        };
        let deployment = resources.deployments.iter().find(|deployment| deployment.id == *id).ok_or_else(|| {
            TemplateError::new("DeploymentId must be the id of an AWS::ApiGatewayV2::Deployment".into())
        })?;
        let is_deployed = |route: &str| deployment.properties.depends_on.iter().any(|name| name == route);
        let names = resources.routes.iter().map(|route| &route.properties.logical_name);
        match names.into_iter().find(|name| !is_deployed(name)) {
            None => Ok(()),
            Some(route) => {
                let message = format!("it needs DependsOn {route}, or its deployment may lack the route");
                Err(TemplateError::new(message).at(&deployment.label))
            }
        }
    }
}

impl PermissionProperties {
    /// Whether API Gateway may invoke a function for a route or an authorizer of an API.
    fn allows_api(&self, source_arn: &str, function_name: &str, function_arn: &str) -> bool {
        self.is_for("apigateway.amazonaws.com", function_name, function_arn)
            && IamPolicy::from_statements(&[self.source_statement()]).allows("lambda:InvokeFunction", source_arn)
    }
}

/// The ARN of the API in permissions and policies.
fn api_arn() -> String {
    format!("arn:aws:execute-api:{REGION}:{ACCOUNT}:{WEBSOCKET_API_ID}")
}
