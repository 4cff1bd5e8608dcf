//! Puts letters back into the log, in the order of their records, and finds out what became of them.
//!
//! Promises: a letter whose key has moved on is not sent; of letters that are sent, each takes effect once or not at
//! all, whatever is killed meanwhile, here or there; what is known is kept as a mark beside the letter, so the next
//! run goes on from it. Absent on purpose: any effect but through the service itself.
mod batch;
mod kafka;

use super::{
    Stop, filter,
    filter::Filter,
    flag, json,
    letters::{Item, Letters},
    number,
    table::{Kind, Table},
};
use clap::{Arg, ArgMatches, Command};
use consumers::{
    config::{self, Config, Service, Source},
    policy::OnRefusal,
    service,
};
pub(crate) use kafka::{Log, acknowledged};
use sinks::{
    Partition,
    dlq::{ReplayMark, ReplayStatus, letter_name, write_mark},
    objects::Objects,
};
use std::{process::ExitCode, sync::Arc, time::Duration};

/// Letters looked at together: one pass over a partition's log for all of them.
const BATCH_LETTERS: usize = 500;
const BATCH_BYTES: usize = 32 << 20;
/// Not known yet what became of some.
const EXIT_PENDING: u8 = 2;

pub fn command() -> Command {
    let wait = Arg::new("wait-seconds").long("wait-seconds").value_name("S").default_value("30");
    let command = Command::new("replay")
        .about("Sends letters to their service again, through Kafka, in their original order")
        .after_help(
            "A letter goes to the partition it came from, and its service alone takes it. It is left out if its row \
             was changed or deleted since (a newer record of the same key, or a truncate, is in the log), and if the \
             log no longer tells. A letter that fails again is marked, never written twice. Run it again at any \
             time: what was sent is not sent again. The service must be running. Takes the flags and environment \
             of `cdc run`. Exit code 1: some were left out or failed; 2: some were sent and the service was not \
             seen past them yet.\n\n\
             Examples:\n  \
             cdc dlq replay --service inventory --dlq s3://my-bucket/dlq --s3-bucket my-bucket --dry-run\n  \
             cdc dlq replay --service search --dlq dir:dlq --sink sqlite:views.db --reason invalid --limit 10",
        );
    filter::arguments(config::arguments(command, None))
        .arg(number("limit", "N", "Sends at most so many"))
        .arg(flag("again", "Also letters whose replay failed before"))
        .arg(flag("dry-run", "Looks, says what would be done, changes nothing"))
        .arg(
            wait.value_parser(clap::value_parser!(u64).range(0..=86_400))
                .help("How long to wait for the service to get past what was sent"),
        )
        .arg(json())
}

struct Options {
    dry: bool,
    again: bool,
    limit: u64,
    wait: Duration,
}

pub fn run(matches: &ArgMatches) -> Result<ExitCode, Stop> {
    let filter = Filter::read(matches)?;
    let Some(name) = &filter.service else {
        let why = "--service: say whose letters: inventory, analytics or search";
        return Err(Stop::Wrong(why.to_owned()));
    };
    let service: Service = name.parse().map_err(|why: String| Stop::Wrong(why))?;
    let config = Config::new(service, matches, &config::environment())
        .map_err(|problems| Stop::Wrong(problems.to_string()))?;
    if let Source::Ndjson(path) = &config.source {
        return Err(Stop::Wrong(format!(
            "--source ndjson:{path}: a replay goes through Kafka, and here is none. Mend the file, and run the \
             service over it with a new state."
        )));
    }
    let options = Options {
        dry: matches.get_flag("dry-run"),
        again: matches.get_flag("again"),
        limit: matches.get_one::<u64>("limit").copied().unwrap_or(u64::MAX),
        wait: Duration::from_secs(matches.get_one::<u64>("wait-seconds").copied().unwrap_or(30)),
    };
    let table = Table::new(matches.get_flag("json"), Kind::Deeds);
    super::block_on(async move {
        let objects = config.dlq.open(&service::endpoint(&config.aws)).await?;
        let log = Arc::new(Log::new(&config.kafka)?);
        let mut replay =
            Replay { config, options, objects, log, table, sent: 0, left: 0, pending: 0 };
        replay.run(filter).await?;
        Ok(replay.finish())
    })
}

struct Replay {
    config: Config,
    options: Options,
    objects: Arc<dyn Objects>,
    log: Arc<Log>,
    table: Table,
    sent: u64,
    /// Left out, or failed.
    left: u64,
    pending: u64,
}

/// A letter that is in the log again, and where.
struct Sent {
    item: Item,
    at: i64,
}

impl Replay {
    async fn run(&mut self, filter: Filter) -> Result<(), Stop> {
        self.settle_sent(&filter).await?;
        let mut letters = Letters::find(self.objects.clone(), filter).await?;
        let mut batch: Vec<Item> = vec![];
        let mut bytes = 0;
        while let Some(item) = letters.next().await? {
            let Some(item) = self.candidate(item) else { continue };
            let same = batch.first().is_none_or(|first| partition(first) == partition(&item));
            if !same || batch.len() >= BATCH_LETTERS || bytes > BATCH_BYTES {
                bytes = 0;
                self.send_batch(std::mem::take(&mut batch)).await?;
                if self.pending > 0 || self.is_full() {
                    break;
                }
            }
            bytes += item.found.letter.value.as_ref().map_or(0, Vec::len);
            batch.push(item);
        }
        if self.pending == 0 && !self.is_full() {
            self.send_batch(batch).await?;
        }
        letters.odd().iter().for_each(|text| eprintln!("passed over: {text}"));
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.sent >= self.options.limit
    }

    fn finish(&self) -> ExitCode {
        self.table.finish(false, &[]);
        if self.pending > 0 {
            eprintln!(
                "{} sent, and the service was not seen past them: is it running, or halted? Run `cdc dlq replay` \
                 again to find out what became of them; nothing is sent twice.",
                self.pending
            );
            return ExitCode::from(EXIT_PENDING);
        }
        ExitCode::from(u8::from(self.left > 0))
    }

    /// What can be told from the letter alone.
    fn candidate(&mut self, item: Item) -> Option<Item> {
        let state = item.mark.as_ref().map(|mark| mark.state);
        match state {
            None => {}
            Some(ReplayStatus::FailedAgain) if self.options.again => {}
            Some(ReplayStatus::FailedAgain) => {
                self.leave(&item, "kept", "it failed again before: say --again", None);
                return None;
            }
            Some(ReplayStatus::Sent | ReplayStatus::Applied | ReplayStatus::MovedOn) => {
                return None;
            }
        }
        match self.refusal(&item) {
            None => Some(item),
            Some(why) => {
                self.leave(&item, "not sent", &why, None);
                None
            }
        }
    }

    fn refusal(&self, item: &Item) -> Option<String> {
        let (found, letter) = (&item.found, &item.found.letter);
        let (ours, topics) = (self.config.generation, &self.config.kafka.topics);
        if found.generation != ours {
            return Some(format!(
                "it is a letter of generation {}, and this is generation {ours}, which judged the record itself",
                found.generation
            ));
        }
        if !topics.iter().any(|topic| **topic == *letter.partition.topic) {
            return Some(format!("the service reads {}: check TOPIC_PREFIX", topics.join(", ")));
        }
        if letter_name(&found.service, found.generation, &letter.partition, letter.offset)
            != item.name
        {
            return Some("two records claim this offset: the topic was made anew".to_owned());
        }
        let reason = item.mark.as_ref().and_then(|mark| mark.reason.as_deref());
        let refused = reason.unwrap_or(letter.reason.as_str()) == "refused";
        if refused && self.config.policy.on_refusal == OnRefusal::SkipWrite {
            return Some(
                "its row was taken and only a write was refused, so a replay would ask for nothing: \
                 `cdc verify --repair` mends the item"
                    .to_owned(),
            );
        }
        None
    }

    /// The log tells something that cannot be changed: for the table, and the exit code.
    fn leave(&mut self, item: &Item, deed: &str, why: &str, at: Option<i64>) {
        self.left += 1;
        self.table.deed(deed, item, why, at);
    }

    // ------------------------------------------------------------ what became of those that were sent

    /// Those of an earlier run.
    async fn settle_sent(&mut self, filter: &Filter) -> Result<(), Stop> {
        let filter = Filter { state: Some(Some(ReplayStatus::Sent)), ..filter.clone() };
        let mut letters = Letters::find(self.objects.clone(), filter).await?;
        let mut some: Vec<Sent> = vec![];
        while let Some(item) = letters.next().await? {
            let Some(at) = item.mark.as_ref().map(|mark| mark.at) else { continue };
            if self.options.dry {
                self.table.deed("would settle", &item, "it was sent before", Some(at));
                continue;
            }
            let same = some.first().is_none_or(|first| partition(&first.item) == partition(&item));
            if !same || some.len() >= BATCH_LETTERS {
                self.settle(std::mem::take(&mut some)).await?;
            }
            some.push(Sent { item, at });
        }
        self.settle(some).await
    }

    /// Waits for the service to get past them; what it did not mark by then was applied. All of one partition.
    async fn settle(&mut self, mut sent: Vec<Sent>) -> Result<(), Stop> {
        let Some(first) = sent.first() else { return Ok(()) };
        let partition = partition(&first.item).clone();
        let last = sent.iter().map(|sent| sent.at).max().unwrap_or(0);
        let seen = acknowledged(&self.log, &partition, last, self.options.wait).await?;
        sent.sort_by_key(|sent| sent.item.found.letter.offset);
        for Sent { item, at } in sent {
            if seen.is_none_or(|next| next <= at) {
                self.pending += 1;
                let why = "the service was not seen past it yet";
                self.table.deed("sent", &item, why, Some(at));
                continue;
            }
            let applied = |known: Option<&ReplayMark>| {
                let open =
                    known.is_none_or(|known| known.state == ReplayStatus::Sent && known.at <= at);
                open.then(|| ReplayMark::next(known, ReplayStatus::Applied, at))
            };
            let mark = write_mark(&*self.objects, &item.name, applied).await?;
            let status = mark.as_ref().map_or(ReplayStatus::Applied, |mark| mark.state);
            let why = match status {
                ReplayStatus::FailedAgain => mark.and_then(|mark| mark.error).unwrap_or_default(),
                ReplayStatus::MovedOn => "a newer record of its key came before it".to_owned(),
                ReplayStatus::Applied | ReplayStatus::Sent => String::new(),
            };
            if status == ReplayStatus::Applied {
                self.table.deed("applied", &item, &why, Some(at));
            } else {
                self.leave(&item, status.as_str(), &why, Some(at));
            }
        }
        Ok(())
    }
}

fn partition(item: &Item) -> &Partition {
    &item.found.letter.partition
}
