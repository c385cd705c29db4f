//! Rewrites code so that it runs as on AppSync: it counts iterations, and evaluates both sides of `??`.
//!
//! AppSync allows 1,000 iterations in a handler. Whether it counts callbacks is not documented; they are
//! counted here, so that code within this limit is within AppSync's. Each loop and callback gets a call of
//! `countIteration`.
//!
//! AppSync evaluates the right side of `??` even where the left side has a value (see `nullish_lint`). Here a
//! right side with a call becomes the second argument of `evaluateNullish`. Others are left as they are:
//! whether AppSync raises on the right side of `a ?? b.c` where `b` is null is not known.
use oxc_allocator::Allocator;
use oxc_ast::ast::{
    Argument, ArrowFunctionBody, CallExpression, Expression, ForInStatement, ForOfStatement, LogicalExpression,
    Statement,
};
use oxc_ast_visit::{Visit, walk};
use oxc_parser::Parser;
use oxc_span::{GetSpan, SourceType, Span};

use super::allowlist::{CALLBACK_METHODS, contains};

/// The rewritten code. Line numbers do not change. Code that does not parse is returned unchanged.
pub fn instrument(code: &str) -> String {
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, code, SourceType::mjs()).parse();
    let mut edits = Edits { code, edits: Vec::new() };
    edits.visit_program(&parsed.program);
    edits.apply()
}

struct Edits<'c> {
    code: &'c str,
    edits: Vec<Edit>,
}

/// Replaces a part of the code, which may be empty.
struct Edit {
    span: Span,
    text: String,
    order: Order,
}

/// The order of edits at the same offset: inner constructs are closed before outer ones, and opened after
/// them. The numbers are lengths of constructs.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Close(u32),
    Replace,
    Open(std::cmp::Reverse<u32>),
}

impl Edits<'_> {
    fn apply(mut self) -> String {
        self.edits.sort_by(|left, right| (left.span.start, &left.order).cmp(&(right.span.start, &right.order)));
        let mut text = String::with_capacity(self.code.len() + 32 * self.edits.len());
        let mut copied = 0;
        for edit in self.edits {
            text.push_str(&self.code[copied..edit.span.start as usize]);
            text.push_str(&edit.text);
            copied = edit.span.end as usize;
        }
        text.push_str(&self.code[copied..]);
        text
    }

    fn open(&mut self, offset: u32, construct: Span, text: &str) {
        let order = Order::Open(std::cmp::Reverse(construct.size()));
        self.edits.push(Edit { span: Span::empty(offset), text: text.to_owned(), order });
    }

    fn close(&mut self, construct: Span, text: &str) {
        let order = Order::Close(construct.size());
        self.edits.push(Edit { span: Span::empty(construct.end), text: text.to_owned(), order });
    }

    fn wrap(&mut self, construct: Span, before: &str, after: &str) {
        self.open(construct.start, construct, before);
        self.close(construct, after);
    }

    fn count_block(&mut self, block: Span) {
        self.open(block.start + 1, block, "countIteration();");
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
                // The arrow is longer than what it holds, so its pieces come outside of those of its body.
                expression => {
                    self.open(expression.span().start, arrow.span, "(countIteration(),");
                    let order = Order::Close(arrow.span.size());
                    let span = Span::empty(expression.span().end);
                    self.edits.push(Edit { span, text: ")".to_owned(), order });
                }
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

    fn evaluate_both_sides(&mut self, expression: &LogicalExpression<'_>) {
        self.wrap(expression.span, "evaluateNullish(", ")");
        let operator = Span::new(expression.left.span().end, expression.right.span().start);
        let lines = operator.source_text(self.code).matches('\n').count();
        let text = format!(",{}", "\n".repeat(lines));
        self.edits.push(Edit { span: operator, text, order: Order::Replace });
    }
}

impl<'a> Visit<'a> for Edits<'_> {
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

    fn visit_logical_expression(&mut self, expression: &LogicalExpression<'a>) {
        if expression.operator.is_coalesce() && has_call(&expression.right) {
            self.evaluate_both_sides(expression);
        }
        walk::walk_logical_expression(self, expression);
    }
}

fn has_call(expression: &Expression<'_>) -> bool {
    let mut finder = CallFinder(false);
    finder.visit_expression(expression);
    finder.0
}

struct CallFinder(bool);

impl<'a> Visit<'a> for CallFinder {
    fn visit_call_expression(&mut self, _: &CallExpression<'a>) {
        self.0 = true;
    }
}
