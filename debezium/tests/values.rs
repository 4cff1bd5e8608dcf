//! Values, exact or an error: against a plain model, in every encoding.
mod column;

use base64::{Engine, engine::general_purpose::STANDARD};
use bigdecimal::{BigDecimal, num_bigint::BigInt};
use column::named;
use debezium::{Field, FieldError, Formats, Instant, Kept};
use decimal::Decimal;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Reads column `c` of table `t`, in a record with this schema for it or without.
fn read<T>(
    formats: &str,
    schema: Option<Value>,
    column: &str,
    reader: impl FnOnce(&Field) -> Result<T, FieldError>,
) -> Result<T, String> {
    let formats = Formats::parse(formats).unwrap();
    read_with(|_| formats, schema, column, reader)
}
fn read_with<T>(
    formats: impl FnOnce(Formats) -> Formats,
    schema: Option<Value>,
    column: &str,
    reader: impl FnOnce(&Field) -> Result<T, FieldError>,
) -> Result<T, String> {
    column::read(formats(Formats::default()), schema, column, reader)
}
fn decimal(formats: &str, schema: Option<Value>, column: &str) -> Result<Decimal, String> {
    read(formats, schema, column, |f| f.decimal())
}
fn time(formats: &str, schema: Option<Value>, column: &str) -> Result<i64, String> {
    read(formats, schema, column, |f| f.time_us())
}
fn said(result: Result<impl std::fmt::Debug, String>, part: &str) {
    let error = result.unwrap_err();
    assert!(error.contains(part), "{error:?} does not say {part:?}");
}
fn connect_decimal(scale: i64) -> Option<Value> {
    let name = "org.apache.kafka.connect.data.Decimal";
    Some(json!({"type": "bytes", "name": name, "parameters": {"scale": scale.to_string()}}))
}

/// The model: digits and scale, written as people write.
fn written(unscaled: &BigInt, scale: i64) -> String {
    let text = unscaled.to_string();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits.to_owned()),
        None => ("", text),
    };
    if scale <= 0 {
        let zeros = if digits == "0" { 0 } else { -scale as usize };
        return format!("{sign}{digits}{}", "0".repeat(zeros));
    }
    let scale = scale as usize;
    let digits = format!("{}{digits}", "0".repeat((scale + 1).saturating_sub(digits.len())));
    let (whole, part) = digits.split_at(digits.len() - scale);
    format!("{sign}{whole}.{part}")
}
fn base64(unscaled: &BigInt) -> String {
    STANDARD.encode(unscaled.to_signed_bytes_be())
}

fn integers() -> impl Strategy<Value = BigInt> {
    prop_oneof![
        any::<i32>().prop_map(BigInt::from),
        any::<i64>().prop_map(BigInt::from),
        any::<i128>().prop_map(BigInt::from),
        "-?[1-9][0-9]{0,500}".prop_map(|s| s.parse().unwrap()),
    ]
}

proptest! {
    #[test]
    fn decimals_in_all_encodings(unscaled in integers(), scale in 0_i64..60, exponent: bool) {
        let expected = Decimal::from(BigDecimal::new(unscaled.clone(), scale));
        let plain = written(&unscaled, scale);
        let text = match exponent {
            true => format!("{unscaled}E-{scale}"),
            false => plain.clone(),
        };
        let bytes = json!(base64(&unscaled)).to_string();
        let string = json!({"type": "string"});
        let variable = named("struct", "io.debezium.data.VariableScaleDecimal");
        let object = json!({"scale": scale, "value": base64(&unscaled)}).to_string();
        let quoted = json!(text).to_string();
        let all = [
            decimal("", connect_decimal(scale), &bytes),
            decimal(&format!("t.c=decimal({scale})"), None, &bytes),
            decimal("", variable, &object),
            decimal("", None, &object),
            decimal("", Some(string), &quoted),
            decimal("t.c=decimal-text", None, &quoted),
            decimal("t.c=decimal-text", None, &text),
            decimal("", Some(json!({"type": "double"})), &text),
            decimal("", connect_decimal(scale), &text),
        ];
        for (i, got) in all.into_iter().enumerate() {
            let got = got.unwrap();
            prop_assert_eq!(&got, &expected, "{}", i);
            prop_assert_eq!(written(&got.to_big().as_bigint_and_exponent().0, got.fractional_digit_count()), plain.clone());
        }
    }

    #[test]
    fn negative_scales(unscaled in integers(), scale in -400_i64..0) {
        let got = decimal("", connect_decimal(scale), &json!(base64(&unscaled)).to_string());
        prop_assert_eq!(got.unwrap(), Decimal::from(BigDecimal::new(unscaled, scale)));
    }

    /// Without schema and configuration a text is a decimal only if no base64 encoder could have written it, and
    /// never anything else than what it says.
    #[test]
    fn never_guessed_wrong(unscaled in integers(), scale in 0_i64..6, as_bytes: bool) {
        let text = if as_bytes { base64(&unscaled) } else { written(&unscaled, scale) };
        let could_be_base64 = STANDARD.decode(&text).is_ok();
        match decimal("", None, &json!(text).to_string()) {
            Ok(got) => {
                prop_assert!(!as_bytes && !could_be_base64);
                prop_assert_eq!(got, Decimal::from(BigDecimal::new(unscaled, scale)));
            }
            Err(e) => {
                prop_assert!(could_be_base64);
                prop_assert!(e.contains("decimal.handling.mode=string") && e.contains("`t.c=decimal(2)`"));
            }
        }
    }

    #[test]
    fn any_text_is_decimal_or_error(text in "[-+0-9.eENaInfity ]{0,12}") {
        let model: Option<Decimal> = match text.contains(' ') || text.starts_with(['.', 'e', 'E']) {
            true => None,
            false => text.parse().ok(),
        };
        let got = decimal("t.c=decimal-text", None, &json!(text).to_string());
        match (got, model) {
            (Ok(got), Some(model)) => prop_assert_eq!(got, model),
            // Stricter than the model: sizes, and shapes like `+.5`, `1_0`.
            (Err(_), _) => {}
            (Ok(got), None) => prop_assert!(false, "{text} read as {got}"),
        }
    }

    #[test]
    fn integers_are_exact(n: i64) {
        prop_assert_eq!(read("", None, &n.to_string(), |f| f.int()).unwrap(), n);
        prop_assert_eq!(decimal("", None, &n.to_string()).unwrap(), Decimal::from(n));
    }

    /// What is whole is a whole number in every encoding; what is not, or does not fit, is an error that says so.
    #[test]
    fn whole_numbers_in_all_encodings(unscaled in integers(), zeros in 0_u32..30, scale in 0_i64..30) {
        let number = unscaled * BigInt::from(10).pow(zeros);
        let plain = written(&number, scale);
        let exponent = format!("{number}E-{scale}");
        let bytes = json!(base64(&number)).to_string();
        let object = json!({"scale": scale, "value": base64(&number)}).to_string();
        let variable = named("struct", "io.debezium.data.VariableScaleDecimal");
        let int = |formats: &str, schema, raw: &str| read(formats, schema, raw, |f| f.int());
        let all = [
            int("", connect_decimal(scale), &bytes),
            int(&format!("t.c=decimal({scale})"), None, &bytes),
            int("", variable, &object),
            int("", None, &object),
            int("", Some(json!({"type": "string"})), &json!(plain).to_string()),
            int("t.c=decimal-text", None, &json!(exponent).to_string()),
            int("", Some(json!({"type": "int64"})), &plain),
            int("", None, &exponent),
        ];
        let ten = BigInt::from(10).pow(scale as u32);
        let model = match (&number % &ten == BigInt::from(0), i64::try_from(&number / &ten)) {
            (true, Ok(n)) => Ok(n),
            (true, Err(_)) => Err("64 bits"),
            (false, _) => Err("digits behind the point"),
        };
        for (i, got) in all.into_iter().enumerate() {
            match (&model, got) {
                (Ok(n), got) => prop_assert_eq!(got, Ok(*n), "{}", i),
                (Err(part), got) => {
                    let error = got.unwrap_err();
                    prop_assert!(error.contains(part), "{i}: {error}");
                }
            }
        }
    }

    #[test]
    fn times_in_all_encodings(us in -62_135_596_800_000_000_i64..=253_402_300_799_999_999, offset_min in -839_i64..840) {
        let at = chrono::DateTime::from_timestamp_micros(us).unwrap();
        prop_assert_eq!(time("t.c=micros", None, &us.to_string()).unwrap(), us);
        prop_assert_eq!(time("", named("int64", "io.debezium.time.MicroTimestamp"), &us.to_string()).unwrap(), us);
        let ms = us.div_euclid(1_000);
        prop_assert_eq!(time("t.c=millis", None, &ms.to_string()).unwrap(), ms * 1_000);
        prop_assert_eq!(time("", named("int64", "org.apache.kafka.connect.data.Timestamp"), &ms.to_string()).unwrap(), ms * 1_000);
        let day = us.div_euclid(86_400_000_000);
        for name in ["io.debezium.time.Date", "org.apache.kafka.connect.data.Date"] {
            prop_assert_eq!(time("", named("int32", name), &day.to_string()).unwrap(), day * 86_400_000_000);
        }
        let iso = at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
        prop_assert_eq!(time("", None, &json!(iso).to_string()).unwrap(), us);
        let there = at.checked_add_signed(chrono::TimeDelta::minutes(offset_min)).unwrap();
        if (1..=9999).contains(&chrono::Datelike::year(&there)) {
            let sign = if offset_min < 0 { '-' } else { '+' };
            let (h, m) = (offset_min.abs() / 60, offset_min.abs() % 60);
            let local = format!("{}{sign}{h:02}:{m:02}", there.format("%Y-%m-%dT%H:%M:%S%.6f"));
            prop_assert_eq!(time("", named("string", "io.debezium.time.ZonedTimestamp"), &json!(local).to_string()).unwrap(), us);
        }
    }

    #[test]
    fn nanoseconds_are_cut_downwards(ns: i64) {
        let us = i64::try_from(i128::from(ns).div_euclid(1_000)).unwrap();
        prop_assert_eq!(time("t.c=nanos", None, &ns.to_string()).unwrap(), us);
        let at = chrono::DateTime::from_timestamp_nanos(ns);
        let iso = at.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true);
        prop_assert_eq!(time("", None, &json!(iso).to_string()).unwrap(), us);
    }

    #[test]
    fn any_text_is_time_or_error(text in "[-+]?[0-9]{2,5}-[0-9]{2}-[0-9]{2}([T ][0-9:.]{0,9})?[-+Z0-9:]{0,6}") {
        if let Ok(us) = time("t.c=iso", None, &json!(text).to_string()) {
            prop_assert!((-62_135_596_800_000_000..=253_402_300_799_999_999).contains(&us));
        }
    }
}

#[test]
fn decimals_are_bounded() {
    let text = json!({"type": "string"});
    let digits = "9".repeat(1_000);
    assert!(decimal("", Some(text.clone()), &json!(digits).to_string()).is_ok());
    assert!(decimal("", Some(text.clone()), &json!(format!("0.{digits}")).to_string()).is_ok());
    let huge = ["1e999999999", "1e-999999999", "0e999999999999999999999", "1e1000", "1e-1001"];
    let long =
        [format!("{digits}9"), format!("{digits}.5e1"), format!("0.{digits}1"), "0".repeat(5_000)];
    for number in huge.map(str::to_owned).iter().chain(&long) {
        said(decimal("", Some(text.clone()), &json!(number).to_string()), "1,000 digits");
        if !number.starts_with("00") {
            said(decimal("", None, number), "1,000 digits");
        }
    }
    let largest: BigInt = digits.parse().unwrap();
    assert!(decimal("", connect_decimal(2), &json!(base64(&largest)).to_string()).is_ok());
    said(decimal("", connect_decimal(2), &json!("A".repeat(5_000)).to_string()), "1,000 digits");
    said(decimal("", connect_decimal(-1_000), r#""MDk=""#), "1,000 digits");
    said(decimal("", None, r#"{"scale":999999999,"value":"MDk="}"#), "1,000 digits");
    said(decimal("", connect_decimal(999_999), r#""MDk=""#), "decimal.handling.mode=string");
}

#[test]
fn decimals_that_are_none() {
    for (what, part) in [
        (r#""NaN""#, "NaN and Infinity"),
        (r#""-Infinity""#, "NaN and Infinity"),
        (r#""Infinity""#, "NaN and Infinity"),
        (r#""12.5 EUR""#, "not a decimal number"),
        (r#""""#, "not a decimal number"),
        (r#""1234""#, "`t.c=decimal-text`"),
        (r#""MDk=""#, "decimal.handling.mode=string"),
        (r#"{"scale":2}"#, "`scale` and `value`"),
        (r#"{"scale":2,"value":"MDk=","more":1}"#, "`scale` and `value`"),
        (r#"{"scale":2.5,"value":"MDk="}"#, "`scale` and `value`"),
        (r#"{"scale":2,"value":"!"}"#, "not base64"),
        ("[1]", "an array, not a decimal"),
        ("true", "a boolean, not a decimal"),
        ("null", "null"),
    ] {
        said(decimal("", None, what), part);
    }
    said(decimal("", connect_decimal(2), r#""""#), "not base64");
    said(decimal("", connect_decimal(2), r#""12.50""#), "not base64");
    said(
        decimal("", named("bytes", "org.apache.kafka.connect.data.Decimal"), r#""MDk=""#),
        "without a scale",
    );
    said(
        decimal("t.c=decimal(2)", Some(json!({"type": "string"})), r#""MDk=""#),
        "not a decimal number",
    );
    said(
        decimal("", named("int64", "io.debezium.time.MicroTimestamp"), "5"),
        "a time, not a decimal",
    );
    // A bare bytes column has a scale if one is configured.
    let price = decimal("t.c=decimal(2)", Some(json!({"type": "bytes"})), r#""MDk=""#);
    assert_eq!(price.unwrap().to_string(), "123.45");
}

/// The words, and the numbers as they were recorded and as the JDBC driver names them.
#[test]
fn infinite_times_are_told_from_far_ones() {
    use Instant::{Infinity, NegativeInfinity};
    let instant = |formats: &str, schema: Option<Value>, raw: &str| {
        read(formats, schema, raw, |f| f.instant())
    };
    let zoned = || named("string", "io.debezium.time.ZonedTimestamp");
    let micros = || named("int64", "io.debezium.time.MicroTimestamp");
    let millis = || named("int64", "io.debezium.time.Timestamp");
    for (schema, raw, wanted) in [
        (zoned(), r#""infinity""#, Infinity),
        (zoned(), r#""-infinity""#, NegativeInfinity),
        (None, r#""infinity""#, Infinity),
        (Some(json!({"type": "string"})), r#""-infinity""#, NegativeInfinity),
        (micros(), "9223372036854775807", Infinity),
        (micros(), "9223372036825200000", Infinity),
        (micros(), "-9223372036832400000", NegativeInfinity),
        (micros(), "-9223372036854775808", NegativeInfinity),
        (millis(), "9223372036825200000", Infinity),
        (millis(), "-9223372036832400000", NegativeInfinity),
        (micros(), "5", Instant::At(5)),
    ] {
        assert_eq!(instant("", schema, raw), Ok(wanted), "{raw}");
    }
    assert_eq!(instant("t.c=micros", None, "9223372036854775807"), Ok(Infinity));
    for (schema, raw) in [
        (micros(), "9223372036854775806"),
        (micros(), "99223372036854775807"),
        (millis(), "9223372036825200001"),
        (named("int64", "io.debezium.time.NanoTimestamp"), "9223372036854775807000"),
        // A date's: what the snapshot and the stream sent for one and the same.
        (named("int32", "io.debezium.time.Date"), "2146033979"),
        (named("int32", "io.debezium.time.Date"), "-622191234"),
        (zoned(), r#""+10000-01-01T00:00:00Z""#),
    ] {
        said(instant("", schema, raw), "outside of the years 0001 to 9999");
    }
    assert!(NegativeInfinity < Instant::At(i64::MIN) && Instant::At(i64::MAX) < Infinity);
}

#[test]
fn whole_numbers_as_the_schema_says() {
    let int =
        |formats: &str, schema: Option<Value>, raw: &str| read(formats, schema, raw, |f| f.int());
    let text = || Some(json!({"type": "string"}));
    for (schema, raw, wanted) in [
        (connect_decimal(0), r#""Bw==""#, 7),
        (connect_decimal(0), r#""ALLQXgA=""#, 3_000_000_000),
        (connect_decimal(2), r#""C7g=""#, 30),
        (connect_decimal(-1), r#""Bw==""#, 70),
        (connect_decimal(0), "7", 7),
        (text(), r#""1200""#, 1_200),
        (text(), r#""7E+3""#, 7_000),
        (text(), r#""30.00""#, 30),
        (text(), r#""0.00""#, 0),
        (text(), r#""-5""#, -5),
        (text(), r#""0E-45""#, 0),
        (text(), r#""9223372036854775807""#, i64::MAX),
        (text(), r#""-9223372036854775808.0""#, i64::MIN),
        (Some(json!({"type": "double"})), "30.00", 30),
        (None, "7E+3", 7_000),
        (None, "30.00", 30),
        (None, r#""12345""#, 12_345),
        (None, r#""30.00""#, 30),
        (None, r#"{"scale":0,"value":"Bw=="}"#, 7),
    ] {
        assert_eq!(int("", schema, raw), Ok(wanted), "{raw}");
    }
    let configured = int("t.c=decimal(0)", None, r#""1200""#);
    assert_eq!(configured, Ok(i64::from_be_bytes(*b"\xff\xff\xff\xff\xff\xd7\x6d\x34")));
    assert_eq!(int("t.c=decimal-text", None, r#""1200""#), Ok(1_200));
    for (schema, raw, part) in [
        (text(), r#""1.5""#, "has digits behind the point, not a whole number"),
        (None, "1.5", "has digits behind the point, not a whole number"),
        (connect_decimal(2), r#""MDk=""#, "has digits behind the point, not a whole number"),
        (text(), r#""9223372036854775808""#, "64 bits"),
        (None, "9223372036854775808", "64 bits"),
        (None, "1e19", "64 bits"),
        (None, "1e900", "64 bits"),
        (connect_decimal(0), r#""AP//////////""#, "64 bits"),
        // Texts of a text column may differ and be one number: none is taken for the other.
        (text(), r#""007""#, "zeros or a plus in front"),
        (text(), r#""-00""#, "zeros or a plus in front"),
        (text(), r#""+7""#, "zeros or a plus in front"),
        (None, r#""00007""#, "zeros or a plus in front"),
        (None, r#""1200""#, "`t.c=decimal-text`"),
        (None, r#""Bw==""#, "decimal.handling.mode=string"),
        (Some(json!({"type": "bytes"})), r#""Bw==""#, "decimal.handling.mode=string"),
        (text(), r#""many""#, "not a decimal number"),
        (text(), r#""NaN""#, "NaN and Infinity"),
        (None, "true", "a boolean, not a whole number"),
        (None, "[1]", "an array, not a whole number"),
        (named("int64", "io.debezium.time.MicroTimestamp"), "1.5", "a time, not a whole number"),
        (named("string", "io.debezium.time.ZonedTimestamp"), r#""12""#, "text, not a whole number"),
    ] {
        said(int("", schema, raw), part);
    }
    assert_eq!(int("", named("int64", "io.debezium.time.MicroTimestamp"), "15"), Ok(15));
}

#[test]
fn times_that_are_none() {
    for (formats, what, part) in [
        ("", "1714998896789012", "`t.c=micros`"),
        ("t.c=micros", "9223372036854775807", "infinite"),
        ("t.c=micros", "99223372036854775807", "infinite"),
        ("t.c=millis", "-9223372036832400000", "infinite"),
        ("t.c=micros", "-62135596800000001", "infinite"),
        ("t.c=micros", "253402300800000000", "infinite"),
        ("t.c=micros", "1.5", "a number, not a time"),
        ("t.c=micros", r#""2024-01-01T00:00:00Z""#, "text, not a time"),
        ("t.c=iso", "5", "a number, not a time"),
        ("", r#""infinity""#, "infinite"),
        ("", r#""-infinity""#, "infinite"),
        ("", r#""0000-12-31T00:00:00Z""#, "infinite"),
        ("", r#""-0044-03-15T00:00:00Z""#, "infinite"),
        ("", r#""+10000-01-01T00:00:00Z""#, "infinite"),
        ("", r#""0001-01-01T00:00:00+01:00""#, "infinite"),
        ("", r#""2024-01-01T00:00:00""#, "`t.c=iso`"),
        ("", r#""2023-02-29T00:00:00Z""#, "not an ISO 8601"),
        ("", r#""2024-01-01T24:00:00Z""#, "not an ISO 8601"),
        ("", r#""2024-01-01T00:00:00Z ""#, "not an ISO 8601"),
        ("", r#""2024-01-01T00:00:00.Z""#, "not an ISO 8601"),
        ("", r#""yesterday""#, "not an ISO 8601"),
        ("", "null", "null"),
    ] {
        said(time(formats, None, what), part);
    }
    assert_eq!(time("t.c=iso", None, r#""1970-01-01T00:00:01""#), Ok(1_000_000));
    assert_eq!(
        time("t.c=iso", Some(json!({"type": "string"})), r#""1970-01-02""#),
        Ok(86_400_000_000)
    );
    said(time("", named("int64", "io.debezium.time.MicroTime"), "5"), "time of day");
}

#[test]
fn other_types() {
    said(read("", None, "9223372036854775808", |f| f.int()), "does not fit into 64 bits");
    said(read("", None, "1.5", |f| f.int()), "not a whole number");
    said(read("", None, "1", |f| f.text().map(|t| t.into_owned())), "a number, not text");
    said(
        read("", Some(json!({"type": "bytes"})), r#""MDk=""#, |f| f.text().map(|t| t.into_owned())),
        "bytes, not text",
    );
    said(read("", Some(json!({"type": "string"})), r#""MDk=""#, |f| f.bytes()), "text, not bytes");
    assert_eq!(
        read("", Some(json!({"type": "bytes"})), r#""MDk=""#, |f| f.bytes()),
        Ok(b"09".into())
    );
    assert_eq!(read("", None, "true", |f| f.boolean()), Ok(true));
    said(read("", None, "1", |f| f.boolean()), "a number, not a boolean");
    assert_eq!(read("", None, "[1, {}]", |f| f.json().map(str::to_owned)), Ok("[1, {}]".into()));
    let text = read("", None, r#""\u00e9\uD83D\uDE80\n""#, |f| f.text().map(|t| t.into_owned()));
    assert_eq!(text, Ok("\u{e9}\u{1F680}\n".into()));
    said(read("", None, r#""\uD83D""#, |f| f.text().map(|t| t.into_owned())), "surrogate");
}

#[test]
fn unchanged_values() {
    let base64 = "\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\"";
    let text = "\"__debezium_unavailable_value\"";
    let array = format!("[{text}]");
    let map = "{\"__debezium_unavailable_value\":\"__debezium_unavailable_value\"}";
    let escaped = "\"\\u005f_debezium_unavailable_value\"";
    // An hstore arrives as a text of JSON.
    let hstore = serde_json::to_string(map).unwrap();
    let kept = |f: &Field| f.kept(|f| f.nullable(|f| f.text().map(|t| t.into_owned())));
    for raw in [base64, text, &array, &format!("[{base64}]"), map, &hstore, escaped] {
        assert_eq!(read("", None, raw, kept), Ok(Kept::Unchanged), "{raw}");
        said(read("", None, raw, |f| f.int()), "REPLICA IDENTITY FULL");
        said(read("", None, raw, |f| f.decimal()), "REPLICA IDENTITY FULL");
        said(read("", None, raw, |f| f.time_us()), "REPLICA IDENTITY FULL");
        said(read("", None, raw, |f| f.bytes()), "REPLICA IDENTITY FULL");
        said(read("", None, raw, |f| f.boolean()), "REPLICA IDENTITY FULL");
        said(read("", None, raw, |f| f.text().map(|t| t.into_owned())), "REPLICA IDENTITY FULL");
        said(read("", None, raw, |f| f.json().map(str::to_owned)), "REPLICA IDENTITY FULL");
    }
    // What a text column holds is text, base64 or not.
    let plain = read("", Some(json!({"type": "string"})), base64, kept).unwrap();
    assert_eq!(plain, Kept::New(Some(base64.trim_matches('"').to_owned())));
    assert_eq!(read("", None, "null", kept), Ok(Kept::New(None)));
    assert_eq!(read("", None, "\"x\"", kept), Ok(Kept::New(Some("x".into()))));
    let other = |map: &str| serde_json::to_string(map).unwrap();
    for near in [
        text.replace("__d", "_d"),
        format!("[{text},{text}]"),
        format!("[[{text}]]"),
        other(&format!("{{{text}: {text}}}")),
        other(&format!("{{{text}:null}}")),
        other(&format!("{{{text}:{text},{text}:{text}}}")),
    ] {
        assert!(matches!(
            read("", None, &near, |f| f.kept(|f| f.json().map(str::len))),
            Ok(Kept::New(_))
        ));
    }
}

/// Declared by the schema or configured: in every form, and beside the usual one.
#[test]
fn another_placeholder() {
    let kept = |f: &Field| f.kept(|f| f.json().map(str::to_owned));
    let column = |kind: &str, said: Option<&str>| {
        let mut column = json!({"type": kind});
        if let Some(said) = said {
            column["parameters"] = json!({"__debezium.unavailable.value.placeholder": said});
        }
        Some(column)
    };
    let base64 = json!(STANDARD.encode("__gone")).to_string();
    let forms = [r#""__gone""#, r#"["__gone"]"#, r#"{"__gone":"__gone"}"#, r#""\u005f_gone""#];
    for raw in forms.into_iter().chain([base64.as_str(), r#""__debezium_unavailable_value""#]) {
        let bytes = column("bytes", Some("__gone"));
        assert_eq!(read("", bytes.clone(), raw, kept), Ok(Kept::Unchanged), "{raw}");
        said(read("", bytes, raw, |f| f.bytes()), "REPLICA IDENTITY FULL");
        let bytes = column("bytes", Some("hex:5f5f676f6e65"));
        assert_eq!(read("", bytes, raw, kept), Ok(Kept::Unchanged), "{raw}");
        let configured = |formats: Formats| formats.with_placeholder("__gone").unwrap();
        assert_eq!(read_with(configured, None, raw, kept), Ok(Kept::Unchanged), "{raw}");
        let other = column("bytes", Some("__elsewhere"));
        assert_eq!(read_with(configured, other, raw, kept), Ok(Kept::Unchanged), "{raw}");
    }
    for (schema, raw) in [
        (column("string", Some("__gone")), base64.as_str()),
        (column("string", Some("__gone")), r#""__gon""#),
        (column("string", Some("__gone")), r#"["__gone","__gone"]"#),
        (column("string", Some("")), r#""""#),
        (column("string", None), r#""__gone""#),
        (None, r#""__gone""#),
    ] {
        assert_eq!(read("", schema, raw, kept), Ok(Kept::New(raw.to_owned())), "{raw}");
    }
}
