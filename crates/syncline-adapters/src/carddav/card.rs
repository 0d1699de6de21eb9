//! A vCard as the lines that it was written in: what is not changed keeps its very bytes.
//!
//! Source: RFC 2426 and RFC 6350; content lines, folding and escaping are those of RFC 6350 §3.

/// A folded line is at most this long, in bytes, its end not counted.
const LINE_BYTES_MAX: usize = 75;

/// A vCard.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Card {
    lines: Vec<Line>,
    /// How its lines end.
    line_end: &'static str,
}

/// A content line.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    /// As it was written: folded, with its ends.
    raw: Vec<u8>,
    /// Unfolded, without its end.
    text: String,
    /// Where the name begins in `text`, after a group.
    name: usize,
    /// Where the name ends.
    name_end: usize,
    /// Where the colon is before the value; the end where there is none.
    colon: usize,
}

/// A property of a card, by the place of its line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Property<'a> {
    /// Which line it is.
    pub(super) index: usize,
    line: &'a Line,
}

impl Card {
    /// The card in `body`.
    ///
    /// # Errors
    ///
    /// When it is not one vCard of version 3.0 or 4.0, with the line where that shows.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let mut raws: Vec<Vec<u8>> = Vec::new();
        for physical in body.split_inclusive(|byte| *byte == b'\n') {
            match raws.last_mut() {
                Some(last) if matches!(physical[0], b' ' | b'\t') => {
                    last.extend_from_slice(physical);
                }
                _ => raws.push(physical.to_vec()),
            }
        }
        let has_crlf = body.windows(2).any(|pair| pair == b"\r\n");
        let line_end = if has_crlf || !body.contains(&b'\n') { "\r\n" } else { "\n" };
        let mut lines = Vec::with_capacity(raws.len());
        for (number, raw) in (1..).zip(raws) {
            let line = Line::parse(raw);
            lines.push(line.ok_or_else(|| format!("line {number} is not UTF-8"))?);
        }
        let card = Self { lines, line_end };
        card.is_one()?;
        Ok(card)
    }

    fn is_one(&self) -> Result<(), String> {
        let mut filled = self.lines.iter().filter(|line| !line.text.trim().is_empty());
        let is = |line: Option<&Line>, name: &str| {
            line.is_some_and(|line| line.is(name) && line.value().eq_ignore_ascii_case("VCARD"))
        };
        if !is(filled.next(), "BEGIN") {
            return Err("it does not begin with `BEGIN:VCARD`".to_owned());
        }
        if !is(filled.next_back(), "END") {
            return Err("it does not end with `END:VCARD`".to_owned());
        }
        if filled.any(|line| line.is("BEGIN") || line.is("END")) {
            return Err("there is more than one card in it".to_owned());
        }
        match self.version() {
            "3.0" | "4.0" => Ok(()),
            "" => Err("it does not say its `VERSION`".to_owned()),
            other => Err(format!("it is of version `{other}`; 3.0 and 4.0 are understood")),
        }
    }

    /// The card as it is written.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.lines.iter().flat_map(|line| &line.raw).copied().collect()
    }

    /// The lines as they are written.
    #[cfg(test)]
    pub(super) fn lines(&self) -> Vec<Vec<u8>> {
        self.lines.iter().map(|line| line.raw.clone()).collect()
    }

    /// The version that the card says, or nothing.
    pub(super) fn version(&self) -> &str {
        self.named("VERSION").next().map_or("", |property| property.line.value().trim())
    }

    /// The properties of this name, in their order.
    pub(super) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Property<'a>> {
        let lines = self.lines.iter().enumerate();
        lines.filter(move |(_, line)| line.is(name)).map(|(index, line)| Property { index, line })
    }

    /// Gives the property at `index` another value, as it is to be written, and takes `without` from its parameters.
    pub(super) fn set(&mut self, index: usize, value: &str, without: &[&str]) {
        let line = &self.lines[index];
        let mut head = line.text[..line.name_end].to_owned();
        for parameter in parameters(&line.text[line.name_end..line.colon]) {
            let name = parameter.split('=').next().unwrap_or_default().trim();
            if !without.iter().any(|one| one.eq_ignore_ascii_case(name)) {
                head.push(';');
                head.push_str(parameter);
            }
        }
        self.lines[index] = Line::folded(&format!("{head}:{value}"), self.line_end);
    }

    /// Takes the property at `index` away.
    pub(super) fn remove(&mut self, index: usize) {
        self.lines.remove(index);
    }

    /// Adds a property after the last of its name, or at the end. `head` is its name with its parameters.
    pub(super) fn add(&mut self, head: &str, value: &str) {
        let name = head.split(';').next().unwrap_or_default();
        let last = self.named(name).last().map(|property| property.index + 1);
        let end = self.lines.iter().rposition(|line| line.is("END")).unwrap_or(self.lines.len());
        let line = Line::folded(&format!("{head}:{value}"), self.line_end);
        self.lines.insert(last.unwrap_or(end), line);
    }
}

impl Line {
    fn parse(raw: Vec<u8>) -> Option<Self> {
        let mut bytes = Vec::with_capacity(raw.len());
        for (number, physical) in raw.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let text = physical.strip_suffix(b"\n").unwrap_or(physical);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            // The first byte of what goes on is the blank that says so.
            bytes.extend_from_slice(&text[usize::from(number > 0).min(text.len())..]);
        }
        let text = String::from_utf8(bytes).ok()?;
        let colon = outside_quotes(&text, ':').unwrap_or(text.len());
        let name_end = text[..colon].find(';').unwrap_or(colon);
        let name = text[..name_end].rfind('.').map_or(0, |dot| dot + 1);
        Some(Self { raw, text, name, name_end, colon })
    }

    /// The line `text`, folded between characters.
    fn folded(text: &str, end: &str) -> Self {
        let mut folded = String::with_capacity(text.len() + text.len() / 20 + 2);
        let mut length = 0;
        for character in text.chars() {
            if length + character.len_utf8() > LINE_BYTES_MAX {
                folded.push_str(end);
                folded.push(' ');
                length = 1;
            }
            folded.push(character);
            length += character.len_utf8();
        }
        folded.push_str(end);
        Self::parse(folded.into_bytes()).expect("what was text is text")
    }

    fn is(&self, name: &str) -> bool {
        let own = self.text[self.name..self.name_end].trim_start_matches('\u{feff}');
        self.colon < self.text.len() && own.eq_ignore_ascii_case(name)
    }

    fn value(&self) -> &str {
        self.text.get(self.colon + 1..).unwrap_or_default()
    }
}

impl<'a> Property<'a> {
    /// The value, as it is written.
    pub(super) fn value(&self) -> &'a str {
        self.line.value()
    }

    /// The values of the parameter `name`, in their order.
    pub(super) fn parameter(&self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let all = parameters(&self.line.text[self.line.name_end..self.line.colon]);
        all.filter_map(move |parameter| {
            // Older writers leave `TYPE=` out.
            let (own, values) = parameter.split_once('=').unwrap_or(("TYPE", parameter));
            own.trim().eq_ignore_ascii_case(name).then_some(values)
        })
        .flat_map(|values| values.split(','))
        .map(|value| value.trim().trim_matches('"'))
    }

    /// Whether one of its types is `name`.
    pub(super) fn is_type(&self, name: &str) -> bool {
        let mut types = self.parameter("TYPE").flat_map(|types| types.split(','));
        types.any(|one| one.trim().eq_ignore_ascii_case(name))
    }
}

/// The parameters in the part of a line between name and value.
fn parameters(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        text = text.strip_prefix(';')?;
        let end = outside_quotes(text, ';').unwrap_or(text.len());
        let (parameter, rest) = text.split_at(end);
        text = rest;
        Some(parameter)
    })
}

fn outside_quotes(text: &str, wanted: char) -> Option<usize> {
    let mut quoted = false;
    text.char_indices().find_map(|(index, character)| {
        quoted ^= character == '"';
        (!quoted && character == wanted).then_some(index)
    })
}

/// The parts of a value between separators that are not escaped, each as it is written.
pub(super) fn split(value: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (index, character) in value.char_indices() {
        if !escaped && character == separator {
            parts.push(&value[start..index]);
            start = index + 1;
        }
        escaped = !escaped && character == '\\';
    }
    parts.push(&value[start..]);
    parts
}

/// The text that a value or a part of one stands for.
pub(super) fn unescape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('n' | 'N') => text.push('\n'),
                Some(other) => text.push(other),
                None => text.push('\\'),
            },
            other => text.push(other),
        }
    }
    text
}

/// A part of a value that another part can follow: a backslash at its very end is escaped.
pub(super) fn closed(part: &str) -> String {
    let backslashes = part.len() - part.trim_end_matches('\\').len();
    format!("{part}{}", if backslashes % 2 == 1 { "\\" } else { "" })
}

/// Text as a value or a part of one.
///
/// # Errors
///
/// When there is a character in it that no vCard can hold.
pub(super) fn escape(text: &str) -> Result<String, String> {
    let mut value = String::with_capacity(text.len());
    for character in text.replace("\r\n", "\n").chars() {
        match character {
            '\n' | '\r' => value.push_str("\\n"),
            '\\' | ',' | ';' => value.extend(['\\', character]),
            other => value.push(printable(other)?),
        }
    }
    Ok(value)
}

/// An address such as a URL as a value, which is not escaped.
///
/// # Errors
///
/// When there is a character in it that no vCard can hold, or a backslash: none is in an address (RFC 3986), and what
/// other programs have escaped is read as what it stands for.
pub(super) fn verbatim(text: &str) -> Result<String, String> {
    if text.contains('\\') {
        return Err("an address cannot hold the character `\\`".to_owned());
    }
    text.chars().map(printable).collect()
}

fn printable(character: char) -> Result<char, String> {
    if character.is_control() && character != '\t' || matches!(character, '\u{fffe}' | '\u{ffff}') {
        let problem = "a vCard cannot hold the character";
        return Err(format!("{problem} U+{:04X}", u32::from(character)));
    }
    Ok(character)
}
