//! Generates types for the handler's two GraphQL documents from schema.graphql.
use std::{env, error::Error, fs, path::Path};

use graphql_client_codegen::{CodegenMode, GraphQLClientCodegenOptions, generate_module_token_stream};

const SCHEMA: &str = "../schema.graphql";
const DOCUMENTS: &str = "src/aws/publish.graphql";
/// graphql_client needs a declaration of AppSync's scalars.
const APPSYNC_SCALARS: &str = "scalar AWSDateTime\nscalar AWSJSON\n";
/// Enums that the crate `api` defines.
const API_ENUMS: [&str; 5] = ["TurnStatus", "SenderKind", "StopReason", "FailureCode", "ToolStatus"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={SCHEMA}");
    println!("cargo::rerun-if-changed={DOCUMENTS}");
    let out_dir = env::var("OUT_DIR")?;
    let schema = Path::new(&out_dir).join("schema.graphql");
    fs::write(&schema, format!("{APPSYNC_SCALARS}{}", fs::read_to_string(SCHEMA)?))?;
    let mut options = GraphQLClientCodegenOptions::new(CodegenMode::Cli);
    options.set_extern_enums(API_ENUMS.map(String::from).to_vec());
    options.set_module_visibility(syn::parse_quote!(pub));
    // The table stores what AppSync gets.
    options.set_skip_serializing_none(true);
    let code = generate_module_token_stream(DOCUMENTS.into(), &schema, options).map_err(|error| error.to_string())?;
    fs::write(Path::new(&out_dir).join("publish.rs"), code.to_string())?;
    Ok(())
}
