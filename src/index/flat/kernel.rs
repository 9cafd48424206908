//! Queries and rows to all their dot products, with the widest instructions the processor has.
//!
//! A tile of queries and rows is multiplied at a time, its sums in registers: each value that is
//! loaded serves several products. Every product is summed in the same order whatever else is in
//! the tile, so that a score does not depend on neighbors or on the number of queries.

#[cfg(target_arch = "x86_64")]
use super::lanes::{Avx2, Avx512};
use super::lanes::{LANES, Lanes, Portable};
use super::rows::Value;

/// Writes the dot product of query `q` and row `r` to `products[q][r]`. All have the same length;
/// there are at most `N` rows.
pub(crate) fn dot_products<T: Value, const N: usize>(
    queries: &[&[f32]],
    rows: &[&[T]],
    products: &mut [[f32; N]],
) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has AVX-512.
            return unsafe { avx512(queries, rows, products) };
        }
        if has_avx2() {
            // SAFETY: the processor has AVX2, FMA and F16C.
            return unsafe { avx2(queries, rows, products) };
        }
    }
    by_tiles::<Portable, T, 1, 8, N>(queries, rows, products);
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
}

/// 16 of 32 registers for sums.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512<T: Value, const N: usize>(queries: &[&[f32]], rows: &[&[T]], products: &mut [[f32; N]]) {
    by_tiles::<Avx512, T, 4, 4, N>(queries, rows, products);
}

/// 8 of 16 registers for sums.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
fn avx2<T: Value, const N: usize>(queries: &[&[f32]], rows: &[&[T]], products: &mut [[f32; N]]) {
    by_tiles::<Avx2, T, 2, 2, N>(queries, rows, products);
}

/// `Q` queries and `R` rows at a time, inlined into each of the above; queries that are left over go
/// one by one, eight rows at a time.
#[inline(always)]
fn by_tiles<L: Lanes, T: Value, const Q: usize, const R: usize, const N: usize>(
    queries: &[&[f32]],
    rows: &[&[T]],
    products: &mut [[f32; N]],
) {
    let (groups, rest) = queries.as_chunks::<Q>();
    let (products_of_groups, products_of_rest) = products.split_at_mut(groups.len() * Q);
    for (group, products) in groups.iter().zip(products_of_groups.as_chunks_mut::<Q>().0) {
        all_rows::<L, T, Q, R, N>(group, rows, products);
    }
    for (query, products) in rest.iter().zip(products_of_rest.as_chunks_mut::<1>().0) {
        all_rows::<L, T, 1, 8, N>(&[*query], rows, products);
    }
}

#[inline(always)]
fn all_rows<L: Lanes, T: Value, const Q: usize, const R: usize, const N: usize>(
    queries: &[&[f32]; Q],
    rows: &[&[T]],
    products: &mut [[f32; N]; Q],
) {
    let (groups, rest) = rows.as_chunks::<R>();
    for (number, group) in groups.iter().enumerate() {
        let tile = tile::<L, T, Q, R>(queries, group);
        for (products, of_query) in products.iter_mut().zip(tile) {
            products[number * R..][..R].copy_from_slice(&of_query);
        }
    }
    for (number, row) in (groups.len() * R..).zip(rest) {
        let tile = tile::<L, T, Q, 1>(queries, &[*row]);
        for (products, [product]) in products.iter_mut().zip(tile) {
            products[number] = product;
        }
    }
}

#[inline(always)]
fn tile<L: Lanes, T: Value, const Q: usize, const R: usize>(
    queries: &[&[f32]; Q],
    rows: &[&[T]; R],
) -> [[f32; R]; Q] {
    let dim = queries[0].len();
    let steps = dim / LANES;
    let x = queries.map(|query| &query.as_chunks::<LANES>().0[..steps]);
    let y = rows.map(|row| &row.as_chunks::<LANES>().0[..steps]);
    let mut sums = [[L::zero(); R]; Q];
    for step in 0..steps {
        for q in 0..Q {
            let x = L::load(&x[q][step]);
            for r in 0..R {
                let y = &y[r][step];
                if Q == 1 {
                    // One query waits for memory, and rows mostly stand one after another.
                    L::prefetch(y.as_ptr().wrapping_add(R * dim));
                }
                sums[q][r] = sums[q][r].add_product(x, T::load(y));
            }
        }
    }
    // Loops, not closures: those are compiled for the instructions of every processor.
    let mut products = [[0.0; R]; Q];
    for q in 0..Q {
        for r in 0..R {
            products[q][r] = sums[q][r].sum();
            for at in steps * LANES..dim {
                products[q][r] += queries[q][at] * rows[r][at].to_f32();
            }
        }
    }
    products
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;

    type Products = Vec<[f32; 16]>;

    /// With every kind of instruction that this processor has, the portable one first.
    fn all_kinds<T: Value>(queries: &[&[f32]], rows: &[&[T]]) -> Vec<Products> {
        let run = |call: &dyn Fn(&mut Products)| {
            let mut products = vec![[0.0; 16]; queries.len()];
            call(&mut products);
            products
        };
        let mut all = vec![run(&|all| by_tiles::<Portable, T, 1, 8, 16>(queries, rows, all))];
        #[cfg(target_arch = "x86_64")]
        {
            if has_avx2() {
                // SAFETY: the processor has them.
                all.push(run(&|all| unsafe { avx2(queries, rows, all) }));
            }
            if is_x86_feature_detected!("avx512f") {
                // SAFETY: the processor has it.
                all.push(run(&|all| unsafe { avx512(queries, rows, all) }));
            }
        }
        all
    }

    #[test]
    fn every_kind_of_instruction_gives_the_same_products() {
        let values: Vec<f32> =
            (0..40 * 83).map(|n| ((n * 37 % 101) as f32 - 50.0) / 50.0).collect();
        let halves: Vec<f16> = values.iter().copied().map(f16::from_f32).collect();
        let widened: Vec<f32> = halves.iter().copied().map(f16::to_f32).collect();
        for dim in [1, 15, 16, 17, 83] {
            let vectors: Vec<&[f32]> = values.chunks_exact(83).map(|v| &v[..dim]).collect();
            let (queries, rows) = vectors.split_at(7);
            let rows = &rows[..15];
            let all = all_kinds(queries, rows);
            for (query, products) in queries.iter().zip(&all[0]) {
                for (row, product) in rows.iter().zip(products) {
                    let exact: f32 = query.iter().zip(*row).map(|(x, y)| x * y).sum();
                    assert!((product - exact).abs() < 1e-4, "{product} for {exact}");
                }
            }
            for other in &all[1..] {
                let pairs = all[0].as_flattened().iter().zip(other.as_flattened());
                pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-4));
                assert_eq!(other, &all[1], "bit for bit");
            }

            let of_16_bits: Vec<&[f16]> =
                halves.chunks_exact(83).skip(7).take(15).map(|v| &v[..dim]).collect();
            let of_32_bits: Vec<&[f32]> =
                widened.chunks_exact(83).skip(7).take(15).map(|v| &v[..dim]).collect();
            let one = &queries[..1];
            assert_eq!(all_kinds(one, &of_16_bits), all_kinds(one, &of_32_bits), "bit for bit");
            assert_eq!(all_kinds(queries, &of_16_bits), all_kinds(queries, &of_32_bits));
        }
    }
}
