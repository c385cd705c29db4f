//! Checks a file of code when it is loaded, as AppSync does when it is deployed.
use std::{
    collections::BTreeSet,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

use oxc_allocator::Allocator;
use oxc_ast::ast::{Declaration, Program, Statement};
use oxc_parser::Parser;
use oxc_semantic::SemanticBuilder;
use oxc_span::{SourceType, Span};

use super::lint_error::LintError;
use super::{Handler, nesting, subset_lint};
use crate::stack::Code;

/// AppSync's limit on a file of code, in characters.
const CODE_CHARACTERS: usize = 32_768;
/// Enough to parse a file that consists of opening parentheses only. Unused stack is not allocated.
const STACK_BYTES: usize = 512 << 20;

/// The accepted files that are remembered. An API of this template has fewer; 256 files have at most 24 MB.
const MAX_REMEMBERED_FILES: usize = 256;

/// The texts of accepted files. Tests load the same files again and again.
static ACCEPTED_TEXTS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The first error in a file, in the form `path:line:column: reason`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct CodeError {
    path: String,
    /// Line and column, both counted from 1. None for an error of the whole file.
    position: Option<(usize, usize)>,
    reason: String,
}

impl fmt::Display for CodeError {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some((line, column)) => write!(text, "{}:{line}:{column}: {}", self.path, self.reason),
            None => write!(text, "{}: {}", self.path, self.reason),
        }
    }
}

/// Checks what AppSync checks at deployment (size, exported handlers, the subset of JavaScript), and a limit
/// on nesting. A text that was accepted before is not checked again.
pub fn check(code: &Code) -> Result<(), CodeError> {
    if accepted_texts().contains(&code.text) {
        return Ok(());
    }
    check_text(code)?;
    let mut accepted = accepted_texts();
    if accepted.len() >= MAX_REMEMBERED_FILES {
        accepted.clear();
    }
    accepted.insert(code.text.clone());
    Ok(())
}

fn accepted_texts() -> MutexGuard<'static, BTreeSet<String>> {
    ACCEPTED_TEXTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The parser is recursive, so it runs in a thread with a large stack.
fn check_text(code: &Code) -> Result<(), CodeError> {
    let characters = code.text.encode_utf16().count();
    if characters > CODE_CHARACTERS {
        let reason = format!("a file holds at most {CODE_CHARACTERS} characters, this one {characters}.");
        return Err(error(code, None, reason));
    }
    let result = thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, || check_syntax(code)).ok()?;
        thread.join().ok()
    });
    result.unwrap_or_else(|| Err(error(code, None, "the file cannot be read.".into())))
}

fn check_syntax(code: &Code) -> Result<(), CodeError> {
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, &code.text, SourceType::mjs()).parse();
    if let Some(diagnostic) = parsed.diagnostics.first() {
        let span = diagnostic.labels.first().map(|label| Span::sized(label.offset(), label.len()));
        return Err(error(code, span, format!("{diagnostic}.")));
    }
    if let Some(lint) = nesting::find_error(&parsed.program).or_else(|| find_first_error(&parsed.program)) {
        return Err(error(code, Some(lint.span), lint.reason));
    }
    for handler in [Handler::Request, Handler::Response] {
        if !exports(&parsed.program, handler.name()) {
            let reason = format!("a file exports a function {}; this one does not.", handler.name());
            return Err(error(code, None, reason));
        }
    }
    Ok(())
}

/// The first error of the language itself, such as a name that is declared twice, or of the subset.
fn find_first_error(program: &Program<'_>) -> Option<LintError> {
    let built = SemanticBuilder::new().with_build_nodes(true).with_check_syntax_error(true).build(program);
    let syntax = built.diagnostics.iter().map(|diagnostic| {
        let label = diagnostic.labels.last();
        let span = label.map(|label| Span::sized(label.offset(), label.len())).unwrap_or_default();
        LintError { span, reason: format!("{diagnostic}.") }
    });
    let mut errors = subset_lint::find_errors(built.semantic);
    errors.extend(syntax);
    errors.into_iter().min_by_key(|error| error.span.start)
}

fn error(code: &Code, span: Option<Span>, reason: String) -> CodeError {
    CodeError { path: code.path.clone(), position: span.map(|span| line_and_column(&code.text, span)), reason }
}

fn exports(program: &Program<'_>, name: &str) -> bool {
    program.body.iter().any(|statement| match statement {
        Statement::ExportDeclaration(export) => declares(&export.declaration, name),
        Statement::ExportNamedDeclaration(export) => {
            export.specifiers.iter().any(|specifier| specifier.exported.name() == name)
        }
        _ => false,
    })
}

fn declares(declaration: &Declaration<'_>, name: &str) -> bool {
    match declaration {
        Declaration::FunctionDeclaration(function) => function.name().is_some_and(|declared| declared == name),
        Declaration::VariableDeclaration(variables) => variables
            .declarations
            .iter()
            .any(|variable| variable.id.get_identifier_name().is_some_and(|declared| declared == name)),
        _ => false,
    }
}

fn line_and_column(text: &str, span: Span) -> (usize, usize) {
    let before = text.get(..span.start as usize).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: String) -> Code {
        Code { path: "file.js".into(), text }
    }

    #[test]
    fn accepted_texts_are_remembered_up_to_a_bound() {
        let accepted = |number: usize| {
            code(format!("export function request() {{ return {number}; }}\nexport function response() {{}}"))
        };
        for number in 0..=MAX_REMEMBERED_FILES {
            assert_eq!(check(&accepted(number)), Ok(()));
            assert!(accepted_texts().len() <= MAX_REMEMBERED_FILES);
        }
        assert_eq!(check(&accepted(MAX_REMEMBERED_FILES)), Ok(()));
    }

    #[test]
    fn refused_text_is_refused_each_time() {
        let refused = code("export function request() {}".into());
        let error = check(&refused).unwrap_err();
        assert_eq!(error.to_string(), "file.js: a file exports a function response; this one does not.");
        assert_eq!(check(&refused), Err(error));
    }
}
