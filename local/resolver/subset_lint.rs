//! Checks that code uses only the subset of JavaScript that AWS documents for APPSYNC_JS.
use std::borrow::Cow;

use oxc_ast::AstKind;
use oxc_ast::ast::{
    Argument, AssignmentExpression, AssignmentTarget, CallExpression, Expression, Function, IdentifierReference,
    ImportDeclaration, ImportDeclarationSpecifier, Program, PropertyKind, StaticMemberExpression,
};
use oxc_ast_visit::Visit;
use oxc_span::{GetSpan, Span};

use super::allowlist::{
    CALLBACK_METHODS, IMPORTED_OBJECTS, IMPORTS, METHODS, OBJECTS, UTILITIES, VALUES, contains, members_of,
};
use super::bindings::{Bindings, Import};
use super::lint_error::LintError;

/// The first construct outside the subset.
pub fn find_error(program: &Program<'_>) -> Option<LintError> {
    let bindings = Bindings::collect(program);
    let recursion = bindings.find_recursion();
    let mut linter = Linter { bindings, errors: Vec::new() };
    linter.visit_program(program);
    linter.errors.extend(recursion);
    linter.errors.into_iter().min_by_key(|error| error.span.start)
}

struct Linter<'a> {
    bindings: Bindings<'a>,
    errors: Vec<LintError>,
}

impl<'a> Visit<'a> for Linter<'a> {
    fn enter_node(&mut self, kind: AstKind<'a>) {
        if let Some(syntax) = unsupported_syntax(kind) {
            return self.report(kind.span(), format!("{syntax} is not part of APPSYNC_JS"));
        }
        match kind {
            AstKind::ImportDeclaration(import) => self.check_import(import),
            AstKind::IdentifierReference(name) => self.check_name(name),
            AstKind::StaticMemberExpression(member) => self.check_member(member),
            AstKind::CallExpression(call) => self.check_call(call),
            AstKind::AssignmentExpression(assignment) => self.check_assignment(assignment),
            AstKind::ReturnStatement(statement) => self.check_returned_value(statement.argument.as_ref()),
            AstKind::ArrowFunctionExpression(arrow) => self.check_returned_value(arrow.get_expression()),
            _ => {}
        }
    }
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
        AstKind::TaggedTemplateExpression(_) => "a tagged template",
        AstKind::ImportExpression(_) => "import()",
        AstKind::ImportMeta(_) => "import.meta",
        AstKind::ExportDefaultDeclaration(_) => "export default",
        AstKind::ExportAllDeclaration(_) | AstKind::ExportFromDeclaration(_) => "export … from",
        AstKind::ObjectProperty(property) if property.kind != PropertyKind::Init => "a getter or setter",
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

impl<'a> Linter<'a> {
    fn report(&mut self, span: Span, reason: String) {
        self.errors.push(LintError { span, reason: format!("{reason}.") });
    }

    fn check_import(&mut self, import: &ImportDeclaration<'a>) {
        let source = import.source.value.as_str();
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

    /// A name must be declared in the file or documented.
    fn check_name(&mut self, name: &IdentifierReference<'a>) {
        let text = name.name.as_str();
        if self.bindings.declares(text) || contains(VALUES, text) || self.known_members(text).is_some() {
            return;
        }
        self.report(name.span, format!("the name {text} is not part of APPSYNC_JS"));
    }

    /// Reports undocumented members: `Object.create`, `util.validate`, `util.time.yesterday`.
    fn check_member(&mut self, member: &StaticMemberExpression<'a>) {
        let (object, path) = match &member.object {
            Expression::Identifier(object) => (self.known_members(&object.name), object.name.to_string()),
            Expression::StaticMemberExpression(outer) if self.is_util(&outer.object) => {
                (members_of(&UTILITIES, &outer.property.name), format!("util.{}", outer.property.name))
            }
            _ => return self.check_reflection(member),
        };
        let name = member.property.name.as_str();
        match object {
            Some(known) if !contains(known, name) => {
                self.report(member.property.span, format!("{path}.{name} is not part of APPSYNC_JS"));
            }
            _ => self.check_reflection(member),
        }
    }

    /// The members of the global or imported object with this name.
    fn known_members(&self, name: &str) -> Option<&'static str> {
        match self.bindings.import(name) {
            Some(Import::Module(source)) => members_of(&IMPORTS, source),
            Some(Import::Name(exported)) => members_of(&OBJECTS, exported).or(members_of(&IMPORTED_OBJECTS, exported)),
            None if self.bindings.declares(name) => None,
            None => members_of(&OBJECTS, name),
        }
    }

    fn check_reflection(&mut self, member: &StaticMemberExpression<'a>) {
        let name = member.property.name.as_str();
        if ["constructor", "prototype", "__proto__"].contains(&name) {
            self.report(member.property.span, format!("{name} is not part of APPSYNC_JS"));
        }
    }

    fn check_call(&mut self, call: &CallExpression<'a>) {
        let method = match call.callee.without_parentheses() {
            Expression::StaticMemberExpression(member) if !self.is_module(&member.object) => {
                let name = member.property.name.as_str();
                self.check_method(member.property.span, name);
                name
            }
            Expression::StaticMemberExpression(_) => "",
            Expression::Identifier(name) => {
                if self.known_members(&name.name).is_some() {
                    self.report(name.span, format!("{} is no function of APPSYNC_JS", name.name));
                }
                ""
            }
            callee => return self.report(callee.span(), "a function is called by its name".into()),
        };
        self.check_arguments(call, method);
    }

    /// Whether this is an object with documented functions, such as `util.time`, `ddb` or `Object`. Their names are
    /// checked as members, not as methods.
    fn is_module(&self, object: &Expression<'a>) -> bool {
        match object {
            Expression::Identifier(name) => self.known_members(&name.name).is_some(),
            Expression::StaticMemberExpression(member) => self.is_module(&member.object),
            _ => false,
        }
    }

    fn is_util(&self, object: &Expression<'a>) -> bool {
        let members = object.get_identifier_reference().and_then(|name| self.known_members(&name.name));
        members.is_some() && members == members_of(&OBJECTS, "util")
    }

    fn check_method(&mut self, span: Span, name: &str) {
        if !contains(METHODS, name) && !contains(CALLBACK_METHODS, name) {
            self.report(span, format!("the method {name} is not part of APPSYNC_JS"));
        }
    }

    /// A function may be passed only to an array method, and only inline.
    fn check_arguments(&mut self, call: &CallExpression<'a>, method: &str) {
        if method == "sort" && !call.arguments.is_empty() {
            return self.report(call.span, "sort takes no comparator in APPSYNC_JS".into());
        }
        for (index, argument) in call.arguments.iter().filter_map(Argument::as_expression).enumerate() {
            let is_inline = argument.without_parentheses().is_function();
            let is_callback = index == 0 && is_inline && contains(CALLBACK_METHODS, method);
            if self.is_function(argument) && !is_callback {
                self.report(argument.span(), "a function may be passed only inline, to an array method".into());
            }
        }
    }

    fn check_returned_value(&mut self, value: Option<&Expression<'a>>) {
        if let Some(value) = value.filter(|value| self.is_function(value)) {
            self.report(value.span(), "a function cannot be returned in APPSYNC_JS".into());
        }
    }

    fn is_function(&self, value: &Expression<'a>) -> bool {
        match value.without_parentheses() {
            Expression::Identifier(name) => self.bindings.is_function(&name.name),
            value => value.is_function(),
        }
    }

    fn check_assignment(&mut self, assignment: &AssignmentExpression<'a>) {
        match &assignment.left {
            AssignmentTarget::AssignmentTargetIdentifier(name) if self.bindings.is_function(&name.name) => {
                self.report(name.span, format!("the function {} cannot be replaced in APPSYNC_JS", name.name));
            }
            AssignmentTarget::AssignmentTargetIdentifier(name) if self.bindings.is_context(&name.name) => {
                self.report(name.span, format!("{} cannot be replaced in APPSYNC_JS", name.name));
            }
            AssignmentTarget::StaticMemberExpression(member) => {
                if let Some(context) = member.object.get_identifier_reference()
                    && self.bindings.is_context(&context.name)
                {
                    let path = format!("{}.{}", context.name, member.property.name);
                    self.report(member.span, format!("{path} cannot be replaced in APPSYNC_JS; its members can"));
                }
            }
            _ => {}
        }
    }
}
