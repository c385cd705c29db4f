//! ARNs of Lambda functions, and which of them agents may have as tools.
use crate::safe_url::list_items;

/// `arn:aws:lambda:eu-west-1:123456789012:function:name`, with a version or an alias behind it or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionArn<'a> {
    arn: &'a str,
    pub region: &'a str,
}

impl<'a> FunctionArn<'a> {
    pub fn parse(arn: &'a str) -> Option<Self> {
        let parts: Vec<_> = arn.split(':').collect();
        let (["arn", partition, "lambda", region, account, "function"], name) = parts.split_at_checked(6)? else {
            return None;
        };
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let is_valid = is_word(partition, "-") && is_word(region, "-") && is_account;
        let is_name = match name {
            [name] => is_word(name, "-_"),
            [name, qualifier] => is_word(name, "-_") && is_word(qualifier, "-_$"),
            _ => false,
        };
        (is_valid && is_name).then_some(Self { arn, region })
    }

    /// The path of the operation Invoke.
    pub fn invocations_path(&self) -> String {
        let encoded = self.arn.replace(':', "%3A").replace('$', "%24");
        format!("/2015-03-31/functions/{encoded}/invocations")
    }
}

/// Whether a text is not empty and has only letters and digits of ASCII and these other characters.
fn is_word(text: &str, others: &str) -> bool {
    !text.is_empty() && text.chars().all(|character| character.is_ascii_alphanumeric() || others.contains(character))
}

/// The functions that agents may have as tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedFunctions {
    /// ARNs. A `*` at the end stands for any rest.
    patterns: Vec<String>,
}

impl AllowedFunctions {
    /// Takes a list with commas. An empty list and `none` allow nothing.
    pub fn from_list(list: &str) -> Self {
        Self { patterns: list_items(list).collect() }
    }

    pub fn allows(&self, arn: &str) -> bool {
        self.patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => arn.starts_with(start),
            None => arn == pattern,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_of_functions_versions_and_aliases_are_parsed() {
        for (arn, region) in [
            ("arn:aws:lambda:eu-west-1:123456789012:function:look-up_2", "eu-west-1"),
            ("arn:aws:lambda:us-east-1:000000000000:function:look:$LATEST", "us-east-1"),
            ("arn:aws-cn:lambda:cn-north-1:123456789012:function:look:live", "cn-north-1"),
        ] {
            assert_eq!(FunctionArn::parse(arn).unwrap().region, region);
        }
    }

    #[test]
    fn other_texts_are_no_arns_of_functions() {
        for text in [
            "",
            "look",
            "arn:aws:lambda:eu-west-1:123456789012:function",
            "arn:aws:lambda:eu-west-1:123456789012:function:",
            "arn:aws:lambda:eu-west-1:123456789012:function:*",
            "arn:aws:lambda:eu-west-1:123456789012:function:look:1:2",
            "arn:aws:lambda:eu-west-1:12345:function:look",
            "arn:aws:lambda:evil.example/:123456789012:function:look",
            "arn:aws:lambda::123456789012:function:look",
            "arn:aws:s3:eu-west-1:123456789012:function:look",
            "arn:aws:lambda:eu-west-1:123456789012:layer:look",
        ] {
            assert_eq!(FunctionArn::parse(text), None, "{text}");
        }
    }

    #[test]
    fn path_of_an_invocation_has_the_encoded_arn() {
        let arn = FunctionArn::parse("arn:aws:lambda:eu-west-1:123456789012:function:look:$LATEST").unwrap();
        let encoded = "arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Alook%3A%24LATEST";
        assert_eq!(arn.invocations_path(), format!("/2015-03-31/functions/{encoded}/invocations"));
    }

    #[test]
    fn listed_arns_and_those_with_a_listed_start_are_allowed() {
        let arn = |name: &str| format!("arn:aws:lambda:eu-west-1:123456789012:function:{name}");
        let allowed = AllowedFunctions::from_list(&format!("{}, {},", arn("look"), arn("tool-*")));
        for (name, expected) in
            [("look", true), ("tool-a", true), ("tool-a:live", true), ("looks", false), ("a", false)]
        {
            assert_eq!(allowed.allows(&arn(name)), expected, "{name}");
        }
        for list in ["", "none", " ", ","] {
            assert!(!AllowedFunctions::from_list(list).allows(&arn("look")), "{list:?}");
        }
    }
}
