//! Whether this machine's clock agrees with those of the servers.
use super::{Patience, report::Check};
use chrono::DateTime;
use consumers::{config::Config, runtime::wall_ms};
use serving::ask;
use std::sync::Arc;

const AREA: &str = "clock";
const WARN_MS: i64 = 5_000;
/// AWS refuses requests that are signed this far off.
const REFUSED_MS: i64 = 300_000;

/// `ahead_ms`: how far this machine's clock is ahead of the other one.
pub(super) fn judge(against: &str, ahead_ms: i64) -> Check {
    let seconds = ahead_ms.unsigned_abs() as f64 / 1_000.0;
    let side = if ahead_ms < 0 { "behind" } else { "ahead of" };
    let found = format!("{seconds:.1} s {side} {against}");
    let fix =
        "set this machine's clock, or the other's (chronyc tracking; timedatectl set-ntp true)";
    match ahead_ms.saturating_abs() {
        0..WARN_MS => Check::ok(AREA, against, found),
        WARN_MS..REFUSED_MS => Check::warning(AREA, against, found).fix(fix),
        _ => Check::problem(
            AREA,
            against,
            format!("{found}: AWS refuses requests that are five minutes off"),
        )
        .fix(fix),
    }
}

/// Against the `Date` of S3's or DynamoDB's answer to an unsigned request.
pub(super) async fn aws(config: Arc<Config>, patience: Patience) -> Vec<Check> {
    let aws = &config.aws;
    let own = aws.dynamodb_endpoint.as_ref().or(aws.s3_endpoint.as_ref()).cloned();
    let domain = if aws.region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let url = own.unwrap_or_else(|| format!("https://dynamodb.{}.{domain}", aws.region));
    let limit = patience.0;
    let asked = tokio::task::spawn_blocking(move || {
        let begun = wall_ms();
        let answer = ask::get(&url, limit)?;
        let date = answer.header("date").ok_or("the answer has no Date")?;
        let theirs = DateTime::parse_from_rfc2822(date).map_err(|_| "its Date cannot be read")?;
        // Theirs is cut to the second.
        let middle = begun + (wall_ms() - begun) / 2;
        let ahead_ms = middle - theirs.timestamp_millis();
        Ok::<i64, String>(if (0..1_000).contains(&ahead_ms) { 0 } else { ahead_ms })
    });
    vec![match patience.wait(asked).await {
        Ok(Ok(Ok(ahead_ms))) => judge("AWS", ahead_ms),
        Ok(Ok(Err(why))) => Check::skipped(AREA, "AWS", why),
        Ok(Err(e)) => Check::skipped(AREA, "AWS", e.to_string()),
        Err(late) => Check::skipped(AREA, "AWS", late),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Status;

    #[test]
    fn seconds_are_a_warning_and_minutes_a_problem() {
        for (ahead_ms, status) in [
            (0, Status::Ok),
            (-4_999, Status::Ok),
            (5_000, Status::Warning),
            (-299_999, Status::Warning),
            (300_000, Status::Problem),
            (i64::MIN, Status::Problem),
        ] {
            let check = judge("AWS", ahead_ms);
            assert_eq!(check.status, status, "{ahead_ms}");
            assert_eq!(check.fix.is_some(), status != Status::Ok, "{ahead_ms}");
        }
        assert_eq!(judge("AWS", -7_000).found, "7.0 s behind AWS");
    }
}
