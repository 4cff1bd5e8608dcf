//! Answers that come a second time, much later: when the one who asked has long asked something else.
use super::{Job, Ticket, Told, World, copy};
use crate::{Bug, node::Node};
use sinks::SinkError;

/// A second answer, held back.
pub(super) struct Late {
    job: Job,
    told: Result<Told, SinkError>,
}

impl World {
    /// Answers once; perhaps the same answer comes again, at once or at any later time. `first`: what is told now, if it
    /// is not what came of it.
    pub(super) fn answer_twice(
        &mut self,
        job: Job,
        done: Result<Told, SinkError>,
        first: Option<SinkError>,
    ) -> Result<(), String> {
        let again = copy(&done);
        let is_told = first.is_none();
        self.answer(&job, first.map_or(done, Err))?;
        if is_told && self.rng.one_in(2) {
            self.story.add("doubled", 1);
            return self.answer(&job, again);
        }
        self.late.push(Late { job, told: again });
        Ok(())
    }

    /// One of the answers that were held back comes in.
    pub(super) fn deliver_late(&mut self) -> Result<(), String> {
        if self.late.is_empty() || !self.rng.one_in(8) {
            return Ok(());
        }
        let one = self.rng.pick(self.late.len());
        let Late { mut job, told } = self.late.swap_remove(one);
        let node = &self.nodes[job.node];
        if node.born != job.born {
            return Ok(());
        }
        self.story.add(kind(&told), 1);
        // Whoever takes any answer for the answer to the last question does as if it were that.
        let taken = match self.bug {
            Bug::AnyAnswerCounts => true,
            Bug::AnyPublicationCounts => matches!(told, Ok(Told::Published)),
            _ => false,
        };
        if let (true, Some(newest)) = (taken, node.newest(&job.ticket)) {
            job.ticket = newest;
        }
        self.answer(&job, told)
    }

    /// A lane has one thing in flight at a time: it asks nothing before the last answer is there. Only rows that it
    /// asked for while a batch was being committed hold nothing up.
    pub(super) fn check_answered(&self, n: usize, ticket: &Ticket) -> Result<(), String> {
        let Node { born, ahead, .. } = &self.nodes[n];
        if ahead.contains(ticket) {
            return Ok(());
        }
        let same = |job: &&Job| {
            job.node == n
                && job.born == *born
                && !ahead.contains(&job.ticket)
                && job.ticket.partition == ticket.partition
                && job.ticket.life == ticket.life
        };
        self.jobs.iter().find(same).map_or(Ok(()), |job| {
            let (partition, open, next) = (&ticket.partition, job.ticket.question, ticket.question);
            Err(format!("{partition}: question {next} is asked while {open} is not answered"))
        })
    }
}

fn kind(told: &Result<Told, SinkError>) -> &'static str {
    match told {
        Ok(Told::Opened(..)) => "late: opened",
        Ok(Told::Rows(_)) => "late: rows",
        Ok(Told::Scanned(_)) => "late: scanned",
        Ok(Told::LogChecked(_)) => "late: looked",
        Ok(Told::Committed) => "late: committed",
        Ok(Told::Published) => "late: published",
        Err(_) => "late: errors",
    }
}
