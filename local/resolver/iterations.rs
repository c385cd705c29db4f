//! Makes a handler count its own iterations: a call of `countIteration` is written into the body of each loop and of
//! each callback. AppSync allows 1,000 in a handler; whether it counts callbacks is not documented, so both are
//! counted: what passes here passes there.
use oxc_allocator::Allocator;
use oxc_ast::ast::{
    Argument, ArrowFunctionBody, CallExpression, Expression, ForInStatement, ForOfStatement, Statement,
};
use oxc_ast_visit::{Visit, walk};
use oxc_parser::Parser;
use oxc_span::{GetSpan, SourceType, Span};

use super::names::{CALLBACK_METHODS, lists};

/// The code with the calls written in. Lines stay where they are; columns after a call move. Code that does not parse
/// comes back as it is.
pub fn counted(code: &str) -> String {
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, code, SourceType::mjs()).parse();
    let mut insertions = Insertions::default();
    insertions.visit_program(&parsed.program);
    insertions.into(code)
}

#[derive(Default)]
struct Insertions(Vec<(u32, &'static str)>);

impl Insertions {
    fn into(mut self, code: &str) -> String {
        self.0.sort_by_key(|(offset, _)| *offset);
        let mut text = String::with_capacity(code.len() + 32 * self.0.len());
        let mut copied = 0;
        for (offset, insertion) in self.0 {
            let offset = offset as usize;
            text.push_str(&code[copied..offset]);
            text.push_str(insertion);
            copied = offset;
        }
        text.push_str(&code[copied..]);
        text
    }

    fn enclose(&mut self, span: Span, before: &'static str, after: &'static str) {
        self.0.push((span.start, before));
        self.0.push((span.end, after));
    }

    fn count_block(&mut self, span: Span) {
        self.0.push((span.start + 1, "countIteration();"));
    }

    fn count_statement(&mut self, body: &Statement<'_>) {
        match body {
            Statement::BlockStatement(block) => self.count_block(block.span),
            other => self.enclose(other.span(), "{countIteration();", "}"),
        }
    }

    fn count_callback(&mut self, callback: &Expression<'_>) {
        match callback {
            Expression::ArrowFunctionExpression(arrow) => match &arrow.body {
                ArrowFunctionBody::FunctionBody(body) => self.count_block(body.span),
                expression => self.enclose(expression.span(), "(countIteration(),", ")"),
            },
            Expression::FunctionExpression(function) => {
                if let Some(body) = &function.body {
                    self.count_block(body.span);
                }
            }
            Expression::Identifier(name) => {
                self.enclose(name.span, "(...values)=>(countIteration(),", "(...values))");
            }
            _ => {}
        }
    }
}

impl<'a> Visit<'a> for Insertions {
    fn visit_for_of_statement(&mut self, statement: &ForOfStatement<'a>) {
        self.count_statement(&statement.body);
        walk::walk_for_of_statement(self, statement);
    }

    fn visit_for_in_statement(&mut self, statement: &ForInStatement<'a>) {
        self.count_statement(&statement.body);
        walk::walk_for_in_statement(self, statement);
    }

    fn visit_call_expression(&mut self, call: &CallExpression<'a>) {
        let method = call.callee.get_member_expr().and_then(|member| member.static_property_name());
        if method.is_some_and(|method| lists(CALLBACK_METHODS, method))
            && let Some(callback) = call.arguments.first().and_then(Argument::as_expression)
        {
            self.count_callback(callback);
        }
        walk::walk_call_expression(self, call);
    }
}
