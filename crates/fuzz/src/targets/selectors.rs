//! Selectors of labels and fields: what is read is written and read the same.

use std::collections::BTreeMap;

use apimachinery::{fields, labels};

use crate::Target;

pub const TARGET: Target = Target { name: "selectors", seeds, check };

fn seeds() -> Vec<Vec<u8>> {
    [
        "a=b,c!=d,e,!f,g in (h,i),j notin (),k>1,l<2",
        "ex.com/a==b",
        "metadata.name=x,spec.nodeName!=y,a=b\\,c\\=d\\\\",
        "",
        " a  in ( b , c ) , d ",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

fn check(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let of_fields = match fields::Selector::parse(&text) {
        Ok(selector) => {
            let written = selector.to_string();
            let again = fields::Selector::parse(&written).expect("what was written is read");
            assert_eq!(again, selector, "{written}");
            "fields".to_owned()
        }
        Err(error) => error.to_string(),
    };
    let of_labels = match labels::Selector::parse(&text) {
        Ok(selector) => {
            let written = selector.to_string();
            let again = labels::Selector::parse(&written).expect("what was written is read");
            assert_eq!(again.to_string(), written, "reading and writing changes nothing more");
            let own: BTreeMap<String, String> = [("a".to_owned(), "b".to_owned())].into();
            assert_eq!(selector.matches(&own), again.matches(&own), "{written}");
            "labels".to_owned()
        }
        Err(error) => error.to_string(),
    };
    format!("{of_fields}; {of_labels}")
}
