//! The operations of an API: queries and mutations, opening a subscription, delivery to a subscriber.
use apollo_compiler::ast::OperationType;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::block_in_place,
    time::{Instant, timeout},
};

use super::{
    execution::{
        budget::{ExecutionBudget, MAX_RESPONSE_BYTES},
        executor::Executor,
        field_context::{FieldContext, ResponsePath},
        field_resolver::{FieldResolver, ValueOrigin},
        introspection::introspect,
        pipeline::ResolverOutput,
        response_value::ResponseValue,
        selection::SelectionReader,
        state::ExecutionState,
    },
    graphql_error::GraphqlError,
    request::{CallContext, Request},
    schema::input_coercion,
    service::Service,
    subscriptions::{Subscription, filter::Filter},
    validation::{self, operation::PreparedOperation},
};
use crate::{
    identity::{AuthError, Caller},
    lone_surrogates,
};

/// Documents up to this size are validated concurrently. Clients usually send smaller ones.
const SMALL_DOCUMENT_BYTES: usize = 8 * 1024;

/// The response to an operation.
#[derive(Debug)]
pub struct GraphqlResponse {
    pub data: ResponseValue,
    pub errors: Vec<GraphqlError>,
    /// The HTTP headers that resolvers added.
    pub headers: Vec<(String, String)>,
}

/// A subscription that its resolver accepted.
pub struct AcceptedSubscription {
    pub subscription: Subscription,
    pub filter: Filter,
    /// An invalidation whose payload passes this filter ends the subscription.
    pub invalidation_filter: Option<Filter>,
    /// The value of the subscription's resolver, delivered at once; null if there is none.
    pub initial_payload: Value,
}

/// The reason why a subscription was not accepted.
pub enum SubscribeError {
    Unauthorized(AuthError),
    Errors(Vec<GraphqlError>),
}

impl Service {
    /// Executes a query or a mutation.
    pub async fn execute(&self, request: &Request, call: &CallContext) -> Result<GraphqlResponse, AuthError> {
        let prepared = match self.prepare(request).await {
            Ok(prepared) => prepared,
            Err(errors) => return Ok(GraphqlResponse::from_errors(errors)),
        };
        self.authorize_root_fields(&prepared, &call.caller)?;
        if prepared.operation.operation_type == OperationType::Subscription {
            let message = "Subscriptions are served over WebSockets; HTTP serves queries and mutations.";
            return Ok(GraphqlResponse::from_errors(vec![GraphqlError::request_error(message, None)]));
        }
        let introspected = match introspect(&self.schema, &prepared) {
            Ok(introspected) => introspected,
            Err(errors) => return Ok(GraphqlResponse::from_errors(errors)),
        };
        let origin = ValueOrigin::Resolvers { introspected: &introspected };
        Ok(self.run(&prepared, call, origin, &Value::Null).await)
    }

    /// Runs the subscription's resolver, which may reject the subscription and may set its filter.
    pub async fn subscribe(
        &self,
        request: &Request,
        call: CallContext,
    ) -> Result<AcceptedSubscription, SubscribeError> {
        let prepared = self.prepare(request).await.map_err(SubscribeError::Errors)?;
        self.authorize_root_fields(&prepared, &call.caller).map_err(SubscribeError::Unauthorized)?;
        if prepared.operation.operation_type != OperationType::Subscription {
            let message = "WebSockets serve subscriptions; queries and mutations are served over HTTP.";
            return Err(SubscribeError::Errors(vec![GraphqlError::request_error(message, None)]));
        }
        let resolved = self.resolve_subscription(&prepared, &call).await.map_err(SubscribeError::Errors)?;
        Ok(AcceptedSubscription {
            subscription: Subscription { field: resolved.field, prepared, call },
            filter: resolved.filter,
            invalidation_filter: resolved.invalidation_filter,
            initial_payload: resolved.initial_payload,
        })
    }

    /// Executes a subscription's own selection on a published payload.
    pub async fn deliver(&self, subscription: &Subscription, payload: &Value) -> GraphqlResponse {
        let root = Map::from_iter([(subscription.field.clone(), payload.clone())]);
        let Subscription { prepared, call, .. } = subscription;
        self.run(prepared, call, ValueOrigin::Payload, &Value::Object(root)).await
    }

    /// Validates a request. Large documents are validated one at a time, because validation blocks its
    /// thread.
    async fn prepare(&self, request: &Request) -> Result<PreparedOperation, Vec<GraphqlError>> {
        let prepare = || validation::prepare(&self.schema, &self.documents, request, self.introspection);
        if request.query.len() <= SMALL_DOCUMENT_BYTES {
            return prepare();
        }
        let permit = timeout(self.settings.request_timeout, self.large_documents.acquire()).await;
        let _permit = permit.map_err(|_| vec![GraphqlError::request_error("Execution timed out.", None)])?;
        match Handle::current().runtime_flavor() {
            RuntimeFlavor::MultiThread => block_in_place(prepare),
            _ => prepare(),
        }
    }

    /// Fails unless the caller's IAM policies allow every root field.
    fn authorize_root_fields(&self, prepared: &PreparedOperation, caller: &Caller) -> Result<(), AuthError> {
        let root_type = prepared.operation.object_type();
        let mut fields = prepared.operation.root_fields(&prepared.document);
        let is_allowed =
            fields.all(|field| field.name == "__typename" || caller.may_access_field(&self.id, root_type, &field.name));
        if is_allowed { Ok(()) } else { Err(AuthError::PermissionMissing) }
    }

    async fn run(
        &self,
        prepared: &PreparedOperation,
        call: &CallContext,
        origin: ValueOrigin<'_>,
        root: &Value,
    ) -> GraphqlResponse {
        let executor = self.executor(prepared, call, origin);
        let operation = &prepared.operation;
        let data = executor.execute(operation.operation_type, &operation.selection_set, root).await;
        if executor.state.budget.is_response_too_large() {
            let message = format!("A response has at most {MAX_RESPONSE_BYTES} bytes; this one would have more.");
            return GraphqlResponse::from_errors(vec![GraphqlError::request_error(message, None)]);
        }
        let headers = executor.resolver.take_response_headers();
        GraphqlResponse { data, errors: executor.state.into_errors(), headers }
    }

    fn executor<'a>(
        &'a self,
        prepared: &'a PreparedOperation,
        call: &'a CallContext,
        origin: ValueOrigin<'a>,
    ) -> Executor<'a> {
        let selections = SelectionReader {
            schema: &self.schema,
            document: &prepared.document,
            inputs: &prepared.inputs,
            variables: &prepared.variables,
            has_lone_surrogates: prepared.has_lone_surrogates,
        };
        let budget = ExecutionBudget::new(self.limits, Instant::now() + self.settings.request_timeout);
        let resolver = FieldResolver::new(self, call, origin);
        Executor { state: ExecutionState::new(selections, budget), resolver }
    }

    async fn resolve_subscription(
        &self,
        prepared: &PreparedOperation,
        call: &CallContext,
    ) -> Result<ResolvedSubscription, Vec<GraphqlError>> {
        let executor = self.executor(prepared, call, ValueOrigin::Resolvers { introspected: &Value::Null });
        let resolved = self.resolve_subscription_field(prepared, &executor).await;
        let errors = executor.state.into_errors();
        resolved.filter(|_| errors.is_empty()).ok_or(errors)
    }

    /// Returns `None` if the execution state has errors.
    async fn resolve_subscription_field(
        &self,
        prepared: &PreparedOperation,
        executor: &Executor<'_>,
    ) -> Option<ResolvedSubscription> {
        let Executor { state, resolver } = executor;
        let root_type = self.schema.root_type(OperationType::Subscription)?;
        let collected = state.selections.collect_fields(root_type, [&prepared.operation.selection_set]);
        let (key, fields) = collected.first()?;
        let field = *fields.first()?;
        let definition = root_type.fields.get(&field.name)?;
        let path = ResponsePath::root(key);
        let context = FieldContext { parent_type: root_type, definition, fields, field, path };
        resolver.authorize(state, &context).ok()?;
        let arguments = input_coercion::coerce_arguments(&self.schema, definition, field, &prepared.inputs).ok()?;
        let output = match self.bindings.get(&root_type.name, &field.name) {
            Some(bound) => resolver.run_resolver(state, &context, bound, &Value::Null).await.ok()?,
            None => ResolverOutput::default(),
        };
        let report = |message: String| state.report_field_error(&context, "BadRequestException", message);
        let filter = match &output.subscription_filter {
            Some(json) => Filter::parse(json).map_err(report).ok()?,
            None if prepared.has_lone_surrogates => {
                let decoded = arguments.into_iter();
                let decode = |(name, value)| (name, lone_surrogates::decode_value_lossy(&value));
                Filter::from_arguments(decoded.map(decode).collect())
            }
            None => Filter::from_arguments(arguments),
        };
        let invalidation_filter = output.invalidation_filter.as_ref().map(Filter::parse).transpose();
        let invalidation_filter = invalidation_filter.map_err(report).ok()?;
        let field = field.name.to_string();
        Some(ResolvedSubscription { field, filter, invalidation_filter, initial_payload: output.value })
    }
}

struct ResolvedSubscription {
    field: String,
    filter: Filter,
    invalidation_filter: Option<Filter>,
    initial_payload: Value,
}

impl SubscribeError {
    pub fn unparsable() -> Self {
        SubscribeError::Errors(vec![GraphqlError::request_error("Unable to parse GraphQL query.", None)])
    }
}

impl GraphqlResponse {
    fn from_errors(errors: Vec<GraphqlError>) -> Self {
        Self { data: ResponseValue::Null, errors, headers: Vec::new() }
    }
}

impl Serialize for GraphqlResponse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut response = serializer.serialize_map(None)?;
        response.serialize_entry("data", &self.data)?;
        if !self.errors.is_empty() {
            response.serialize_entry("errors", &self.errors)?;
        }
        response.end()
    }
}
