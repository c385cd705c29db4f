//! Refuses, when a file is loaded, what AppSync would refuse when it is deployed.
use std::fmt;

use oxc_allocator::Allocator;
use oxc_ast::ast::{Declaration, Program, Statement};
use oxc_parser::Parser;
use oxc_span::{SourceType, Span};

use super::{Handler, subset};
use crate::stack::Code;

/// AppSync's limit on a file of code, in characters.
const CODE_CHARACTERS: usize = 32_768;

/// The first thing in a file that AppSync would refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Fault {
    path: String,
    /// Both counted from 1; absent when the whole file is meant.
    place: Option<(usize, usize)>,
    reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(text, "{}:{line}:{column}: {}", self.path, self.reason),
            None => write!(text, "{}: {}", self.path, self.reason),
        }
    }
}

/// Everything AWS would refuse when the file is deployed: its size, missing handlers, syntax outside the subset.
pub fn check(code: &Code) -> Result<(), Fault> {
    let fault = |span: Option<Span>, reason: String| Fault {
        path: code.path.clone(),
        place: span.map(|span| place(&code.text, span)),
        reason,
    };
    let characters = code.text.encode_utf16().count();
    if characters > CODE_CHARACTERS {
        return Err(fault(None, format!("a file holds at most {CODE_CHARACTERS} characters, this one {characters}.")));
    }
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, &code.text, SourceType::mjs()).parse();
    if let Some(error) = parsed.diagnostics.first() {
        let span = error.labels.first().map(|label| Span::sized(label.offset(), label.len()));
        return Err(fault(span, format!("{error}.")));
    }
    if let Some(refused) = subset::refused(&parsed.program) {
        return Err(fault(Some(refused.span), refused.reason));
    }
    match [Handler::Request, Handler::Response].into_iter().find(|handler| !exports(&parsed.program, handler.name())) {
        Some(handler) => Err(fault(None, format!("a file exports a function {}; this one does not.", handler.name()))),
        None => Ok(()),
    }
}

fn exports(program: &Program<'_>, name: &str) -> bool {
    program.body.iter().any(|statement| match statement {
        Statement::ExportDeclaration(export) => declares(&export.declaration, name),
        Statement::ExportNamedDeclaration(export) => export.specifiers.iter().any(|one| one.exported.name() == name),
        _ => false,
    })
}

fn declares(declaration: &Declaration<'_>, name: &str) -> bool {
    match declaration {
        Declaration::FunctionDeclaration(function) => function.name().is_some_and(|found| found == name),
        Declaration::VariableDeclaration(variables) => {
            variables.declarations.iter().any(|one| one.id.get_identifier_name().is_some_and(|found| found == name))
        }
        _ => false,
    }
}

fn place(text: &str, span: Span) -> (usize, usize) {
    let before = text.get(..span.start as usize).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
