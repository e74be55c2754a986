//! The text of units that NixOS modules have as values.

use serde_json::Value;

/// A unit's text of its sections, each with values as NixOS takes them.
pub fn unit_text(unit: &Value) -> String {
    let mut text = String::from("[Unit]\n");
    text += &lines(&unit["unitConfig"]);
    text += &format!("After={}\n", unit["after"][0].as_str().unwrap());
    text + "[Service]\n" + &lines(&unit["serviceConfig"])
}

fn lines(section: &Value) -> String {
    let mut text = String::new();
    for (key, value) in section.as_object().unwrap() {
        let single = std::slice::from_ref(value);
        for value in value.as_array().map_or(single, Vec::as_slice) {
            match value {
                Value::String(value) => text += &format!("{key}={value}\n"),
                value => text += &format!("{key}={value}\n"),
            }
        }
    }
    text
}
