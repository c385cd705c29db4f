//! Rules: what parameters must be like together.
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Fault, intrinsics::Scope};

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

/// Err is the description of an assertion that does not hold.
pub fn check(rules: &Map<String, Value>, scope: &Scope) -> Result<(), Fault> {
    let mut each = rules.iter();
    each.try_for_each(|(name, rule)| {
        let rule = Rule::deserialize(rule).map_err(|error| Fault::new(error.to_string()).within(name))?;
        rule.check(scope).map_err(|fault| fault.within(name))
    })
}

impl Rule {
    fn check(&self, scope: &Scope) -> Result<(), Fault> {
        if self.rule_condition.as_ref().map_or(Ok(true), |condition| scope.holds(condition))? {
            return self.assertions.iter().try_for_each(|assertion| assertion.check(scope));
        }
        Ok(())
    }
}

impl Assertion {
    fn check(&self, scope: &Scope) -> Result<(), Fault> {
        if scope.holds(&self.assert)? { Ok(()) } else { Err(Fault::new(self.assert_description.clone())) }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::super::{Deployment, deploy};

    /// What is said of a template with this rule and the parameters One and Other.
    fn refusal(rule: &serde_json::Value, one: &str, other: &str) -> String {
        let parameter = json!({ "Type": "String", "Default": "" });
        let template = json!({ "Parameters": { "One": parameter, "Other": parameter }, "Rules": { "Both": rule } });
        let given = [("One", one), ("Other", other)];
        let parameters = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        deploy(Path::new("."), &template, &Deployment::at("http://localhost", parameters)).unwrap_err().to_string()
    }

    #[test]
    fn parameters_that_do_not_go_together_are_refused_in_the_templates_words() {
        let is_given = |name: &str| json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": name }, ""] }] });
        let assertions = json!([{ "Assert": is_given("Other"), "AssertDescription": "One needs Other." }]);
        let always = json!({ "Assertions": assertions });
        let sometimes = json!({ "RuleCondition": is_given("One"), "Assertions": assertions });
        let either = json!({ "Assertions": [
            { "Assert": { "Fn::Or": [is_given("One"), is_given("Other")] }, "AssertDescription": "One or Other." },
            { "Assert": { "Fn::And": [is_given("One"), is_given("Other")] }, "AssertDescription": "Both." } ] });
        let accepted = "the laptop edition runs exactly one AWS::AppSync::GraphQLApi";
        for (rule, one, other, expected) in [
            (&always, "", "", "Both: One needs Other."),
            (&always, "", "b", accepted),
            (&sometimes, "a", "", "Both: One needs Other."),
            (&sometimes, "a", "b", accepted),
            (&sometimes, "", "", accepted),
            (&either, "", "", "Both: One or Other."),
            (&either, "a", "", "Both: Both."),
            (&either, "a", "b", accepted),
        ] {
            assert_eq!(refusal(rule, one, other), expected, "{rule}, {one:?}, {other:?}");
        }
    }

    #[test]
    fn a_rule_speaks_of_parameters_alone() {
        let asserting = |assertion| json!({ "Assertions": [{ "Assert": assertion, "AssertDescription": "It." }] });
        let of_resource = asserting(json!({ "Fn::Equals": [{ "Ref": "AWS::Region" }, "us-east-1"] }));
        assert_eq!(
            refusal(&of_resource, "", ""),
            "Both: there is no parameter AWS::Region, and a rule sees nothing else"
        );
        let of_list = refusal(&asserting(json!({ "Fn::Contains": [["a"], "a"] })), "", "");
        assert!(of_list.starts_with("Both: ") && of_list.contains("Fn::Contains"), "{of_list}");
        let odd = refusal(&json!({ "Assertions": [], "Condition": "C" }), "", "");
        assert!(odd.starts_with("Both: unknown field `Condition`"), "{odd}");
    }
}
