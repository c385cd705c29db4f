//! Evaluates CloudFormation's intrinsic functions and conditions.
use std::{cell::Cell, collections::BTreeMap};

use serde_json::{Map, Value};

use super::TemplateError;

/// Resolves `Ref` of a resource or pseudo parameter; with an attribute's name, `GetAtt`.
pub type ResourceResolver<'a> = dyn Fn(&Scope, &str, Option<&str>) -> Result<Value, TemplateError> + 'a;

/// The names that values of a template may refer to.
pub struct Scope<'a> {
    pub parameters: BTreeMap<String, Value>,
    pub conditions: &'a Map<String, Value>,
    pub resolve_resource: &'a ResourceResolver<'a>,
    pub cost: EvaluationCost,
}

/// The cost of the evaluation so far, which is limited.
#[derive(Default)]
pub struct EvaluationCost {
    depth: Cell<u32>,
    work: Cell<usize>,
}

impl EvaluationCost {
    /// The work so far, in bytes of evaluated text.
    pub fn work(&self) -> usize {
        self.work.get()
    }
}

/// The limit on nesting; a value that refers to itself exceeds it.
const MAX_DEPTH: u32 = 64;
/// The limit on work, in bytes of evaluated text; values that refer to each other several times exceed it.
const MAX_WORK: usize = 16 << 20;
/// The work of one evaluation, beside the bytes of its text.
const WORK_PER_EVALUATION: usize = 16;

impl Scope<'_> {
    /// The value with every function replaced by its result. `AWS::NoValue` removes the member that holds it.
    pub fn evaluate(&self, value: &Value) -> Result<Value, TemplateError> {
        let evaluated = self.nested(|| match value {
            Value::Object(members) => match function(members) {
                Some((name, argument)) => self.call(name, argument),
                None => self.members(members),
            },
            Value::Array(items) => self.items(items).map(Value::Array),
            plain => self.copy(plain),
        })?;
        refuse_dynamic_reference(&evaluated)?;
        Ok(evaluated)
    }

    pub fn named_condition(&self, name: &str) -> Result<bool, TemplateError> {
        let condition =
            self.conditions.get(name).ok_or_else(|| TemplateError::new(format!("there is no condition {name}")))?;
        self.nested(|| self.condition(condition))
    }

    fn nested<T>(&self, evaluation: impl FnOnce() -> Result<T, TemplateError>) -> Result<T, TemplateError> {
        let EvaluationCost { depth, .. } = &self.cost;
        self.add_work(WORK_PER_EVALUATION)?;
        if depth.get() >= MAX_DEPTH {
            let message =
                format!("a condition or value refers to itself, or is nested more than {MAX_DEPTH} levels deep");
            return Err(TemplateError::new(message));
        }
        depth.set(depth.get() + 1);
        let value = evaluation();
        depth.set(depth.get() - 1);
        value
    }

    /// Fails once the work of the evaluation exceeds its limit.
    pub fn add_work(&self, amount: usize) -> Result<(), TemplateError> {
        let work = self.cost.work.get().saturating_add(amount);
        self.cost.work.set(work);
        if work <= MAX_WORK {
            return Ok(());
        }
        Err(TemplateError::new("its conditions and values refer to each other too often to be evaluated".into()))
    }

    fn copy(&self, value: &Value) -> Result<Value, TemplateError> {
        self.add_work(value.as_str().map_or(0, str::len))?;
        Ok(value.clone())
    }

    fn members(&self, members: &Map<String, Value>) -> Result<Value, TemplateError> {
        let mut evaluated = Map::new();
        for (name, value) in members {
            if !self.is_absent(value)? {
                evaluated.insert(name.clone(), self.evaluate(value)?);
            }
        }
        Ok(Value::Object(evaluated))
    }

    fn items(&self, items: &[Value]) -> Result<Vec<Value>, TemplateError> {
        let mut evaluated = Vec::new();
        for item in items {
            if !self.is_absent(item)? {
                evaluated.push(self.evaluate(item)?);
            }
        }
        Ok(evaluated)
    }

    fn call(&self, name: &str, argument: &Value) -> Result<Value, TemplateError> {
        match (name, argument) {
            ("Ref", Value::String(target)) => self.reference(target, None),
            ("Fn::GetAtt", Value::Array(path)) => match path.as_slice() {
                [Value::String(target), Value::String(attribute)] => self.reference(target, Some(attribute)),
                _ => Err(TemplateError::new(format!("Fn::GetAtt takes a resource and an attribute, not {argument}"))),
            },
            ("Fn::Sub", Value::String(text)) => self.substitute(text),
            ("Fn::Join", Value::Array(parts)) => self.join(parts),
            ("Fn::Split", Value::Array(parts)) => self.split(parts),
            ("Fn::Select", Value::Array(parts)) => self.select(parts),
            ("Fn::If", Value::Array(parts)) => self.evaluate(self.select_branch(parts)?),
            _ => Err(TemplateError::new(format!(
                "{name} with {argument} is a function that the local server cannot evaluate"
            ))),
        }
    }

    fn reference(&self, target: &str, attribute: Option<&str>) -> Result<Value, TemplateError> {
        match self.parameters.get(target) {
            Some(value) if attribute.is_none() => self.copy(value),
            _ => (self.resolve_resource)(self, target, attribute),
        }
    }

    fn substitute(&self, text: &str) -> Result<Value, TemplateError> {
        let mut pieces = text.split("${");
        let mut result = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let (name, rest) =
                piece.split_once('}').ok_or_else(|| TemplateError::new(format!("{text} has an unclosed ${{")))?;
            self.add_work(WORK_PER_EVALUATION + piece.len())?;
            if let Some(literal) = name.strip_prefix('!') {
                result.push_str(&format!("${{{literal}}}{rest}"));
                continue;
            }
            let value = match name.split_once('.') {
                Some((target, attribute)) => self.reference(target, Some(attribute))?,
                None => self.reference(name, None)?,
            };
            result.push_str(&to_text(&value));
            result.push_str(rest);
        }
        Ok(Value::String(result))
    }

    fn join(&self, parts: &[Value]) -> Result<Value, TemplateError> {
        let [Value::String(separator), list] = parts else {
            return Err(TemplateError::new("Fn::Join takes a separator and a list".into()));
        };
        let list = self.evaluate(list)?;
        let items: Vec<String> = list.as_array().into_iter().flatten().map(to_text).collect();
        self.add_work(separator.len().saturating_mul(items.len()))?;
        Ok(Value::String(items.join(separator)))
    }

    fn split(&self, parts: &[Value]) -> Result<Value, TemplateError> {
        let [Value::String(separator), text] = parts else {
            return Err(TemplateError::new("Fn::Split takes a separator and a text".into()));
        };
        let text = to_text(&self.evaluate(text)?);
        Ok(text.split(separator.as_str()).collect())
    }

    fn select(&self, parts: &[Value]) -> Result<Value, TemplateError> {
        let [index, list] = parts else {
            return Err(TemplateError::new("Fn::Select takes an index and a list".into()));
        };
        let (index, list) = (to_text(&self.evaluate(index)?), self.evaluate(list)?);
        let item = index.parse::<usize>().ok().and_then(|index| list.get(index).cloned());
        item.ok_or_else(|| TemplateError::new(format!("Fn::Select finds no item {index} in {list}")))
    }

    fn select_branch<'v>(&self, parts: &'v [Value]) -> Result<&'v Value, TemplateError> {
        let [Value::String(condition), yes, no] = parts else {
            return Err(TemplateError::new("Fn::If takes a condition's name and two values".into()));
        };
        Ok(if self.named_condition(condition)? { yes } else { no })
    }

    /// Whether the value is `AWS::NoValue`, or an `Fn::If` that evaluates to it.
    fn is_absent(&self, value: &Value) -> Result<bool, TemplateError> {
        match value.as_object().and_then(function) {
            Some(("Ref", target)) => Ok(target == "AWS::NoValue"),
            Some(("Fn::If", Value::Array(parts))) => self.is_absent(self.select_branch(parts)?),
            _ => Ok(false),
        }
    }

    /// Evaluates a condition that is written in place.
    pub fn condition(&self, condition: &Value) -> Result<bool, TemplateError> {
        match condition.as_object().and_then(function) {
            Some(("Condition", Value::String(name))) => self.named_condition(name),
            Some(("Fn::Equals", Value::Array(sides))) => match self.items(sides)?.as_slice() {
                [left, right] => Ok(to_text(left) == to_text(right)),
                _ => Err(TemplateError::new("Fn::Equals takes two values".into())),
            },
            // CloudFormation accepts Fn::Contains in rules alone, and refuses it in conditions.
            Some(("Fn::Contains", Value::Array(sides))) => match self.items(sides)?.as_slice() {
                [Value::Array(list), value] => Ok(list.iter().any(|one| to_text(one) == to_text(value))),
                _ => Err(TemplateError::new("Fn::Contains takes a list and a value".into())),
            },
            Some(("Fn::Not", Value::Array(inner))) if inner.len() == 1 => {
                self.condition(&inner[0]).map(|result| !result)
            }
            Some(("Fn::And", Value::Array(all))) => {
                all.iter().try_fold(true, |so_far, one| Ok(so_far && self.condition(one)?))
            }
            Some(("Fn::Or", Value::Array(any))) => {
                any.iter().try_fold(false, |so_far, one| Ok(so_far || self.condition(one)?))
            }
            _ => Err(TemplateError::new(format!("{condition} is a condition that the local server cannot evaluate"))),
        }
    }
}

/// CloudFormation replaces a dynamic reference by a value of Secrets Manager or Systems Manager.
fn refuse_dynamic_reference(value: &Value) -> Result<(), TemplateError> {
    let text = value.as_str().unwrap_or_default();
    if !text.contains("{{resolve:") {
        return Ok(());
    }
    Err(TemplateError::new(format!(
        "the local server does not resolve {text}: leave out the parameter whose value is in it, and give a \
         handler its variable by --handler 'env NAME=VALUE COMMAND'"
    )))
}

/// The name and argument of a function: an object whose only member has a function's name.
fn function(members: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (name, argument) = members.iter().next()?;
    let is_function = name == "Ref" || name == "Condition" || name.starts_with("Fn::");
    (members.len() == 1 && is_function).then_some((name, argument))
}

fn to_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn evaluate(value: Value) -> Result<Value, String> {
        let conditions =
            json!({"Yes": {"Fn::Equals": ["1", {"Ref": "One"}]}, "No": {"Fn::Not": [{"Condition": "Yes"}]}});
        let scope = Scope {
            parameters: BTreeMap::from([("One".into(), json!(1))]),
            conditions: conditions.as_object().unwrap(),
            resolve_resource: &|_, target, attribute| match target {
                "Table" => Ok(json!(attribute.unwrap_or("table"))),
                _ => Err(TemplateError::new(format!("there is no {target}"))),
            },
            cost: EvaluationCost::default(),
        };
        scope.evaluate(&value).map_err(|error| error.to_string())
    }

    #[test]
    fn functions_are_evaluated() {
        let cases = [
            (json!({"Ref": "One"}), json!(1)),
            (json!({"Fn::GetAtt": ["Table", "Arn"]}), json!("Arn")),
            (json!({"Fn::Sub": "a/${Table.Arn}/${Table}/${One}"}), json!("a/Arn/table/1")),
            (json!({"Fn::Sub": "`${!ctx.a}/${!One}/${One}`"}), json!("`${ctx.a}/${One}/1`")),
            (json!({"Fn::Join": ["-", ["a", {"Ref": "One"}]]}), json!("a-1")),
            (json!({"Fn::Split": ["_", "a_b_c"]}), json!(["a", "b", "c"])),
            (json!({"Fn::Select": [1, {"Fn::Split": ["-", {"Fn::Sub": "a-${One}"}]}]}), json!("1")),
            (json!({"Fn::Select": ["0", ["a", "b"]]}), json!("a")),
            (json!({"Fn::If": ["Yes", "a", "b"]}), json!("a")),
            (json!({"a": {"Fn::If": ["No", 1, {"Ref": "AWS::NoValue"}]}, "b": 2}), json!({"b": 2})),
            (json!([{"Fn::If": ["No", 1, {"Ref": "AWS::NoValue"}]}, 2]), json!([2])),
        ];
        for (value, expected) in cases {
            assert_eq!(evaluate(value.clone()), Ok(expected), "{value}");
        }
    }

    #[test]
    fn exponential_conditions_are_refused() {
        let doubled = |depth: usize| json!({ "Fn::Or": vec![json!({ "Condition": format!("C{depth}") }); 2] });
        let mut conditions: Map<_, _> = (0..40).map(|depth| (format!("C{depth}"), doubled(depth + 1))).collect();
        conditions.insert("C40".into(), json!({ "Fn::Equals": ["a", "b"] }));
        let resolve_resource: &ResourceResolver<'_> = &|_, _, _| Ok(Value::Null);
        let cost = EvaluationCost::default();
        let scope = Scope { parameters: BTreeMap::new(), conditions: &conditions, resolve_resource, cost };
        let error = scope.evaluate(&json!({ "Fn::If": ["C0", 1, 2] })).unwrap_err().to_string();
        assert!(error.contains("too often"), "{error}");
    }

    #[test]
    fn unsupported_function_is_named_in_the_error() {
        assert_eq!(evaluate(json!({"Ref": "Nobody"})), Err("there is no Nobody".into()));
        assert!(evaluate(json!({"Fn::Cidr": []})).unwrap_err().contains("Fn::Cidr"));
        let dynamic = evaluate(json!({"a": [{"Fn::Sub": "{{resolve:ssm:${Table}}}"}]})).unwrap_err();
        assert!(dynamic.starts_with("the local server does not resolve {{resolve:ssm:table}}: "), "{dynamic}");
        let out_of_range = evaluate(json!({"Fn::Select": [2, ["a", "b"]]}));
        assert_eq!(out_of_range, Err(r#"Fn::Select finds no item 2 in ["a","b"]"#.into()));
        assert_eq!(evaluate(json!({"Fn::Split": ["_"]})), Err("Fn::Split takes a separator and a text".into()));
    }
}
