//! How deep code is nested: whoever follows it down, here or in the engine, has to come to its end.
use oxc_ast::{AstKind, ast::Program};
use oxc_ast_visit::Visit;
use oxc_span::{GetSpan, Span};

use super::refused::Refused;

/// In nodes of the syntax tree. AppSync documents none; what people write stays below half of it.
const DEEPEST: usize = 128;

/// The first place where the program is nested too deep.
pub fn refused(program: &Program<'_>) -> Option<Refused> {
    let mut sounding = Sounding { depth: 0, too_deep: None };
    sounding.visit_program(program);
    let reason = format!("code is nested at most {DEEPEST} levels deep.");
    sounding.too_deep.map(|span| Refused { span, reason })
}

struct Sounding {
    depth: usize,
    too_deep: Option<Span>,
}

impl<'a> Visit<'a> for Sounding {
    fn enter_node(&mut self, kind: AstKind<'a>) {
        self.depth += 1;
        if self.depth > DEEPEST {
            self.too_deep.get_or_insert(kind.span());
        }
    }

    fn leave_node(&mut self, _: AstKind<'a>) {
        self.depth -= 1;
    }
}
