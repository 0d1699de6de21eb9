//! Phonetic codes: letters that sound alike give the same code.

use super::normalise::fold;
use crate::config::model::Phonetic;
use compact_str::CompactString;
use deunicode::deunicode_char;
use rphonetic::{DoubleMetaphone, Encoder, Metaphone, Nysiis, Soundex};

/// Codes have four to six letters, so what comes after this many letters cannot change one.
const LETTERS_MAX: usize = 64;

/// The code of `text`'s letters; all its words are taken as one. Empty where there is nothing to pronounce.
///
/// Other scripts are transliterated first. Codes have at most 4 letters, those of NYSIIS 6.
pub fn phonetic(kind: Phonetic, text: &str) -> CompactString {
    let letters = letters(text);
    if letters.is_empty() {
        return letters;
    }
    let code = match kind {
        Phonetic::Soundex => Soundex::default().encode(&letters),
        Phonetic::Metaphone => Metaphone::default().encode(&letters),
        Phonetic::DoubleMetaphone => DoubleMetaphone::default().encode(&letters),
        Phonetic::Nysiis => Nysiis::default().encode(&letters),
    };
    CompactString::from(code)
}

/// The primary and the alternate Double Metaphone code of `text`; they are equal for most words.
pub fn double_metaphone(text: &str) -> (CompactString, CompactString) {
    let codes = DoubleMetaphone::default().double_metaphone(&letters(text));
    (CompactString::from(codes.primary()), CompactString::from(codes.alternate()))
}

/// The ASCII letters of `text`. The encoders cut words at byte positions and panic on anything else.
fn letters(text: &str) -> CompactString {
    let mut out = CompactString::default();
    let mut keep = |c: char| {
        if c.is_ascii_alphabetic() && out.len() < LETTERS_MAX {
            out.push(c.to_ascii_uppercase());
        }
    };
    if text.is_ascii() {
        text.chars().take(4 * LETTERS_MAX).for_each(keep);
    } else {
        fold(text, |c| match deunicode_char(c) {
            Some(ascii) if !c.is_ascii() => ascii.chars().for_each(&mut keep),
            _ => keep(c),
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KINDS: [Phonetic; 4] =
        [Phonetic::Soundex, Phonetic::Metaphone, Phonetic::DoubleMetaphone, Phonetic::Nysiis];

    #[test]
    fn codes_of_known_words() {
        for (text, expected) in [
            ("Robert", ["R163", "RBRT", "RPRT", "RABAD"]),
            ("Rupert", ["R163", "RPRT", "RPRT", "RAPAD"]),
            ("Müller", ["M460", "MLR", "MLR", "MALAR"]),
            ("Knight", ["K523", "NT", "NT", "NAGT"]),
            ("O'Brien", ["O165", "OBRN", "APRN", "OBRAN"]),
            ("Łukasz", ["L220", "LKSS", "LKS", "LAC"]),
            ("123", ["", "", "", ""]),
            ("", ["", "", "", ""]),
        ] {
            let codes = KINDS.map(|kind| phonetic(kind, text).to_string());
            assert_eq!(codes, expected, "{text}");
        }
    }

    #[test]
    fn other_scripts_are_transliterated() {
        assert_eq!(phonetic(Phonetic::Soundex, "Наталья"), phonetic(Phonetic::Soundex, "Natalia"));
        assert!(!phonetic(Phonetic::Nysiis, "王").is_empty());
    }

    #[test]
    fn an_alternate_code_is_given_where_a_word_has_two_sounds() {
        let (primary, alternate) = double_metaphone("Schmidt");
        assert_eq!((primary.as_str(), alternate.as_str()), ("XMT", "SMT"));
    }

    #[test]
    fn a_very_long_word_has_the_code_of_its_beginning() {
        let long = "smith".repeat(100_000);
        for kind in KINDS {
            assert_eq!(phonetic(kind, &long), phonetic(kind, &long[..LETTERS_MAX]));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_an_encoder_panic(any in any::<String>(), letters in "[A-Za-zÄÖÜéßØł' ]{0,12}") {
            for kind in KINDS {
                for text in [&any, &letters] {
                    prop_assert!(phonetic(kind, text).len() <= 6);
                    prop_assert_eq!(phonetic(kind, text), phonetic(kind, &text.to_lowercase()));
                }
            }
            double_metaphone(&any);
            double_metaphone(&letters);
        }
    }
}
