//! Finds effects on the right of `??`.
//!
//! AppSync evaluates the right side of `??` even where the left side has a value (aws-appsync-community issue 403 and
//! amplify-category-api issue 3170, recorded); ternaries, `||` and `&&` behave as in JavaScript. Calls without effects are
//! accepted, and the engine evaluates them as AppSync does. Not documented: whether AppSync also evaluates the default
//! values of parameters and destructuring patterns that are not needed, and what follows a `?.` that found nothing.
use std::collections::{HashMap, HashSet};

use oxc_ast::AstKind;
use oxc_ast::ast::{Argument, AssignmentTarget, CallExpression, Expression, IdentifierReference, UnaryOperator};
use oxc_semantic::{AstNode, SymbolId};
use oxc_span::{GetSpan, Span};

use super::allowlist::contains;
use super::bindings::{Bindings, method_name};
use super::lint_error::LintError;

/// Methods that change the list on which they are called.
const CHANGING_METHODS: &str = "fill pop push reverse shift sort splice unshift";

pub fn find_errors(bindings: &Bindings<'_>) -> Vec<LintError> {
    let effects = effects_of_functions(bindings);
    let right_sides = bindings.nodes().iter().filter_map(|node| match node.kind() {
        AstKind::LogicalExpression(expression) if expression.operator.is_coalesce() => Some((node, &expression.right)),
        _ => None,
    });
    right_sides.filter_map(|(node, right)| find_error(bindings, &effects, node, right)).collect()
}

fn find_error<'a>(
    bindings: &Bindings<'a>,
    effects: &HashMap<SymbolId, String>,
    node: &AstNode<'a>,
    right: &Expression<'a>,
) -> Option<LintError> {
    let region = Region { span: right.span(), parameters: Span::empty(0) };
    let function = bindings.enclosing_function(node.id());
    let nodes = bindings.nodes().iter().filter(|inner| region.contains(inner.kind().span()));
    let nodes = nodes.filter(|inner| bindings.enclosing_function(inner.id()) == function);
    let own = nodes.filter_map(|inner| Some((inner.kind().span(), effect(bindings, inner.kind(), region)?)));
    let calls = bindings.calls().into_iter().filter(|call| region.contains(call.span)).filter_map(|call| {
        let effect = effects.get(&call.callee)?;
        Some((call.span, format!("calls {}, which {effect}", bindings.scoping().symbol_name(call.callee))))
    });
    let (span, effect) = own.chain(calls).min_by_key(|(span, _)| span.start)?;
    let reason = format!(
        "AppSync evaluates the right side of ?? even where the left side has a value, and this one {effect}; \
         use a ternary instead."
    );
    Some(LintError { span, reason })
}

/// What the functions do, as in "calls util.error". Functions without effects are left out.
fn effects_of_functions(bindings: &Bindings<'_>) -> HashMap<SymbolId, String> {
    let mut effects: HashMap<SymbolId, String> = HashMap::new();
    for node in bindings.nodes().iter() {
        let Some(name) = bindings.enclosing_function(node.id()) else { continue };
        let Some(function) = bindings.function(name).filter(|_| !effects.contains_key(&name)) else { continue };
        let region = Region { span: function.span, parameters: function.parameters.span };
        if let Some(effect) = effect(bindings, node.kind(), region) {
            effects.insert(name, effect);
        }
    }
    let calls = bindings.calls();
    loop {
        let found = calls.iter().find_map(|call| {
            let caller = call.caller.filter(|caller| !effects.contains_key(caller))?;
            effects.get(&call.callee).map(|effect| (caller, effect.clone()))
        });
        let Some((caller, effect)) = found else { return effects };
        effects.insert(caller, effect);
    }
}

/// A part of the file that is evaluated as a whole. What it declares itself may change without effect on the rest.
#[derive(Clone, Copy)]
struct Region {
    span: Span,
    /// The parameters of the function, if the region is one. Their values come from outside.
    parameters: Span,
}

impl Region {
    fn contains(self, span: Span) -> bool {
        self.span.contains_inclusive(span)
    }
}

/// The effect of one node, without the nodes in it.
fn effect<'a>(bindings: &Bindings<'a>, kind: AstKind<'a>, region: Region) -> Option<String> {
    match kind {
        AstKind::CallExpression(call) => effect_of_call(bindings, call, region),
        AstKind::AssignmentExpression(assignment) => match &assignment.left {
            AssignmentTarget::AssignmentTargetIdentifier(name) => {
                let symbol = bindings.symbol(name)?;
                let is_outside = !region.contains(bindings.scoping().symbol_span(symbol));
                is_outside.then(|| format!("changes {}", name.name))
            }
            target => change(bindings, target.as_member_expression()?.object(), region),
        },
        AstKind::UnaryExpression(unary) if unary.operator == UnaryOperator::Delete => {
            change(bindings, &unary.argument, region)
        }
        _ => None,
    }
}

fn effect_of_call<'a>(bindings: &Bindings<'a>, call: &CallExpression<'a>, region: Region) -> Option<String> {
    let callee = call.callee.without_parentheses();
    if let Some(path) = bindings.builtin_path(callee) {
        return match path.as_slice() {
            ["util", "error" | "appendError" | "unauthorized"]
            | ["util", "http", "addResponseHeader" | "addResponseHeaders"]
            | ["runtime" | "extensions" | "console", _] => Some(format!("calls {}", bindings.text(callee.span()))),
            ["Object", "assign"] => change(bindings, call.arguments.first().and_then(Argument::as_expression)?, region),
            _ => None,
        };
    }
    let changes_list = method_name(call).is_some_and(|method| contains(CHANGING_METHODS, method));
    if changes_list { change(bindings, callee.as_member_expression()?.object(), region) } else { None }
}

/// The change of a value that comes from outside the region. An approximation: it follows variables that are initialized
/// with a member of another variable, and no values of calls.
fn change<'a>(bindings: &Bindings<'a>, target: &Expression<'a>, region: Region) -> Option<String> {
    let mut visited = HashSet::new();
    let mut symbol = bindings.symbol(root(target)?)?;
    while visited.insert(symbol) {
        let declared = bindings.scoping().symbol_span(symbol);
        if !region.contains(declared) || region.parameters.contains_inclusive(declared) {
            return Some(format!("changes {}", bindings.text(target.span())));
        }
        let declaration = bindings.nodes().kind(bindings.scoping().symbol_declaration(symbol));
        let AstKind::VariableDeclarator(variable) = declaration else { return None };
        symbol = bindings.symbol(variable.init.as_ref().and_then(root)?)?;
    }
    None
}

/// The variable at the start of a member expression: `ctx` of `ctx.stash.turn`.
fn root<'e, 'a>(expression: &'e Expression<'a>) -> Option<&'e IdentifierReference<'a>> {
    match expression {
        Expression::Identifier(name) => Some(name),
        Expression::ParenthesizedExpression(inner) => root(&inner.expression),
        Expression::ChainExpression(chain) => root(chain.expression.as_member_expression()?.object()),
        member => root(member.as_member_expression()?.object()),
    }
}
