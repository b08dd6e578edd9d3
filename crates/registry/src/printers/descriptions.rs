//! What the columns of tables say of themselves, as kube-apiserver v1.37.2 said
//! it. Data: a list of texts, and for each resource which of them are its columns'.

use apiserver::Column;
use serde_json::Value;

/// Describes the columns of `group/version/resource`. Of resources that the
/// data does not have, the columns that all resources share are described.
pub fn describe(data: &Value, place: &str, columns: &mut [Column]) {
    let text = |at: &Value| {
        let at = at.as_u64().and_then(|at| usize::try_from(at).ok())?;
        data["texts"][at].as_str().map(str::to_owned)
    };
    let known = data["columns"][place].as_array();
    for (at, column) in columns.iter_mut().enumerate() {
        let described = match (known, &*column.name) {
            (Some(known), _) => known.get(at).and_then(text),
            (None, "Name") => text(&data["name"]),
            (None, "Age") => text(&data["age"]),
            (None, _) => None,
        };
        if let Some(described) = described {
            column.description = described.into();
        }
    }
}

/// The data, read anew: it is needed once.
pub fn data() -> Value {
    serde_json::from_str(include_str!("column_descriptions.json")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &'static str) -> Column {
        Column {
            name: name.into(),
            kind: "string".into(),
            format: "".into(),
            description: "".into(),
            priority: 0,
        }
    }

    #[test]
    fn columns_are_described_by_place_or_by_name() {
        let data = data();
        let mut columns = [column("Name"), column("Data"), column("Age")];
        describe(&data, "/v1/configmaps", &mut columns);
        assert!(columns[1].description.starts_with("Data contains the configuration data."));
        let mut columns = [column("Name"), column("Other"), column("Age")];
        describe(&data, "none/v1/things", &mut columns);
        assert!(columns[0].description.starts_with("Name must be unique"));
        assert!(columns[1].description.is_empty());
        assert!(columns[2].description.starts_with("CreationTimestamp is a timestamp"));
    }
}
