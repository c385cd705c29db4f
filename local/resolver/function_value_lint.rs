//! Checks that functions are only called, or passed to array methods. APPSYNC_JS refuses them as other
//! values.
//!
//! A report says that `typeof` of a function is `'undefined'` on AppSync (aws-appsync-community issue 295).
//! Here it is `'function'`, for the methods of lists and texts and for built-in functions. Whether AppSync
//! takes built-in functions as callbacks (`list.map(util.dynamodb.toDynamoDB)`) is not documented; AWS's
//! eslint plugin and the local server do.
use oxc_ast::AstKind;
use oxc_ast::ast::IdentifierReference;
use oxc_semantic::NodeId;
use oxc_span::{GetSpan, Span};

use super::bindings::{Bindings, is_callback};
use super::lint_error::LintError;

/// Checks a function expression, or a name that may be a function's.
pub fn find_error(bindings: &Bindings<'_>, node: NodeId, kind: AstKind<'_>) -> Option<LintError> {
    let problem = match kind {
        AstKind::IdentifierReference(name) if bindings.is_function(name) => problem_of_name(bindings, node, name),
        AstKind::Function(function) if !function.is_declaration() => problem_of_use(bindings, node, function.span),
        AstKind::ArrowFunctionExpression(arrow) => problem_of_use(bindings, node, arrow.span),
        _ => None,
    };
    problem.map(|problem| LintError { span: kind.span(), reason: format!("a function {problem}.") })
}

fn problem_of_name(bindings: &Bindings<'_>, node: NodeId, name: &IdentifierReference<'_>) -> Option<&'static str> {
    match bindings.parent(node) {
        _ if bindings.is_assigned(name) => None,
        AstKind::ExportSpecifier(_) => None,
        // A call of `apply`, `bind` or `call` is no documented method.
        AstKind::StaticMemberExpression(_) => None,
        AstKind::VariableDeclarator(_) | AstKind::AssignmentExpression(_) => {
            Some("cannot get a second name in APPSYNC_JS")
        }
        AstKind::CallExpression(_) | AstKind::ReturnStatement(_) | AstKind::ArrowFunctionExpression(_) => {
            problem_of_use(bindings, node, name.span)
        }
        _ => Some("can only be called, or passed to an array method"),
    }
}

/// Function expressions as members of objects and lists are accepted, as AWS's eslint plugin accepts them.
/// Resolvers cannot call them by a name.
fn problem_of_use(bindings: &Bindings<'_>, node: NodeId, span: Span) -> Option<&'static str> {
    match bindings.parent(node) {
        AstKind::CallExpression(call) => {
            let is_callee = call.callee.without_parentheses().span() == span;
            let is_allowed = is_callee || is_callback(call, span);
            (!is_allowed).then_some("may be passed only to an array method")
        }
        AstKind::ReturnStatement(_) | AstKind::ArrowFunctionExpression(_) => Some("cannot be returned in APPSYNC_JS"),
        _ => None,
    }
}
