//! The channel namespaces of an API with their handlers, checked when the API is loaded.
use std::collections::BTreeMap;

use crate::{
    graphql::{ApiDefinitionError, BoundDataSource},
    lambda::InvocationType,
    resolver::{self, ChannelHandler, ChannelHandlers, HandlerForm},
    stack::{AuthMode, ChannelNamespace, Code, DataSource, EventsApi, HandlerConfig},
};

/// A channel namespace.
pub struct Namespace {
    pub publish_modes: Vec<AuthMode>,
    pub subscribe_modes: Vec<AuthMode>,
    pub on_publish: NamespaceHandler,
    pub on_subscribe: NamespaceHandler,
}

/// What runs for each publish or subscription of a namespace.
pub enum NamespaceHandler {
    None,
    Function(Code),
    WithDataSource(Code, BoundDataSource),
    /// A function without code in between.
    Direct(BoundDataSource, InvocationType),
}

/// The namespaces by name.
pub fn load(api: &EventsApi) -> Result<BTreeMap<String, Namespace>, ApiDefinitionError> {
    let load = |(name, namespace): (&String, &ChannelNamespace)| {
        let loaded = Namespace::load(namespace);
        let error = |reason| ApiDefinitionError::new(format!("the channel namespace {name}: {reason}"));
        Ok((name.clone(), loaded.map_err(error)?))
    };
    api.namespaces.iter().map(load).collect()
}

impl Namespace {
    fn load(namespace: &ChannelNamespace) -> Result<Self, String> {
        let handlers = match &namespace.code {
            Some(code) => resolver::check_channel_handlers(code).map_err(|error| error.to_string())?,
            None => ChannelHandlers { on_publish: None, on_subscribe: None },
        };
        let bind = |handler, form, config: &Option<HandlerConfig>| {
            bind_handler(handler, namespace.code.as_ref().zip(form), config.as_ref())
        };
        Ok(Self {
            publish_modes: namespace.publish_modes.clone(),
            subscribe_modes: namespace.subscribe_modes.clone(),
            on_publish: bind(ChannelHandler::OnPublish, handlers.on_publish, &namespace.on_publish)?,
            on_subscribe: bind(ChannelHandler::OnSubscribe, handlers.on_subscribe, &namespace.on_subscribe)?,
        })
    }
}

/// Joins what the code exports to what the template configures.
fn bind_handler(
    handler: ChannelHandler,
    exported: Option<(&Code, HandlerForm)>,
    config: Option<&HandlerConfig>,
) -> Result<NamespaceHandler, String> {
    let name = handler.name();
    match (exported, config) {
        (None, None) => Ok(NamespaceHandler::None),
        (Some((code, HandlerForm::Function)), None | Some(HandlerConfig::Code(_))) => {
            Ok(NamespaceHandler::Function(code.clone()))
        }
        (Some((code, HandlerForm::WithDataSource)), Some(HandlerConfig::Code(source))) => {
            Ok(NamespaceHandler::WithDataSource(code.clone(), BoundDataSource::new(source)))
        }
        (None, Some(HandlerConfig::Direct { function, role, invocation })) => {
            let source = DataSource::Lambda { function: function.clone(), role: role.clone() };
            Ok(NamespaceHandler::Direct(BoundDataSource::new(&source), *invocation))
        }
        (Some((_, HandlerForm::WithDataSource)), None) => {
            Err(format!("{name} has the functions request and response, so HandlerConfigs must give it a data source"))
        }
        (None, Some(HandlerConfig::Code(_))) => {
            Err(format!("{name} has the Behavior CODE, and the code does not export {name}"))
        }
        (Some(_), Some(HandlerConfig::Direct { .. })) => {
            Err(format!("{name} has the Behavior DIRECT, and the code exports {name} too"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUNCTION: &str = "export function onPublish(ctx) { return ctx.events }";
    const WITH_SOURCE: &str =
        "export const onPublish = { request(ctx) { return {} }, response(ctx) { return ctx.events } }";

    fn error(code: Option<&str>, on_publish: Option<HandlerConfig>) -> Option<String> {
        let code = code.map(|text| Code { path: "handlers.js".into(), text: text.into() });
        let namespace =
            ChannelNamespace { publish_modes: vec![], subscribe_modes: vec![], code, on_publish, on_subscribe: None };
        let api = EventsApi {
            name: "events".into(),
            id: "events".into(),
            modes: vec![],
            keys: vec![],
            issuers: vec![],
            connection_modes: vec![],
            namespaces: [("chat".into(), namespace)].into(),
        };
        load(&api).err().map(|error| error.to_string())
    }

    #[test]
    fn code_and_configuration_must_fit() {
        let code = || Some(HandlerConfig::Code(DataSource::None));
        let role = crate::stack::Role { arn: "arn:aws:iam::000000000000:role/Source".into(), statements: vec![] };
        let direct = Some(HandlerConfig::Direct { function: "worker".into(), role, invocation: InvocationType::Event });
        for (text, config) in [
            (None, None),
            (Some(FUNCTION), None),
            (Some(FUNCTION), code()),
            (Some(WITH_SOURCE), code()),
            (None, direct.clone()),
        ] {
            assert_eq!(error(text, config), None, "{text:?}");
        }
        let too_long = format!("{FUNCTION} //{}", "x".repeat(32_768));
        for (text, config, reason) in [
            (Some(too_long.as_str()), None, "handlers.js: a file holds at most 32768 characters, this one 32823."),
            (
                Some(WITH_SOURCE),
                None,
                "onPublish has the functions request and response, so HandlerConfigs must give it a data source",
            ),
            (None, code(), "onPublish has the Behavior CODE, and the code does not export onPublish"),
            (Some(FUNCTION), direct, "onPublish has the Behavior DIRECT, and the code exports onPublish too"),
            (
                Some("export function request() {}"),
                None,
                "handlers.js: the code of a channel namespace exports onPublish, onSubscribe or both; this one neither.",
            ),
        ] {
            assert_eq!(error(text, config), Some(format!("the channel namespace chat: {reason}")), "{text:?}");
        }
    }
}
