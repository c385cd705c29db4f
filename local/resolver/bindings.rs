//! The names of a file, resolved by scope: its functions, imports and contexts, and the calls between
//! functions.
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use oxc_ast::AstKind;
use oxc_ast::ast::{
    Argument, CallExpression, Expression, FormalParameters, IdentifierReference, ImportDeclaration,
    ImportDeclarationSpecifier, MemberExpression, ModuleExportName, VariableDeclarator,
};
use oxc_semantic::{AstNodes, NodeId, Reference, Scoping, Semantic, SymbolId};
use oxc_span::{GetSpan, Span};

use super::allowlist::{CALLBACK_METHODS, OBJECTS, contains, members_of};
use super::lint_error::LintError;

/// The names of handlers: of resolvers and of channel namespaces.
const HANDLERS: [&str; 4] = ["request", "response", "onPublish", "onSubscribe"];

pub struct Bindings<'a> {
    source: &'a str,
    nodes: AstNodes<'a>,
    scoping: Scoping,
    imports: HashMap<SymbolId, Import<'a>>,
    /// The named functions: declarations, and variables that are initialized with a function.
    functions: HashMap<SymbolId, NamedFunction<'a>>,
    /// The names of the functions by the node of the function.
    function_names: HashMap<NodeId, SymbolId>,
    /// The first parameters of the handlers.
    contexts: HashSet<SymbolId>,
}

#[derive(Clone, Copy)]
enum Import<'a> {
    /// A whole module.
    Module(&'a str),
    /// One export, by its exported name.
    Name(&'a str),
}

#[derive(Clone, Copy)]
pub struct NamedFunction<'a> {
    /// A function expression with a name of its own has two: this is `outer` in `const outer = function
    /// inner() {}`.
    name: SymbolId,
    pub span: Span,
    pub parameters: &'a FormalParameters<'a>,
}

/// A call of a named function, or its use as the callback of an array method.
pub struct Call {
    /// The innermost named function around the call. None at the top level of the file.
    pub caller: Option<SymbolId>,
    pub callee: SymbolId,
    pub span: Span,
}

impl<'a> Bindings<'a> {
    pub fn new(semantic: Semantic<'a>) -> Self {
        let source = semantic.source_text();
        let (scoping, nodes) = semantic.into_scoping_and_nodes();
        let mut bindings = Bindings {
            source,
            nodes,
            scoping,
            imports: HashMap::new(),
            functions: HashMap::new(),
            function_names: HashMap::new(),
            contexts: HashSet::new(),
        };
        let kinds: Vec<AstKind<'a>> = bindings.nodes.iter().map(|node| node.kind()).collect();
        for kind in &kinds {
            bindings.add_names(*kind);
        }
        bindings.contexts = kinds.iter().flat_map(|kind| bindings.contexts_of_handlers(*kind)).collect();
        bindings
    }

    fn add_names(&mut self, kind: AstKind<'a>) {
        match kind {
            AstKind::ImportDeclaration(import) => self.add_imports(import),
            AstKind::Function(function) => {
                if let Some(name) = &function.id {
                    self.add_function(name.symbol_id(), function.node_id.get(), function.span, &function.params);
                }
            }
            AstKind::VariableDeclarator(variable) => {
                let Some(name) = variable.id.get_binding_identifier() else { return };
                match variable.init.as_ref().map(Expression::without_parentheses) {
                    Some(Expression::ArrowFunctionExpression(arrow)) => {
                        self.add_function(name.symbol_id(), arrow.node_id.get(), arrow.span, &arrow.params);
                    }
                    Some(Expression::FunctionExpression(function)) => {
                        self.add_function(name.symbol_id(), function.node_id.get(), function.span, &function.params);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn add_imports(&mut self, import: &'a ImportDeclaration<'a>) {
        for specifier in import.specifiers.iter().flatten() {
            let imported = match specifier {
                ImportDeclarationSpecifier::ImportSpecifier(one) => Import::Name(one.imported.name().as_str()),
                _ => Import::Module(import.source.value.as_str()),
            };
            self.imports.insert(specifier.local().symbol_id(), imported);
        }
    }

    /// Adds the names in the order of the file, so the outer one of two comes first.
    fn add_function(&mut self, symbol: SymbolId, node: NodeId, span: Span, parameters: &'a FormalParameters<'a>) {
        let name = *self.function_names.entry(node).or_insert(symbol);
        self.functions.insert(symbol, NamedFunction { name, span, parameters });
    }

    /// The context parameters of handlers: of a function that has a handler's name or is exported by it, and
    /// of the functions of a channel namespace's handler with a data source.
    fn contexts_of_handlers(&self, kind: AstKind<'a>) -> Vec<SymbolId> {
        if let AstKind::VariableDeclarator(variable) = kind {
            return contexts_of_members(variable);
        }
        self.context_of_function(kind).into_iter().collect()
    }

    fn context_of_function(&self, kind: AstKind<'a>) -> Option<SymbolId> {
        let is_handler = |name: &str| HANDLERS.contains(&name);
        let function = match kind {
            AstKind::BindingIdentifier(name) if is_handler(&name.name) => name.symbol_id(),
            AstKind::ExportSpecifier(export) if is_handler(export.exported.name().as_str()) => match &export.local {
                ModuleExportName::IdentifierReference(name) => self.symbol(name)?,
                _ => return None,
            },
            _ => return None,
        };
        first_parameter(self.functions.get(&function)?.parameters)
    }

    pub fn nodes(&self) -> &AstNodes<'a> {
        &self.nodes
    }

    pub fn scoping(&self) -> &Scoping {
        &self.scoping
    }

    /// The code at this position of the file.
    pub fn text(&self, span: Span) -> &'a str {
        span.source_text(self.source)
    }

    /// The parent of a node, without parentheses.
    pub fn parent(&self, node: NodeId) -> AstKind<'a> {
        let mut ancestors = self.nodes.ancestor_kinds(node);
        let parent = ancestors.find(|kind| !matches!(kind, AstKind::ParenthesizedExpression(_)));
        parent.unwrap_or_else(|| self.nodes.parent_kind(node))
    }

    fn reference(&self, name: &IdentifierReference<'a>) -> Option<&Reference> {
        name.reference_id.get().map(|reference| self.scoping.get_reference(reference))
    }

    /// What this name is declared as. None for a name that the file does not declare, or not in this scope.
    pub fn symbol(&self, name: &IdentifierReference<'a>) -> Option<SymbolId> {
        self.reference(name).and_then(Reference::symbol_id)
    }

    pub fn is_assigned(&self, name: &IdentifierReference<'a>) -> bool {
        self.reference(name).is_some_and(Reference::is_write)
    }

    /// Whether any scope of the file declares this name.
    pub fn declares_anywhere(&self, name: &str) -> bool {
        self.scoping.symbol_names().any(|declared| declared == name)
    }

    pub fn function(&self, name: SymbolId) -> Option<NamedFunction<'a>> {
        self.functions.get(&name).copied()
    }

    pub fn is_function(&self, name: &IdentifierReference<'a>) -> bool {
        self.symbol(name).is_some_and(|symbol| self.functions.contains_key(&symbol))
    }

    /// Whether this is a handler's context parameter.
    pub fn is_context(&self, name: &IdentifierReference<'a>) -> bool {
        self.symbol(name).is_some_and(|symbol| self.contexts.contains(&symbol))
    }

    /// The names that AppSync's documents use for a built-in object or function: `["util", "time",
    /// "nowISO8601"]` for `u.time.nowISO8601` with the imported name `u`. None for anything else.
    pub fn builtin_path(&self, expression: &Expression<'a>) -> Option<Vec<&'a str>> {
        match expression.without_parentheses() {
            Expression::Identifier(name) => match self.symbol(name) {
                Some(symbol) => self.imports.get(&symbol).map(|import| match *import {
                    Import::Module(name) | Import::Name(name) => vec![name],
                }),
                None => members_of(&OBJECTS, &name.name).map(|_| vec![name.name.as_str()]),
            },
            member => {
                let member = member.as_member_expression()?;
                let mut path = self.builtin_path(member.object())?;
                if path.first().is_some_and(|first| first.starts_with('@')) {
                    path.clear();
                }
                path.push(member.static_property_name()?);
                Some(path)
            }
        }
    }

    /// The innermost named function around a node.
    pub fn enclosing_function(&self, node: NodeId) -> Option<SymbolId> {
        self.nodes.ancestor_ids(node).find_map(|ancestor| self.function_names.get(&ancestor).copied())
    }

    pub fn calls(&self) -> Vec<Call> {
        let mut calls = Vec::new();
        for node in self.nodes.iter() {
            let AstKind::CallExpression(call) = node.kind() else { continue };
            let callback =
                callback(call).and_then(|argument| argument.without_parentheses().get_identifier_reference());
            let callee = call.callee.without_parentheses().get_identifier_reference();
            for name in [callee, callback].into_iter().flatten() {
                if let Some(function) = self.symbol(name).and_then(|symbol| self.functions.get(&symbol)) {
                    let caller = self.enclosing_function(node.id());
                    calls.push(Call { caller, callee: function.name, span: call.span });
                }
            }
        }
        calls
    }

    /// The first call that is part of a recursion.
    pub fn find_recursion(&self) -> Option<LintError> {
        let calls = self.calls();
        let mut callees: HashMap<SymbolId, Vec<SymbolId>> = HashMap::new();
        for call in &calls {
            if let Some(caller) = call.caller {
                callees.entry(caller).or_default().push(call.callee);
            }
        }
        let recursive =
            calls.iter().filter(|call| call.caller.is_some_and(|caller| reaches(&callees, call.callee, caller)));
        recursive.min_by_key(|call| call.span.start).map(|call| LintError {
            span: call.span,
            reason: format!("{} calls itself; APPSYNC_JS has no recursion.", self.scoping.symbol_name(call.callee)),
        })
    }
}

/// The context parameters of `onPublish = { request(ctx) {}, response(ctx) {} }`.
fn contexts_of_members(variable: &VariableDeclarator<'_>) -> Vec<SymbolId> {
    let is_handler = variable.id.get_identifier_name().is_some_and(|name| HANDLERS.contains(&name.as_str()));
    let members = handler_functions(variable).filter(|_| is_handler);
    members.filter_map(|(_, parameters)| first_parameter(parameters)).collect()
}

/// The functions in the object that a variable is initialized with, by name, with their parameters.
pub fn handler_functions<'v, 'a>(
    variable: &'v VariableDeclarator<'a>,
) -> impl Iterator<Item = (Cow<'v, str>, &'v FormalParameters<'a>)> {
    let object = match variable.init.as_ref().map(Expression::without_parentheses) {
        Some(Expression::ObjectExpression(object)) => object.properties.as_slice(),
        _ => &[],
    };
    object.iter().filter_map(|property| {
        let property = property.as_property()?;
        let parameters = match property.value.without_parentheses() {
            Expression::FunctionExpression(function) => &function.params,
            Expression::ArrowFunctionExpression(arrow) => &arrow.params,
            _ => return None,
        };
        Some((property.key.static_name()?, &**parameters))
    })
}

fn first_parameter(parameters: &FormalParameters<'_>) -> Option<SymbolId> {
    let first = parameters.items.first()?;
    first.pattern.get_binding_identifier().map(|name| name.symbol_id())
}

fn reaches(callees: &HashMap<SymbolId, Vec<SymbolId>>, from: SymbolId, to: SymbolId) -> bool {
    let mut visited = HashSet::from([from]);
    let mut pending = vec![from];
    while let Some(function) = pending.pop() {
        if function == to {
            return true;
        }
        let next = callees.get(&function).into_iter().flatten();
        pending.extend(next.copied().filter(|callee| visited.insert(*callee)));
    }
    false
}

/// The name of the called method, if a method is called.
pub fn method_name<'a>(call: &CallExpression<'a>) -> Option<&'a str> {
    call.callee.without_parentheses().as_member_expression().and_then(MemberExpression::static_property_name)
}

/// The first argument of an array method that takes a callback.
pub fn callback<'c, 'a>(call: &'c CallExpression<'a>) -> Option<&'c Expression<'a>> {
    let takes_callback = method_name(call).is_some_and(|method| contains(CALLBACK_METHODS, method));
    if takes_callback { call.arguments.first().and_then(Argument::as_expression) } else { None }
}

/// Whether an argument of a call is its callback.
pub fn is_callback(call: &CallExpression<'_>, argument: Span) -> bool {
    callback(call).is_some_and(|callback| callback.without_parentheses().span() == argument)
}
