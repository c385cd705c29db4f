//! Limits the nesting of code: the checks and the engine walk the syntax tree recursively.
use oxc_ast::{AstKind, ast::Program};
use oxc_ast_visit::Visit;
use oxc_span::{GetSpan, Span};

use super::lint_error::LintError;

/// In nodes of the syntax tree. AppSync documents no limit; code written by hand needs less than half of
/// this.
const MAX_DEPTH: usize = 128;

/// The first construct that is nested too deep.
pub fn find_error(program: &Program<'_>) -> Option<LintError> {
    let mut visitor = DepthVisitor { depth: 0, too_deep: None };
    visitor.visit_program(program);
    let reason = format!("code is nested at most {MAX_DEPTH} levels deep.");
    visitor.too_deep.map(|span| LintError { span, reason })
}

struct DepthVisitor {
    depth: usize,
    too_deep: Option<Span>,
}

impl<'a> Visit<'a> for DepthVisitor {
    fn enter_node(&mut self, kind: AstKind<'a>) {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            self.too_deep.get_or_insert(kind.span());
        }
    }

    fn leave_node(&mut self, _: AstKind<'a>) {
        self.depth -= 1;
    }
}
