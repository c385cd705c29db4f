//! What the options of a start make of template.yaml: its parameters, and the commands of its functions.
use std::collections::BTreeMap;

use uuid::Uuid;

use super::{Models, ServerOptions, StartError};
use crate::{
    command_line::CommandLine,
    identity::{LOCAL_CLIENT_ID, LocalIssuers},
    lambda::LocalFunction,
    secrets_manager::LocalSecret,
    stack::Stack,
    state_dir::{self, StateDirError},
    template::{Deployment, Template},
};

/// The parameter that names the functions that agents may use as tools.
const TOOL_FUNCTIONS_PARAMETER: &str = "ToolFunctionArns";
/// The parameter that names the secrets that agents may have sent to MCP servers.
const TOOL_SECRETS_PARAMETER: &str = "ToolSecretArns";
/// The name of the program in the package of a function of the runtime `provided.al2023`.
const PROGRAM: &str = "bootstrap";
/// The folders of the code that this program has in itself.
const HANDLER_CODE: &str = "handler";
const GATEWAY_CODE: &str = "gateway";
/// The name of the function that answers turns.
pub(crate) const HANDLER_FUNCTION: &str = "parlance-Handler";

/// The stack of the template for a server at this URL: `http://localhost:4000`.
pub(super) fn load_stack(options: &ServerOptions, base_url: &str) -> Result<Stack, StartError> {
    let template = Template::read(&options.root)?;
    let mut deployment = deployment(options, base_url)?;
    let mut stack = template.load(&deployment)?;
    if stack.events_api.is_some() {
        deployment.events_api_key = api_key(options, "events-api-key")?;
        stack = template.load(&deployment)?;
    }
    apply_commands(&mut stack, options)?;
    Ok(stack)
}

fn deployment(options: &ServerOptions, base_url: &str) -> Result<Deployment, StartError> {
    Ok(Deployment {
        local_defaults: local_defaults(&options.models),
        api_key: api_key(options, "api-key")?,
        ..Deployment::at(base_url, parameters(options, base_url)?)
    })
}

/// The key in a file of the state folder, from the previous start, unless nothing is kept.
fn api_key(options: &ServerOptions, file: &str) -> Result<String, StateDirError> {
    let new_key = format!("da2-{}", &Uuid::new_v4().simple().to_string()[..26]);
    match options.ephemeral {
        true => Ok(new_key),
        false => state_dir::load_or_create_text(&options.state.join(file), &new_key),
    }
}

/// The given parameters, and those that follow from other options: users need the stack's own user pool, the
/// local OpenID Connect provider must be trusted, documents are the stack's own knowledge base, and agents
/// may use the functions and the secrets for tools.
fn parameters(options: &ServerOptions, base_url: &str) -> Result<BTreeMap<String, String>, StartError> {
    let mut parameters = options.parameters.clone();
    let mut require = |parameter: &'static str, value: String, consequence| match parameters.get(parameter) {
        Some(given) if *given != value => {
            Err(StartError::Contradiction { parameter, given: given.clone(), consequence })
        }
        _ => {
            parameters.insert(parameter.into(), value);
            Ok(())
        }
    };
    if !options.users.is_empty() {
        require("UserPool", "create".into(), "there is no pool here for the users of --user")?;
    }
    if options.knowledge.is_some() {
        require("Knowledge", "create".into(), "the documents of --knowledge would not be searched")?;
    }
    if options.parameters.contains_key("KnowledgeBucket") {
        require("KnowledgeBucket", "none".into(), "links would lead to a bucket that the local server does not have")?;
    }
    if matches!(options.models, Models::Server(_)) && options.parameters.contains_key("GuardrailId") {
        require(
            "GuardrailId",
            "none".into(),
            "answers would not be assessed: the models of --models have no guardrail",
        )?;
    }
    if options.oidc {
        require("OidcIssuer", LocalIssuers::oidc_url(base_url), "the provider of --oidc would not be trusted")?;
        parameters.entry("OidcClientPattern".into()).or_insert_with(|| LOCAL_CLIENT_ID.into());
    }
    check_secret_names(&options.secrets)?;
    add_arns(&mut parameters, TOOL_FUNCTIONS_PARAMETER, options.functions.iter().map(LocalFunction::arn));
    add_arns(&mut parameters, TOOL_SECRETS_PARAMETER, options.secrets.iter().map(LocalSecret::arn));
    Ok(parameters)
}

/// A name must tell its secret.
fn check_secret_names(secrets: &[LocalSecret]) -> Result<(), StartError> {
    for (index, LocalSecret { name, .. }) in secrets.iter().enumerate() {
        if secrets[..index].iter().any(|earlier| earlier.name == *name) {
            return Err(StartError::SecretExists { name: name.clone() });
        }
    }
    Ok(())
}

/// Adds ARNs to a parameter that is a list of ARNs or `none`.
fn add_arns(parameters: &mut BTreeMap<String, String>, name: &str, arns: impl Iterator<Item = String>) {
    let given = parameters.get(name).filter(|given| *given != "none").cloned();
    let arns: Vec<String> = given.into_iter().chain(arns).collect();
    if !arns.is_empty() {
        parameters.insert(name.into(), arns.join(","));
    }
}

/// Defaults of the local server: agents may use the scripted models, and any model id where a server of
/// models answers for all of them.
pub(crate) fn local_defaults(models: &Models) -> BTreeMap<String, String> {
    let arns = match models {
        Models::Scripted => "arn:aws:bedrock:*::foundation-model/parlance.*",
        Models::Server(_) => "arn:aws:bedrock:*::foundation-model/*,arn:aws:bedrock:*:*:inference-profile/*",
        Models::Bedrock => return BTreeMap::new(),
    };
    [("MoreModelArns".to_owned(), arns.to_owned())].into()
}

/// Sets the handler's command and that of functions of the gateway, and adds the functions that are commands.
fn apply_commands(stack: &mut Stack, options: &ServerOptions) -> Result<(), StartError> {
    if let Some(command) = options.handler.clone() {
        stack.functions.get_mut(HANDLER_FUNCTION).ok_or(StartError::NoHandler)?.command = Some(command);
    }
    for function in stack.functions.values_mut().filter(|function| function.command.is_none()) {
        match function.code_folder.as_str() {
            HANDLER_CODE => {}
            GATEWAY_CODE => {
                let program = options.executable.clone();
                function.command = Some(CommandLine { program, arguments: vec![GATEWAY_CODE.into()] });
            }
            folder => {
                let program = std::path::absolute(options.root.join(folder).join(PROGRAM));
                let program = program.ok().filter(|program| program.is_file()).ok_or_else(|| {
                    StartError::UnknownCode { function: function.name.clone(), folder: folder.to_owned() }
                })?;
                function.command = Some(CommandLine { program, arguments: Vec::new() });
            }
        }
    }
    for function in &options.functions {
        let name = function.name.clone();
        if stack.functions.insert(name.clone(), function.to_function()).is_some() {
            return Err(StartError::FunctionExists { name });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        identity::{AccessRequest, AssumedRole},
        knowledge_base::{BUCKET, EmbeddingsOptions, KNOWLEDGE_BASE_ID, KnowledgeOptions},
        stack::Chunking,
    };

    const FORECAST_ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:forecast";

    fn options(parameters: &[(&str, &str)], functions: &[&str]) -> ServerOptions {
        ServerOptions {
            parameters: parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            functions: functions.iter().map(|function| function.parse().unwrap()).collect(),
            ..ServerOptions::for_tests()
        }
    }

    fn load_stack(options: &ServerOptions) -> Result<Stack, StartError> {
        super::load_stack(options, "http://localhost:4000")
    }

    #[test]
    fn agents_may_use_functions_as_tools() {
        let elsewhere = "arn:aws:lambda:eu-west-1:123456789012:function:tool-*";
        let both = format!("{elsewhere},{FORECAST_ARN}");
        let cases: [(&[(&str, &str)], &str); 3] = [
            (&[], FORECAST_ARN),
            (&[("ToolFunctionArns", "none")], FORECAST_ARN),
            (&[("ToolFunctionArns", elsewhere)], &both),
        ];
        for (parameters, expected) in cases {
            let stack = load_stack(&options(parameters, &["forecast=./forecast"])).unwrap();
            let handler = &stack.functions["parlance-Handler"];
            assert_eq!(handler.environment["TOOL_FUNCTION_ARNS"], expected);
            let role = AssumedRole::new(&handler.role, "run");
            let access = AccessRequest { action: "lambda:InvokeFunction", resource: FORECAST_ARN, leading_keys: &[] };
            assert_eq!(role.authorize(&access), Ok(()));
            assert_eq!(stack.functions["forecast"].arn, FORECAST_ARN);
        }
    }

    #[test]
    fn agents_may_use_secrets() {
        let elsewhere = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:mcp-AbC123";
        let secret: LocalSecret = "mcp=token.txt".parse().unwrap();
        for (parameters, expected) in
            [(&[][..], secret.arn()), (&[("ToolSecretArns", elsewhere)], format!("{elsewhere},{}", secret.arn()))]
        {
            let options = ServerOptions { secrets: vec![secret.clone()], ..options(parameters, &[]) };
            let stack = load_stack(&options).unwrap();
            let handler = &stack.functions["parlance-Handler"];
            assert_eq!(handler.environment["TOOL_SECRET_ARNS"], expected);
            let role = AssumedRole::new(&handler.role, "run");
            let (action, resource) = ("secretsmanager:GetSecretValue", secret.arn());
            assert_eq!(role.authorize(&AccessRequest { action, resource: &resource, leading_keys: &[] }), Ok(()));
        }
    }

    #[test]
    fn documents_are_the_knowledge_of_the_default_agent() {
        let folder = "documents".into();
        let knowledge = Some(KnowledgeOptions { folder, embeddings: EmbeddingsOptions::default() });
        let with_parameters =
            |parameters: &[_]| load_stack(&ServerOptions { knowledge: knowledge.clone(), ..options(parameters, &[]) });
        let stack = with_parameters(&[]).unwrap();
        assert_eq!(stack.api.environment["KNOWLEDGE_BASE_ID"], KNOWLEDGE_BASE_ID);
        let role = AssumedRole::new(&stack.functions[HANDLER_FUNCTION].role, "run");
        let resource = "arn:aws:bedrock:us-east-1:000000000000:knowledge-base/LOCALKB001";
        assert_eq!(role.authorize(&AccessRequest { action: "bedrock:Retrieve", resource, leading_keys: &[] }), Ok(()));
        assert_eq!(stack.functions[HANDLER_FUNCTION].environment["DOCUMENTS_BUCKET"], BUCKET);
        let resource = "arn:aws:s3:::local-knowledge/hr/travel.md";
        assert_eq!(role.authorize(&AccessRequest { action: "s3:GetObject", resource, leading_keys: &[] }), Ok(()));
        let parameters = [("KnowledgeChunkTokens", "100"), ("KnowledgeChunkOverlapPercent", "5")];
        let chunking = with_parameters(&parameters).unwrap().knowledge_base.unwrap().chunking;
        assert_eq!(chunking, Chunking::FixedSize { max_tokens: 100, overlap_percentage: 5 });
        let error = with_parameters(&[("Knowledge", "none")]).unwrap_err().to_string();
        assert_eq!(error, "the parameter Knowledge is none, so the documents of --knowledge would not be searched");
        for error in [
            with_parameters(&[("KnowledgeBucket", "other")]),
            load_stack(&options(&[("KnowledgeBucket", "other")], &[])),
        ] {
            let expected = "the parameter KnowledgeBucket is other, so links would lead to a bucket that the local \
                            server does not have";
            assert_eq!(error.unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn handler_may_be_another_command_with_the_variables_of_the_template() {
        let own = options(&[("ModelUrl", "http://localhost:11434/v1")], &[]);
        let own = ServerOptions { handler: Some("env A=b ./custom-handler".parse().unwrap()), ..own };
        let stack = load_stack(&own).unwrap();
        let handler = &stack.functions["parlance-Handler"];
        assert_eq!(handler.command.as_ref().unwrap().arguments, ["A=b", "./custom-handler"]);
        assert_eq!(handler.environment["MODEL_URL"], "http://localhost:11434/v1");
        assert_eq!(stack.functions["parlance-Closer"].command, None);
        let standard = load_stack(&options(&[], &[])).unwrap();
        let handler = &standard.functions["parlance-Handler"];
        assert!(handler.command.is_none() && !handler.environment.contains_key("MODEL_URL"));
    }

    #[test]
    fn function_runs_the_program_of_its_package() {
        let root = tempfile::tempdir().unwrap();
        let own = ServerOptions { root: root.path().to_owned(), ..options(&[], &[]) };
        let mut stack = load_stack(&options(&[], &[])).unwrap();
        stack.functions.get_mut("parlance-Closer").unwrap().code_folder = "package".into();
        assert!(matches!(apply_commands(&mut stack, &own), Err(StartError::UnknownCode { .. })));
        std::fs::create_dir(root.path().join("package")).unwrap();
        let program = root.path().join("package/bootstrap");
        std::fs::write(&program, "#!/bin/sh\n").unwrap();
        apply_commands(&mut stack, &own).unwrap();
        assert_eq!(stack.functions["parlance-Closer"].command.as_ref().unwrap().program, program);
        assert_eq!(stack.functions[HANDLER_FUNCTION].command, None);
    }

    #[test]
    fn code_of_the_handler_and_of_the_gateway_is_run() {
        let mut stack = load_stack(&options(&[], &[])).unwrap();
        stack.functions.get_mut("parlance-Closer").unwrap().code_folder = GATEWAY_CODE.into();
        let own = ServerOptions { executable: "parlance".into(), ..options(&[], &[]) };
        apply_commands(&mut stack, &own).unwrap();
        let gateway = CommandLine { program: "parlance".into(), arguments: vec!["gateway".into()] };
        assert_eq!(stack.functions["parlance-Closer"].command, Some(gateway));
        assert_eq!(stack.functions["parlance-Handler"].command, None);
    }

    #[test]
    fn other_code_needs_a_command() {
        let own = options(&[("HandlerPath", "examples/custom-handler/")], &[]);
        let error = load_stack(&own).unwrap_err().to_string();
        let expected = "the local server cannot run the code of parlance-Handler in examples/custom-handler: it \
                        runs that of handler/ and gateway/; give the program of a handler of your own with --handler";
        assert_eq!(error, expected);
        let own = ServerOptions { handler: Some("./custom-handler".parse().unwrap()), ..own };
        assert!(load_stack(&own).is_ok());
    }

    #[test]
    fn function_needs_a_name_of_its_own() {
        for functions in [["forecast=a", "forecast=b"], ["parlance-Handler=a", "forecast=b"]] {
            let error = load_stack(&options(&[], &functions)).unwrap_err().to_string();
            assert!(error.starts_with("there is already a function "), "{error}");
        }
    }

    #[test]
    fn secret_needs_a_name_of_its_own() {
        let secrets = ["mcp=a", "other=a", "mcp=b"].map(|secret| secret.parse().unwrap()).into();
        let error = load_stack(&ServerOptions { secrets, ..options(&[], &[]) }).unwrap_err().to_string();
        assert_eq!(error, "there are two secrets mcp: choose another name for --secret");
    }

    #[test]
    fn handler_must_be_in_the_template() {
        let mut stack = load_stack(&options(&[], &[])).unwrap();
        stack.functions.remove(HANDLER_FUNCTION);
        let own = ServerOptions { handler: Some("./custom-handler".parse().unwrap()), ..options(&[], &[]) };
        let error = apply_commands(&mut stack, &own).unwrap_err().to_string();
        assert_eq!(error, "the template has no function parlance-Handler that --handler could replace");
    }

    #[test]
    fn key_of_a_model_is_not_read_from_secrets_manager() {
        let secret = "arn:aws:secretsmanager:us-east-1:000000000000:secret:key-AbCdEf";
        let error = load_stack(&options(&[("ModelKeySecretArn", secret)], &[])).unwrap_err().to_string();
        let expected = format!(
            "template.yaml: Handler: the local server does not resolve {{{{resolve:secretsmanager:{secret}:\
             SecretString}}}}: leave out the parameter whose value is in it, and give a handler its variable by \
             --handler 'env NAME=VALUE COMMAND'"
        );
        assert_eq!(error, expected);
    }
}
