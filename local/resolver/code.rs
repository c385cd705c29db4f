//! Refuses, when a file is loaded, what AppSync would refuse when it is deployed.
use std::{fmt, thread};

use oxc_allocator::Allocator;
use oxc_ast::ast::{Declaration, Program, Statement};
use oxc_parser::Parser;
use oxc_span::{SourceType, Span};

use super::{Handler, depth, subset};
use crate::stack::Code;

/// AppSync's limit on a file of code, in characters.
const CODE_CHARACTERS: usize = 32_768;
/// Enough for a file of nothing but opening parentheses. Only what is used of it is taken.
const STACK_BYTES: usize = 512 << 20;

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

/// Everything AWS would refuse when the file is deployed: its size, missing handlers, syntax outside the subset. And
/// what is nested too deep: it is read with a stack that no other reader of it has.
pub fn check(code: &Code) -> Result<(), Fault> {
    let characters = code.text.encode_utf16().count();
    if characters > CODE_CHARACTERS {
        let reason = format!("a file holds at most {CODE_CHARACTERS} characters, this one {characters}.");
        return Err(fault(code, None, reason));
    }
    let read = thread::scope(|scope| {
        let reader = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, || read(code)).ok()?;
        reader.join().ok()
    });
    read.unwrap_or_else(|| Err(fault(code, None, "the file cannot be read.".into())))
}

fn read(code: &Code) -> Result<(), Fault> {
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, &code.text, SourceType::mjs()).parse();
    if let Some(error) = parsed.diagnostics.first() {
        let span = error.labels.first().map(|label| Span::sized(label.offset(), label.len()));
        return Err(fault(code, span, format!("{error}.")));
    }
    if let Some(refused) = depth::refused(&parsed.program).or_else(|| subset::refused(&parsed.program)) {
        return Err(fault(code, Some(refused.span), refused.reason));
    }
    match [Handler::Request, Handler::Response].into_iter().find(|handler| !exports(&parsed.program, handler.name())) {
        Some(handler) => {
            Err(fault(code, None, format!("a file exports a function {}; this one does not.", handler.name())))
        }
        None => Ok(()),
    }
}

fn fault(code: &Code, span: Option<Span>, reason: String) -> Fault {
    Fault { path: code.path.clone(), place: span.map(|span| place(&code.text, span)), reason }
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
