//! Planted bugs. Each breaks one rule, in the request (as if the protocol had made it so), the table or the driver.
use super::source::{BASE, Key, LOW, SOLD, STOCK};
use sinks::dynamodb::{
    keyed::{AT, DUE, GEN, LIVE, OWN, VERSION},
    request::{Action, Change, Request, When},
};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bug {
    None,
    /// The update does not look at the entry.
    NoCondition,
    /// A failed condition counts as "all of it is there".
    FailedMeansApplied,
    /// A coalesced write without net effect is left out.
    ZeroNotWritten,
    /// The state moves before the sink writes are confirmed.
    StateFirst,
    /// Changed rows and the higher position go to the state, unconditionally.
    RowsWithoutCas,
    /// A deleted row's item is removed at once.
    RealDelete,
    /// Tombstones are collected while older writes may still arrive.
    CollectSoon,
    /// A tombstone is collected although it holds a sum.
    CollectSold,
    /// The item does not know its generation.
    MergeGenerations,
    /// The replacing PutItem has no condition.
    BlindReplace,
    /// An older generation may write a newer item.
    NoFence,
    /// Items that the new generation never touches stay.
    NoSweep,
    /// The only sweep runs while older writes may still arrive.
    SweepOnce,
    /// The log no longer reaches back to the state: go on with what is there.
    SkipGap,
    /// Compaction of records that may be read again.
    CompactedAhead,
    /// A topic gets more partitions within a generation.
    PartitionsGrow,
    /// Two versions of the tokenizer within a generation.
    CodeDiffers,
    /// The table comes back from a backup, the state does not.
    TableRestored,
    /// A refused write skips its whole record.
    RefusedSkipsRecord,
    /// The flag is written from what the writer believes.
    BlindFlag,
    /// Flag and alert follow in an update of their own.
    FlagInSecondUpdate,
    /// A write that was there already publishes no alerts.
    ToldByWriterOnly,
    /// A share may be replaced by an older one.
    ShareGoesBack,
    /// Alerts go off the item before anybody has published them.
    ForgottenFirst,
    /// Nobody looks whose the row is.
    OwnerNotLookedAt,
    /// Whose a stock row is, is only looked at in the item as last seen.
    OwnerNotInCondition,
    /// The producer places records, and the delete of a row that the partition does not know is left out.
    UnknownNotDeleted,
    /// A row of merged shares is written over whatever others have written meanwhile.
    VersionNotInCondition,
    /// A write of merged shares does not count.
    VersionNotRaised,
    /// A count of writes is taken for that of another life of the item: see `lives.rs`.
    WitnessNotInCondition,
    /// A write of merged shares that raises an alert leaves no name of it.
    CrossingNotNamed,
    /// A row of merged shares that is not there any more is shown on.
    GoneButShown,
}
/// Of the study's 25, two concern only the increment form and are no bugs here: overtaking requests (they are part of
/// every run) and collecting behind a restorable checkpoint (what is asked again is a share, not a change of it).
pub const BUGS: [Bug; 27] = {
    use Bug::*;
    [
        NoCondition,
        FailedMeansApplied,
        ZeroNotWritten,
        StateFirst,
        RowsWithoutCas,
        RealDelete,
        CollectSoon,
        CollectSold,
        MergeGenerations,
        BlindReplace,
        NoFence,
        NoSweep,
        SweepOnce,
        SkipGap,
        CompactedAhead,
        PartitionsGrow,
        CodeDiffers,
        TableRestored,
        RefusedSkipsRecord,
        BlindFlag,
        FlagInSecondUpdate,
        ToldByWriterOnly,
        ShareGoesBack,
        ForgottenFirst,
        OwnerNotLookedAt,
        OwnerNotInCondition,
        UnknownNotDeleted,
    ]
};
/// Those of items of merged shares: without the flag's conditions and what is refused, which only items of one sum have.
pub const BUGS_OF_MERGED: [Bug; 27] = {
    use Bug::*;
    [
        VersionNotInCondition,
        VersionNotRaised,
        CrossingNotNamed,
        GoneButShown,
        NoCondition,
        FailedMeansApplied,
        ZeroNotWritten,
        StateFirst,
        RowsWithoutCas,
        RealDelete,
        CollectSoon,
        CollectSold,
        MergeGenerations,
        BlindReplace,
        NoFence,
        NoSweep,
        SweepOnce,
        SkipGap,
        CompactedAhead,
        PartitionsGrow,
        CodeDiffers,
        TableRestored,
        ToldByWriterOnly,
        ShareGoesBack,
        ForgottenFirst,
        OwnerNotLookedAt,
        UnknownNotDeleted,
    ]
};

/// The request as a protocol with this bug would have made it.
pub fn planted(bug: Bug, key: Key, entry: &str, mut request: Request) -> Request {
    let merged = key.merged().is_some();
    let put = matches!(request.action, Action::Put(_));
    match bug {
        Bug::NoCondition => strip(&mut request.condition, &[entry, AT, VERSION]),
        Bug::BlindReplace if put && !mentions(&request.condition, AT) => {
            request.condition = When::All(vec![]);
        }
        Bug::OwnerNotLookedAt => strip(&mut request.condition, &[OWN]),
        Bug::OwnerNotInCondition if !put => strip(&mut request.condition, &[OWN]),
        Bug::NoFence => open(&mut request.condition),
        Bug::BlindFlag => strip(&mut request.condition, &[LOW, BASE, STOCK, SOLD]),
        Bug::FlagInSecondUpdate if !merged => {
            strip(&mut request.condition, &[LOW, BASE, STOCK, SOLD]);
            match &mut request.action {
                Action::Put(item) => item.retain(|name, _| name != LOW && name != DUE),
                Action::Update(changes) => changes.retain(|change| match change {
                    Change::Set(name, _) | Change::Remove(name) => *name != LOW,
                    Change::Insert(..) => false,
                    _ => true,
                }),
            }
        }
        Bug::VersionNotInCondition => strip(&mut request.condition, &[VERSION]),
        Bug::WitnessNotInCondition if merged && !put => {
            keep(&mut request.condition, &[GEN, VERSION]);
        }
        Bug::VersionNotRaised | Bug::CrossingNotNamed | Bug::GoneButShown if merged => {
            if let Action::Update(changes) = &mut request.action {
                changes.retain(|change| match change {
                    Change::Set(VERSION, _) => bug != Bug::VersionNotRaised,
                    Change::Insert(..) => bug != Bug::CrossingNotNamed,
                    Change::Remove(LIVE) => bug != Bug::GoneButShown,
                    _ => true,
                });
            }
        }
        _ => {}
    }
    request
}

fn name_of(when: &When) -> Option<&str> {
    match when {
        When::Missing(n) | When::Present(n) | When::Is(n, _) => Some(n),
        When::Below(n, _) | When::AtLeast(n, _) | When::Above(n, _) | When::AtMost(n, _) => Some(n),
        When::All(_) | When::Any(_) => None,
    }
}
fn mentions(when: &When, name: &str) -> bool {
    match when {
        When::All(list) | When::Any(list) => list.iter().any(|when| mentions(when, name)),
        other => name_of(other) == Some(name),
    }
}
fn strip(when: &mut When, names: &[&str]) {
    if let When::All(list) | When::Any(list) = when {
        list.iter_mut().for_each(|when| strip(when, names));
        list.retain(|when| match when {
            When::Any(list) => !list.is_empty(),
            other => name_of(other).is_none_or(|n| !names.contains(&n)),
        });
    }
}
fn keep(when: &mut When, names: &[&str]) {
    if let When::All(list) = when {
        list.retain(|when| name_of(when).is_none_or(|name| names.contains(&name)));
    }
}
fn open(when: &mut When) {
    match when {
        When::All(list) | When::Any(list) => list.iter_mut().for_each(open),
        When::Is(name, value) if name == GEN => {
            *when = When::AtLeast(GEN.into(), value.int().unwrap_or(0));
        }
        _ => {}
    }
}
