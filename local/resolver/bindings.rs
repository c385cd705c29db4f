//! The names and functions that a file declares, and the calls between its functions.
use std::collections::{HashMap, HashSet};

use oxc_ast::AstKind;
use oxc_ast::ast::{Expression, FormalParameters, ImportDeclaration, ImportDeclarationSpecifier, Program};
use oxc_ast_visit::Visit;
use oxc_span::Span;

use super::lint_error::LintError;

#[derive(Default)]
pub struct Bindings<'a> {
    names: HashSet<&'a str>,
    /// By local name.
    imports: HashMap<&'a str, Import>,
    functions: HashSet<&'a str>,
    /// The first parameters of `request` and `response`.
    contexts: HashSet<&'a str>,
    /// By caller: the callee and the span of the call.
    calls: HashMap<&'a str, Vec<(&'a str, Span)>>,
    /// The functions and variable declarations that enclose the visited node. None for one that is no named function.
    enclosing: Vec<Option<&'a str>>,
}

pub enum Import {
    /// A whole module.
    Module(String),
    /// One export, by its exported name.
    Name(String),
}

impl<'a> Bindings<'a> {
    pub fn collect(program: &Program<'a>) -> Self {
        let mut bindings = Bindings::default();
        bindings.visit_program(program);
        bindings
    }

    pub fn declares(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    pub fn import(&self, name: &str) -> Option<&Import> {
        self.imports.get(name)
    }

    pub fn is_function(&self, name: &str) -> bool {
        self.functions.contains(name)
    }

    /// Whether this is the name of a handler's context parameter.
    pub fn is_context(&self, name: &str) -> bool {
        self.contexts.contains(name)
    }

    /// The first call that is part of a recursion.
    pub fn find_recursion(&self) -> Option<LintError> {
        let calls = self.calls.iter().flat_map(|(caller, calls)| calls.iter().map(move |call| (*caller, *call)));
        calls
            .filter(|(caller, (callee, _))| self.functions.contains(callee) && self.reaches(callee, caller))
            .map(|(_, (callee, span))| LintError {
                span,
                reason: format!("{callee} calls itself; APPSYNC_JS has no recursion."),
            })
            .min_by_key(|error| error.span.start)
    }

    fn reaches(&self, from: &str, to: &str) -> bool {
        let mut visited = HashSet::from([from]);
        let mut pending = vec![from];
        while let Some(function) = pending.pop() {
            if function == to {
                return true;
            }
            let callees = self.calls.get(function).into_iter().flatten();
            pending.extend(callees.map(|(callee, _)| *callee).filter(|callee| visited.insert(callee)));
        }
        false
    }

    /// The innermost enclosing named function, or an empty name.
    fn caller(&self) -> &'a str {
        self.enclosing.iter().rev().find_map(|name| *name).unwrap_or_default()
    }

    fn add_imports(&mut self, import: &ImportDeclaration<'a>) {
        for specifier in import.specifiers.iter().flatten() {
            let imported = match specifier {
                ImportDeclarationSpecifier::ImportSpecifier(one) => Import::Name(one.imported.name().to_string()),
                _ => Import::Module(import.source.value.to_string()),
            };
            self.imports.insert(specifier.local().name.as_str(), imported);
        }
    }

    fn enter_function(&mut self, name: Option<&'a str>, parameters: &FormalParameters<'a>) {
        self.enclosing.push(name);
        self.functions.extend(name);
        if matches!(name, Some("request" | "response"))
            && let Some(context) = parameters.items.first().and_then(|first| first.pattern.get_binding_identifier())
        {
            self.contexts.insert(context.name.as_str());
        }
    }
}

impl<'a> Visit<'a> for Bindings<'a> {
    fn enter_node(&mut self, kind: AstKind<'a>) {
        match kind {
            AstKind::BindingIdentifier(name) => {
                self.names.insert(name.name.as_str());
            }
            AstKind::ImportDeclaration(import) => self.add_imports(import),
            AstKind::Function(function) => {
                self.enter_function(function.id.as_ref().map(|name| name.name.as_str()), &function.params);
            }
            AstKind::VariableDeclarator(variable) => {
                let name = variable.id.get_binding_identifier().map(|name| name.name.as_str());
                match variable.init.as_ref().map(Expression::without_parentheses) {
                    Some(Expression::ArrowFunctionExpression(arrow)) => self.enter_function(name, &arrow.params),
                    Some(Expression::FunctionExpression(function)) => self.enter_function(name, &function.params),
                    _ => self.enclosing.push(None),
                }
            }
            AstKind::CallExpression(call) => {
                if let Expression::Identifier(callee) = call.callee.without_parentheses() {
                    let caller = self.caller();
                    self.calls.entry(caller).or_default().push((callee.name.as_str(), call.span));
                }
            }
            _ => {}
        }
    }

    fn leave_node(&mut self, kind: AstKind<'a>) {
        if matches!(kind, AstKind::Function(_) | AstKind::VariableDeclarator(_)) {
            self.enclosing.pop();
        }
    }
}
