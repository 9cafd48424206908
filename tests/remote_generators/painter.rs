//! Pictures that local servers draw from what they were sent.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use imagerag::testing::solid;

/// One colour, made of `bytes`: a PNG in base64.
pub(crate) fn painted(bytes: &[u8]) -> String {
    // FNV-1a.
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let [r, g, b, ..] = (hash ^ (hash >> 32)).to_le_bytes();
    STANDARD.encode(solid(16, 16, [r, g, b]).encode_png().unwrap())
}
