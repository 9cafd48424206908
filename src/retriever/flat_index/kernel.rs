//! Queries and rows to all their dot products, with the widest instructions the processor has.
//!
//! Each product is summed in the same order whatever else is in the block, so that a vector's score
//! does not depend on its neighbours or on the number of queries.

/// Partial sums of one product: two registers of AVX2, one of AVX-512.
const LANES: usize = 16;

/// Writes the dot product of query `q` and row `r` to `products[q][r]`. All have the same length.
pub(super) fn dot_products<const R: usize>(
    queries: &[&[f32]],
    rows: &[&[f32]],
    products: &mut [[f32; R]],
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
    // Fused multiplication is a call into libm where the target may lack it.
    all::<R, { cfg!(target_arch = "aarch64") }>(queries, rows, products);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512<const R: usize>(queries: &[&[f32]], rows: &[&[f32]], products: &mut [[f32; R]]) {
    all::<R, true>(queries, rows, products);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<const R: usize>(queries: &[&[f32]], rows: &[&[f32]], products: &mut [[f32; R]]) {
    all::<R, true>(queries, rows, products);
}

/// Inlined into each of the above, and compiled for its instructions.
#[inline(always)]
fn all<const R: usize, const FUSED: bool>(
    queries: &[&[f32]],
    rows: &[&[f32]],
    products: &mut [[f32; R]],
) {
    let (fours, rest) = queries.as_chunks::<4>();
    let (products_of_fours, products_of_rest) = products.split_at_mut(4 * fours.len());
    for (queries, products) in fours.iter().zip(products_of_fours.chunks_exact_mut(4)) {
        some::<4, 4, R, FUSED>(queries, rows, products);
    }
    for (query, products) in rest.iter().zip(products_of_rest.chunks_exact_mut(1)) {
        some::<1, 8, R, FUSED>(&[*query], rows, products);
    }
}

/// `Q` queries with all rows, `STEP` rows at a time.
#[inline(always)]
fn some<const Q: usize, const STEP: usize, const R: usize, const FUSED: bool>(
    queries: &[&[f32]; Q],
    rows: &[&[f32]],
    products: &mut [[f32; R]],
) {
    let (steps, rest) = rows.as_chunks::<STEP>();
    for (number, rows) in steps.iter().enumerate() {
        let tile = tile::<Q, STEP, FUSED>(queries, rows);
        for (products, of_query) in products.iter_mut().zip(tile) {
            products[number * STEP..][..STEP].copy_from_slice(&of_query);
        }
    }
    for (number, row) in (steps.len() * STEP..).zip(rest) {
        let tile = tile::<Q, 1, FUSED>(queries, &[*row]);
        for (products, of_query) in products.iter_mut().zip(tile) {
            products[number] = of_query[0];
        }
    }
}

/// `Q` x `R` products whose partial sums stay in registers.
#[inline(always)]
fn tile<const Q: usize, const R: usize, const FUSED: bool>(
    queries: &[&[f32]; Q],
    rows: &[&[f32]; R],
) -> [[f32; R]; Q] {
    let dim = queries[0].len();
    let steps = dim / LANES;
    let x = queries.map(|query| &query.as_chunks::<LANES>().0[..steps]);
    let y = rows.map(|row| &row.as_chunks::<LANES>().0[..steps]);
    let mut sums = [[[0.0f32; LANES]; R]; Q];
    for step in 0..steps {
        for (sums, x) in sums.iter_mut().zip(x) {
            for (sums, y) in sums.iter_mut().zip(y) {
                for lane in 0..LANES {
                    let (x, y) = (x[step][lane], y[step][lane]);
                    sums[lane] = if FUSED { x.mul_add(y, sums[lane]) } else { x * y + sums[lane] };
                }
            }
        }
    }
    let mut products = [[0.0; R]; Q];
    for (q, products) in products.iter_mut().enumerate() {
        for (r, product) in products.iter_mut().enumerate() {
            *product = sum(sums[q][r]);
            for at in steps * LANES..dim {
                *product += queries[q][at] * rows[r][at];
            }
        }
    }
    products
}

/// The sum of all lanes, halving.
#[inline(always)]
fn sum(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}
