//! Who may read the files of the chat page: its distribution alone.
use std::path::Path;

use local::{
    identity::IamPolicy,
    template::{self, ChatPage},
};
use serde_json::{Value, json};

use crate::{load_stack, permissions::Case, permissions::assume_role};

const FILE: &str = "/assets/index-Ab12Cd34.js";

fn load_page(domain: &str, certificate: &str) -> ChatPage {
    let parameters = [("Domain", domain), ("CertificateArn", certificate)];
    template::load_chat_page(Path::new(env!("CARGO_MANIFEST_DIR")), "web/template.yaml", &parameters)
        .expect("the template loads")
}

fn page() -> ChatPage {
    load_page("none", "none")
}

/// The statement as one of an identity, for whoever the statement is.
fn without_principal(statement: &Value) -> Value {
    let mut statement = statement.clone();
    let members = statement.as_object_mut().expect("a statement is an object");
    members.remove("Principal");
    members.remove("Condition");
    statement
}

fn statements(page: &ChatPage, effect: &str) -> Vec<Value> {
    page.bucket_policy.iter().filter(|statement| statement["Effect"] == effect).cloned().collect()
}

#[test]
fn files_are_readable_by_the_distribution_alone() {
    let page = page();
    let [allowing] = &statements(&page, "Allow")[..] else { panic!("one statement allows: {page:?}") };
    assert_eq!(allowing["Principal"], json!({ "Service": "cloudfront.amazonaws.com" }));
    assert_eq!(allowing["Condition"], json!({ "StringEquals": { "aws:SourceArn": page.distribution } }));
    let policy = IamPolicy::from_statements(&[without_principal(allowing)]);
    let file = format!("{}{FILE}", page.bucket);
    assert!(policy.allows("s3:GetObject", &file));
    for action in ["s3:PutObject", "s3:DeleteObject", "s3:GetObjectAcl", "s3:PutObjectAcl", "s3:GetObjectVersion"] {
        assert!(!policy.allows(action, &file), "{action}");
    }
    for action in ["s3:ListBucket", "s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:GetObject"] {
        assert!(!policy.allows(action, &page.bucket), "{action}");
    }
    for other in ["arn:aws:s3:::another", &format!("{}-2", page.bucket)] {
        assert!(!policy.allows("s3:GetObject", &format!("{other}{FILE}")), "{other}");
    }
}

#[test]
fn nobody_uses_the_bucket_without_tls() {
    let page = page();
    let [denying] = &statements(&page, "Deny")[..] else { panic!("one statement denies: {page:?}") };
    assert_eq!(denying["Principal"], "*");
    assert_eq!(denying["Condition"], json!({ "Bool": { "aws:SecureTransport": "false" } }));
    let allow_all = json!({ "Effect": "Allow", "Action": "*", "Resource": "*" });
    let without_tls = IamPolicy::from_statements(&[allow_all, without_principal(denying)]);
    for (action, resource) in [("s3:GetObject", format!("{}{FILE}", page.bucket)), ("s3:ListBucket", page.bucket)] {
        assert!(!without_tls.allows(action, &resource), "{action}");
    }
}

#[test]
fn no_role_of_the_stack_may_use_the_bucket() {
    let page = page();
    let parameters = [("ChatPage", "true"), ("UserPool", "create"), ("EventsApi", "true"), ("WebSocketApi", "true")];
    let stack = load_stack(&parameters);
    for name in stack.roles.keys() {
        let role = assume_role(&stack, name.trim_start_matches("parlance-"));
        for action in ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"] {
            assert!(!Case::new(action, &format!("{}{FILE}", page.bucket)).is_allowed(&role), "{name}: {action}");
        }
        assert!(!Case::new("s3:ListBucket", &page.bucket).is_allowed(&role), "{name}");
    }
    assert!(stack.roles.len() > 5);
}

/// The permissions of the other roles do not depend on the page.
#[test]
fn page_adds_no_roles_and_no_permissions() {
    let roles = |parameters: &[(&str, &str)]| {
        let roles = load_stack(parameters).roles.into_iter();
        roles.map(|(name, role)| (name, role.statements)).collect::<Vec<_>>()
    };
    assert_eq!(roles(&[("UserPool", "create"), ("ChatPage", "true")]), roles(&[("UserPool", "create")]));
}

#[test]
fn page_runs_only_its_own_scripts_and_is_in_no_frame() {
    let page = load_page("chat.example.com", "arn:aws:acm:us-east-1:123456789012:certificate/a1b2");
    let directives: Vec<&str> = page.content_security_policy.split("; ").collect();
    for directive in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(directives.contains(&directive), "{directives:?} lacks {directive}");
    }
    assert!(!page.content_security_policy.contains("unsafe"), "{directives:?}");
}
