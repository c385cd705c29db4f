//! How the value of one field is found: its resolver, or its parent's property of the same name.
use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError},
};

use apollo_compiler::{Name, Node, executable::Field, schema::ObjectType};
use serde_json::Value;

use crate::graphql::{
    Service,
    execution::bindings::Bound,
    execution::budget::{INVALIDATIONS_PER_REQUEST, Ledger},
    execution::field_context::{Bubble, Site},
    execution::pipeline::{self, Resolution, Surroundings},
    execution::resolver_error::Refusal,
    execution::response_value::Completed,
    graphql_error::{Detail, GraphqlError},
    schema::authorization,
    schema::input_coercion,
};
use crate::{
    identity::Caller,
    resolver::{Invalidation, Raised},
};

/// On whose behalf fields are resolved, and from what.
pub struct Resolving<'a> {
    pub service: &'a Service,
    pub caller: &'a Caller,
    /// `ctx.request`.
    pub request: &'a Value,
    pub origin: Origin<'a>,
    response_headers: Mutex<Vec<(String, String)>>,
}

/// Where values come from.
pub enum Origin<'a> {
    /// Resolvers; the schema describes itself with what was introspected beforehand.
    Resolvers { introspected: &'a Value },
    /// What a mutation has already resolved.
    Payload,
}

impl<'a> Resolving<'a> {
    pub fn new(service: &'a Service, caller: &'a Caller, request: &'a Value, origin: Origin<'a>) -> Self {
        Self { service, caller, request, origin, response_headers: Mutex::default() }
    }

    pub async fn resolve<'v>(
        &self,
        ledger: &Ledger<'_>,
        site: &Site<'_>,
        parent: &'v Value,
    ) -> Result<Cow<'v, Value>, Bubble> {
        self.authorize(ledger, site)?;
        let bound = match self.origin {
            // AppSync documents the type of this error, and not its sentence.
            Origin::Resolvers { .. } if !ledger.may_descend(site) => {
                ledger.report_at(site, "QueryDepthLimitReached", "Query depth limit reached.");
                return Err(Bubble);
            }
            Origin::Resolvers { .. } => self.service.bindings.of(&site.parent_type.name, &site.field.name),
            Origin::Payload => None,
        };
        let Some(bound) = bound else {
            return Ok(parent.get(site.field.name.as_str()).map_or(Cow::Owned(Value::Null), Cow::Borrowed));
        };
        let resolution = self.run(ledger, site, bound, parent).await?;
        self.invalidate(ledger, site, &resolution.invalidations)?;
        self.response_headers.lock().unwrap_or_else(PoisonError::into_inner).extend(resolution.response_headers);
        Ok(Cow::Owned(resolution.value))
    }

    pub fn authorize(&self, ledger: &Ledger<'_>, site: &Site<'_>) -> Result<(), Bubble> {
        let default = self.service.directory.default_mode();
        if authorization::admits(self.caller, default, site.definition, site.parent_type) {
            return Ok(());
        }
        self.refuse(ledger, site, Refusal::Unauthorized)
    }

    /// Runs a field's resolver; what it raises becomes errors of the response.
    pub async fn run(
        &self,
        ledger: &Ledger<'_>,
        site: &Site<'_>,
        bound: &Bound,
        parent: &Value,
    ) -> Result<Resolution, Bubble> {
        if !ledger.may_resolve() {
            ledger.report_at(site, "ResolverExecutionLimitReached", "Resolver invocation limit reached.");
            return Err(Bubble);
        }
        let arguments =
            input_coercion::arguments(ledger.reading.schema, site.definition, site.field, ledger.reading.variables);
        let arguments = arguments.map_err(|(argument, misfit)| {
            ledger.report(GraphqlError::of_value(misfit.of_argument(&argument), site.path.segments()));
            Bubble
        })?;
        // Never closed, so a permit always comes.
        let _running = ledger.running.acquire().await;
        let around = self.surroundings(ledger, site, parent);
        let mut resolution = pipeline::resolve(bound, &self.service.sources, around, Value::Object(arguments)).await;
        for raised in std::mem::take(&mut resolution.appended) {
            self.raise(ledger, site, raised);
        }
        match resolution.refused.take() {
            Some(refusal) => self.refuse(ledger, site, refusal),
            None => Ok(resolution),
        }
    }

    /// A mutation's value goes to whoever subscribed to it; null does not.
    pub fn announce(&self, root_type: &ObjectType, field: &Node<Field>, value: &Completed) {
        let is_mutation = self.service.schema.is_mutation(root_type);
        if !is_mutation || *value == Completed::Null {
            return;
        }
        let payload = Arc::new(value.published());
        for subscription in self.service.schema.fired_by(&field.name) {
            self.service.hub.publish(subscription, &payload);
        }
    }

    pub fn introspected(&self, key: &Name) -> Value {
        match self.origin {
            Origin::Resolvers { introspected } => introspected.get(key.as_str()).cloned().unwrap_or_default(),
            Origin::Payload => Value::Null,
        }
    }

    pub fn take_response_headers(&self) -> Vec<(String, String)> {
        std::mem::take(&mut *self.response_headers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn invalidate(&self, ledger: &Ledger<'_>, site: &Site<'_>, invalidations: &[Invalidation]) -> Result<(), Bubble> {
        for Invalidation { subscription_field, payload } in invalidations {
            if !ledger.may_invalidate() {
                let most = INVALIDATIONS_PER_REQUEST;
                let sentence =
                    format!("A request may invalidate subscriptions {most} times; this one does so more often.");
                ledger.report_at(site, "LimitExceededException", sentence);
                return Err(Bubble);
            }
            self.service.hub.invalidate(subscription_field, payload);
        }
        Ok(())
    }

    fn surroundings(&self, ledger: &Ledger<'_>, site: &Site<'_>, parent: &Value) -> Surroundings {
        Surroundings {
            source: parent.clone(),
            identity: self.caller.identity().clone(),
            info: ledger.reading.info(&site.parent_type.name, site.fields),
            request: self.request.clone(),
            environment: self.service.environment.clone(),
            halves: ledger.reading.halves,
            deadline: ledger.deadline,
        }
    }

    fn refuse<T>(&self, ledger: &Ledger<'_>, site: &Site<'_>, refusal: Refusal) -> Result<T, Bubble> {
        match refusal {
            Refusal::Raised(raised) => self.raise(ledger, site, raised),
            Refusal::OutOfTime => ledger.report_at(site, "ExecutionTimeout", "Execution timed out."),
            Refusal::Unauthorized => {
                let (field, parent) = (&site.field.name, &site.parent_type.name);
                ledger.report_at(site, "Unauthorized", format!("Not Authorized to access {field} on type {parent}"));
            }
        }
        Err(Bubble)
    }

    fn raise(&self, ledger: &Ledger<'_>, site: &Site<'_>, raised: Raised) {
        let data = ledger.reading.selected(raised.data, site.fields);
        let detail = Detail { error_type: raised.error_type, data, info: raised.info };
        let location = ledger.location(site.field);
        ledger.report(GraphqlError::of_field(raised.message, detail, site.path.segments(), location));
    }
}
