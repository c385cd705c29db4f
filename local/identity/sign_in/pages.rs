//! The pages of a local issuer.
use http::StatusCode;

use crate::{
    html_page::{HtmlPage, NO_FORMS, escape},
    identity::{LocalIssuer, PoolUser},
};

/// A browser that has sent the form goes on to the client.
const LOCAL_ADDRESSES: &str = "'self' http://localhost:* http://127.0.0.1:* https://localhost:* https://127.0.0.1:*";

/// Asks who signs in. The forms repeat the query of the authorization request.
pub fn sign_in_page(issuer: &LocalIssuer, query: &str) -> HtmlPage<'static> {
    let form = format!("<form method=\"post\" action=\"{}/sign-in?{}\">", escape(issuer.url()), escape(query));
    let mut content = "<p>The local server asks for no password.</p>\n".to_owned();
    if !issuer.users().is_empty() {
        let users: String = issuer.users().iter().map(|user| user_button(user, issuer)).collect();
        content += &format!("{form}\n<ul>\n{users}</ul>\n</form>\n");
    }
    if issuer.takes_any_name() {
        content += &format!(
            "{form}\n<label for=\"name\">Name</label>\n<input id=\"name\" name=\"username\" required maxlength=\"128\" \
             autocomplete=\"username\">\n<button>Sign in</button>\n</form>\n"
        );
    } else if issuer.users().is_empty() {
        content += "<p>This user pool has no users: start the server with <code>--user NAME</code>.</p>\n";
    }
    content += &format!("{form}\n<button name=\"cancel\" value=\"true\">Cancel</button>\n</form>");
    HtmlPage { status: StatusCode::OK, title: "Sign in", content, form_action: LOCAL_ADDRESSES }
}

/// Only the tokens of a user pool have groups.
fn user_button(PoolUser { name, groups }: &PoolUser, issuer: &LocalIssuer) -> String {
    let groups = if issuer.takes_any_name() { String::new() } else { groups.join(", ") };
    let (name, groups) = (escape(name), escape(&groups));
    format!("<li><button name=\"username\" value=\"{name}\">{name} <small>{groups}</small></button></li>\n")
}

pub fn signed_out_page() -> HtmlPage<'static> {
    let content = "<p>You are signed out.</p>".to_owned();
    HtmlPage { status: StatusCode::OK, title: "Signed out", content, form_action: NO_FORMS }
}

pub fn error_page(sentence: &str) -> HtmlPage<'static> {
    let content = format!("<p>{}</p>", escape(sentence));
    HtmlPage { status: StatusCode::BAD_REQUEST, title: "Sign-in is not possible", content, form_action: NO_FORMS }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::SigningKey;

    fn users(names: &[&str]) -> Vec<PoolUser> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn users_of_a_pool_are_listed() {
        let key = || SigningKey::generate().unwrap();
        let pool =
            LocalIssuer::user_pool("http://localhost:4000/pool".into(), key(), users(&["ada:poets,<b>", "\"bob\""]));
        let content = sign_in_page(&pool, "state=%22&nonce=\"><script>").content;
        let action = "action=\"http://localhost:4000/pool/sign-in?state=%22&amp;nonce=&quot;&gt;&lt;script&gt;\"";
        assert_eq!(content.matches(action).count(), 2, "{content}");
        assert!(content.contains("value=\"ada\">ada <small>poets, &lt;b&gt;</small>"), "{content}");
        assert!(content.contains("value=\"&quot;bob&quot;\">") && !content.contains("<input"), "{content}");

        let empty = LocalIssuer::user_pool("http://localhost:4000/pool".into(), key(), Vec::new());
        assert!(sign_in_page(&empty, "").content.contains("no users: start the server with <code>--user NAME</code>"));
    }

    #[test]
    fn provider_takes_any_name_and_offers_the_users() {
        let key = SigningKey::generate().unwrap();
        let oidc = LocalIssuer::open_id("http://localhost:4000/oidc".into(), key);
        assert!(!sign_in_page(&oidc, "").content.contains("<li>"));
        let content = sign_in_page(&oidc.with_suggested_users(users(&["ada:poets"])), "").content;
        assert!(content.contains("<input") && content.contains("value=\"ada\">ada <small></small>"), "{content}");
    }
}
