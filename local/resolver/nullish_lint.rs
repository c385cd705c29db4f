//! Finds effects on the right of `??`.
//!
//! AppSync evaluates the right side of `??` even where the left side has a value (recorded in
//! aws-appsync-community issue 403 and amplify-category-api issue 3170). Ternaries, `||` and `&&` behave as
//! in JavaScript. Calls without effects are accepted, and the engine evaluates them as AppSync does.
//!
//! Not documented: whether AppSync also evaluates default values of parameters and patterns that are not
//! needed, and what follows a `?.` that found nothing.
use std::collections::{HashMap, HashSet};

use oxc_ast::AstKind;
use oxc_ast::ast::{Argument, AssignmentTarget, CallExpression, Expression, IdentifierReference, UnaryOperator};
use oxc_semantic::{NodeId, SymbolId};
use oxc_span::{GetSpan, Span};

use super::allowlist::contains;
use super::bindings::{Bindings, Call, method_name};
use super::lint_error::LintError;

/// Methods that change the list on which they are called.
const CHANGING_METHODS: &str = "fill pop push reverse shift sort splice unshift";

pub fn find_errors(bindings: &Bindings<'_>) -> Vec<LintError> {
    let finder = EffectFinder::new(bindings);
    let nodes = bindings.nodes().iter().map(|node| (node.id(), node.kind()));
    let right_sides = nodes.filter_map(|(node, kind)| match kind {
        AstKind::LogicalExpression(expression) if expression.operator.is_coalesce() => Some((node, &expression.right)),
        _ => None,
    });
    right_sides.filter_map(|(node, right)| finder.find_error(node, right.span())).collect()
}

struct EffectFinder<'b, 'a> {
    bindings: &'b Bindings<'a>,
    candidates: Vec<Candidate<'a>>,
    calls: Vec<Call>,
    /// What the functions do, as in "calls util.error". Functions without effects are left out.
    functions: HashMap<SymbolId, String>,
}

/// A node that may have an effect.
struct Candidate<'a> {
    kind: AstKind<'a>,
    /// The innermost named function around the node.
    function: Option<SymbolId>,
}

/// A part of the file that is evaluated as a whole. What it declares itself may change without effect on the
/// rest.
#[derive(Clone, Copy)]
struct Region {
    span: Span,
    /// The parameters of the function, if the region is one. Their values come from outside.
    parameters: Option<Span>,
}

impl<'b, 'a> EffectFinder<'b, 'a> {
    fn new(bindings: &'b Bindings<'a>) -> Self {
        let nodes = bindings.nodes().iter().filter(|node| may_have_effect(node.kind()));
        let candidates =
            nodes.map(|node| Candidate { kind: node.kind(), function: bindings.enclosing_function(node.id()) });
        let candidates = candidates.collect();
        let mut finder = EffectFinder { bindings, candidates, calls: bindings.calls(), functions: HashMap::new() };
        finder.functions = finder.effects_of_functions();
        finder
    }

    fn effects_of_functions(&self) -> HashMap<SymbolId, String> {
        let mut effects = HashMap::new();
        for candidate in &self.candidates {
            let Some(name) = candidate.function.filter(|name| !effects.contains_key(name)) else { continue };
            let Some(function) = self.bindings.function(name) else { continue };
            let region = Region { span: function.span, parameters: Some(function.parameters.span) };
            if let Some(effect) = self.effect(candidate.kind, region) {
                effects.insert(name, effect);
            }
        }
        self.add_effects_of_callers(&mut effects);
        effects
    }

    fn add_effects_of_callers(&self, effects: &mut HashMap<SymbolId, String>) {
        let mut callers: HashMap<SymbolId, Vec<SymbolId>> = HashMap::new();
        for call in &self.calls {
            callers.entry(call.callee).or_default().extend(call.caller);
        }
        let mut pending: Vec<SymbolId> = effects.keys().copied().collect();
        while let Some(function) = pending.pop() {
            let Some(effect) = effects.get(&function).cloned() else { continue };
            for caller in callers.get(&function).into_iter().flatten() {
                if !effects.contains_key(caller) {
                    effects.insert(*caller, effect.clone());
                    pending.push(*caller);
                }
            }
        }
    }

    /// The first effect on the right side of a `??`.
    fn find_error(&self, node: NodeId, right: Span) -> Option<LintError> {
        let region = Region { span: right, parameters: None };
        let function = self.bindings.enclosing_function(node);
        let candidates = self.candidates.iter().filter(|candidate| right.contains_inclusive(candidate.kind.span()));
        let evaluated = candidates.filter(|candidate| candidate.function == function);
        let own = evaluated.filter_map(|candidate| Some((candidate.kind.span(), self.effect(candidate.kind, region)?)));
        let calls = self.calls.iter().filter(|call| right.contains_inclusive(call.span)).filter_map(|call| {
            let effect = self.functions.get(&call.callee)?;
            let name = self.bindings.scoping().symbol_name(call.callee);
            Some((call.span, format!("calls {name}, which {effect}")))
        });
        let (span, effect) = own.chain(calls).min_by_key(|(span, _)| span.start)?;
        let reason = format!(
            "AppSync evaluates the right side of ?? even where the left side has a value, and this one {effect}; use a \
             ternary instead."
        );
        Some(LintError { span, reason })
    }

    /// The effect of one node, without the nodes in it.
    fn effect(&self, kind: AstKind<'a>, region: Region) -> Option<String> {
        match kind {
            AstKind::CallExpression(call) => self.effect_of_call(call, region),
            AstKind::AssignmentExpression(assignment) => match &assignment.left {
                AssignmentTarget::AssignmentTargetIdentifier(name) => {
                    let declared = self.bindings.scoping().symbol_span(self.bindings.symbol(name)?);
                    let is_outside = !region.span.contains_inclusive(declared);
                    is_outside.then(|| format!("changes {}", name.name))
                }
                target => self.change(target.as_member_expression()?.object(), region),
            },
            AstKind::UnaryExpression(unary) => self.change(&unary.argument, region),
            _ => None,
        }
    }

    fn effect_of_call(&self, call: &CallExpression<'a>, region: Region) -> Option<String> {
        let callee = call.callee.without_parentheses();
        if let Some(path) = self.bindings.builtin_path(callee) {
            return match path.as_slice() {
                ["util", "error" | "appendError" | "unauthorized"]
                | ["util", "http", "addResponseHeader" | "addResponseHeaders"]
                | ["runtime" | "extensions" | "console", _] => {
                    Some(format!("calls {}", self.bindings.text(callee.span())))
                }
                ["Object", "assign"] => self.change(call.arguments.first().and_then(Argument::as_expression)?, region),
                _ => None,
            };
        }
        let changes_list = method_name(call).is_some_and(|method| contains(CHANGING_METHODS, method));
        if changes_list { self.change(callee.as_member_expression()?.object(), region) } else { None }
    }

    /// The change of a value that comes from outside the region. An approximation: it follows variables that
    /// are initialized with a member of another variable, and no values of calls.
    fn change(&self, target: &Expression<'a>, region: Region) -> Option<String> {
        let mut visited = HashSet::new();
        let mut variable = self.bindings.symbol(root(target)?)?;
        while visited.insert(variable) {
            let declared = self.bindings.scoping().symbol_span(variable);
            let is_parameter = region.parameters.is_some_and(|parameters| parameters.contains_inclusive(declared));
            if is_parameter || !region.span.contains_inclusive(declared) {
                return Some(format!("changes {}", self.bindings.text(target.span())));
            }
            let declaration = self.bindings.nodes().kind(self.bindings.scoping().symbol_declaration(variable));
            let AstKind::VariableDeclarator(declarator) = declaration else { return None };
            variable = self.bindings.symbol(declarator.init.as_ref().and_then(root)?)?;
        }
        None
    }
}

fn may_have_effect(kind: AstKind<'_>) -> bool {
    match kind {
        AstKind::CallExpression(_) | AstKind::AssignmentExpression(_) => true,
        AstKind::UnaryExpression(unary) => unary.operator == UnaryOperator::Delete,
        _ => false,
    }
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
