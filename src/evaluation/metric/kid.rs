//! Features of real and of generated images to the kernel inception distance between the two.

use crate::Result;
use crate::error::require;

/// Kernel inception distance (Bińkowski et al. 2018) between the features of real and of generated images:
/// the unbiased estimate of MMD² with the kernel `(x·y/d + 1)³`, where `d` is the number of values of a
/// feature. Less is better; two samples of one distribution give 0 on average, and so at times less.
///
/// With `subset` below the number of images it is the mean over `subsets` random subsets of so many of
/// each side, which `seed` draws; clean-fid and torchmetrics take 100 subsets of 1,000. Otherwise it is
/// computed once over all of them.
///
/// Published numbers are of features of Inception-v3, whose weights are in no format that this crate reads.
/// Features of DINOv2 or CLIP give other numbers, and features of length 1, as
/// [`Embedding`](crate::embedder::Embedding)s are, very small ones: they compare systems with each other,
/// and with nothing that was published.
///
/// ```
/// use imagerag::evaluation::metric::kid;
///
/// let real = [[1.0_f32, 0.0], [0.0, 1.0], [1.0, 1.0]];
/// let generated = [[1.0_f32, 0.1], [0.1, 1.0], [1.1, 1.0]];
/// let distance = kid(&real, &generated, 1_000, 100, 0)?;
/// assert!(distance.abs() < 5.0);
/// # Ok::<(), imagerag::Error>(())
/// ```
///
/// # Errors
/// [`Error::InvalidInput`](crate::Error::InvalidInput) for fewer than 2 images of a side or in a subset, no
/// subset, features of different lengths, or values that are not finite.
pub fn kid<F: AsRef<[f32]>>(
    real: &[F],
    generated: &[F],
    subset: usize,
    subsets: usize,
    seed: u64,
) -> Result<f64> {
    let dim = real.first().map_or(0, |one| one.as_ref().len());
    for (what, side) in [("real images", real), ("generated images", generated)] {
        require(side.len() >= 2, what, "features of at least 2", side.len())?;
        for one in side.iter().map(AsRef::as_ref) {
            let expected = format!("{} values", dim.max(1));
            require(
                one.len() == dim && dim > 0,
                format!("a feature of {what}"),
                expected,
                one.len(),
            )?;
            let odd = one.iter().find(|value| !value.is_finite());
            let found = odd.copied().unwrap_or_default();
            require(odd.is_none(), format!("a feature of {what}"), "finite values", found)?;
        }
    }
    require(subset >= 2, "images of a subset", "at least 2", subset)?;
    require(subsets >= 1, "subsets", "at least 1", subsets)?;
    let [mut real, mut generated] =
        [real, generated].map(|side| side.iter().map(AsRef::as_ref).collect::<Vec<&[f32]>>());
    let size = subset.min(real.len()).min(generated.len());
    if size == real.len() && size == generated.len() {
        return Ok(mmd(&real, &generated));
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let mut sum = 0.0;
    for _ in 0..subsets {
        for side in [&mut real, &mut generated] {
            // The first `size` of a shuffle, without the rest of it.
            for at in 0..size {
                let other = random.usize(at..side.len());
                side.swap(at, other);
            }
        }
        sum += mmd(&real[..size], &generated[..size]);
    }
    Ok(sum / subsets as f64)
}

/// The unbiased estimate of MMD² of at least 2 features of each side.
fn mmd(real: &[&[f32]], generated: &[&[f32]]) -> f64 {
    let within = |side: &[&[f32]]| {
        let pairs = side
            .iter()
            .enumerate()
            .flat_map(|(at, x)| side[..at].iter().map(move |y| 2.0 * kernel(x, y)));
        pairs.sum::<f64>() / (side.len() * (side.len() - 1)) as f64
    };
    let across: f64 = real.iter().flat_map(|x| generated.iter().map(|y| kernel(x, y))).sum();
    within(real) + within(generated) - 2.0 * across / (real.len() * generated.len()) as f64
}

fn kernel(x: &[f32], y: &[f32]) -> f64 {
    let product: f64 = x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
    (product / x.len() as f64 + 1.0).powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded() -> (Vec<Vec<f32>>, Vec<Vec<f32>>, f64) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/metrics.json");
        let all: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let kid = &all["kid"];
        let features = |name: &str| serde_json::from_value(kid[name].clone()).unwrap();
        (features("real"), features("generated"), kid["kid"].as_f64().unwrap())
    }

    #[test]
    fn it_is_that_of_torchmetrics_and_clean_fid() {
        let (real, generated, expected) = recorded();
        let found = kid(&real, &generated, 1_000, 100, 0).unwrap();
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    }

    #[test]
    fn subsets_are_their_seeds_and_near_the_whole() {
        let (real, generated, expected) = recorded();
        let of = |seed| kid(&real, &generated, 6, 2_000, seed).unwrap();
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        // The estimate is unbiased: the mean over subsets nears that of all.
        assert!((of(1) - expected).abs() < 0.1 * expected.abs(), "{} {expected}", of(1));
        // Sides of different sizes are cut to the smaller one.
        assert!(kid(&real[..5], &generated, 1_000, 10, 0).unwrap().is_finite());
    }

    #[test]
    fn what_has_no_distance_is_named() {
        let fine = [[1.0_f32, 2.0], [3.0, 4.0]];
        let error = |real: &[[f32; 2]], subset, subsets| {
            kid(real, &fine, subset, subsets, 0).unwrap_err().to_string()
        };
        assert!(error(&fine[..1], 10, 1).contains("real images: expected features of at least 2"));
        assert!(
            error(&[[1.0, f32::NAN], [0.0; 2]], 10, 1)
                .contains("expected finite values, found NaN")
        );
        assert!(error(&fine, 1, 1).contains("images of a subset"));
        assert!(error(&fine, 2, 0).contains("subsets: expected at least 1"));
        let uneven = [vec![1.0_f32, 2.0], vec![3.0]];
        let error = kid(&uneven, &uneven, 2, 1, 0).unwrap_err().to_string();
        assert!(error.contains("expected 2 values, found 1"), "{error}");
    }
}
