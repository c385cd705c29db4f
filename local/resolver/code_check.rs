//! Checks a file of code when it is loaded, as AppSync does when it is deployed.
use std::{
    collections::BTreeSet,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

use oxc_allocator::Allocator;
use oxc_ast::ast::{Declaration, Expression, Function, Program, Statement, VariableDeclaration, VariableDeclarator};
use oxc_parser::Parser;
use oxc_semantic::SemanticBuilder;
use oxc_span::{SourceType, Span};

use super::bindings::handler_functions;
use super::lint_error::LintError;
use super::{ChannelHandler, Handler, nesting, subset_lint};
use crate::stack::Code;

/// AppSync's limit on a file of code, in characters.
const CODE_CHARACTERS: usize = 32_768;
/// Enough to parse a file that consists of opening parentheses only. Unused stack is not allocated.
const STACK_BYTES: usize = 512 << 20;

/// The accepted files that are remembered. An API of this template has fewer; 256 files have at most 24 MB.
const MAX_REMEMBERED_FILES: usize = 256;

/// The texts of accepted files. Tests load the same files again and again.
static ACCEPTED_TEXTS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The handlers of a channel namespace's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelHandlers {
    pub on_publish: Option<HandlerForm>,
    pub on_subscribe: Option<HandlerForm>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandlerForm {
    Function,
    /// An object of the functions `request` and `response`.
    WithDataSource,
}

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
    check_text(code, check_resolver_exports)?;
    let mut accepted = accepted_texts();
    if accepted.len() >= MAX_REMEMBERED_FILES {
        accepted.clear();
    }
    accepted.insert(code.text.clone());
    Ok(())
}

/// As `check`, for the code of a channel namespace of the Events API. Returns the handlers that it has.
pub fn check_channel_handlers(code: &Code) -> Result<ChannelHandlers, CodeError> {
    check_text(code, find_channel_handlers)
}

fn accepted_texts() -> MutexGuard<'static, BTreeSet<String>> {
    ACCEPTED_TEXTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The parser is recursive, so it runs in a thread with a large stack.
fn check_text<T: Send>(code: &Code, check_exports: ExportCheck<T>) -> Result<T, CodeError> {
    let characters = code.text.encode_utf16().count();
    if characters > CODE_CHARACTERS {
        let reason = format!("a file holds at most {CODE_CHARACTERS} characters, this one {characters}.");
        return Err(error(code, None, reason));
    }
    let result = thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES);
        thread.spawn_scoped(scope, || check_syntax(code, check_exports)).ok()?.join().ok()
    });
    result.unwrap_or_else(|| Err(error(code, None, "the file cannot be read.".into())))
}

/// Checks the exports of a file. The error is its reason.
type ExportCheck<T> = fn(&Program<'_>) -> Result<T, String>;

fn check_syntax<T>(code: &Code, check_exports: ExportCheck<T>) -> Result<T, CodeError> {
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, &code.text, SourceType::mjs()).parse();
    if let Some(diagnostic) = parsed.diagnostics.first() {
        let span = diagnostic.labels.first().map(|label| Span::sized(label.offset(), label.len()));
        return Err(error(code, span, format!("{diagnostic}.")));
    }
    if let Some(lint) = nesting::find_error(&parsed.program).or_else(|| find_first_error(&parsed.program)) {
        return Err(error(code, Some(lint.span), lint.reason));
    }
    check_exports(&parsed.program).map_err(|reason| error(code, None, reason))
}

fn check_resolver_exports(program: &Program<'_>) -> Result<(), String> {
    for handler in [Handler::Request, Handler::Response] {
        if !exports(program, handler.name()) {
            return Err(format!("a file exports a function {}; this one does not.", handler.name()));
        }
    }
    Ok(())
}

fn find_channel_handlers(program: &Program<'_>) -> Result<ChannelHandlers, String> {
    let on_publish = handler_form(program, ChannelHandler::OnPublish)?;
    let on_subscribe = handler_form(program, ChannelHandler::OnSubscribe)?;
    if on_publish.is_none() && on_subscribe.is_none() {
        return Err("the code of a channel namespace exports onPublish, onSubscribe or both; this one neither.".into());
    }
    Ok(ChannelHandlers { on_publish, on_subscribe })
}

/// The form of an exported handler; `None` if it is not exported.
fn handler_form(program: &Program<'_>, handler: ChannelHandler) -> Result<Option<HandlerForm>, String> {
    let name = handler.name();
    if !exports(program, name) {
        return Ok(None);
    }
    let form = program.body.iter().find_map(|statement| match statement {
        Statement::ExportDeclaration(export) => match &export.declaration {
            Declaration::FunctionDeclaration(function) => form_of_function(function, name),
            Declaration::VariableDeclaration(variables) => form_of_variable(variables, name),
            _ => None,
        },
        Statement::FunctionDeclaration(function) => form_of_function(function, name),
        Statement::VariableDeclaration(variables) => form_of_variable(variables, name),
        _ => None,
    });
    let expected = "is a function, or an object of the functions request and response";
    form.map(Some).ok_or_else(|| format!("{name} {expected}, and is declared by this name; this one is not."))
}

fn form_of_function(function: &Function<'_>, name: &str) -> Option<HandlerForm> {
    function.name().is_some_and(|declared| declared == name).then_some(HandlerForm::Function)
}

fn form_of_variable(variables: &VariableDeclaration<'_>, name: &str) -> Option<HandlerForm> {
    let is_named =
        |variable: &&VariableDeclarator<'_>| variable.id.get_identifier_name().is_some_and(|declared| declared == name);
    let variable = variables.declarations.iter().find(is_named)?;
    let is_function = matches!(
        variable.init.as_ref().map(Expression::without_parentheses),
        Some(Expression::ArrowFunctionExpression(_) | Expression::FunctionExpression(_))
    );
    if is_function {
        return Some(HandlerForm::Function);
    }
    let has = |member: &str| handler_functions(variable).any(|(name, _)| name == member);
    (has("request") && has("response")).then_some(HandlerForm::WithDataSource)
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

    #[test]
    fn channel_handlers_are_found_in_every_form() {
        use HandlerForm::{Function, WithDataSource};
        let object = "{ request(ctx) { return {} }, response: (ctx) => ctx.events }";
        for (text, on_publish, on_subscribe) in [
            ("export function onPublish(ctx) { return ctx.events }".to_owned(), Some(Function), None),
            ("export const onSubscribe = (ctx) => {}".to_owned(), None, Some(Function)),
            (format!("export const onPublish = {object}"), Some(WithDataSource), None),
            (
                format!("const onPublish = {object}\nfunction onSubscribe() {{}}\nexport {{ onPublish, onSubscribe }}"),
                Some(WithDataSource),
                Some(Function),
            ),
        ] {
            let found = check_channel_handlers(&code(text.clone()));
            assert_eq!(found, Ok(ChannelHandlers { on_publish, on_subscribe }), "{text}");
        }
    }

    #[test]
    fn invalid_channel_handlers_are_refused() {
        let neither = "the code of a channel namespace exports onPublish, onSubscribe or both; this one neither.";
        let form = "onPublish is a function, or an object of the functions request and response, and is declared by \
                    this name; this one is not.";
        let error = |text: &str| check_channel_handlers(&code(text.into())).unwrap_err().to_string();
        for (text, reason) in [
            ("export function request() {}", neither),
            ("export const onPublish = 7", form),
            ("export const onPublish = { request(ctx) {} }", form),
            ("function a() {}\nexport { a as onPublish }", form),
        ] {
            assert_eq!(error(text), format!("file.js: {reason}"), "{text}");
        }
        for text in [
            "export function onPublish(ctx) { ctx.events = [] }",
            "export const onPublish = { request(ctx) { ctx.events = [] }, response(ctx) {} }",
        ] {
            assert!(error(text).contains("ctx.events cannot be replaced"), "{text}");
        }
        assert!(error("export function onPublish(ctx) { throw 1 }").contains("throw is not part of APPSYNC_JS"));
    }
}
