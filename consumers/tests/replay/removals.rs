//! A row that the source no longer has is taken out through the log, by every service and generation, unless it was
//! changed since the command looked.
use super::*;

fn removed(offset: i64, id: i64, clean_to: i64) -> Logged {
    Logged { removal: Some(clean_to), ..ordinary(offset, id, "0") }
}

#[test]
fn it_takes_effect_in_every_generation() {
    let log = [ordinary(0, 1, "5"), ordinary(1, 2, "5"), removed(2, 1, 2), ordinary(3, 2, "6")];
    for generation in [1, 2] {
        let seen = run(&log, generation, None);
        assert_eq!((seen.effects, seen.looks, seen.warnings), (vec![0, 1, 2, 3], 0, 0));
        assert_eq!((seen.letters, seen.marks), (vec![], vec![]));
    }
    let others = [ordinary(0, 1, "5"), ordinary(1, 2, "5"), removed(4, 1, 1), ordinary(5, 1, "6")];
    let seen = run(&others, 2, None);
    assert_eq!((seen.effects, seen.looks, seen.positions.last()), (vec![0, 1, 4, 5], 1, Some(&6)));
}

#[test]
fn raced_by_a_newer_record_it_is_left_out_and_said() {
    let raced = [ordinary(0, 1, "5"), ordinary(1, 2, "5"), ordinary(2, 1, "8"), removed(3, 1, 2)];
    let seen = run(&raced, 1, None);
    assert_eq!((&seen.effects, seen.looks, seen.warnings), (&vec![0, 1, 2], 1, 1));
    assert_eq!((&seen.letters, &seen.marks, seen.positions.last()), (&vec![], &vec![], Some(&4)));
    assert_eq!(run(&raced, 1, None), seen, "read again, decided again: the same");
    // An earlier removal is none, and a letter that comes back is none.
    let again = [
        ordinary(0, 1, "5"),
        ordinary(1, 2, "5"),
        removed(2, 1, 2),
        replayed(3, 2, "9", replay_of(1, 2)),
        removed(4, 1, 2),
        removed(5, 2, 2),
    ];
    let seen = run(&again, 1, None);
    assert_eq!((seen.effects, seen.warnings), (vec![0, 1, 2, 3, 5], 0));
}

#[test]
fn to_letters_of_its_row_it_is_a_newer_record() {
    let after = [
        ordinary(0, 1, "\"many\""),
        removed(1, 1, 1),
        ordinary(2, 2, "5"),
        replayed(3, 1, "7", replay_of(0, 1)),
    ];
    let seen = run(&after, 1, None);
    assert_eq!((seen.letters, seen.marks), (vec![0], vec![(3, moved_on(0))]));
    // But not to one that is newer than what it was judged by, and so kept it from taking effect.
    let before = [
        ordinary(0, 1, "5"),
        ordinary(1, 1, "\"many\""),
        removed(2, 1, 1),
        ordinary(3, 2, "5"),
        replayed(4, 1, "7", replay_of(1, 2)),
    ];
    let seen = run(&before, 1, None);
    assert_eq!((seen.effects, seen.marks, seen.warnings), (vec![0, 3, 4], vec![], 1));
}

#[test]
fn one_that_cannot_be_is_a_letter() {
    for clean_to in [0, 3] {
        let log = [ordinary(0, 1, "5"), ordinary(1, 2, "5"), removed(2, 1, clean_to)];
        let seen = run(&log, 1, None);
        assert_eq!((seen.effects, seen.letters), (vec![0, 1], vec![2]), "{clean_to}");
    }
}
