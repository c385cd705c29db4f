//! How the value of one field is found: its resolver, or its parent's property of the same name.
use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError},
};

use apollo_compiler::{Name, Node, executable::Field, schema::ObjectType};
use serde_json::Value;

use super::{
    Service, authorize,
    bindings::Bound,
    completed::Completed,
    errors::{Detail, GraphqlError},
    execute::{Bubble, Execution, RESOLVERS_PER_REQUEST, Site},
    input,
    pipeline::{self, Refusal, Resolution, Surroundings},
};
use crate::{identity::Caller, resolver::Raised};

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
        execution: &Execution<'_>,
        site: &Site<'_>,
        parent: &'v Value,
    ) -> Result<Cow<'v, Value>, Bubble> {
        self.authorize(execution, site)?;
        let bound = match self.origin {
            Origin::Resolvers { .. } => self.service.bindings.of(&site.parent_type.name, &site.field.name),
            Origin::Payload => None,
        };
        let Some(bound) = bound else {
            return Ok(parent.get(site.field.name.as_str()).map_or(Cow::Owned(Value::Null), Cow::Borrowed));
        };
        let resolution = self.run(execution, site, bound, parent).await?;
        for invalidation in &resolution.invalidations {
            self.service.hub.invalidate(&invalidation.subscription_field, &invalidation.payload);
        }
        self.response_headers.lock().unwrap_or_else(PoisonError::into_inner).extend(resolution.response_headers);
        Ok(Cow::Owned(resolution.value))
    }

    pub fn authorize(&self, execution: &Execution<'_>, site: &Site<'_>) -> Result<(), Bubble> {
        let default = self.service.directory.default_mode();
        if authorize::admits(self.caller.mode(), default, site.definition, site.parent_type) {
            return Ok(());
        }
        self.refuse(execution, site, Refusal::Unauthorized)
    }

    /// Runs a field's resolver; what it raises becomes errors of the response.
    pub async fn run(
        &self,
        execution: &Execution<'_>,
        site: &Site<'_>,
        bound: &Bound,
        parent: &Value,
    ) -> Result<Resolution, Bubble> {
        if !execution.may_resolve() {
            let sentence =
                format!("A request may run at most {RESOLVERS_PER_REQUEST} resolvers; this one asks for more.");
            execution.report_at(site, "LimitExceededException", sentence);
            return Err(Bubble);
        }
        let arguments =
            input::arguments(execution.reading.schema, site.definition, site.field, execution.reading.variables);
        let arguments = arguments.map_err(|(argument, misfit)| {
            execution.report(GraphqlError::of_value(misfit.of_argument(&argument), site.path.segments()));
            Bubble
        })?;
        let around = self.surroundings(execution, site, parent);
        let mut resolution = pipeline::resolve(bound, &self.service.sources, around, Value::Object(arguments)).await;
        for raised in std::mem::take(&mut resolution.appended) {
            self.raise(execution, site, raised);
        }
        match resolution.refused.take() {
            Some(refusal) => self.refuse(execution, site, refusal),
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

    fn surroundings(&self, execution: &Execution<'_>, site: &Site<'_>, parent: &Value) -> Surroundings {
        Surroundings {
            source: parent.clone(),
            identity: self.caller.identity().clone(),
            info: execution.reading.info(&site.parent_type.name, site.fields),
            request: self.request.clone(),
            environment: self.service.environment.clone(),
            halves: execution.reading.halves,
        }
    }

    fn refuse<T>(&self, execution: &Execution<'_>, site: &Site<'_>, refusal: Refusal) -> Result<T, Bubble> {
        match refusal {
            Refusal::Raised(raised) => self.raise(execution, site, raised),
            Refusal::Unauthorized => {
                let (field, parent) = (&site.field.name, &site.parent_type.name);
                execution.report_at(site, "Unauthorized", format!("Not Authorized to access {field} on type {parent}"));
            }
        }
        Err(Bubble)
    }

    fn raise(&self, execution: &Execution<'_>, site: &Site<'_>, raised: Raised) {
        let data = execution.reading.selected(raised.data, site.fields);
        let detail = Detail { error_type: raised.error_type, data, info: raised.info };
        let location = execution.location(site.field);
        execution.report(GraphqlError::of_field(raised.message, detail, site.path.segments(), location));
    }
}
