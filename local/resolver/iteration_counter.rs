//! Instruments code to count its iterations: inserts a call of `countIteration` into the body of each loop and callback.
//!
//! AppSync allows 1,000 iterations in a handler. Whether it counts callbacks is not documented; they are counted here, so
//! that code within this limit is within AppSync's.
use oxc_allocator::Allocator;
use oxc_ast::ast::{
    Argument, ArrowFunctionBody, CallExpression, Expression, ForInStatement, ForOfStatement, Statement,
};
use oxc_ast_visit::{Visit, walk};
use oxc_parser::Parser;
use oxc_span::{GetSpan, SourceType, Span};

use super::allowlist::{CALLBACK_METHODS, contains};

/// The code with the calls inserted. Line numbers do not change. Code that does not parse is returned unchanged.
pub fn insert_counters(code: &str) -> String {
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, code, SourceType::mjs()).parse();
    let mut insertions = Insertions::default();
    insertions.visit_program(&parsed.program);
    insertions.apply(code)
}

/// Texts to insert, with their byte offsets.
#[derive(Default)]
struct Insertions(Vec<(u32, &'static str)>);

impl Insertions {
    fn apply(mut self, code: &str) -> String {
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

    fn wrap(&mut self, span: Span, before: &'static str, after: &'static str) {
        self.0.push((span.start, before));
        self.0.push((span.end, after));
    }

    fn count_block(&mut self, span: Span) {
        self.0.push((span.start + 1, "countIteration();"));
    }

    fn count_statement(&mut self, body: &Statement<'_>) {
        match body {
            Statement::BlockStatement(block) => self.count_block(block.span),
            other => self.wrap(other.span(), "{countIteration();", "}"),
        }
    }

    fn count_callback(&mut self, callback: &Expression<'_>) {
        match callback {
            Expression::ArrowFunctionExpression(arrow) => match &arrow.body {
                ArrowFunctionBody::FunctionBody(body) => self.count_block(body.span),
                expression => self.wrap(expression.span(), "(countIteration(),", ")"),
            },
            Expression::FunctionExpression(function) => {
                if let Some(body) = &function.body {
                    self.count_block(body.span);
                }
            }
            Expression::Identifier(name) => {
                self.wrap(name.span, "(...values)=>(countIteration(),", "(...values))");
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
        if method.is_some_and(|method| contains(CALLBACK_METHODS, method))
            && let Some(callback) = call.arguments.first().and_then(Argument::as_expression)
        {
            self.count_callback(callback);
        }
        walk::walk_call_expression(self, call);
    }
}
