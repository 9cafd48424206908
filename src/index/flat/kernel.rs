//! Queries and rows to all their dot products, with the widest instructions the processor has.
//!
//! A tile of queries and rows is multiplied at a time, its sums in registers: each value that is
//! loaded serves several products. Every product is summed in the same order whatever else is in
//! the tile, so that a score does not depend on neighbors or on the number of queries.

#[cfg(target_arch = "x86_64")]
use super::lanes::{Avx2, Avx512};
use super::lanes::{LANES, Lanes, Portable};

/// Writes the dot product of query `q` and row `r` to `products[q][r]`. All have the same length;
/// there are at most `N` rows.
pub(crate) fn dot_products<const N: usize>(
    queries: &[&[f32]],
    rows: &[&[f32]],
    products: &mut [[f32; N]],
) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has AVX-512.
            return unsafe { avx512(queries, rows, products) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the processor has AVX2 and FMA.
            return unsafe { avx2(queries, rows, products) };
        }
    }
    by_tiles::<Portable, 1, 8, N>(queries, rows, products);
}

/// 16 of 32 registers for sums.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512<const N: usize>(queries: &[&[f32]], rows: &[&[f32]], products: &mut [[f32; N]]) {
    by_tiles::<Avx512, 4, 4, N>(queries, rows, products);
}

/// 8 of 16 registers for sums.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<const N: usize>(queries: &[&[f32]], rows: &[&[f32]], products: &mut [[f32; N]]) {
    by_tiles::<Avx2, 2, 2, N>(queries, rows, products);
}

/// `Q` queries and `R` rows at a time, inlined into each of the above; queries that are left over go
/// one by one, eight rows at a time.
#[inline(always)]
fn by_tiles<L: Lanes, const Q: usize, const R: usize, const N: usize>(
    queries: &[&[f32]],
    rows: &[&[f32]],
    products: &mut [[f32; N]],
) {
    let (groups, rest) = queries.as_chunks::<Q>();
    let (products_of_groups, products_of_rest) = products.split_at_mut(groups.len() * Q);
    for (group, products) in groups.iter().zip(products_of_groups.as_chunks_mut::<Q>().0) {
        all_rows::<L, Q, R, N>(group, rows, products);
    }
    for (query, products) in rest.iter().zip(products_of_rest.as_chunks_mut::<1>().0) {
        all_rows::<L, 1, 8, N>(&[*query], rows, products);
    }
}

#[inline(always)]
fn all_rows<L: Lanes, const Q: usize, const R: usize, const N: usize>(
    queries: &[&[f32]; Q],
    rows: &[&[f32]],
    products: &mut [[f32; N]; Q],
) {
    let (groups, rest) = rows.as_chunks::<R>();
    for (number, group) in groups.iter().enumerate() {
        let tile = tile::<L, Q, R>(queries, group);
        for (products, of_query) in products.iter_mut().zip(tile) {
            products[number * R..][..R].copy_from_slice(&of_query);
        }
    }
    for (number, row) in (groups.len() * R..).zip(rest) {
        let tile = tile::<L, Q, 1>(queries, &[*row]);
        for (products, [product]) in products.iter_mut().zip(tile) {
            products[number] = product;
        }
    }
}

#[inline(always)]
fn tile<L: Lanes, const Q: usize, const R: usize>(
    queries: &[&[f32]; Q],
    rows: &[&[f32]; R],
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
                sums[q][r] = sums[q][r].add_product(x, L::load(&y[r][step]));
            }
        }
    }
    // Loops, not closures: those are compiled for the instructions of every processor.
    let mut products = [[0.0; R]; Q];
    for q in 0..Q {
        for r in 0..R {
            products[q][r] = sums[q][r].sum();
            for at in steps * LANES..dim {
                products[q][r] += queries[q][at] * rows[r][at];
            }
        }
    }
    products
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_instruction_gives_the_same_products() {
        let values: Vec<f32> =
            (0..40 * 83).map(|n| ((n * 37 % 101) as f32 - 50.0) / 50.0).collect();
        for dim in [1, 15, 16, 17, 83] {
            let vectors: Vec<&[f32]> = values.chunks_exact(83).map(|v| &v[..dim]).collect();
            let (queries, rows) = vectors.split_at(7);
            let rows = &rows[..15];
            let mut expected = vec![[0.0; 16]; 7];
            by_tiles::<Portable, 1, 8, 16>(queries, rows, &mut expected);
            for (query, products) in queries.iter().zip(&expected) {
                for (row, product) in rows.iter().zip(products) {
                    let exact: f32 = query.iter().zip(*row).map(|(x, y)| x * y).sum();
                    assert!((product - exact).abs() < 1e-4, "{product} for {exact}");
                }
            }
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                let mut of_avx2 = vec![[0.0; 16]; 7];
                // SAFETY: the processor has them.
                unsafe { avx2(queries, rows, &mut of_avx2) };
                let pairs = expected.as_flattened().iter().zip(of_avx2.as_flattened());
                pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-4));
                if is_x86_feature_detected!("avx512f") {
                    let mut of_avx512 = vec![[0.0; 16]; 7];
                    // SAFETY: the processor has it.
                    unsafe { avx512(queries, rows, &mut of_avx512) };
                    assert_eq!(of_avx2, of_avx512, "bit for bit");
                }
            }
        }
    }
}
