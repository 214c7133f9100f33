//! Tests of ISO 8601 durations.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;

#[test]
fn texts_mean_what_the_standard_says() {
    let cases = [
        ("PT5M", 300.0),
        ("PT1H30M", 5_400.0),
        ("P1D", 86_400.0),
        ("P2W", 1_209_600.0),
        ("P1DT12H", 129_600.0),
        ("PT0.5S", 0.5),
        ("PT90S", 90.0),
        ("PT0S", 0.0),
        ("P0D", 0.0),
        ("PT36H", 129_600.0),
        ("P3660D", 316_224_000.0),
    ];
    for (text, seconds) in cases {
        assert_eq!(parse(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
    }
}

#[test]
fn the_canonical_form_is_the_shortest_with_every_unit_in_its_range() {
    let cases = [
        (Duration::ZERO, "PT0S"),
        (Duration::from_secs(300), "PT5M"),
        (Duration::from_secs(5_400), "PT1H30M"),
        (Duration::from_secs(86_400), "P1D"),
        (Duration::from_secs(14 * 86_400), "P14D"),
        (Duration::from_secs(90_061), "P1DT1H1M1S"),
        (Duration::from_millis(500), "PT0.5S"),
        (Duration::new(60, 1), "PT1M0.000000001S"),
    ];
    for (duration, text) in cases {
        assert_eq!(format(duration), text);
    }
}

#[test]
fn a_refusal_says_what_is_wrong() {
    let cases = [
        ("", "must start with `P`"),
        ("5M", "must start with `P`"),
        ("p1d", "must start with `P`"),
        ("-PT5M", "must start with `P`"),
        ("P", "names no amount"),
        ("PT", "`T` must be followed"),
        ("P1DT", "`T` must be followed"),
        ("P1Y", "no fixed length"),
        ("P1M", "no fixed length"),
        ("P5S", "come after a `T`"),
        ("P1W1D", "weeks stand alone"),
        ("PT1W", "whole number"),
        ("PW", "no number"),
        ("PTM", "no number"),
        ("PT1", "in this order"),
        ("PT1S1M", "whole number"),
        ("PT1M1H", "whole number"),
        ("PT+1M", "whole number"),
        ("PT-1M", "whole number"),
        ("PT1.5H", "whole number"),
        ("PT1,5S", "whole number"),
        ("PT1.S", "one to nine digits"),
        ("PT0.1234567890S", "one to nine digits"),
        ("PT\u{664}M", "whole number"),
        ("P3660DT0.1S", "longer than 3660 days"),
        ("P99999999999999999999D", "longer than 3660 days"),
        ("PT18446744073709551615M", "longer than 3660 days"),
        (
            "PT18446744073709551615H18446744073709551615S",
            "longer than 3660 days",
        ),
    ];
    for (text, expected) in cases {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let long = "1".repeat(MAX_TEXT + 1);
    assert_eq!(parse(&long), Err(IsoDurationError::TooLong));
}

#[test]
fn fields_are_written_and_read_as_text() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Limits {
        #[serde(with = "serde_iso")]
        timeout: Duration,
        #[serde(default, with = "serde_iso_option")]
        grace: Option<Duration>,
    }

    let both = Limits {
        timeout: Duration::from_secs(5),
        grace: Some(Duration::from_secs(60)),
    };
    let text = r#"{"timeout":"PT5S","grace":"PT1M"}"#;
    assert_eq!(serde_json::to_string(&both).unwrap(), text);
    assert_eq!(serde_json::from_str::<Limits>(text).unwrap(), both);
    for text in [
        r#"{"timeout":"PT5S"}"#,
        r#"{"timeout":"PT5S","grace":null}"#,
    ] {
        let read: Limits = serde_json::from_str(text).unwrap();
        assert_eq!(read.grace, None);
    }
    let wrong = serde_json::from_str::<Limits>(r#"{"timeout":"5s"}"#).unwrap_err();
    assert!(
        wrong
            .to_string()
            .contains("`5s` is not an ISO 8601 duration")
    );
    assert!(serde_json::from_str::<Limits>(r#"{"timeout":5}"#).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back(seconds in 0..MAX.as_secs(), nanos in 0_u32..1_000_000_000) {
        let duration = Duration::new(seconds, nanos);
        prop_assert_eq!(parse(&format(duration)), Ok(duration));
    }

    #[test]
    fn no_text_panics_and_what_is_read_has_one_canonical_form(
        text in "P?([0-9]{0,21}[WDTHMS.]){0,5}|\\PC{0,12}",
    ) {
        if let Ok(duration) = parse(&text) {
            prop_assert!(duration <= MAX);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }
    }
}
