//! Checks what is assigned, and that no assignment is used as a value.
use oxc_ast::AstKind;
use oxc_ast::ast::{AssignmentExpression, IdentifierReference, UnaryOperator};
use oxc_semantic::{NodeId, SymbolFlags};
use oxc_span::{GetSpan, Span};

use super::bindings::{Bindings, is_callback, method_name};
use super::lint_error::LintError;

pub fn find_error(bindings: &Bindings<'_>, node: NodeId, kind: AstKind<'_>) -> Option<LintError> {
    let reason = match kind {
        AstKind::AssignmentExpression(assignment) => problem_of_assignment(bindings, node, assignment),
        AstKind::IdentifierReference(name) if bindings.is_assigned(name) => problem_of_name(bindings, name),
        _ => problem_of_member(bindings, node, kind),
    };
    reason.map(|reason| LintError { span: kind.span(), reason: format!("{reason}.") })
}

/// AppSync has no logical assignments (recorded in aws-appsync-community issue 353). The value of an
/// assignment is the empty text there (recorded in amplify-category-api issue 3192), and AppSync accepts the
/// code: the local server refuses it so that nothing depends on it.
fn problem_of_assignment(
    bindings: &Bindings<'_>,
    node: NodeId,
    assignment: &AssignmentExpression<'_>,
) -> Option<String> {
    if assignment.operator.is_logical() {
        return Some(format!("the operator {} is not part of APPSYNC_JS", assignment.operator.as_str()));
    }
    let is_statement = match bindings.parent(node) {
        AstKind::ExpressionStatement(_) => true,
        AstKind::ArrowFunctionExpression(arrow) => is_for_each_callback(bindings, arrow.node_id.get(), arrow.span),
        _ => false,
    };
    (!is_statement).then(|| "an assignment has no value in APPSYNC_JS; it must be a statement of its own".to_owned())
}

/// `forEach` ignores the value of its callback: `list.forEach((one) => (total += one))`.
fn is_for_each_callback(bindings: &Bindings<'_>, function: NodeId, span: Span) -> bool {
    match bindings.parent(function) {
        AstKind::CallExpression(call) => method_name(call) == Some("forEach") && is_callback(call, span),
        _ => false,
    }
}

fn problem_of_name(bindings: &Bindings<'_>, name: &IdentifierReference<'_>) -> Option<String> {
    let symbol = bindings.symbol(name)?;
    let flags = bindings.scoping().symbol_flags(symbol);
    let text = name.name.as_str();
    if bindings.is_function(name) {
        return Some(format!("the function {text} cannot be replaced in APPSYNC_JS"));
    }
    if bindings.is_context(name) {
        return Some(format!("{text} cannot be replaced in APPSYNC_JS"));
    }
    let is_constant = flags.intersects(SymbolFlags::ConstVariable | SymbolFlags::Import);
    is_constant.then(|| format!("{text} is a constant and cannot be assigned"))
}

/// The members of `ctx` cannot be replaced or deleted. Members of these members can.
fn problem_of_member(bindings: &Bindings<'_>, node: NodeId, kind: AstKind<'_>) -> Option<String> {
    let member = kind.as_member_expression_kind()?;
    let context = member.object().get_identifier_reference().filter(|name| bindings.is_context(name))?;
    let verb = match bindings.parent(node) {
        AstKind::AssignmentExpression(assignment) if assignment.left.span() == kind.span() => "replaced",
        AstKind::ForInStatement(statement) if statement.left.span() == kind.span() => "replaced",
        AstKind::ForOfStatement(statement) if statement.left.span() == kind.span() => "replaced",
        AstKind::ArrayAssignmentTarget(_)
        | AstKind::AssignmentTargetWithDefault(_)
        | AstKind::AssignmentTargetPropertyProperty(_)
        | AstKind::AssignmentTargetRest(_) => "replaced",
        AstKind::UnaryExpression(unary) if unary.operator == UnaryOperator::Delete => "deleted",
        _ => return None,
    };
    let path = match member.static_property_name() {
        Some(name) => format!("{}.{name}", context.name),
        None => format!("a member of {}", context.name),
    };
    Some(format!("{path} cannot be {verb} in APPSYNC_JS; its members can"))
}
