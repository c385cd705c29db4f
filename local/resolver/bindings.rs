//! What a file declares: names, functions and who calls whom.
use std::collections::{HashMap, HashSet};

use oxc_ast::AstKind;
use oxc_ast::ast::{Expression, FormalParameters, ImportDeclaration, ImportDeclarationSpecifier, Program};
use oxc_ast_visit::Visit;
use oxc_span::Span;

use super::refused::Refused;

#[derive(Default)]
pub struct Bindings<'a> {
    names: HashSet<&'a str>,
    /// By local name.
    imports: HashMap<&'a str, Import>,
    functions: HashSet<&'a str>,
    contexts: HashSet<&'a str>,
    /// By caller: the callee and the place of the call.
    calls: HashMap<&'a str, Vec<(&'a str, Span)>>,
    /// The named functions around the node being read; `None` for what is no named function.
    around: Vec<Option<&'a str>>,
}

pub enum Import {
    /// All of a module.
    Module(String),
    /// One export, by the name it has there.
    Name(String),
}

impl<'a> Bindings<'a> {
    pub fn of(program: &Program<'a>) -> Self {
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

    /// Whether a handler calls its context so.
    pub fn is_context(&self, name: &str) -> bool {
        self.contexts.contains(name)
    }

    /// The first call by which a function comes back to itself.
    pub fn recursion(&self) -> Option<Refused> {
        let calls = self.calls.iter().flat_map(|(caller, calls)| calls.iter().map(move |call| (*caller, *call)));
        calls
            .filter(|(caller, (callee, _))| self.functions.contains(callee) && self.reaches(callee, caller))
            .map(|(_, (callee, span))| Refused {
                span,
                reason: format!("{callee} calls itself; APPSYNC_JS has no recursion."),
            })
            .min_by_key(|refused| refused.span.start)
    }

    fn reaches(&self, from: &str, to: &str) -> bool {
        let mut reached = HashSet::from([from]);
        let mut ahead = vec![from];
        while let Some(function) = ahead.pop() {
            if function == to {
                return true;
            }
            let callees = self.calls.get(function).into_iter().flatten();
            ahead.extend(callees.map(|(callee, _)| *callee).filter(|callee| reached.insert(callee)));
        }
        false
    }

    fn caller(&self) -> &'a str {
        self.around.iter().rev().find_map(|name| *name).unwrap_or_default()
    }

    fn imports(&mut self, import: &ImportDeclaration<'a>) {
        for specifier in import.specifiers.iter().flatten() {
            let imported = match specifier {
                ImportDeclarationSpecifier::ImportSpecifier(one) => Import::Name(one.imported.name().to_string()),
                _ => Import::Module(import.source.value.to_string()),
            };
            self.imports.insert(specifier.local().name.as_str(), imported);
        }
    }

    fn function(&mut self, name: Option<&'a str>, parameters: &FormalParameters<'a>) {
        self.around.push(name);
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
            AstKind::ImportDeclaration(import) => self.imports(import),
            AstKind::Function(function) => {
                self.function(function.id.as_ref().map(|name| name.name.as_str()), &function.params);
            }
            AstKind::VariableDeclarator(variable) => {
                let name = variable.id.get_binding_identifier().map(|name| name.name.as_str());
                match variable.init.as_ref().map(Expression::without_parentheses) {
                    Some(Expression::ArrowFunctionExpression(arrow)) => self.function(name, &arrow.params),
                    Some(Expression::FunctionExpression(function)) => self.function(name, &function.params),
                    _ => self.around.push(None),
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
            self.around.pop();
        }
    }
}
