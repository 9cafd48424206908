//! Two scales of guidance to the rows that the network computes, and what each of them weighs.

use tch::{Kind, Tensor};

/// What a row of the batch reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Row {
    /// The prompt with its references.
    Prompt,
    /// The references alone.
    Images,
    /// The negative prompt.
    Negative,
}

/// The rows that count, each with its weight; all weights together are 1.
///
/// diffusers adds `negative + image · (images − negative) + text · (prompt − images)`, and without
/// references `negative + text · (prompt − negative)`. A row whose weights cancel there is left out
/// here: without references, with scales that are equal, or with a scale of 1.
pub(super) fn rows(text: f64, image: Option<f64>) -> Vec<(Row, f64)> {
    let rows = match image {
        Some(image) => {
            vec![(Row::Prompt, text), (Row::Images, image - text), (Row::Negative, 1.0 - image)]
        }
        None => vec![(Row::Prompt, text), (Row::Negative, 1.0 - text)],
    };
    rows.into_iter().filter(|(_, weight)| *weight != 0.0).collect()
}

/// The flow that `rows` make together of the flows of each, one after the other in `flows`,
/// `[rows · n, c, h, w]`: `[n, c, h, w]`. It is added up in f32, and rounded once.
pub(super) fn combine(flows: &Tensor, rows: &[(Row, f64)]) -> Tensor {
    if let [(_, 1.0)] = rows {
        return flows.shallow_clone();
    }
    let parts = flows.to_kind(Kind::Float).chunk(rows.len() as i64, 0);
    let weighed = parts.iter().zip(rows).map(|(part, (_, weight))| part * *weight);
    let sum = weighed.reduce(|sum, part| sum + part);
    sum.unwrap_or_else(|| flows.shallow_clone()).to_kind(flows.kind()) // [n, c, h, w]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_cancel_are_left_out() {
        use Row::{Images, Negative, Prompt};
        for (text, image, expected) in [
            (2.5, Some(1.6), &[Prompt, Images, Negative][..]),
            (2.0, Some(2.0), &[Prompt, Negative]),
            (2.0, Some(1.0), &[Prompt, Images]),
            (1.0, Some(1.0), &[Prompt]),
            (0.0, Some(1.5), &[Images, Negative]),
            (2.5, None, &[Prompt, Negative]),
            (1.0, None, &[Prompt]),
            (0.0, None, &[Negative]),
        ] {
            let found = rows(text, image);
            let names: Vec<_> = found.iter().map(|(row, _)| *row).collect();
            assert_eq!(names, expected, "{text}, {image:?}");
            let sum: f64 = found.iter().map(|(_, weight)| weight).sum();
            assert!((sum - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn the_sum_is_diffusers() {
        let rows = rows(2.5, Some(1.6));
        let flows = Tensor::from_slice(&[3f32, 5.0, 0.5, -2.0, 1.0, 4.0]).view([3, 2]);
        let [c, i, u] = [[3.0, 5.0], [0.5, -2.0], [1.0, 4.0]];
        let found =
            Vec::<f32>::try_from(combine(&flows.view([3, 1, 1, 2]), &rows).view(2)).unwrap();
        for (k, found) in found.into_iter().enumerate() {
            let expected = u[k] + 1.6 * (i[k] - u[k]) + 2.5 * (c[k] - i[k]);
            assert!((f64::from(found) - expected).abs() < 1e-5, "{found} {expected}");
        }
    }
}
