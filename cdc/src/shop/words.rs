//! What products are called and said to be: letters of several scripts, quotes, line ends, emoji. Words hold letters
//! and digits only and stand apart, so that a regular expression splits a text into the same words as the Unicode rules do.
use rand::{Rng, RngExt};

/// The most bytes that a description has and PostgreSQL still keeps with its row (TOAST begins at about 2,000).
pub const SHORT_BYTES_MAX: i32 = 1_900;

const KINDS: [&str; 14] = [
    "Small",
    "Tall",
    "Café",
    "Żółty",
    "Blue",
    "Größe",
    "The \"Best\"",
    "Old",
    "Быстрый",
    "Señor",
    "🚀 Turbo",
    "Naïve",
    "緑",
    "Light",
];
const THINGS: [&str; 14] = [
    "Lamp",
    "Chair",
    "Teapot",
    "Kettle",
    "Fußball",
    "Książka",
    "Клавиатура",
    "Notebook",
    "Backpack",
    "茶",
    "Bottle",
    "Mug 🐢",
    "Desk",
    "Shelf",
];
const SORTS: [&str; 9] = ["", " XL", " 12V", " 2000", " (red)", " mini", " & Co", " 100%", " IV"];
const PHRASES: [&str; 12] = [
    "made in",
    "solid oak",
    "with \"quotes\"",
    "für draußen",
    "very light",
    "back\\slash",
    "tab\there",
    "à la carte",
    "новый",
    "second\nline",
    "emoji 🎉🛒",
    "<b>bold</b> & so on",
];
const BETWEEN: [&str; 5] = [" ", ", ", "; ", "\n", " / "];
const CATEGORIES: [Option<&str>; 5] =
    [Some("home"), Some("garden"), Some("Küche & Bad"), Some("books"), None];

fn one_of<T: Copy>(rng: &mut impl Rng, among: &[T]) -> T {
    among[rng.random_range(0..among.len())]
}

pub fn name(rng: &mut impl Rng) -> String {
    format!("{} {}{}", one_of(rng, &KINDS), one_of(rng, &THINGS), one_of(rng, &SORTS))
}
pub fn category(rng: &mut impl Rng) -> Option<&'static str> {
    one_of(rng, &CATEGORIES)
}
/// Now and then there is none.
pub fn description(rng: &mut impl Rng) -> Option<String> {
    if rng.random_ratio(1, 9) {
        return None;
    }
    let phrases = rng.random_range(1..=8);
    Some((0..phrases).map(|_| one_of(rng, &PHRASES).to_owned() + one_of(rng, &BETWEEN)).collect())
}
/// Longer than [`SHORT_BYTES_MAX`]: stored out of line, and not sent again with a change that leaves it alone.
pub fn manual(rng: &mut impl Rng) -> String {
    let mut text = format!("Manual {}: ", rng.random_range(1..1_000));
    let bytes = rng.random_range(2_500..6_000);
    while text.len() < bytes {
        text += one_of(rng, &PHRASES);
        text += one_of(rng, &BETWEEN);
    }
    text
}
