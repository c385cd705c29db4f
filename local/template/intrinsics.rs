//! CloudFormation's functions and conditions, evaluated.
use std::{cell::Cell, collections::BTreeMap};

use serde_json::{Map, Value};

use super::Fault;

/// `Ref` of a resource or pseudo parameter; with an attribute's name, its `GetAtt`.
pub type Referrer<'a> = dyn Fn(&Scope, &str, Option<&str>) -> Result<Value, Fault> + 'a;

/// What a template's values may refer to.
pub struct Scope<'a> {
    pub parameters: BTreeMap<String, Value>,
    pub conditions: &'a Map<String, Value>,
    pub resource: &'a Referrer<'a>,
    pub spent: Spent,
}

/// What the evaluation has cost so far; nothing at first.
#[derive(Default)]
pub struct Spent {
    depth: Cell<u32>,
    work: Cell<usize>,
}

/// Whoever refers to himself gets here.
const DEEPEST: u32 = 64;
/// Whoever refers to others twice, and they to others twice, gets here: the bytes of evaluated text, and so much for
/// each step.
const MOST_WORK: usize = 16 << 20;
const STEP: usize = 16;

impl Scope<'_> {
    /// The value with every function replaced by what it yields; `AWS::NoValue` removes the member that holds it.
    pub fn evaluate(&self, value: &Value) -> Result<Value, Fault> {
        self.deeper(|| match value {
            Value::Object(members) => match function(members) {
                Some((name, argument)) => self.call(name, argument),
                None => self.members(members),
            },
            Value::Array(items) => self.items(items).map(Value::Array),
            plain => self.given(plain),
        })
    }

    pub fn condition(&self, name: &str) -> Result<bool, Fault> {
        let condition = self.conditions.get(name).ok_or_else(|| Fault::new(format!("there is no condition {name}")))?;
        self.deeper(|| self.holds(condition))
    }

    fn deeper<T>(&self, evaluation: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
        let Spent { depth, .. } = &self.spent;
        self.work(STEP)?;
        if depth.get() >= DEEPEST {
            let sentence =
                format!("a condition or value refers to itself, or is nested more than {DEEPEST} levels deep");
            return Err(Fault::new(sentence));
        }
        depth.set(depth.get() + 1);
        let value = evaluation();
        depth.set(depth.get() - 1);
        value
    }

    fn work(&self, amount: usize) -> Result<(), Fault> {
        let work = self.spent.work.get().saturating_add(amount);
        self.spent.work.set(work);
        if work <= MOST_WORK {
            return Ok(());
        }
        Err(Fault::new("its conditions and values multiply each other: there is too much to evaluate".into()))
    }

    fn given(&self, value: &Value) -> Result<Value, Fault> {
        self.work(value.as_str().map_or(0, str::len))?;
        Ok(value.clone())
    }

    fn members(&self, members: &Map<String, Value>) -> Result<Value, Fault> {
        let mut evaluated = Map::new();
        for (name, value) in members {
            if !self.is_absent(value)? {
                evaluated.insert(name.clone(), self.evaluate(value)?);
            }
        }
        Ok(Value::Object(evaluated))
    }

    fn items(&self, items: &[Value]) -> Result<Vec<Value>, Fault> {
        let mut evaluated = Vec::new();
        for item in items {
            if !self.is_absent(item)? {
                evaluated.push(self.evaluate(item)?);
            }
        }
        Ok(evaluated)
    }

    fn call(&self, name: &str, argument: &Value) -> Result<Value, Fault> {
        match (name, argument) {
            ("Ref", Value::String(target)) => self.reference(target, None),
            ("Fn::GetAtt", Value::Array(path)) => match path.as_slice() {
                [Value::String(target), Value::String(attribute)] => self.reference(target, Some(attribute)),
                _ => Err(Fault::new(format!("Fn::GetAtt takes a resource and an attribute, not {argument}"))),
            },
            ("Fn::Sub", Value::String(text)) => self.substitute(text),
            ("Fn::Join", Value::Array(parts)) => self.join(parts),
            ("Fn::Split", Value::Array(parts)) => self.split(parts),
            ("Fn::Select", Value::Array(parts)) => self.select(parts),
            ("Fn::If", Value::Array(parts)) => self.evaluate(self.chosen(parts)?),
            _ => {
                Err(Fault::new(format!("{name} with {argument} is a function that the laptop edition cannot evaluate")))
            }
        }
    }

    fn reference(&self, target: &str, attribute: Option<&str>) -> Result<Value, Fault> {
        match self.parameters.get(target) {
            Some(value) if attribute.is_none() => self.given(value),
            _ => (self.resource)(self, target, attribute),
        }
    }

    fn substitute(&self, text: &str) -> Result<Value, Fault> {
        let mut pieces = text.split("${");
        let mut result = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let (name, rest) =
                piece.split_once('}').ok_or_else(|| Fault::new(format!("{text} has an unclosed ${{")))?;
            self.work(STEP + piece.len())?;
            let value = match name.split_once('.') {
                Some((target, attribute)) => self.reference(target, Some(attribute))?,
                None => self.reference(name, None)?,
            };
            result.push_str(&text_of(&value));
            result.push_str(rest);
        }
        Ok(Value::String(result))
    }

    fn join(&self, parts: &[Value]) -> Result<Value, Fault> {
        let [Value::String(separator), list] = parts else {
            return Err(Fault::new("Fn::Join takes a separator and a list".into()));
        };
        let list = self.evaluate(list)?;
        let items: Vec<String> = list.as_array().into_iter().flatten().map(text_of).collect();
        self.work(separator.len().saturating_mul(items.len()))?;
        Ok(Value::String(items.join(separator)))
    }

    fn split(&self, parts: &[Value]) -> Result<Value, Fault> {
        let [Value::String(separator), text] = parts else {
            return Err(Fault::new("Fn::Split takes a separator and a text".into()));
        };
        let text = text_of(&self.evaluate(text)?);
        Ok(text.split(separator.as_str()).collect())
    }

    fn select(&self, parts: &[Value]) -> Result<Value, Fault> {
        let [index, list] = parts else {
            return Err(Fault::new("Fn::Select takes an index and a list".into()));
        };
        let (index, list) = (text_of(&self.evaluate(index)?), self.evaluate(list)?);
        let item = index.parse::<usize>().ok().and_then(|index| list.get(index).cloned());
        item.ok_or_else(|| Fault::new(format!("Fn::Select finds no item {index} in {list}")))
    }

    fn chosen<'v>(&self, parts: &'v [Value]) -> Result<&'v Value, Fault> {
        let [Value::String(condition), yes, no] = parts else {
            return Err(Fault::new("Fn::If takes a condition's name and two values".into()));
        };
        Ok(if self.condition(condition)? { yes } else { no })
    }

    /// `AWS::NoValue`, or an If that comes to it.
    fn is_absent(&self, value: &Value) -> Result<bool, Fault> {
        match value.as_object().and_then(function) {
            Some(("Ref", target)) => Ok(target == "AWS::NoValue"),
            Some(("Fn::If", Value::Array(parts))) => self.is_absent(self.chosen(parts)?),
            _ => Ok(false),
        }
    }

    /// Whether a condition holds that stands here without a name.
    pub fn holds(&self, condition: &Value) -> Result<bool, Fault> {
        match condition.as_object().and_then(function) {
            Some(("Condition", Value::String(name))) => self.condition(name),
            Some(("Fn::Equals", Value::Array(sides))) => match self.items(sides)?.as_slice() {
                [left, right] => Ok(text_of(left) == text_of(right)),
                _ => Err(Fault::new("Fn::Equals takes two values".into())),
            },
            Some(("Fn::Not", Value::Array(inner))) if inner.len() == 1 => self.holds(&inner[0]).map(|holds| !holds),
            Some(("Fn::And", Value::Array(all))) => {
                all.iter().try_fold(true, |so_far, one| Ok(so_far && self.holds(one)?))
            }
            Some(("Fn::Or", Value::Array(any))) => {
                any.iter().try_fold(false, |so_far, one| Ok(so_far || self.holds(one)?))
            }
            _ => Err(Fault::new(format!("{condition} is a condition that the laptop edition cannot evaluate"))),
        }
    }
}

/// An object of one member whose name is a function's.
fn function(members: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (name, argument) = members.iter().next()?;
    let is_function = name == "Ref" || name == "Condition" || name.starts_with("Fn::");
    (members.len() == 1 && is_function).then_some((name, argument))
}

fn text_of(value: &Value) -> String {
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
            resource: &|_, target, attribute| match target {
                "Table" => Ok(json!(attribute.unwrap_or("table"))),
                _ => Err(Fault::new(format!("there is no {target}"))),
            },
            spent: Spent::default(),
        };
        scope.evaluate(&value).map_err(|fault| fault.to_string())
    }

    #[test]
    fn functions_yield_their_values() {
        let cases = [
            (json!({"Ref": "One"}), json!(1)),
            (json!({"Fn::GetAtt": ["Table", "Arn"]}), json!("Arn")),
            (json!({"Fn::Sub": "a/${Table.Arn}/${Table}/${One}"}), json!("a/Arn/table/1")),
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
    fn conditions_that_multiply_come_to_an_end() {
        let doubled = |depth: usize| json!({ "Fn::Or": vec![json!({ "Condition": format!("C{depth}") }); 2] });
        let mut conditions: Map<_, _> = (0..40).map(|depth| (format!("C{depth}"), doubled(depth + 1))).collect();
        conditions.insert("C40".into(), json!({ "Fn::Equals": ["a", "b"] }));
        let resource: &Referrer<'_> = &|_, _, _| Ok(Value::Null);
        let spent = Spent::default();
        let scope = Scope { parameters: BTreeMap::new(), conditions: &conditions, resource, spent };
        let refused = scope.evaluate(&json!({ "Fn::If": ["C0", 1, 2] })).unwrap_err().to_string();
        assert!(refused.contains("multiply"), "{refused}");
    }

    #[test]
    fn what_cannot_be_evaluated_is_named() {
        assert_eq!(evaluate(json!({"Ref": "Nobody"})), Err("there is no Nobody".into()));
        assert!(evaluate(json!({"Fn::Cidr": []})).unwrap_err().contains("Fn::Cidr"));
        let beyond = evaluate(json!({"Fn::Select": [2, ["a", "b"]]}));
        assert_eq!(beyond, Err(r#"Fn::Select finds no item 2 in ["a","b"]"#.into()));
        assert_eq!(evaluate(json!({"Fn::Split": ["_"]})), Err("Fn::Split takes a separator and a text".into()));
    }
}
