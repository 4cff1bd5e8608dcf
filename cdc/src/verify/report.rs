//! What is said of a verification: text for people, one JSON document for programs.
use super::{
    Options, Verdict, Verified,
    outcome::{Difference, Kind, ViewOutcome},
    session::named,
};
use serde_json::{Value, json};
use sinks::{Cell, key_text};

pub fn text(verified: &Verified, options: &Options) {
    let Verified { service, verdict, seconds, .. } = verified;
    println!("{}: {} ({seconds:.1} s)", service.name(), verdict.word());
    if let Some(why) = &verified.why {
        println!("  {why}");
    }
    if let Some(waited) = &verified.waited {
        println!("  {waited}");
    }
    let Some(outcome) = &verified.outcome else { return };
    let position: Vec<String> =
        named(&outcome.position).iter().map(|(p, next)| format!("{p}: {next}")).collect();
    println!("  verified at {}", position.join(", "));
    for view in &outcome.views {
        println!("  {}: {} rows, {}", view.view, view.rows, summary(view));
        for difference in view.differences.iter().take(options.limit) {
            println!("    {}", line(difference, options.show_values));
        }
        let shown = view.differences.len().min(options.limit) as u64;
        let all = view.missing + view.extra + view.different;
        if all > shown {
            println!("    ... and {} more (--limit)", all - shown);
        }
    }
    outcome.notes.iter().for_each(|note| println!("  {note}"));
}

fn summary(view: &ViewOutcome) -> String {
    let (source, sink) = (view.source.hex(), view.sink.hex());
    if view.is_exact() {
        return format!("exact, digest {sink}");
    }
    let counts = [
        ("missing", view.missing),
        ("extra", view.extra),
        ("different", view.different),
        ("more that may differ or be in flight", view.unconfirmed),
    ];
    let counts = counts.iter().filter(|(_, n)| *n > 0).map(|(word, n)| format!("{n} {word}"));
    let counts: Vec<String> = counts.collect();
    format!("{}; digest of the source {source}, of the sink {sink}", counts.join(", "))
}

fn line(difference: &Difference, values: bool) -> String {
    let mut text = format!("{} {}", key_text(&difference.key), difference.kind.word());
    if difference.kind == Kind::Different {
        let field = |field: &super::outcome::Field| {
            if values {
                format!("{} is `{}`, the source says `{}`", field.name, field.have, field.want)
            } else {
                field.name.clone()
            }
        };
        let fields: Vec<String> = difference.fields.iter().map(field).collect();
        text.push_str(": ");
        text.push_str(&fields.join(", "));
    }
    if let Some(note) = &difference.note {
        text.push_str(" (");
        text.push_str(note);
        text.push(')');
    }
    text
}

pub fn json(all: &[Verified], options: &Options) -> Value {
    let services: Vec<Value> = all.iter().map(|verified| one(verified, options)).collect();
    json!({ "verdict": Verdict::of(all).word(), "services": services })
}

fn one(verified: &Verified, options: &Options) -> Value {
    let outcome = verified.outcome.as_ref();
    json!({
        "service": verified.service.name(),
        "verdict": verified.verdict.word(),
        "why": verified.why,
        "waited": verified.waited,
        "snapshot_lsn": verified.lsn,
        "seconds": verified.seconds,
        "changes_bridged": verified.bridged,
        "repaired": verified.repaired,
        "position": outcome.map(|outcome| named(&outcome.position)),
        "notes": outcome.map(|outcome| &outcome.notes),
        "views": outcome.map(|outcome| outcome.views.iter().map(|view| of_view(view, options)).collect::<Vec<_>>()),
    })
}

fn of_view(view: &ViewOutcome, options: &Options) -> Value {
    let differences: Vec<Value> = view
        .differences
        .iter()
        .take(options.limit)
        .map(|difference| {
            let names: Vec<&str> = difference.fields.iter().map(|f| f.name.as_str()).collect();
            let mut one = json!({
                "kind": difference.kind.word(),
                "key": difference.key.iter().map(Cell::to_string).collect::<Vec<_>>(),
                "fields": names,
                "note": difference.note,
            });
            if options.show_values {
                let both = |f: &super::outcome::Field| {
                    json!({"field": f.name, "sink": f.have.to_string(), "source": f.want.to_string()})
                };
                one["values"] = difference.fields.iter().map(both).collect();
            }
            one
        })
        .collect();
    json!({
        "view": view.view,
        "rows": view.rows,
        "missing": view.missing,
        "extra": view.extra,
        "different": view.different,
        "unconfirmed": view.unconfirmed,
        "digest_source": view.source.hex(),
        "digest_sink": view.sink.hex(),
        "differences": differences,
    })
}
