//! The order of copies and reads, on a runtime that copies as late as it may.

use super::*;
use crate::models::common::cuda::fake;

/// Blocks of unlike sizes: tensors of 1, 2, … values, block `i` full of `i`.
fn stored(pool: &PinnedPool, cuda: &'static Cuda, count: i64) -> (Blocks, Vec<Range<usize>>) {
    let values: i64 = (1..=count).sum();
    let mut blocks = pool.take(cuda, 4 * values as usize).unwrap();
    let store = |i| {
        let block = Tensor::full([i], i, (Kind::Float, Device::Cpu));
        blocks.store(&block).unwrap()
    };
    let order = (1..=count).map(store).collect();
    (blocks, order)
}

#[test]
fn blocks_come_in_turn_and_as_they_were_stored() {
    let (cuda, pool) = (fake::cuda(), PinnedPool::default());
    for count in 1..=4 {
        let (blocks, order) = stored(&pool, cuda, count);
        let prefetch = Prefetch::new(cuda, Device::Cpu, blocks, order).unwrap();
        for round in 0..3 {
            for i in 1..=count {
                let read = |block: &Tensor| {
                    let values = Vec::<f32>::try_from(block).unwrap();
                    assert_eq!(values, vec![i as f32; i as usize], "{count} blocks, {round}");
                    // What is written to a block is gone the next time.
                    let _ = block.shallow_clone().fill_(99.0);
                };
                prefetch.next(Kind::Float, &[i], read).unwrap();
            }
        }
    }
}

#[test]
fn a_buffer_is_filled_after_it_was_read_and_read_after_it_was_filled() {
    let (cuda, pool) = (fake::cuda(), PinnedPool::default());
    let (blocks, order) = stored(&pool, cuda, 3);
    let first = fake::calls();
    let prefetch = Prefetch::new(cuda, Device::Cpu, blocks, order).unwrap();
    let mut calls = fake::calls();
    let handle = |call: &str| -> usize { call.rsplit(' ').next().unwrap().parse().unwrap() };
    assert_eq!(first, ["pin 24"]);
    // The copy stream, then each buffer's two events.
    let made: Vec<_> = calls.drain(..5).map(|call| handle(&call)).collect();
    let [copies, filled_0, read_0, filled_1, read_1] = made[..] else { panic!("{made:?}") };
    let refill = |bytes: usize, filled: usize, read: usize| {
        [
            format!("record {read} in 0"),
            format!("{copies} waits for {read}"),
            format!("copy {bytes} in {copies}"),
            format!("record {filled} in {copies}"),
        ]
    };
    // Both buffers, behind what libtorch was given before they were its.
    assert_eq!(calls, [refill(4, filled_0, read_0), refill(8, filled_1, read_1)].concat());
    // The third block goes where the first was read, the first again where the second was.
    for (bytes, filled, read) in [(12, filled_0, read_0), (4, filled_1, read_1)] {
        let during = prefetch.next(Kind::Float, &[1], |_| fake::calls()).unwrap();
        assert_eq!(during, [format!("0 waits for {filled}")]);
        assert_eq!(fake::calls(), refill(bytes, filled, read));
    }
    // Nothing is freed while copies are on their way.
    drop(prefetch);
    assert_eq!(fake::calls()[0], format!("wait for {copies}"));
}

#[test]
fn pinned_memory_is_kept_where_it_is_large_enough() {
    let (cuda, pool) = (fake::cuda(), PinnedPool::default());
    drop(pool.take(cuda, 100).unwrap());
    drop(pool.take(cuda, 60).unwrap());
    assert_eq!(fake::pinned(), [100]);
    // The smaller one is gone before the larger one is there.
    let larger = pool.take(cuda, 200).unwrap();
    assert_eq!(fake::calls(), ["pin 100", "unpin 100", "pin 200"]);
    drop(pool);
    drop(larger);
    assert!(fake::pinned().is_empty());
}

#[test]
fn what_has_no_room_is_an_error() {
    let mut blocks = PinnedPool::default().take(fake::cuda(), 8).unwrap();
    let four = Tensor::from_slice(&[1f32]);
    assert_eq!(blocks.store(&four).unwrap(), 0..4);
    let error = blocks.store(&Tensor::from_slice(&[1f64])).unwrap_err();
    assert!(error.chain().to_string().contains("no room for 8 bytes more"), "{error:?}");
    assert_eq!(blocks.store(&four).unwrap(), 4..8);
}
