//! Templates, which anybody may write who starts the program in a folder of his.
use std::{collections::BTreeMap, path::Path};

use local::template::{Deployment, load};
use tempfile::TempDir;

use super::{Target, aside, besiege, files_below, texts};
use crate::dice::Dice;

struct Templates {
    root: TempDir,
}

impl Templates {
    /// A folder with everything that the template names.
    fn new() -> Self {
        let (root, own) = (tempfile::tempdir().expect("a folder"), Path::new(env!("CARGO_MANIFEST_DIR")));
        for file in files_below(&own.join("resolvers")) {
            let copy = root.path().join(file.strip_prefix(own).expect("a file of the project"));
            std::fs::create_dir_all(copy.parent().expect("a folder")).expect("a folder");
            std::fs::copy(&file, copy).expect("a copy");
        }
        std::fs::copy(own.join("schema.graphql"), root.path().join("schema.graphql")).expect("a copy");
        Self { root }
    }
}

fn deployment() -> Deployment {
    Deployment::at("http://localhost", BTreeMap::new())
}

/// Values that refer to each other, doubling at each level.
fn doubling() -> String {
    let source = |level: usize| {
        format!(
            "  S{level}: {{ Type: AWS::AppSync::DataSource, Properties: {{ Name: !Sub '${{S{0}.Name}}${{S{0}.Name}}' }} }}\n",
            level + 1
        )
    };
    let sources: String = (0..60).map(source).collect();
    format!(
        "Resources:\n{sources}  S60: {{ Type: AWS::AppSync::DataSource, Properties: {{ Name: {} }} }}\n",
        "x".repeat(10_000)
    )
}

impl Target for Templates {
    fn corpus(&self) -> Vec<Vec<u8>> {
        let own = include_str!("../../../template.yaml");
        let conditions: String =
            (0..60).map(|level| format!("  C{level}: !Or [!Condition C{0}, !Condition C{0}]\n", level + 1)).collect();
        texts(&[
            own,
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
            &format!("{own}\nZ: {}", "x".repeat(1_000_000)),
            &format!(
                "Conditions:\n{conditions}  C60: !Equals [a, b]\nResources:\n  T: {{ Type: AWS::DynamoDB::Table, Condition: C0 }}\n"
            ),
            &doubling(),
            &own.replace("resolvers/", "../resolvers/"),
            &own.replace("resolvers/", "/dev/zero/"),
        ])
    }

    /// Mostly whole lines moved about: most bytes of a template only name something.
    fn compose(&mut self, dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
        if dice.one_in(3) {
            return dice.mutated(corpus);
        }
        let own = include_str!("../../../template.yaml");
        let mut lines: Vec<String> = own.lines().map(str::to_owned).collect();
        for _ in 0..=dice.below(3) {
            let (from, to) = (dice.below(lines.len()), dice.below(lines.len()));
            match dice.below(4) {
                0 => drop(lines.remove(from)),
                1 => lines.insert(to, lines[from].clone()),
                2 => lines.swap(from, to),
                _ => lines[from] = dice.mutated_text(&lines[from]),
            }
        }
        lines.join("\n").into()
    }

    async fn take(&mut self, input: &[u8]) -> Result<(), String> {
        let root = self.root.path().to_owned();
        std::fs::write(root.join("template.yaml"), input).expect("a writable folder");
        match aside(move || load(&root, &deployment())).await? {
            Err(fault) if fault.to_string().len() > 20_000 => {
                Err(format!("a sentence of {} bytes", fault.to_string().len()))
            }
            _ => Ok(()),
        }
    }
}

#[tokio::test]
async fn templates_of_strangers() {
    besiege("templates", 40, &mut Templates::new()).await;
}
