//! The part of JavaScript that APPSYNC_JS runs, as AWS documents it.
use std::borrow::Cow;

use oxc_ast::AstKind;
use oxc_ast::ast::{
    Argument, AssignmentExpression, AssignmentTarget, CallExpression, Expression, Function, IdentifierReference,
    ImportDeclaration, ImportDeclarationSpecifier, Program, PropertyKind, StaticMemberExpression,
};
use oxc_ast_visit::Visit;
use oxc_span::{GetSpan, Span};

use super::bindings::{Bindings, Import};
use super::names::{CALLBACK_METHODS, IMPORTED_OBJECTS, IMPORTS, METHODS, OBJECTS, UTILITIES, VALUES, lists, under};
use super::refused::Refused;

/// The first construct of the program that lies outside the subset.
pub fn refused(program: &Program<'_>) -> Option<Refused> {
    let bindings = Bindings::of(program);
    let recursion = bindings.recursion();
    let mut reader = Reader { bindings, found: Vec::new() };
    reader.visit_program(program);
    reader.found.extend(recursion);
    reader.found.into_iter().min_by_key(|refused| refused.span.start)
}

struct Reader<'a> {
    bindings: Bindings<'a>,
    found: Vec<Refused>,
}

impl<'a> Visit<'a> for Reader<'a> {
    fn enter_node(&mut self, kind: AstKind<'a>) {
        if let Some(construct) = construct(kind) {
            return self.refuse(kind.span(), format!("{construct} is not part of APPSYNC_JS"));
        }
        match kind {
            AstKind::ImportDeclaration(import) => self.import(import),
            AstKind::IdentifierReference(name) => self.name(name),
            AstKind::StaticMemberExpression(member) => self.member(member),
            AstKind::CallExpression(call) => self.call(call),
            AstKind::AssignmentExpression(assignment) => self.assignment(assignment),
            AstKind::ReturnStatement(statement) => self.returned(statement.argument.as_ref()),
            AstKind::ArrowFunctionExpression(arrow) => self.returned(arrow.get_expression()),
            _ => {}
        }
    }
}

/// Syntax that is refused wherever it stands.
fn construct(kind: AstKind<'_>) -> Option<Cow<'static, str>> {
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
        AstKind::Function(function) => return function_kind(function).map(Cow::Borrowed),
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
        AstKind::UpdateExpression(update) => return operator(update.operator.as_str()),
        AstKind::UnaryExpression(unary) => return operator(unary.operator.as_str()),
        AstKind::BinaryExpression(binary) => return operator(binary.operator.as_str()),
        _ => return None,
    };
    Some(name.into())
}

fn function_kind(function: &Function<'_>) -> Option<&'static str> {
    match (function.generator, function.r#async) {
        (true, _) => Some("a generator"),
        (_, true) => Some("async"),
        _ => None,
    }
}

fn operator(name: &'static str) -> Option<Cow<'static, str>> {
    ["++", "--", "~", "in", "instanceof"].contains(&name).then(|| format!("the operator {name}").into())
}

impl<'a> Reader<'a> {
    fn refuse(&mut self, span: Span, reason: String) {
        self.found.push(Refused { span, reason: format!("{reason}.") });
    }

    fn import(&mut self, import: &ImportDeclaration<'a>) {
        let source = import.source.value.as_str();
        let Some(exported) = under(&IMPORTS, source) else {
            let known = IMPORTS.map(|(name, _)| name).join(" and ");
            return self.refuse(import.source.span, format!("{source} cannot be imported; {known} can"));
        };
        for specifier in import.specifiers.iter().flatten() {
            let name = match specifier {
                ImportDeclarationSpecifier::ImportSpecifier(one) => one.imported.name().to_string(),
                ImportDeclarationSpecifier::ImportDefaultSpecifier(_) => "default".to_owned(),
                ImportDeclarationSpecifier::ImportNamespaceSpecifier(_) => continue,
            };
            if !lists(exported, &name) {
                self.refuse(specifier.span(), format!("{source} does not export {name}"));
            }
        }
    }

    /// A name that nothing in the file declares.
    fn name(&mut self, name: &IdentifierReference<'a>) {
        let text = name.name.as_str();
        if self.bindings.declares(text) || lists(VALUES, text) || self.known(text).is_some() {
            return;
        }
        self.refuse(name.span, format!("the name {text} is not part of APPSYNC_JS"));
    }

    /// `Object.create`, `util.validate`, `util.time.yesterday`: members that are not there.
    fn member(&mut self, member: &StaticMemberExpression<'a>) {
        let (object, path) = match &member.object {
            Expression::Identifier(object) => (self.known(&object.name), object.name.to_string()),
            Expression::StaticMemberExpression(outer) if self.is_util(&outer.object) => {
                (under(&UTILITIES, &outer.property.name), format!("util.{}", outer.property.name))
            }
            _ => return self.reflection(member),
        };
        let name = member.property.name.as_str();
        match object {
            Some(known) if !lists(known, name) => {
                self.refuse(member.property.span, format!("{path}.{name} is not part of APPSYNC_JS"));
            }
            _ => self.reflection(member),
        }
    }

    /// The members of what is global or imported under this name.
    fn known(&self, name: &str) -> Option<&'static str> {
        match self.bindings.import(name) {
            Some(Import::Module(source)) => under(&IMPORTS, source),
            Some(Import::Name(exported)) => under(&OBJECTS, exported).or(under(&IMPORTED_OBJECTS, exported)),
            None if self.bindings.declares(name) => None,
            None => under(&OBJECTS, name),
        }
    }

    fn reflection(&mut self, member: &StaticMemberExpression<'a>) {
        let name = member.property.name.as_str();
        if ["constructor", "prototype", "__proto__"].contains(&name) {
            self.refuse(member.property.span, format!("{name} is not part of APPSYNC_JS"));
        }
    }

    fn call(&mut self, call: &CallExpression<'a>) {
        let method = match call.callee.without_parentheses() {
            Expression::StaticMemberExpression(member) if !self.is_module(&member.object) => {
                let name = member.property.name.as_str();
                self.method(member.property.span, name);
                name
            }
            Expression::StaticMemberExpression(_) => "",
            Expression::Identifier(name) => {
                if self.known(&name.name).is_some() {
                    self.refuse(name.span, format!("{} is no function of APPSYNC_JS", name.name));
                }
                ""
            }
            callee => return self.refuse(callee.span(), "a function is called by its name".into()),
        };
        self.arguments(call, method);
    }

    /// `util.time`, `ddb`, `operations`, `Object`: what has functions of its own, not methods.
    fn is_module(&self, object: &Expression<'a>) -> bool {
        match object {
            Expression::Identifier(name) => self.known(&name.name).is_some(),
            Expression::StaticMemberExpression(member) => self.is_module(&member.object),
            _ => false,
        }
    }

    fn is_util(&self, object: &Expression<'a>) -> bool {
        let members = object.get_identifier_reference().and_then(|name| self.known(&name.name));
        members.is_some() && members == under(&OBJECTS, "util")
    }

    fn method(&mut self, span: Span, name: &str) {
        if !lists(METHODS, name) && !lists(CALLBACK_METHODS, name) {
            self.refuse(span, format!("the method {name} is not part of APPSYNC_JS"));
        }
    }

    /// Functions go to array methods only, written out where they are passed.
    fn arguments(&mut self, call: &CallExpression<'a>, method: &str) {
        if method == "sort" && !call.arguments.is_empty() {
            return self.refuse(call.span, "sort takes no comparator in APPSYNC_JS".into());
        }
        for (index, argument) in call.arguments.iter().filter_map(Argument::as_expression).enumerate() {
            let is_inline = argument.without_parentheses().is_function();
            let is_callback = index == 0 && is_inline && lists(CALLBACK_METHODS, method);
            if self.is_function(argument) && !is_callback {
                self.refuse(argument.span(), "a function may be passed only inline, to an array method".into());
            }
        }
    }

    fn returned(&mut self, value: Option<&Expression<'a>>) {
        if let Some(value) = value.filter(|value| self.is_function(value)) {
            self.refuse(value.span(), "a function cannot be returned in APPSYNC_JS".into());
        }
    }

    fn is_function(&self, value: &Expression<'a>) -> bool {
        match value.without_parentheses() {
            Expression::Identifier(name) => self.bindings.is_function(&name.name),
            value => value.is_function(),
        }
    }

    fn assignment(&mut self, assignment: &AssignmentExpression<'a>) {
        match &assignment.left {
            AssignmentTarget::AssignmentTargetIdentifier(name) if self.bindings.is_function(&name.name) => {
                self.refuse(name.span, format!("the function {} cannot be replaced in APPSYNC_JS", name.name));
            }
            AssignmentTarget::AssignmentTargetIdentifier(name) if self.bindings.is_context(&name.name) => {
                self.refuse(name.span, format!("{} cannot be replaced in APPSYNC_JS", name.name));
            }
            AssignmentTarget::StaticMemberExpression(member) => {
                if let Some(context) = member.object.get_identifier_reference()
                    && self.bindings.is_context(&context.name)
                {
                    let path = format!("{}.{}", context.name, member.property.name);
                    self.refuse(member.span, format!("{path} cannot be replaced in APPSYNC_JS; its members can"));
                }
            }
            _ => {}
        }
    }
}
