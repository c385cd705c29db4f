//! Checks that code uses only the subset of JavaScript that AWS documents for APPSYNC_JS, or uses in its
//! samples.
use std::borrow::Cow;

use oxc_ast::ast::{
    CallExpression, Expression, Function, IdentifierReference, ImportDeclaration, ImportDeclarationSpecifier,
    PropertyKind, TaggedTemplateExpression,
};
use oxc_ast::{AstKind, MemberExpressionKind};
use oxc_semantic::Semantic;
use oxc_span::{GetSpan, Span};

use super::allowlist::{
    CALLBACK_METHODS, IMPORTED_OBJECTS, IMPORTS, METHODS, NOT_LOCAL, OBJECTS, UTILITIES, VALUES, contains, members_of,
};
use super::bindings::{Bindings, method_name};
use super::lint_error::LintError;
use super::{assignment_lint, function_value_lint, nullish_lint, spread_lint};

/// The constructs outside the subset.
pub fn find_errors(semantic: Semantic<'_>) -> Vec<LintError> {
    let mut linter = Linter { bindings: Bindings::new(semantic), errors: Vec::new() };
    linter.check();
    linter.errors
}

struct Linter<'a> {
    bindings: Bindings<'a>,
    errors: Vec<LintError>,
}

/// The name of syntax that is not supported anywhere.
fn unsupported_syntax(kind: AstKind<'_>) -> Option<Cow<'static, str>> {
    let name = match kind {
        AstKind::TryStatement(_) => "try",
        AstKind::ThrowStatement(_) => "throw",
        AstKind::WhileStatement(_) => "while",
        AstKind::DoWhileStatement(_) => "do … while",
        AstKind::ForStatement(_) => "for (;;)",
        AstKind::ForOfStatement(statement) if statement.r#await => "for await",
        AstKind::ContinueStatement(_) => "continue",
        AstKind::LabeledStatement(_) => "a label",
        AstKind::DebuggerStatement(_) => "debugger",
        AstKind::ThisExpression(_) => "this",
        AstKind::Class(_) => "class",
        AstKind::NewExpression(_) => "new",
        AstKind::NewTarget(_) => "new.target",
        AstKind::Function(function) => return unsupported_function_kind(function).map(Cow::Borrowed),
        AstKind::ArrowFunctionExpression(arrow) if arrow.r#async => "async",
        AstKind::AwaitExpression(_) => "await",
        AstKind::RegExpLiteral(_) => "a regular expression literal",
        AstKind::BigIntLiteral(_) => "a BigInt",
        AstKind::ImportExpression(_) => "import()",
        AstKind::ImportMeta(_) => "import.meta",
        AstKind::ExportDefaultDeclaration(_) => "export default",
        AstKind::ExportAllDeclaration(_) | AstKind::ExportFromDeclaration(_) => "export … from",
        AstKind::ObjectProperty(property) if property.kind != PropertyKind::Init => "a getter or setter",
        // AWS does not document this, and its list of operators is incomplete.
        AstKind::SequenceExpression(_) => "the comma operator",
        AstKind::UpdateExpression(update) => return unsupported_operator(update.operator.as_str()),
        AstKind::UnaryExpression(unary) => return unsupported_operator(unary.operator.as_str()),
        AstKind::BinaryExpression(binary) => return unsupported_operator(binary.operator.as_str()),
        _ => return None,
    };
    Some(name.into())
}

fn unsupported_function_kind(function: &Function<'_>) -> Option<&'static str> {
    match (function.generator, function.r#async) {
        (true, _) => Some("a generator"),
        (_, true) => Some("async"),
        _ => None,
    }
}

fn unsupported_operator(name: &'static str) -> Option<Cow<'static, str>> {
    ["++", "--", "~", "in", "instanceof"].contains(&name).then(|| format!("the operator {name}").into())
}

/// The members of a built-in object or module.
fn members(path: &[&str]) -> Option<&'static str> {
    match path {
        ["util", object] => members_of(&UTILITIES, object),
        [name] => members_of(&OBJECTS, name).or(members_of(&IMPORTED_OBJECTS, name)).or(members_of(&IMPORTS, name)),
        _ => None,
    }
}

impl<'a> Linter<'a> {
    fn check(&mut self) {
        let nodes: Vec<_> = self.bindings.nodes().iter().map(|node| (node.id(), node.kind())).collect();
        for (node, kind) in nodes {
            if let Some(syntax) = unsupported_syntax(kind) {
                self.report(kind.span(), format!("{syntax} is not part of APPSYNC_JS"));
            }
            self.check_node(kind);
            self.errors.extend(assignment_lint::find_error(&self.bindings, node, kind));
            self.errors.extend(function_value_lint::find_error(&self.bindings, node, kind));
        }
        self.errors.extend(self.bindings.find_recursion());
        self.errors.extend(nullish_lint::find_errors(&self.bindings));
    }

    fn check_node(&mut self, kind: AstKind<'a>) {
        match kind {
            AstKind::ImportDeclaration(import) => self.check_import(import),
            AstKind::IdentifierReference(name) => self.check_name(name),
            AstKind::CallExpression(call) => self.check_call(call),
            AstKind::TaggedTemplateExpression(template) => self.check_tagged_template(template),
            _ => {
                if let Some(member) = kind.as_member_expression_kind() {
                    self.check_member(kind.span(), member);
                }
            }
        }
    }

    fn report(&mut self, span: Span, reason: String) {
        self.errors.push(LintError { span, reason: format!("{reason}.") });
    }

    fn check_import(&mut self, import: &ImportDeclaration<'a>) {
        let source = import.source.value.as_str();
        if NOT_LOCAL.contains(&source) {
            return self.report_not_local(import.source.span, source);
        }
        let Some(exported) = members_of(&IMPORTS, source) else {
            let known = IMPORTS.map(|(name, _)| name).join(" and ");
            return self.report(import.source.span, format!("{source} cannot be imported; {known} can"));
        };
        for specifier in import.specifiers.iter().flatten() {
            let name = match specifier {
                ImportDeclarationSpecifier::ImportSpecifier(one) => one.imported.name().to_string(),
                ImportDeclarationSpecifier::ImportDefaultSpecifier(_) => "default".to_owned(),
                ImportDeclarationSpecifier::ImportNamespaceSpecifier(_) => continue,
            };
            if !contains(exported, &name) {
                self.report(specifier.span(), format!("{source} does not export {name}"));
            }
        }
    }

    fn report_not_local(&mut self, span: Span, name: &str) {
        self.report(span, format!("{name} runs on AWS, but not on the local server"));
    }

    /// A name must be declared in its scope, or be documented.
    fn check_name(&mut self, name: &IdentifierReference<'a>) {
        let text = name.name.as_str();
        if self.bindings.symbol(name).is_some() || contains(VALUES, text) || members_of(&OBJECTS, text).is_some() {
            return;
        }
        if self.bindings.declares_anywhere(text) {
            return self.report(name.span, format!("the name {text} is not declared in this scope"));
        }
        self.report(name.span, format!("the name {text} is not part of APPSYNC_JS"));
    }

    /// Reports undocumented members: `Object.create`, `util.validate`, `util.time.yesterday`.
    fn check_member(&mut self, span: Span, member: MemberExpressionKind<'a>) {
        let Some((name_span, name)) = member.static_property_info() else { return };
        let object = member.object();
        let Some(path) = self.bindings.builtin_path(object) else {
            if ["constructor", "prototype", "__proto__"].contains(&name) {
                self.report(name_span, format!("{name} is not part of APPSYNC_JS"));
            }
            return;
        };
        let full_path = path.iter().chain([&name]).copied().collect::<Vec<_>>().join(".");
        if NOT_LOCAL.contains(&full_path.as_str()) {
            return self.report_not_local(span, &full_path);
        }
        if members(&path).is_some_and(|known| !contains(known, name)) {
            let object = self.bindings.text(object.span());
            self.report(name_span, format!("{object}.{name} is not part of APPSYNC_JS"));
        }
    }

    fn check_tagged_template(&mut self, template: &TaggedTemplateExpression<'a>) {
        // The check of members reports the tags that AWS supports: String.raw.
        if self.bindings.builtin_path(&template.tag).is_none() {
            self.report(template.span, "a tagged template is not part of APPSYNC_JS".into());
        }
    }

    fn check_call(&mut self, call: &CallExpression<'a>) {
        let callee = call.callee.without_parentheses();
        let path = self.bindings.builtin_path(callee);
        match callee {
            Expression::Identifier(name) => {
                if path.is_some_and(|path| members(&path).is_some()) {
                    self.report(name.span, format!("{} is no function of APPSYNC_JS", name.name));
                }
            }
            Expression::StaticMemberExpression(member) => {
                let name = member.property.name.as_str();
                let is_known = contains(METHODS, name) || contains(CALLBACK_METHODS, name);
                if path.is_none() && !is_known {
                    self.report(member.property.span, format!("the method {name} is not part of APPSYNC_JS"));
                }
            }
            _ => return self.report(callee.span(), "a function is called by its name".into()),
        }
        if method_name(call) == Some("sort") && !call.arguments.is_empty() {
            self.report(call.span, "sort takes no comparator in APPSYNC_JS".into());
        }
        self.errors.extend(spread_lint::find_error(&self.bindings, call));
    }
}
