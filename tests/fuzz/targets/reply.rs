//! The words of a model, and the body of a service's reply.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    imagerag::fuzzing::words(&String::from_utf8_lossy(data));
    let _ = imagerag::fuzzing::completion(data);
});
