//! The words that carry no identity: titles, legal forms, and the abbreviations of addresses.
//!
//! Every word here is in the folded form that the normalisers make: lower case, no diacritics, no dots.

/// Whether `word` before a name is a form of address or a degree, and no part of the name.
///
/// `Don`, `Maj` and the like are left alone: they are names as well.
pub(super) fn is_title(word: &str) -> bool {
    matches!(
        word,
        "mr" | "mrs"
            | "ms"
            | "miss"
            | "mx"
            | "dr"
            | "prof"
            | "professor"
            | "sir"
            | "dame"
            | "madam"
            | "rev"
            | "reverend"
            | "hon"
            | "capt"
            | "lt"
            | "sgt"
            | "herr"
            | "frau"
            | "hr"
            | "dipl"
            | "ing"
            | "mag"
            | "mme"
            | "mlle"
            | "monsieur"
            | "madame"
            | "sr"
            | "sra"
            | "srta"
            | "senor"
            | "senora"
            | "sig"
            | "signor"
            | "signora"
            | "dott"
            | "dhr"
            | "mevr"
            | "pan"
            | "pani"
    )
}

/// Whether `word` after a name is a degree. `jr`, `sr`, `ii` tell father from son, so they stay.
pub(super) fn is_degree(word: &str) -> bool {
    matches!(word, "phd" | "md" | "mba" | "msc" | "bsc" | "llm" | "esq" | "dds" | "cpa" | "rn")
}

/// Whether `word` at the end of a company's name is a legal form, or joins two of them (`GmbH & Co KG`).
pub(super) fn is_legal_form(word: &str) -> bool {
    matches!(
        word,
        "inc"
            | "incorporated"
            | "llc"
            | "llp"
            | "lp"
            | "ltd"
            | "limited"
            | "plc"
            | "co"
            | "company"
            | "corp"
            | "corporation"
            | "group"
            | "pty"
            | "pvt"
            | "private"
            | "gmbh"
            | "mbh"
            | "ag"
            | "kg"
            | "kgaa"
            | "ohg"
            | "ug"
            | "gbr"
            | "se"
            | "ev"
            | "sa"
            | "sas"
            | "sarl"
            | "sl"
            | "slu"
            | "srl"
            | "spa"
            | "bv"
            | "nv"
            | "ab"
            | "as"
            | "asa"
            | "aps"
            | "oy"
            | "oyj"
            | "sp"
            | "z"
            | "oo"
            | "zoo"
            | "kft"
            | "sro"
            | "kk"
            | "and"
    )
}

/// What the abbreviation `word` of an address stands for, if it is one.
pub(super) fn address_word(word: &str) -> Option<&'static str> {
    Some(match word {
        "st" => "street",
        "rd" => "road",
        "ave" | "av" | "avn" => "avenue",
        "ln" => "lane",
        "dr" | "drv" => "drive",
        "ct" | "crt" => "court",
        "pl" => "place",
        "blvd" | "blv" | "boul" => "boulevard",
        "cl" => "close",
        "wy" => "way",
        "cir" => "circle",
        "sq" => "square",
        "ter" | "terr" => "terrace",
        "hwy" => "highway",
        "pkwy" => "parkway",
        "expy" => "expressway",
        "cres" => "crescent",
        "gdns" => "gardens",
        "gr" | "grv" => "grove",
        "mt" => "mount",
        "ft" => "fort",
        "n" => "north",
        "s" => "south",
        "e" => "east",
        "w" => "west",
        "ne" => "northeast",
        "nw" => "northwest",
        "se" => "southeast",
        "sw" => "southwest",
        "apt" | "appt" => "apartment",
        "ste" => "suite",
        "fl" | "flr" => "floor",
        "bldg" => "building",
        "rm" => "room",
        "str" => "strasse",
        "pltz" => "platz",
        _ => return None,
    })
}
