//! Templates as JSON, with `!Ref x` and its kin in their long form: `{"Ref": "x"}`.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};
use std::path::Path;

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace")
}

/// The text of one of the repository's files.
pub(crate) fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// One of the templates.
pub(crate) fn template(path: &str) -> Value {
    let text = text(path);
    let documents = Yaml::load_from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
    json(documents.first().expect("a document"))
}

fn json(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Tagged(tag, inner) => {
            let name = match tag.suffix.as_str() {
                "Ref" | "Condition" => tag.suffix.clone(),
                other => format!("Fn::{other}"),
            };
            Value::Object(Map::from_iter([(name, json(inner))]))
        }
        Yaml::Mapping(fields) => fields
            .iter()
            .map(|(name, value)| (json(name).as_str().expect("a name").to_owned(), json(value)))
            .collect::<Map<_, _>>()
            .into(),
        Yaml::Sequence(items) => items.iter().map(json).collect(),
        Yaml::Value(Scalar::String(text)) => text.as_ref().into(),
        Yaml::Value(Scalar::Integer(number)) => (*number).into(),
        Yaml::Value(Scalar::FloatingPoint(number)) => number.into_inner().into(),
        Yaml::Value(Scalar::Boolean(is)) => (*is).into(),
        Yaml::Value(Scalar::Null) => Value::Null,
        other => panic!("what no template of ours holds: {other:?}"),
    }
}

/// A template's resources of one type, by name.
pub(crate) fn resources<'a>(template: &'a Value, kind: &str) -> Vec<(&'a str, &'a Value)> {
    let all = template["Resources"].as_object().expect("resources").iter();
    all.filter(|(_, resource)| resource["Type"] == kind).map(|(name, it)| (name.as_str(), &it["Properties"])).collect()
}
