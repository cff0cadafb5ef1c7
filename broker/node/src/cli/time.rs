//! Points in time, as people write and read them. UTC alone.

use anyhow::{anyhow, bail};
use std::time::{SystemTime, UNIX_EPOCH};

const SECOND_MS: i64 = 1_000;
const DAY_MS: i64 = 86_400 * SECOND_MS;
/// The last day that is written with four digits of the year: 9999-12-31.
const LAST_DAY: i64 = 2_932_896;

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A time for people: `2026-11-22T03:01:20.123Z`. What has no such form is written as the number.
pub fn display(at_ms: i64) -> String {
    let (day, of_day) = (at_ms.div_euclid(DAY_MS), at_ms.rem_euclid(DAY_MS));
    if !(-719_528..=LAST_DAY).contains(&day) {
        return at_ms.to_string();
    }
    let (year, month, day) = civil(day);
    let (seconds, ms) = (of_day / SECOND_MS, of_day % SECOND_MS);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Reads `2026-11-22T03:01:20Z`, with a fraction of the second or without, or the day alone.
///
/// # Errors
/// When the text is no such time.
pub fn parse(text: &str) -> anyhow::Result<i64> {
    let bad = || anyhow!("`{text}` is no time; write it in UTC, such as 2026-11-22T03:01:20Z");
    let (date, clock) = match text.split_once(['T', ' ']) {
        Some((date, clock)) => (date, clock.strip_suffix('Z').ok_or_else(bad)?),
        None => (text, "00:00:00"),
    };
    let number = |text: &str| match text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit()) {
        true => text.parse::<i64>().map_err(|_| bad()),
        false => Err(bad()),
    };
    let parts = |text: &str, separator: char| -> anyhow::Result<[i64; 3]> {
        let found: Vec<i64> = text.split(separator).map(number).collect::<Result<_, _>>()?;
        found.try_into().map_err(|_| bad())
    };
    let [year, month, day] = parts(date, '-')?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [hour, minute, second] = parts(clock, ':')?;
    let fraction_ms = number(format!("{fraction:0<3}").get(..3).ok_or_else(bad)?)?;
    let day_number = days(year, month, day);
    if civil(day_number) != (year, month, day) || hour > 23 || minute > 59 || second > 59 {
        bail!(bad());
    }
    Ok(day_number * DAY_MS + (hour * 3600 + minute * 60 + second) * SECOND_MS + fraction_ms)
}

/// Reads a length of time: `30s`, `15m`, `1h`, `7d`. In milliseconds.
///
/// # Errors
/// When the text is no such length.
pub fn duration_ms(text: &str) -> anyhow::Result<i64> {
    let bad = || anyhow!("`{text}` is no length of time; write for example 30s, 15m, 1h or 7d");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_ms = match &text[digits.len()..] {
        "ms" => 1,
        "s" => SECOND_MS,
        "m" => 60 * SECOND_MS,
        "h" => 3600 * SECOND_MS,
        "d" => DAY_MS,
        _ => bail!(bad()),
    };
    let count: u32 = digits.parse().map_err(|_| bad())?;
    Ok(i64::from(count) * unit_ms)
}

/// Reads a length of time as [`duration_ms`] does, or in the notation of ISO 8601 that Kafka's tools take: `P7D`, `PT90M`,
/// `P1DT2H30M5S`. In milliseconds.
///
/// # Errors
/// When the text is neither.
pub fn length_ms(text: &str) -> anyhow::Result<i64> {
    match text.strip_prefix('P') {
        Some(rest) => iso_8601_ms(rest)
            .ok_or_else(|| anyhow!("`{text}` is no length of time; write for example P7D or PT90M, or 7d or 90m")),
        None => duration_ms(text),
    }
}

/// What follows the `P`: days, then behind a `T` hours, minutes and seconds, in this order and each at most once.
fn iso_8601_ms(text: &str) -> Option<i64> {
    let (days, clock) = text.split_once('T').map_or((text, None), |(days, clock)| (days, Some(clock)));
    if clock.unwrap_or(days).is_empty() {
        return None;
    }
    let mut total_ms = 0;
    for (part, units) in [
        (days, &[('D', DAY_MS)][..]),
        (clock.unwrap_or(""), &[('H', 3600 * SECOND_MS), ('M', 60 * SECOND_MS), ('S', SECOND_MS)]),
    ] {
        let mut rest = part;
        for (unit, unit_ms) in units {
            if let Some((count, behind)) = rest.split_once(*unit) {
                total_ms += i64::from(count.parse::<u32>().ok()?) * unit_ms;
                rest = behind;
            }
        }
        if !rest.is_empty() {
            return None;
        }
    }
    Some(total_ms)
}

/// Year, month and day of a day counted from 1970-01-01 (Howard Hinnant's `civil_from_days`).
fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted_month + 2) / 5 + 1)
}

/// The day counted from 1970-01-01 (Howard Hinnant's `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read_back() {
        for (at_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_316_480_123, "2026-11-22T03:01:20.123Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(display(at_ms), text);
            assert_eq!(parse(text).unwrap(), at_ms, "{text}");
        }
        assert_eq!(display(i64::MAX), i64::MAX.to_string());
        assert_eq!(parse("2026-11-22").unwrap() % DAY_MS, 0);
        assert_eq!(parse("2026-11-22T03:01:20Z").unwrap(), 1_795_316_480_000);
        assert_eq!(parse("2026-11-22T03:01:20.5Z").unwrap(), 1_795_316_480_500);
        assert_eq!(parse("2026-11-22T03:01:20.123456Z").unwrap(), 1_795_316_480_123);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in [
            "",
            "now",
            "2026-13-01",
            "2026-02-30",
            "2026-11-22T25:00:00Z",
            "2026-11-22T03:01:20",
            "2026-11-22T03:01:20.äääZ",
            "2026-11-22T3Z",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        for bad in ["", "h", "1", "1y", "-1h", "1.5h", "99999999999d"] {
            assert!(duration_ms(bad).is_err(), "{bad}");
        }
        assert_eq!(duration_ms("90m").unwrap(), 5_400_000);
        assert_eq!(duration_ms("250ms").unwrap(), 250);
    }

    #[test]
    fn lengths_are_read_in_both_notations() {
        for (text, wanted_ms) in [
            ("7d", 7 * DAY_MS),
            ("P7D", 7 * DAY_MS),
            ("PT90M", 5_400_000),
            ("P1DT2H30M5S", DAY_MS + 9_005_000),
            ("PT0S", 0),
        ] {
            assert_eq!(length_ms(text).unwrap(), wanted_ms, "{text}");
        }
        for bad in ["P", "PT", "P1", "P1M", "P1DT", "PT5S3M", "PT1H1H", "P-1D", "PT1.5S", "p7d", "PTM"] {
            assert!(length_ms(bad).is_err(), "{bad}");
        }
    }
}
