//! What is said of a value that cannot be read.

use serde_json::Value;
use serde_path_to_error::Segment;

use super::robot::FieldError;

/// An error of a reader, with the place where it arose.
pub type ReadError = serde_path_to_error::Error<serde_json::Error>;

/// What the bounds of a field say of a number that is larger or smaller than its type holds.
///
/// `check` answers what is wrong with `value` where the nearest number stands in its place. None: the error is of another kind, or
/// the nearest number is within the bounds.
pub fn of_bounds(
    value: &Value,
    error: &ReadError,
    check: impl FnOnce(Value) -> Vec<FieldError>,
) -> Option<FieldError> {
    let place = error.path().to_string();
    let problems = check(nearest(value, error)?);
    problems.into_iter().find(|problem| problem.field == place)
}

/// `value` with the nearest number that can be held in place of the one that cannot.
fn nearest(value: &Value, error: &ReadError) -> Option<Value> {
    let message = error.inner().to_string();
    let (found, wanted) = mismatch(&message)?;
    let given: i128 = found
        .strip_prefix("integer `")?
        .strip_suffix('`')?
        .parse()
        .ok()?;
    let (least, most) = range(wanted)?;
    let near = given.clamp(least, most);
    let mut nearest = value.clone();
    let mut place = &mut nearest;
    for segment in error.path() {
        place = match segment {
            Segment::Map { key } => place.get_mut(key.as_str())?,
            Segment::Seq { index } => place.get_mut(*index)?,
            Segment::Enum { .. } | Segment::Unknown => return None,
        };
    }
    *place = match u64::try_from(near) {
        Ok(whole) => Value::from(whole),
        Err(_) => Value::from(i64::try_from(near).ok()?),
    };
    Some(nearest)
}

/// What was found and what was wanted, by serde's words.
fn mismatch(message: &str) -> Option<(&str, &str)> {
    let kinds = ["invalid type: ", "invalid value: "];
    let rest = kinds.iter().find_map(|kind| message.strip_prefix(kind))?;
    rest.rsplit_once(", expected ")
}

/// What serde says of a value that does not fit, in words of JSON instead of Rust's: its "invalid value: integer `256`,
/// expected u8" becomes "must be a whole number from 0 to 255, not 256", and its "unknown variant `a`, expected `b` or `c`"
/// "must be `b` or `c`, not `a`". Anything else stays as it is.
pub(super) fn in_plain_words(message: &str) -> String {
    let choice = message.strip_prefix("unknown variant ");
    if let Some((given, known)) = choice.and_then(|rest| rest.rsplit_once(", expected ")) {
        return format!("must be {known}, not {given}");
    }
    mismatch(message).map_or_else(
        || message.to_owned(),
        |(found, wanted)| format!("must be {}, not {}", wish(wanted), finding(found)),
    )
}

/// The whole numbers that a type of Rust's holds.
fn range(wanted: &str) -> Option<(i128, i128)> {
    Some(match wanted {
        "u8" => (0, u8::MAX.into()),
        "u16" => (0, u16::MAX.into()),
        "u32" => (0, u32::MAX.into()),
        "a nonzero u32" => (1, u32::MAX.into()),
        "u64" | "usize" => (0, u64::MAX.into()),
        "i16" => (i16::MIN.into(), i16::MAX.into()),
        "i32" => (i32::MIN.into(), i32::MAX.into()),
        "i64" => (i64::MIN.into(), i64::MAX.into()),
        _ => return None,
    })
}

fn wish(wanted: &str) -> String {
    if let Some((from, to)) = range(wanted) {
        return format!("a whole number from {from} to {to}");
    }
    match wanted {
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
    use serde_json::json;

    use super::*;

    /// What is said of a list of `u16` that must lie between 1 and 100.
    fn bounded(value: &Value) -> Option<String> {
        let read = |value: &Value| {
            serde_path_to_error::deserialize::<_, BTreeMap<String, Vec<u16>>>(value)
        };
        let check = |near: Value| -> Vec<FieldError> {
            let read = read(&near).unwrap();
            let numbers = read["n"].iter().enumerate();
            let wrong = numbers.filter(|(_, number)| !(1..=100).contains(*number));
            let wrong = wrong.map(|(at, _)| FieldError::new(format!("n[{at}]"), "1 to 100"));
            wrong.collect()
        };
        let error = read(value).unwrap_err();
        Some(of_bounds(value, &error, check)?.field)
    }

    #[test]
    fn a_number_that_no_type_holds_is_told_the_bounds_of_its_field() {
        for (list, expected) in [
            (json!([1, 70_000]), Some("n[1]")),
            (json!([-1]), Some("n[0]")),
            (json!([i64::MIN, 7]), Some("n[0]")),
            (json!([u64::MAX]), Some("n[0]")),
            (json!(["1"]), None),
            (json!([1.5]), None),
            (json!([1e30]), None),
        ] {
            let value = json!({ "n": list });
            assert_eq!(bounded(&value).as_deref(), expected, "{value}");
        }
    }

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
