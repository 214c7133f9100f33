//! What is said of a value that cannot be read.

/// What serde says of a value that does not fit, in words of JSON instead of Rust's: its "invalid value: integer `256`,
/// expected u8" becomes "must be a whole number from 0 to 255, not 256", and its "unknown variant `a`, expected `b` or `c`"
/// "must be `b` or `c`, not `a`". Anything else stays as it is.
pub(super) fn in_plain_words(message: &str) -> String {
    let choice = message.strip_prefix("unknown variant ");
    if let Some((given, known)) = choice.and_then(|rest| rest.rsplit_once(", expected ")) {
        return format!("must be {known}, not {given}");
    }
    let mismatch = ["invalid type: ", "invalid value: "]
        .iter()
        .find_map(|kind| message.strip_prefix(kind))
        .and_then(|rest| rest.rsplit_once(", expected "));
    mismatch.map_or_else(
        || message.to_owned(),
        |(found, wanted)| format!("must be {}, not {}", wish(wanted), finding(found)),
    )
}

fn wish(wanted: &str) -> String {
    let whole = |from: &dyn std::fmt::Display, to: &dyn std::fmt::Display| {
        format!("a whole number from {from} to {to}")
    };
    match wanted {
        "u8" => whole(&u8::MIN, &u8::MAX),
        "u16" => whole(&u16::MIN, &u16::MAX),
        "u32" => whole(&u32::MIN, &u32::MAX),
        "a nonzero u32" => whole(&1, &u32::MAX),
        "u64" | "usize" => whole(&u64::MIN, &u64::MAX),
        "i16" => whole(&i16::MIN, &i16::MAX),
        "i32" => whole(&i32::MIN, &i32::MAX),
        "i64" => whole(&i64::MIN, &i64::MAX),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "an object".to_owned(),
        // One of the words of a list, all of which are without fields here.
        "string or map" => "a text".to_owned(),
        _ if wanted.starts_with("struct ") => "an object".to_owned(),
        _ => wanted.to_owned(),
    }
}

fn finding(found: &str) -> String {
    match found {
        "sequence" => return "a list".to_owned(),
        "map" => return "an object".to_owned(),
        "unit value" => return "null".to_owned(),
        _ => {}
    }
    let quoted = ["integer ", "floating point ", "boolean "]
        .iter()
        .find_map(|kind| found.strip_prefix(kind));
    let text = found.strip_prefix("string ");
    match (quoted, text) {
        (Some(value), _) => value.trim_matches('`').to_owned(),
        (_, Some(value)) => format!("the text {value}"),
        _ => found.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Debug;

    use serde::de::DeserializeOwned;

    use crate::domain::robot::FieldError;

    fn said<T: DeserializeOwned + Debug>(json: &str) -> String {
        let error = serde_json::from_str::<T>(json).unwrap_err().to_string();
        let (error, _) = error.rsplit_once(" at line").unwrap();
        FieldError::at("n", error).detail
    }

    #[test]
    fn what_does_not_fit_is_said_in_words_of_json() {
        assert_eq!(
            said::<u8>("256"),
            "must be a whole number from 0 to 255, not 256"
        );
        assert_eq!(
            said::<u32>("\"a, expected b\""),
            "must be a whole number from 0 to 4294967295, not the text \"a, expected b\""
        );
        assert_eq!(
            said::<i64>("1.5"),
            "must be a whole number from -9223372036854775808 to 9223372036854775807, not 1.5"
        );
        assert_eq!(
            said::<std::num::NonZeroU32>("0"),
            "must be a whole number from 1 to 4294967295, not 0"
        );
        assert_eq!(said::<bool>("null"), "must be true or false, not null");
        assert_eq!(said::<Vec<u8>>("{}"), "must be a list, not an object");
        let map = said::<BTreeMap<String, u8>>("[]");
        assert_eq!(map, "must be an object, not a list");
        assert_eq!(said::<FieldError>("true"), "must be an object, not true");
        let word = said::<crate::domain::access::Role>("\"owner\"");
        assert_eq!(
            word,
            "must be one of `viewer`, `operator`, `admin`, not `owner`"
        );
        let number = serde_json::from_value::<crate::domain::access::Role>(7.into());
        let number = FieldError::at("n", &number.unwrap_err().to_string());
        assert_eq!(number.detail, "must be a text, not 7");
        let unknown = said::<std::net::IpAddr>("\"x\"");
        assert_eq!(unknown, "invalid IP address syntax");
    }
}
