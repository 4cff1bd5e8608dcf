//! Which letters are meant.
use super::Stop;
use chrono::{DateTime, Duration, Utc};
use clap::{Arg, ArgMatches, Command};
use consumers::config::Service;
use sinks::{
    dlq::{Found, Reason, ReplayMark, ReplayStatus},
    objects::segment,
};

#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub service: Option<String>,
    pub topic: Option<String>,
    pub partition: Option<i32>,
    pub reason: Option<Reason>,
    pub generation: Option<u64>,
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    /// `None` in it: new.
    pub state: Option<Option<ReplayStatus>>,
}

pub fn arguments(command: Command) -> Command {
    let text = |id: &'static str, value: &'static str, help: &'static str| {
        Arg::new(id).long(id.trim_start_matches("only-")).value_name(value).help(help)
    };
    command
        .arg(text("only-service", "SERVICE", "Letters of inventory, analytics or search"))
        .arg(text("only-topic", "TOPIC", "Of this topic"))
        .arg(
            text("only-partition", "N", "Of this partition")
                .value_parser(clap::value_parser!(i32).range(0..)),
        )
        .arg(text("only-reason", "REASON", "malformed, invalid or refused"))
        .arg(text("only-since", "TIME", "Written since: RFC 3339, or 1h, 2d ago (s, m, h, d)"))
        .arg(text("only-until", "TIME", "Written before: RFC 3339, or 1h, 2d ago"))
}
/// Where the generation is no setting of a run.
pub fn generation() -> Arg {
    let arg = Arg::new("only-generation").long("generation").value_name("N");
    arg.help("Of this generation").value_parser(clap::value_parser!(u64))
}
pub fn state() -> Arg {
    let arg = Arg::new("only-state").long("state").value_name("STATE");
    arg.help("new, sent, applied, failed-again or moved-on")
}

impl Filter {
    pub fn read(matches: &ArgMatches) -> Result<Self, Stop> {
        let text = |name: &str| {
            let known = matches.try_contains_id(name).unwrap_or(false);
            known.then(|| matches.get_one::<String>(name).cloned()).flatten()
        };
        let wrong = |name: &str, why: String| Stop::Wrong(format!("--{name}: {why}"));
        let time = |name: &str| {
            let id = format!("only-{name}");
            text(&id).map(|t| time(&t, Utc::now()).map_err(|why| wrong(name, why))).transpose()
        };
        let reason = text("only-reason").map(|t| t.parse::<Reason>());
        let state = text("only-state").map(|t| state_of(&t));
        let service = text("only-service").map(|t| {
            t.parse::<Service>()
                .map(|service| service.name().to_owned())
                .map_err(|why| wrong("service", format!("`{t}`: {why}")))
        });
        Ok(Self {
            service: service.transpose()?,
            topic: text("only-topic"),
            partition: matches.get_one::<i32>("only-partition").copied(),
            reason: reason.transpose().map_err(|why| wrong("reason", why))?,
            generation: matches.try_get_one::<u64>("only-generation").unwrap_or_default().copied(),
            since: time("since")?,
            until: time("until")?,
            state: state.transpose().map_err(|why| wrong("state", why))?,
        })
    }

    /// What the names of all of them begin with.
    pub fn prefix(&self) -> String {
        let mut prefix = String::new();
        if let Some(service) = &self.service {
            prefix = format!("{}/", segment(service));
            if let Some(topic) = &self.topic {
                prefix.push_str(&format!("{}/", segment(topic)));
                if let Some(partition) = self.partition {
                    prefix.push_str(&format!("{partition}/"));
                }
            }
        }
        prefix
    }

    /// As far as a name and a mark's presence tell, without reading the letter.
    pub fn may_take(&self, name: &str, marked: bool) -> bool {
        let mut parts = name.rsplit('/').skip(1);
        let partition = parts.next().and_then(|n| n.parse::<i32>().ok());
        let topic = parts.next();
        self.partition.is_none_or(|wanted| partition == Some(wanted))
            && self.topic.as_ref().is_none_or(|wanted| topic == Some(segment(wanted).as_str()))
            && self.state.is_none_or(|state| state.is_none() || marked)
    }

    pub fn takes(&self, found: &Found, mark: Option<&ReplayMark>) -> bool {
        let letter = &found.letter;
        self.service.as_ref().is_none_or(|wanted| *wanted == found.service)
            && self.topic.as_ref().is_none_or(|wanted| **wanted == *letter.partition.topic)
            && self.partition.is_none_or(|wanted| wanted == letter.partition.index)
            && self.reason.is_none_or(|wanted| wanted == letter.reason)
            && self.generation.is_none_or(|wanted| wanted == found.generation)
            && self.since.is_none_or(|since| found.time >= since)
            && self.until.is_none_or(|until| found.time < until)
            && self.state.is_none_or(|wanted| wanted == mark.map(|mark| mark.state))
    }
}

fn state_of(text: &str) -> Result<Option<ReplayStatus>, String> {
    if text == "new" {
        return Ok(None);
    }
    let all = [
        ReplayStatus::Sent,
        ReplayStatus::Applied,
        ReplayStatus::FailedAgain,
        ReplayStatus::MovedOn,
    ];
    let found = all.into_iter().find(|status| status.as_str() == text);
    let none = || format!("`{text}` is none of new, sent, applied, failed-again, moved-on");
    found.map(Some).ok_or_else(none)
}

fn time(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let ago = text.strip_suffix("ago").unwrap_or(text).trim();
    age(ago).map(|age| now - age)
}

/// `90s`, `30m`, `1h`, `2d`.
pub fn age(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time: write 2026-01-31T12:00:00Z, or 90s, 30m, 1h, 2d");
    let split = text.len().saturating_sub(1);
    let (count, unit) = text.split_at_checked(split).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    // A hundred years are enough, and within every bound.
    let count: u32 = count.parse().map_err(|_| wrong())?;
    let all = i64::from(count) * seconds;
    if all > 100 * 366 * 86_400 { Err(wrong()) } else { Ok(Duration::seconds(all)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_or_ago() {
        let now = DateTime::parse_from_rfc3339("2026-02-03T04:05:06Z").expect("a time").to_utc();
        let at = |text: &str| time(text, now).map(|t| t.to_rfc3339());
        assert_eq!(at("2026-01-31T12:00:00+01:00").as_deref(), Ok("2026-01-31T11:00:00+00:00"));
        assert_eq!(at("2d ago").as_deref(), Ok("2026-02-01T04:05:06+00:00"));
        assert_eq!(at("90s").as_deref(), Ok("2026-02-03T04:03:36+00:00"));
        for wrong in ["", "d", "2", "2w", "-1h", "1.5h", "4294967295d", "yesterday", "1é"] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_alone_rule_out_others() {
        let filter = Filter {
            service: Some("s".into()),
            topic: Some("a b".into()),
            partition: Some(3),
            ..Filter::default()
        };
        assert_eq!(filter.prefix(), "s/a%20b/3/");
        let topic = Filter { topic: Some("t".into()), ..Filter::default() };
        assert_eq!(topic.prefix(), "");
        assert!(topic.may_take("s/t/0/8.json", false) && !topic.may_take("s/u/0/8.json", false));
        let sent = Filter { state: Some(Some(ReplayStatus::Sent)), ..Filter::default() };
        assert!(sent.may_take("s/t/0/8.json", true) && !sent.may_take("s/t/0/8.json", false));
        let new = Filter { state: Some(None), ..Filter::default() };
        assert!(new.may_take("s/t/0/8.json", true), "a mark that cannot be read is none");
    }
}
