//! Bytes in Protocol Buffers' wire format to numbered fields; nothing is copied.

/// A field's value as it is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// The fields of one message, in order; ends after the first error.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        (key >> 3 > 0).then_some((key >> 3, value))
    }

    /// Seven bits a byte, the lowest first; the last byte has its top bit unset.
    fn varint(&mut self) -> Option<u64> {
        let length = self.rest.iter().take(10).position(|byte| byte & 0x80 == 0)? + 1;
        let bytes = self.take(length)?;
        Some(bytes.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f)))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    /// Number and value of a field; an error where the message is cut short or damaged.
    type Item = Result<(u64, Value<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let left = self.rest.len();
        let field = self.field().ok_or_else(|| format!("damaged {left} bytes before its end"));
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_kind_of_field() {
        let message = [
            [0x08, 0x96, 0x01].as_slice(),
            &[0x12, 2, b'h', b'i'],
            &[0x1d, 1, 0, 0, 0],
            &[0x21, 2, 0, 0, 0, 0, 0, 0, 0],
        ]
        .concat();
        let fields: Vec<_> = Fields::new(&message).map(Result::unwrap).collect();
        let expected = [
            (1, Value::Varint(150)),
            (2, Value::Bytes(b"hi")),
            (3, Value::Fixed32(1)),
            (4, Value::Fixed64(2)),
        ];
        assert_eq!(fields, expected);
    }

    #[test]
    fn damaged_messages_end_in_an_error() {
        for message in [
            [0x08].as_slice(),
            &[0x12, 3, 1, 2],
            &[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            &[0x0b],
            &[0x00, 0x00],
            &[0xff; 11],
            &[0x1d, 1, 0],
        ] {
            let fields: Vec<_> = Fields::new(message).collect();
            assert!(matches!(fields.as_slice(), [Err(_)]), "{message:?}: {fields:?}");
        }
    }
}
