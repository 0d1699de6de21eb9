//! From the bytes of a file to text: unpacking (gzip, zstd) and decoding (byte order marks,
//! encodings).

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};
use flate2::read::MultiGzDecoder;
use std::io::{self, Cursor, Read};
use syncline_core::config::model::Compression;

const CHUNK_BYTES: usize = 32 << 10;
/// Stands in the decoded text for bytes that the encoding does not know. It is no UTF-8, so the
/// line that holds it is refused instead of being altered silently.
const NO_TEXT: u8 = 0xFF;

/// Unpacks `raw`: as `declared`, else as its first bytes say.
pub(super) fn unpack(
    mut raw: impl Read + Send + 'static,
    declared: Option<Compression>,
) -> io::Result<Box<dyn Read + Send>> {
    let head = read_head(&mut raw, 4)?;
    let compression = declared.unwrap_or(match head.as_slice() {
        [0x1F, 0x8B, ..] => Compression::Gzip,
        [0x28, 0xB5, 0x2F, 0xFD] => Compression::Zstd,
        _ => Compression::None,
    });
    let is_empty = head.is_empty();
    let whole = Cursor::new(head).chain(raw);
    Ok(match compression {
        Compression::Gzip if !is_empty => Box::new(MultiGzDecoder::new(whole)),
        Compression::Zstd if !is_empty => Box::new(zstd::stream::read::Decoder::new(whole)?),
        _ => Box::new(whole),
    })
}

fn read_head(input: &mut impl Read, len: usize) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(len);
    input.take(len as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// Turns text of any encoding into UTF-8. A byte order mark says which encoding it is and is
/// dropped; without one it is the declared one. UTF-8 is passed on as it is, valid or not.
pub(super) struct Decoding {
    input: Box<dyn Read + Send>,
    declared: Option<&'static Encoding>,
    state: State,
    ready: Cursor<Vec<u8>>,
}

enum State {
    Start,
    Pass,
    Decode(Box<Decoder>),
    End,
}

impl Decoding {
    /// Decodes `input`.
    pub(super) fn new(input: Box<dyn Read + Send>, declared: Option<&'static Encoding>) -> Self {
        Self { input, declared, state: State::Start, ready: Cursor::default() }
    }

    fn begin(&mut self) -> io::Result<()> {
        let head = read_head(&mut self.input, 3)?;
        let (encoding, mark_len) =
            Encoding::for_bom(&head).unwrap_or((self.declared.unwrap_or(UTF_8), 0));
        let rest = head[mark_len..].to_vec();
        if encoding == UTF_8 {
            self.ready = Cursor::new(rest);
            self.state = State::Pass;
        } else {
            let mut decoder = Box::new(encoding.new_decoder_without_bom_handling());
            self.ready = Cursor::new(decode(&mut decoder, &rest, false));
            self.state = State::Decode(decoder);
        }
        Ok(())
    }
}

impl Read for Decoding {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.ready.read(out)?;
            if count > 0 || out.is_empty() {
                return Ok(count);
            }
            match &mut self.state {
                State::Start => self.begin()?,
                State::Pass => return self.input.read(out),
                State::End => return Ok(0),
                State::Decode(decoder) => {
                    let mut raw = vec![0; CHUNK_BYTES];
                    let count = self.input.read(&mut raw)?;
                    self.ready = Cursor::new(decode(decoder, &raw[..count], count == 0));
                    if count == 0 {
                        self.state = State::End;
                    }
                }
            }
        }
    }
}

fn decode(decoder: &mut Decoder, mut raw: &[u8], last: bool) -> Vec<u8> {
    let mut text = vec![0; raw.len() * 3 + 16];
    let mut len = 0;
    loop {
        if text.len() - len < 16 {
            text.resize(text.len() * 2, 0);
        }
        let (result, read, written) =
            decoder.decode_to_utf8_without_replacement(raw, &mut text[len..], last);
        raw = &raw[read..];
        len += written;
        match result {
            DecoderResult::InputEmpty => break,
            DecoderResult::OutputFull => text.resize(text.len() * 2, 0),
            DecoderResult::Malformed(..) => {
                text.truncate(len);
                text.push(NO_TEXT);
                len += 1;
            }
        }
    }
    text.truncate(len);
    text
}
