//! Resolves one field: by its resolver, or from the property of the parent value with the field's name.
use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError},
};

use apollo_compiler::{Name, Node, executable::Field, schema::ObjectType};
use serde_json::Value;

use super::{
    bindings::BoundResolver,
    budget::MAX_INVALIDATIONS,
    field_context::{FieldContext, NullPropagation},
    pipeline::{self, ResolverContext, ResolverOutput},
    resolver_error::ResolverError,
    response_value::ResponseValue,
    state::ExecutionState,
};
use crate::{
    graphql::{
        graphql_error::{ErrorDetail, GraphqlError},
        request::CallContext,
        schema::{authorization, input_coercion},
        service::Service,
    },
    resolver::{HandlerError, Invalidation},
};

/// Resolves the fields of one operation for its caller.
pub struct FieldResolver<'a> {
    service: &'a Service,
    call: &'a CallContext,
    origin: ValueOrigin<'a>,
    response_headers: Mutex<Vec<(String, String)>>,
}

/// The origin of field values.
pub enum ValueOrigin<'a> {
    /// Resolvers. The introspection fields have their values already, by response key.
    Resolvers { introspected: &'a Value },
    /// The payload that a mutation published to a subscription.
    Payload,
}

impl<'a> FieldResolver<'a> {
    pub fn new(service: &'a Service, call: &'a CallContext, origin: ValueOrigin<'a>) -> Self {
        Self { service, call, origin, response_headers: Mutex::default() }
    }

    pub async fn resolve<'v>(
        &self,
        state: &ExecutionState<'_>,
        context: &FieldContext<'_>,
        parent: &'v Value,
    ) -> Result<Cow<'v, Value>, NullPropagation> {
        self.authorize(state, context)?;
        let Some(resolver) = self.find_resolver(state, context)? else {
            let property = parent.get(context.field.name.as_str());
            return Ok(property.map_or(Cow::Owned(Value::Null), Cow::Borrowed));
        };
        let output = self.run_resolver(state, context, resolver, parent).await?;
        self.invalidate_subscriptions(state, context, &output.invalidations)?;
        self.response_headers.lock().unwrap_or_else(PoisonError::into_inner).extend(output.response_headers);
        Ok(Cow::Owned(output.value))
    }

    pub fn authorize(&self, state: &ExecutionState<'_>, context: &FieldContext<'_>) -> Result<(), NullPropagation> {
        let default_mode = self.service.authenticator.default_mode();
        let is_authorized =
            authorization::is_authorized(&self.call.caller, default_mode, context.definition, context.parent_type);
        if is_authorized {
            return Ok(());
        }
        self.report_resolver_error(state, context, ResolverError::Unauthorized);
        Err(NullPropagation)
    }

    /// The resolver of the field, if it has one and values come from resolvers.
    fn find_resolver(
        &self,
        state: &ExecutionState<'_>,
        context: &FieldContext<'_>,
    ) -> Result<Option<&'a BoundResolver>, NullPropagation> {
        match self.origin {
            ValueOrigin::Payload => Ok(None),
            // AppSync documents the type of this error but not its message.
            ValueOrigin::Resolvers { .. } if !state.budget.allows_depth(context.path.depth()) => {
                state.report_field_error(context, "QueryDepthLimitReached", "Query depth limit reached.");
                Err(NullPropagation)
            }
            ValueOrigin::Resolvers { .. } => {
                Ok(self.service.bindings.get(&context.parent_type.name, &context.field.name))
            }
        }
    }

    /// Runs a field's resolver. The errors that it raises become errors of the response.
    pub async fn run_resolver(
        &self,
        state: &ExecutionState<'_>,
        context: &FieldContext<'_>,
        resolver: &BoundResolver,
        parent: &Value,
    ) -> Result<ResolverOutput, NullPropagation> {
        if !state.budget.try_run_resolver() {
            state.report_field_error(context, "ResolverExecutionLimitReached", "Resolver invocation limit reached.");
            return Err(NullPropagation);
        }
        let (schema, inputs) = (state.selections.schema, state.selections.inputs);
        let arguments = input_coercion::coerce_arguments(schema, context.definition, context.field, inputs);
        let arguments = arguments.map_err(|(argument, error)| {
            state.report(GraphqlError::value_error(error.argument_message(&argument), context.path.segments()));
            NullPropagation
        })?;
        // The semaphore is never closed, so `acquire` always returns a permit.
        let _permit = state.budget.resolver_permits.acquire().await;
        let resolver_context = self.resolver_context(state, context, parent);
        let arguments = Value::Object(arguments);
        let mut output = pipeline::run(resolver, &self.service.data_sources, resolver_context, arguments).await;
        for error in std::mem::take(&mut output.appended_errors) {
            self.report_raised(state, context, error);
        }
        match output.error.take() {
            Some(error) => {
                self.report_resolver_error(state, context, error);
                Err(NullPropagation)
            }
            None => Ok(output),
        }
    }

    /// Publishes the value of a mutation to the subscriptions of the field. Null is not published.
    pub fn publish_to_subscribers(&self, root_type: &ObjectType, field: &Node<Field>, value: &ResponseValue) {
        let is_mutation = self.service.schema.is_mutation_type(root_type);
        if !is_mutation || *value == ResponseValue::Null {
            return;
        }
        let payload = Arc::new(value.to_subscription_payload());
        for subscription in self.service.schema.subscriptions_to(&field.name) {
            self.service.subscriptions.publish(subscription, &payload);
        }
    }

    /// The value of an introspection field by its response key.
    pub fn introspection_result(&self, key: &Name) -> Value {
        match self.origin {
            ValueOrigin::Resolvers { introspected } => introspected.get(key.as_str()).cloned().unwrap_or_default(),
            ValueOrigin::Payload => Value::Null,
        }
    }

    pub fn take_response_headers(&self) -> Vec<(String, String)> {
        std::mem::take(&mut *self.response_headers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn invalidate_subscriptions(
        &self,
        state: &ExecutionState<'_>,
        context: &FieldContext<'_>,
        invalidations: &[Invalidation],
    ) -> Result<(), NullPropagation> {
        for Invalidation { subscription_field, payload } in invalidations {
            if !state.budget.try_invalidate() {
                let message = format!(
                    "A request may invalidate subscriptions {MAX_INVALIDATIONS} times; this one does so more often."
                );
                state.report_field_error(context, "LimitExceededException", message);
                return Err(NullPropagation);
            }
            self.service.subscriptions.invalidate(subscription_field, payload);
        }
        Ok(())
    }

    fn resolver_context(
        &self,
        state: &ExecutionState<'_>,
        context: &FieldContext<'_>,
        parent: &Value,
    ) -> ResolverContext {
        ResolverContext {
            source: parent.clone(),
            identity: self.call.caller.identity().clone(),
            info: state.selections.info(&context.parent_type.name, context.fields),
            request: self.call.request.clone(),
            environment: self.service.environment.clone(),
            has_lone_surrogates: state.selections.has_lone_surrogates,
            deadline: state.budget.deadline,
        }
    }

    fn report_resolver_error(&self, state: &ExecutionState<'_>, context: &FieldContext<'_>, error: ResolverError) {
        match error {
            ResolverError::Raised(raised) => self.report_raised(state, context, raised),
            ResolverError::TimedOut => state.report_field_error(context, "ExecutionTimeout", "Execution timed out."),
            ResolverError::Unauthorized => {
                let (field, parent) = (&context.field.name, &context.parent_type.name);
                let message = format!("Not Authorized to access {field} on type {parent}");
                state.report_field_error(context, "Unauthorized", message);
            }
        }
    }

    fn report_raised(&self, state: &ExecutionState<'_>, context: &FieldContext<'_>, raised: HandlerError) {
        let data = state.selections.select_error_data(raised.data, context.fields);
        let detail = ErrorDetail { error_type: raised.error_type, data, info: raised.info };
        let location = state.location(context.field);
        state.report(GraphqlError::field_error(raised.message, detail, context.path.segments(), location));
    }
}
