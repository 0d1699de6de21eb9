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

/// Whether `word` may stand behind a comma after a name without being the first name: degrees, and what tells father
/// from son.
pub(super) fn is_suffix(word: &str) -> bool {
    is_degree(word) || matches!(word, "jr" | "sr" | "junior" | "senior" | "ii" | "iii" | "iv")
}

/// Whether `word` before a company's name is no part of it: an article, or the legal form where it comes first (Russia,
/// Ukraine, Indonesia, the Baltic states).
pub(super) fn is_before_company(word: &str) -> bool {
    matches!(
        word,
        "the"
            | "ooo"
            | "oao"
            | "zao"
            | "pao"
            | "ao"
            | "tov"
            | "pt"
            | "uab"
            | "sia"
            | "株式会社"
            | "有限会社"
    )
}

/// Whether `word` of an address tells where in a house it is.
pub(super) fn is_unit(word: &str) -> bool {
    matches!(
        word,
        "apartment"
            | "suite"
            | "floor"
            | "room"
            | "unit"
            | "flat"
            | "door"
            | "stock"
            | "etage"
            | "wohnung"
            | "piso"
            | "interno"
            | "kv"
            | "byt"
    )
}

/// Whether `word` counts: `3rd`.
pub(super) fn is_ordinal(word: &str) -> bool {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.len() < word.len() && matches!(rest, "st" | "nd" | "rd" | "th")
}

/// Whether `word` at the end of a company's name is a legal form, or joins two of them (`GmbH & Co KG`).
pub(super) fn is_legal_form(word: &str) -> bool {
    LEGAL_FORMS.binary_search(&word).is_ok()
}

/// Sorted.
#[rustfmt::skip]
const LEGAL_FORMS: [&str; 112] = [
    "ab", "ad", "ae", "ag", "aktiengesellschaft", "and", "ans", "aps", "as", "asa", "asbl",
    "berhad", "bhd", "bt", "bv", "bvba", "co", "company", "corp", "corporation", "cv", "cvba",
    "dd", "de", "doo", "eg", "ehf", "eirl", "eood", "epe", "eurl", "ev", "gbr", "gmbh", "godo",
    "group", "hb", "hf", "inc", "incorporated", "is", "ivs", "jsc", "kabushiki", "kaisha", "kft",
    "kg", "kgaa", "kk", "ky", "lda", "limited", "llc", "llp", "lp", "ltd", "ltda", "mbh", "nv",
    "nyrt", "oao", "ohg", "ojsc", "oo", "ood", "ooo", "ou", "oy", "oyj", "pao", "pcl", "pjsc",
    "plc", "private", "pte", "pty", "pvt", "rl", "sa", "sab", "sapa", "sarl", "sas", "sasu",
    "sca", "scs", "sdn", "se", "sl", "slu", "snc", "sp", "spa", "spol", "sprl", "srl", "sro",
    "sti", "stiftung", "tbk", "ticaret", "tmi", "ug", "vof", "vzw", "z", "zao", "zoo", "zrt",
    "有限会社", "有限公司", "株式会社",
];

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
        "bd" => "boulevard",
        "rte" => "route",
        "avda" => "avenida",
        "pza" | "plza" => "plaza",
        "ul" => "ulica",
        "nam" => "namesti",
        "pk" => "park",
        "trl" => "trail",
        "xing" => "crossing",
        "jct" => "junction",
        "whg" => "wohnung",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::LEGAL_FORMS;

    #[test]
    fn legal_forms_are_sorted() {
        assert!(LEGAL_FORMS.is_sorted());
    }
}
