//! Generates types for the handler's GraphQL documents, and a table of all enums, from schema.graphql.
use std::{env, error::Error, fs, path::Path};

use graphql_client_codegen::{CodegenMode, GraphQLClientCodegenOptions, generate_module_token_stream};
use graphql_parser::schema::{Definition, TypeDefinition, parse_schema};

const SCHEMA: &str = "../schema.graphql";
const DOCUMENTS: &str = "src/aws/publish.graphql";
/// graphql_client needs a declaration of AppSync's scalars.
const APPSYNC_SCALARS: &str = "scalar AWSDateTime\nscalar AWSJSON\n";
/// Enums that the crate `api` defines.
const API_ENUMS: [&str; 8] = [
    "TurnStatus",
    "SenderKind",
    "StopReason",
    "FailureCode",
    "NoteCode",
    "ToolStatus",
    "GuardrailSource",
    "GuardrailPolicy",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={SCHEMA}");
    println!("cargo::rerun-if-changed={DOCUMENTS}");
    let out_dir = env::var("OUT_DIR")?;
    let schema_text = fs::read_to_string(SCHEMA)?;
    fs::write(Path::new(&out_dir).join("schema_enums.rs"), enum_table(&schema_text)?)?;
    let schema = Path::new(&out_dir).join("schema.graphql");
    fs::write(&schema, format!("{APPSYNC_SCALARS}{schema_text}"))?;
    let documents = Path::new(&out_dir).join("publish.graphql");
    fs::write(&documents, without_line_breaks(&fs::read_to_string(DOCUMENTS)?))?;
    let mut options = GraphQLClientCodegenOptions::new(CodegenMode::Cli);
    options.set_extern_enums(API_ENUMS.map(String::from).to_vec());
    options.set_module_visibility(syn::parse_quote!(pub));
    // The table stores what AppSync gets.
    options.set_skip_serializing_none(true);
    let code = generate_module_token_stream(documents, &schema, options).map_err(|error| error.to_string())?;
    fs::write(Path::new(&out_dir).join("publish.rs"), code.to_string())?;
    Ok(())
}

/// Every publish sends the documents: without line breaks and indentation they have a third less bytes. They
/// have no strings and no comments.
fn without_line_breaks(documents: &str) -> String {
    documents.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A constant with the name of each enum and its values.
fn enum_table(schema: &str) -> Result<String, Box<dyn Error>> {
    let mut enums = Vec::new();
    for definition in parse_schema::<&str>(schema)?.definitions {
        if let Definition::TypeDefinition(TypeDefinition::Enum(found)) = definition {
            let values: Vec<_> = found.values.into_iter().map(|value| value.name).collect();
            enums.push((found.name, values));
        }
    }
    Ok(format!("const SCHEMA_ENUMS: [(&str, &[&str]); {}] = {};", enums.len(), array_literal(&enums)))
}

fn array_literal(enums: &[(&str, Vec<&str>)]) -> String {
    let items: Vec<_> = enums.iter().map(|(name, values)| format!("({name:?}, &{values:?})")).collect();
    format!("[{}]", items.join(", "))
}
