//! What an API does with an authenticated request: answers it, subscribes, or delivers to a subscriber.
use apollo_compiler::ast::OperationType;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::block_in_place,
    time::{Instant, timeout},
};

use crate::graphql::{
    Service,
    execution::budget::{ANSWER_BYTES, Ledger},
    execution::executor::Execution,
    execution::field_context::{Path, Site},
    execution::field_resolution::{Origin, Resolving},
    execution::introspection::introspect,
    execution::pipeline::Resolution,
    execution::response_value::Completed,
    execution::selection::Reading,
    graphql_error::GraphqlError,
    schema::input_coercion,
    subscriptions::filter::Filter,
    validation::{self, Prepared, Request},
};
use crate::identity::{Caller, Denial};

/// Larger than what clients usually send.
const SMALL_DOCUMENT_BYTES: usize = 8 * 1024;

/// Who asks, and with which headers.
#[derive(Clone)]
pub struct Call {
    pub caller: Caller,
    /// `ctx.request`.
    pub request: Value,
}

/// A response.
#[derive(Debug)]
pub struct Answer {
    pub data: Completed,
    pub errors: Vec<GraphqlError>,
    /// What resolvers asked for beside the body.
    pub headers: Vec<(String, String)>,
}

/// A subscription that was accepted.
pub struct Subscribed {
    pub subscription: Subscription,
    pub filter: Filter,
    /// When a mutation invalidates it.
    pub invalidation: Option<Filter>,
    /// What the subscription's resolver returned; null when there is nothing to deliver at once.
    pub initial: Value,
}

/// An accepted subscription: which field, for whom, with which selection.
pub struct Subscription {
    pub field: String,
    prepared: Prepared,
    call: Call,
}

/// Why a subscription was not accepted.
pub enum Rejection {
    Denied(Denial),
    Errors(Vec<GraphqlError>),
}

impl Service {
    pub async fn answer(&self, request: &Request, call: &Call) -> Result<Answer, Denial> {
        let prepared = match self.prepare(request).await {
            Ok(prepared) => prepared,
            Err(errors) => return Ok(Answer::refused(errors)),
        };
        self.permit(&prepared, &call.caller)?;
        let kind = prepared.operation.operation_type;
        if kind == OperationType::Subscription {
            let sentence = "A subscription is asked for over a WebSocket; here are queries and mutations.";
            return Ok(Answer::refused(vec![GraphqlError::of_request(sentence, None)]));
        }
        let introspected = match introspect(&self.schema, &prepared) {
            Ok(introspected) => introspected,
            Err(errors) => return Ok(Answer::refused(errors)),
        };
        let origin = Origin::Resolvers { introspected: &introspected };
        Ok(self.execute(&prepared, call, origin, &Value::Null).await)
    }

    /// Runs the subscription's resolver, once; whether it lets the caller subscribe, and to what.
    pub async fn subscribe(&self, request: &Request, call: Call) -> Result<Subscribed, Rejection> {
        let prepared = self.prepare(request).await.map_err(Rejection::Errors)?;
        self.permit(&prepared, &call.caller).map_err(Rejection::Denied)?;
        if prepared.operation.operation_type != OperationType::Subscription {
            let sentence = "A WebSocket serves subscriptions; queries and mutations are sent over HTTP.";
            return Err(Rejection::Errors(vec![GraphqlError::of_request(sentence, None)]));
        }
        let opened = self.open(&prepared, &call).await.map_err(Rejection::Errors)?;
        let subscription = Subscription { field: opened.field, prepared, call };
        Ok(Subscribed {
            subscription,
            filter: opened.filter,
            invalidation: opened.invalidation,
            initial: opened.initial,
        })
    }

    /// What a subscriber sees of a payload: its own selection of what the mutation resolved.
    pub async fn deliver(&self, subscription: &Subscription, payload: &Value) -> Answer {
        let root = Map::from_iter([(subscription.field.clone(), payload.clone())]);
        self.execute(&subscription.prepared, &subscription.call, Origin::Payload, &Value::Object(root)).await
    }

    /// A large document keeps its thread for a while: one at a time, and others have the other threads.
    async fn prepare(&self, request: &Request) -> Result<Prepared, Vec<GraphqlError>> {
        let prepare = || validation::prepare(&self.schema, request, self.introspection);
        if request.query.len() <= SMALL_DOCUMENT_BYTES {
            return prepare();
        }
        let turn = timeout(self.settings.request_time, self.large_documents.acquire()).await;
        let _turn = turn.map_err(|_| vec![GraphqlError::of_request("Execution timed out.", None)])?;
        match Handle::current().runtime_flavor() {
            RuntimeFlavor::MultiThread => block_in_place(prepare),
            _ => prepare(),
        }
    }

    /// Every root field needs the caller's IAM policies to allow it.
    fn permit(&self, prepared: &Prepared, caller: &Caller) -> Result<(), Denial> {
        let root = prepared.operation.object_type();
        let mut fields = prepared.operation.root_fields(&prepared.document);
        let allowed = fields.all(|field| field.name == "__typename" || caller.may(&self.id, root, &field.name));
        if allowed { Ok(()) } else { Err(Denial::PermissionMissing) }
    }

    async fn execute(&self, prepared: &Prepared, call: &Call, origin: Origin<'_>, root: &Value) -> Answer {
        let execution = self.execution(prepared, call, origin);
        let operation = &prepared.operation;
        let data = execution.root(operation.operation_type, &operation.selection_set, root).await;
        if execution.ledger.is_too_large() {
            let sentence = format!("A response has at most {ANSWER_BYTES} bytes; this one would have more.");
            return Answer::refused(vec![GraphqlError::of_request(sentence, None)]);
        }
        let headers = execution.resolving.take_response_headers();
        Answer { data, errors: execution.ledger.into_errors(), headers }
    }

    fn execution<'a>(&'a self, prepared: &'a Prepared, call: &'a Call, origin: Origin<'a>) -> Execution<'a> {
        let Prepared { document, variables, halves, .. } = prepared;
        let reading = Reading { schema: &self.schema, document, variables, halves: *halves };
        let resolving = Resolving::new(self, &call.caller, &call.request, origin);
        let deadline = Instant::now() + self.settings.request_time;
        Execution { ledger: Ledger::new(reading, self.limits, deadline), resolving }
    }

    async fn open(&self, prepared: &Prepared, call: &Call) -> Result<Opened, Vec<GraphqlError>> {
        let execution = self.execution(prepared, call, Origin::Resolvers { introspected: &Value::Null });
        let opened = self.open_root(prepared, &execution).await;
        let errors = execution.ledger.into_errors();
        opened.filter(|_| errors.is_empty()).ok_or(errors)
    }

    /// Nothing when the ledger has errors to show for it.
    async fn open_root(&self, prepared: &Prepared, execution: &Execution<'_>) -> Option<Opened> {
        let Execution { ledger, resolving } = execution;
        let root_type = self.schema.root(OperationType::Subscription)?;
        let gathered = ledger.reading.gather(root_type, [&prepared.operation.selection_set]);
        let (key, fields) = gathered.first()?;
        let field = *fields.first()?;
        let definition = root_type.fields.get(&field.name)?;
        let site = Site { parent_type: root_type, definition, fields, field, path: Path::root(key) };
        resolving.authorize(ledger, &site).ok()?;
        let arguments = input_coercion::arguments(&self.schema, definition, field, &prepared.variables).ok()?;
        let resolution = match self.bindings.of(&root_type.name, &field.name) {
            Some(bound) => resolving.run(ledger, &site, bound, &Value::Null).await.ok()?,
            None => Resolution::default(),
        };
        let report = |sentence: String| ledger.report_at(&site, "BadRequestException", sentence);
        let filter = match &resolution.subscription_filter {
            Some(written) => Filter::enhanced(written).map_err(report).ok()?,
            None => Filter::of_arguments(arguments),
        };
        let invalidation = resolution.invalidation_filter.as_ref().map(Filter::enhanced).transpose();
        let invalidation = invalidation.map_err(report).ok()?;
        Some(Opened { field: field.name.to_string(), filter, invalidation, initial: resolution.value })
    }
}

struct Opened {
    field: String,
    filter: Filter,
    invalidation: Option<Filter>,
    initial: Value,
}

impl Rejection {
    pub fn unparsable() -> Self {
        Rejection::Errors(vec![GraphqlError::of_request("Unable to parse GraphQL query.", None)])
    }
}

impl Answer {
    fn refused(errors: Vec<GraphqlError>) -> Self {
        Self { data: Completed::Null, errors, headers: Vec::new() }
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut answer = serializer.serialize_map(None)?;
        answer.serialize_entry("data", &self.data)?;
        if !self.errors.is_empty() {
            answer.serialize_entry("errors", &self.errors)?;
        }
        answer.end()
    }
}
