//! Templates, as a user may write them who starts the program in another folder.
use std::{collections::BTreeMap, fs, path::Path};

use local::template::{Deployment, load};
use tempfile::TempDir;

use crate::{
    byte_inputs,
    fuzzer::{Target, fuzz, run_on_thread},
    mutator::Mutator,
    project_files,
};

const TEMPLATE: &str = include_str!("../../template.yaml");
const NESTED_TEMPLATE: &str = include_str!("../events/stack/entry/events.yaml");
const MAX_ERROR_BYTES: usize = 20_000;

struct Templates {
    root: TempDir,
    /// The template that is mutated.
    path: &'static str,
    template: &'static str,
    corpus: Vec<Vec<u8>>,
}

impl Templates {
    /// A folder with every file that the template names.
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary folder is created");
        copy_files("resolvers", "", root.path());
        let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.graphql");
        fs::copy(schema, root.path().join("schema.graphql")).expect("the file is copied");
        Self { root, path: "template.yaml", template: TEMPLATE, corpus: corpus() }
    }

    /// A folder with a template whose nested template is mutated.
    fn nested() -> Self {
        let root = tempfile::tempdir().expect("a temporary folder is created");
        copy_files("tests/events/stack", "tests/events/stack", root.path());
        let own_output = "Outputs: { ApiArn: { Value: !GetAtt Own.Outputs.ApiArn } }";
        let own_stack = "Own: { Type: AWS::CloudFormation::Stack, Properties: { TemplateURL: entry/events.yaml } }";
        let corpus = byte_inputs(&[
            NESTED_TEMPLATE,
            "",
            "Resources: { Api: { Type: AWS::AppSync::Api } }",
            &format!("Resources: {{ Api: {{ Type: AWS::AppSync::Api }}, {own_stack} }}\n{own_output}"),
            &format!("{NESTED_TEMPLATE}\nZ: {}", "x".repeat(1_000_000)),
            &"- ".repeat(200_000),
            &doubling_references(),
            &NESTED_TEMPLATE.replace("CodeHandlers: |", "CodeS3Location: ../../chat.js\n      Tags: |"),
            &NESTED_TEMPLATE.replace("CodeHandlers: |", "CodeS3Location: /dev/zero\n      Tags: |"),
        ]);
        Self { root, path: "entry/events.yaml", template: NESTED_TEMPLATE, corpus }
    }
}

/// Copies the files of a folder of the project. Their paths in the copy are relative to `base`.
fn copy_files(folder: &str, base: &str, root: &Path) {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join(base);
    for file in project_files(folder) {
        let copy = root.join(file.strip_prefix(&base).expect("the file is in the project"));
        fs::create_dir_all(copy.parent().expect("the file is in a folder")).expect("the folder is created");
        fs::copy(&file, copy).expect("the file is copied");
    }
}

/// Values that refer to each other, each twice to the next.
fn doubling_references() -> String {
    let source = |level: usize| {
        let next = level + 1;
        format!(
            "  S{level}: {{ Type: AWS::AppSync::DataSource, \
             Properties: {{ Name: !Sub '${{S{next}.Name}}${{S{next}.Name}}' }} }}\n"
        )
    };
    let sources: String = (0..60).map(source).collect();
    let name = "x".repeat(10_000);
    format!("Resources:\n{sources}  S60: {{ Type: AWS::AppSync::DataSource, Properties: {{ Name: {name} }} }}\n")
}

/// Conditions that refer to each other, each twice to the next.
fn doubling_conditions() -> String {
    let condition = |level: usize| {
        let next = level + 1;
        format!("  C{level}: !Or [!Condition C{next}, !Condition C{next}]\n")
    };
    let conditions: String = (0..60).map(condition).collect();
    format!(
        "Conditions:\n{conditions}  C60: !Equals [a, b]\n\
         Resources:\n  T: {{ Type: AWS::DynamoDB::Table, Condition: C0 }}\n"
    )
}

fn corpus() -> Vec<Vec<u8>> {
    byte_inputs(&[
        TEMPLATE,
        "",
        "Resources: {}",
        "Resources: { A: { Type: AWS::SQS::Queue } }",
        &"- ".repeat(200_000),
        &"[".repeat(200_000),
        &"{a: ".repeat(200_000),
        &"? ".repeat(100_000),
        &"!a ".repeat(100_000),
        &"- !a ".repeat(50_000),
        &"- &a ".repeat(50_000),
        &format!("a: &a [{}]\nb: &b [{}]\nc: [{}]", "x,".repeat(500), "*a,".repeat(500), "*b,".repeat(500)),
        &format!("{TEMPLATE}\nZ: {}", "x".repeat(1_000_000)),
        &doubling_conditions(),
        &doubling_references(),
        &TEMPLATE.replace("resolvers/", "../resolvers/"),
        &TEMPLATE.replace("resolvers/", "/dev/zero/"),
    ])
}

impl Target for Templates {
    fn corpus(&self) -> Vec<Vec<u8>> {
        self.corpus.clone()
    }

    /// In two cases of three, the template with lines removed, repeated, swapped or mutated.
    fn generate(&mut self, mutator: &mut Mutator, corpus: &[Vec<u8>]) -> Vec<u8> {
        if mutator.one_in(3) {
            return mutator.mutate_any(corpus);
        }
        let mut lines: Vec<String> = self.template.lines().map(str::to_owned).collect();
        for _ in 0..=mutator.below(3) {
            let first = mutator.below(lines.len());
            let second = mutator.below(lines.len());
            match mutator.below(4) {
                0 => drop(lines.remove(first)),
                1 => lines.insert(second, lines[first].clone()),
                2 => lines.swap(first, second),
                _ => lines[first] = mutator.mutate_text(&lines[first]),
            }
        }
        lines.join("\n").into()
    }

    async fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let root = self.root.path().to_owned();
        fs::write(root.join(self.path), input).expect("the folder is writable");
        let deployment = Deployment::at("http://localhost", BTreeMap::new());
        let Err(error) = run_on_thread(move || load(&root, &deployment)).await? else { return Ok(()) };
        let length = error.to_string().len();
        if length > MAX_ERROR_BYTES { Err(format!("an error message of {length} bytes")) } else { Ok(()) }
    }
}

#[tokio::test]
async fn cloudformation_templates() {
    fuzz("templates", 40, &mut Templates::new()).await;
}

#[tokio::test]
async fn nested_templates() {
    fuzz("nested templates", 40, &mut Templates::nested()).await;
}
