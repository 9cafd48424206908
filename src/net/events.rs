//! [`Events`]: the pieces of a stream, as they come, to the JSON values of its events.

use serde_json::Value;

use super::stream::{self, Body};

/// Server-sent events that have come so far. Memory is bounded by that of the whole reply.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// What has come of an event that is not whole.
    rest: Vec<u8>,
    /// How much of it has no end of an event in it.
    seen: usize,
}

impl Events {
    /// The values of the events that end in `piece`. What is no event gives none.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<Value> {
        self.rest.extend_from_slice(piece);
        let mut values = Vec::new();
        while let Some(end) = self.end() {
            let event = String::from_utf8_lossy(&self.rest[..end]);
            if let Some(Body::Stream(found, _)) = stream::events(&event) {
                values.extend(found);
            }
            self.rest.drain(..end);
            self.seen = 0;
        }
        self.seen = self.rest.len().saturating_sub(3);
        values
    }

    /// Where the first event ends: behind an empty line.
    fn end(&self) -> Option<usize> {
        const EMPTY_LINES: [&[u8]; 3] = [b"\n\n", b"\r\n\r\n", b"\r\r"];
        let unseen = &self.rest[self.seen..];
        let ends = EMPTY_LINES.iter().filter_map(|line| {
            let at = unseen.windows(line.len()).position(|window| window == *line)?;
            Some(self.seen + at + line.len())
        });
        ends.min()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_come_out_as_soon_as_they_are_whole() {
        let stream = "event: a\ndata: {\"n\": 1}\n\n: still here\r\n\r\ndata: {\"n\":\r\ndata: 2}\r\n\r\n\
                      data: {\"é\": 3}\n\ndata: [DONE]\n\ndata: {\"n\"";
        for size in 1..stream.len() {
            let (mut events, mut values) = (Events::default(), Vec::new());
            for piece in stream.as_bytes().chunks(size) {
                values.extend(events.push(piece));
            }
            assert_eq!(values, [json!({"n": 1}), json!({"n": 2}), json!({"é": 3})], "{size}");
        }
        let mut events = Events::default();
        assert!(events.push(b"data: {\"n\": 1}\n").is_empty());
        assert_eq!(events.push(b"\n"), [json!({"n": 1})]);
        // A byte order mark at the start of a stream, whose first event is as good as the others.
        let mut events = Events::default();
        assert_eq!(events.push("\u{feff}data: {\"n\": 1}\n\n".as_bytes()), [json!({"n": 1})]);
        assert!(events.push(b"<html>\n\n</html>\n\n").is_empty());
    }
}
