//! Checks the template's `Rules`: assertions about combinations of parameters.
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{TemplateError, intrinsics::Scope};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Rule {
    rule_condition: Option<Value>,
    assertions: Vec<Assertion>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Assertion {
    assert: Value,
    assert_description: String,
}

/// The error is the description of the first assertion that fails.
pub fn check(rules: &Map<String, Value>, scope: &Scope) -> Result<(), TemplateError> {
    rules.iter().try_for_each(|(name, rule)| {
        let rule = Rule::deserialize(rule).map_err(|error| TemplateError::new(error.to_string()).at(name))?;
        rule.check(scope).map_err(|error| error.at(name))
    })
}

impl Rule {
    fn check(&self, scope: &Scope) -> Result<(), TemplateError> {
        let applies = self.rule_condition.as_ref().map_or(Ok(true), |condition| scope.condition(condition))?;
        if !applies {
            return Ok(());
        }
        self.assertions.iter().try_for_each(|assertion| assertion.check(scope))
    }
}

impl Assertion {
    fn check(&self, scope: &Scope) -> Result<(), TemplateError> {
        match scope.condition(&self.assert)? {
            true => Ok(()),
            false => Err(TemplateError::new(self.assert_description.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::super::{Deployment, build_stack};

    /// The error of a template with this rule and the parameters One and Other.
    fn error(rule: &serde_json::Value, one: &str, other: &str) -> String {
        let parameter = json!({ "Type": "String", "Default": "" });
        let template = json!({ "Parameters": { "One": parameter, "Other": parameter }, "Rules": { "Both": rule } });
        let given = [("One", one), ("Other", other)];
        let parameters = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        build_stack(Path::new("."), &template, &Deployment::at("http://localhost", parameters)).unwrap_err().to_string()
    }

    #[test]
    fn failed_assertion_is_reported_by_its_description() {
        let is_given = |name: &str| json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": name }, ""] }] });
        let assertions = json!([{ "Assert": is_given("Other"), "AssertDescription": "One needs Other." }]);
        let always = json!({ "Assertions": assertions });
        let sometimes = json!({ "RuleCondition": is_given("One"), "Assertions": assertions });
        let either = json!({ "Assertions": [
            { "Assert": { "Fn::Or": [is_given("One"), is_given("Other")] }, "AssertDescription": "One or Other." },
            { "Assert": { "Fn::And": [is_given("One"), is_given("Other")] }, "AssertDescription": "Both." } ] });
        let rule_passed = "the local server runs exactly one AWS::AppSync::GraphQLApi";
        for (rule, one, other, expected) in [
            (&always, "", "", "Both: One needs Other."),
            (&always, "", "b", rule_passed),
            (&sometimes, "a", "", "Both: One needs Other."),
            (&sometimes, "a", "b", rule_passed),
            (&sometimes, "", "", rule_passed),
            (&either, "", "", "Both: One or Other."),
            (&either, "a", "", "Both: Both."),
            (&either, "a", "b", rule_passed),
        ] {
            assert_eq!(error(rule, one, other), expected, "{rule}, {one:?}, {other:?}");
        }
    }

    #[test]
    fn rule_may_refer_to_parameters_only() {
        let rule = |assertion| json!({ "Assertions": [{ "Assert": assertion, "AssertDescription": "It." }] });
        let pseudo_parameter = rule(json!({ "Fn::Equals": [{ "Ref": "AWS::Region" }, "us-east-1"] }));
        assert_eq!(
            error(&pseudo_parameter, "", ""),
            "Both: there is no parameter AWS::Region, and a rule can refer to nothing else"
        );
        let unsupported_function = error(&rule(json!({ "Fn::EachMemberIn": [["a"], ["a"]] })), "", "");
        assert!(
            unsupported_function.starts_with("Both: ") && unsupported_function.contains("Fn::EachMemberIn"),
            "{unsupported_function}"
        );
        let unknown_field = error(&json!({ "Assertions": [], "Condition": "C" }), "", "");
        assert!(unknown_field.starts_with("Both: unknown field `Condition`"), "{unknown_field}");
    }
}
