//! Greek and Cyrillic letters in Latin ones, so that a name is the same in both scripts.
//!
//! Sources: ELOT 743 for Greek; BGN/PCGN for Cyrillic, with what Ukrainian, Belarusian, Serbian and Macedonian add.
//! Scripts of which a letter does not tell its sound (Chinese, Arabic, Hebrew and others) stay what they are: there,
//! different names would become equal.

/// What stands for a folded letter: lower case, no diacritics. Signs without a sound become nothing. `None` for letters
/// that stay what they are.
pub(super) fn latin(c: char) -> Option<&'static str> {
    Some(match c {
        'α' | 'а' => "a",
        'б' => "b",
        'β' | 'в' => "v",
        'γ' | 'г' | 'ґ' => "g",
        'δ' | 'д' => "d",
        'ε' | 'е' | 'э' => "e",
        'є' => "ye",
        'ж' => "zh",
        'ζ' | 'з' => "z",
        'η' | 'ι' | 'и' | 'і' => "i",
        'θ' => "th",
        'ј' => "j",
        'κ' | 'к' => "k",
        'λ' | 'л' => "l",
        'љ' => "lj",
        'μ' | 'м' => "m",
        'ν' | 'н' => "n",
        'њ' => "nj",
        'ξ' => "x",
        'ο' | 'ω' | 'о' => "o",
        'π' | 'п' => "p",
        'ρ' | 'р' => "r",
        'σ' | 'с' => "s",
        'τ' | 'т' => "t",
        'υ' | 'ы' => "y",
        'у' => "u",
        'φ' | 'ф' => "f",
        'х' => "kh",
        'χ' | 'ч' | 'ћ' => "ch",
        'ц' => "ts",
        'ђ' => "dj",
        'џ' => "dz",
        'ш' => "sh",
        'щ' => "shch",
        'ψ' => "ps",
        'ю' => "yu",
        'я' => "ya",
        'ь' | 'ъ' => "",
        _ => return None,
    })
}
