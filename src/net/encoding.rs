//! A compressed body to the bytes that it holds: gzip, deflate, Brotli and Zstandard.
//!
//! None of them is asked for, but some gateways compress all the same, with or without the header.

use std::io::{Error, Read};

use brotli_decompressor::Decompressor as Brotli;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use ruzstd::decoding::StreamingDecoder as Zstandard;

/// How a body in gzip begins (RFC 1952, section 2.3.1).
const GZIP: &[u8] = &[0x1f, 0x8b];
/// How a body in Zstandard begins (RFC 8878, section 3.1.1).
const ZSTANDARD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// The largest window of Zstandard that is decoded, in bytes (RFC 9659).
const ZSTANDARD_WINDOW: u64 = 8 << 20;
/// What Brotli is read in, in bytes.
const BUFFER: usize = 4096;

/// The bytes that `body` holds, at most `most`, and why they end early, if they do. `encodings` is
/// the header `Content-Encoding`, in the order in which they were applied.
pub(super) fn decoded(body: Vec<u8>, encodings: &str, most: usize) -> (Vec<u8>, Option<Error>) {
    let mut decoded = (body, None);
    for encoding in encodings.rsplit(',') {
        let encoding = encoding.trim().to_ascii_lowercase();
        if decoded.1.is_none() && !decoded.0.is_empty() {
            decoded = match encoding.as_str() {
                "br" => read(Brotli::new(&*decoded.0, BUFFER), most),
                "deflate" => inflated(&decoded.0, most),
                // The others are known by how they begin, whatever the header says.
                _ => unmarked(decoded.0, most),
            };
        }
    }
    decoded
}

/// What `body` holds if it begins as gzip or Zstandard do; otherwise `body`.
fn unmarked(body: Vec<u8>, most: usize) -> (Vec<u8>, Option<Error>) {
    if body.starts_with(GZIP) {
        return read(MultiGzDecoder::new(&*body), most);
    }
    if body.starts_with(ZSTANDARD) {
        return match Zstandard::new_with_max_window_size(&*body, ZSTANDARD_WINDOW) {
            Ok(decoder) => read(decoder, most),
            Err(error) => (Vec::new(), Some(Error::other(error.to_string()))),
        };
    }
    (body, None)
}

/// `deflate` is zlib by the standard (RFC 9110, section 8.4.1.2), and bare DEFLATE by what some send.
fn inflated(body: &[u8], most: usize) -> (Vec<u8>, Option<Error>) {
    match read(ZlibDecoder::new(body), most) {
        (zlib, Some(_)) if zlib.is_empty() => read(DeflateDecoder::new(body), most),
        zlib => zlib,
    }
}

fn read(decoder: impl Read, most: usize) -> (Vec<u8>, Option<Error>) {
    let mut bytes = Vec::new();
    let error = decoder.take(most as u64).read_to_end(&mut bytes).err();
    (bytes, error)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use base64::prelude::{BASE64_STANDARD, Engine};

    use super::*;

    const TEXT: &[u8] = br#"{"choices":[{"message":{"content":"yes"}}]}"#;

    /// What `tests/fixtures/make_encodings.py` wrote.
    fn encoded(name: &str) -> Vec<u8> {
        let all = include_str!("../../tests/fixtures/encodings.json");
        let all: BTreeMap<String, String> = serde_json::from_str(all).unwrap();
        BASE64_STANDARD.decode(&all[name]).unwrap()
    }

    #[test]
    fn every_encoding_is_read_with_and_without_its_header() {
        let cases = [
            ("gzip", "gzip"),
            ("X-GZip", "gzip"),
            ("", "gzip"),
            ("identity", "gzip"),
            ("deflate", "deflate"),
            ("deflate", "deflate without zlib"),
            ("br", "br"),
            ("identity, br", "br"),
            ("zstd", "zstd"),
            ("", "zstd"),
            ("deflate, gzip", "deflate, gzip"),
        ];
        for (header, name) in cases {
            let (found, error) = decoded(encoded(name), header, 100);
            assert_eq!((&*found, error.is_none()), (TEXT, true), "{name} as {header:?}");
        }
        // What somebody on the way has unpacked, with the header kept.
        for header in ["", "identity", "gzip", "zstd", "compress"] {
            let (found, error) = decoded(TEXT.to_vec(), header, 100);
            assert_eq!((&*found, error.is_none()), (TEXT, true), "{header:?}");
        }
        assert!(decoded(Vec::new(), "gzip", 100).0.is_empty());
    }

    #[test]
    fn what_is_cut_off_or_damaged_is_told() {
        for name in ["gzip", "deflate", "br", "zstd"] {
            let whole = encoded(name);
            let cut = whole[..whole.len() - 6].to_vec();
            assert!(decoded(cut, name, 100).1.is_some(), "{name}");
        }
        for header in ["br", "deflate"] {
            assert!(decoded(b"\xff\xff\xff\xff".to_vec(), header, 100).1.is_some(), "{header}");
        }
    }

    #[test]
    fn a_bomb_is_not_unpacked_to_its_end() {
        let bomb = encoded("bomb");
        assert!(bomb.len() < 20_000, "{} bytes", bomb.len());
        assert_eq!(decoded(bomb, "gzip", 1000).0, b"[".repeat(1000));
    }
}
