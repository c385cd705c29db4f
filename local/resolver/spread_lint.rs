//! Refuses spread arguments of built-in functions without a rest parameter, as AppSync does.
//!
//! AppSync checks the types of code when code is saved, and TypeScript refuses these arguments (error TS2556,
//! recorded in aws-appsync-community issue 323). The functions of the file take them: their parameters have
//! no types. All other errors of types need a type checker, which the local server has not; `tests/lint` has
//! it.
use oxc_ast::ast::{Argument, CallExpression, Expression};
use oxc_span::GetSpan;

use super::bindings::Bindings;
use super::lint_error::LintError;

pub fn find_error(bindings: &Bindings<'_>, call: &CallExpression<'_>) -> Option<LintError> {
    let (index, spread) = call.arguments.iter().enumerate().find_map(|(index, argument)| match argument {
        // TypeScript knows the length of a list literal.
        Argument::SpreadElement(spread) if !matches!(spread.argument, Expression::ArrayExpression(_)) => {
            Some((index, spread))
        }
        _ => None,
    })?;
    let path = bindings.builtin_path(&call.callee)?;
    let takes_spread = match path.as_slice() {
        ["Math", "min" | "max"] | ["console", _] => true,
        ["Object", "assign"] => index > 0,
        _ => false,
    };
    let callee = bindings.text(call.callee.span());
    let reason = format!(
        "{callee} has no rest parameter for a spread argument; AppSync's type check refuses the call (TS2556)."
    );
    (!takes_spread).then(|| LintError { span: spread.span, reason })
}
